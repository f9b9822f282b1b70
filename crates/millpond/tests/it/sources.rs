//! Sources of memory: pages, regions, buffers.

use std::{alloc::Layout, mem::MaybeUninit};

use millpond::{AllocError, Allocator, Buffer, Pages, source::MappedRegion};

#[test]
fn pages_are_whole_zero_and_aligned() {
    let page = Pages::size();
    for align in [1, page, 2 * page, 64 * page, 1 << 22] {
        let layout = Layout::from_size_align(page + 1, align).expect("a layout");
        let block = Pages.allocate_zeroed(layout).expect("the system has pages");
        assert_eq!((block.len(), block.addr().get() % align.max(page)), (2 * page, 0));
        // SAFETY: the block is live and two pages long.
        unsafe {
            assert!(block.as_ref().iter().all(|&byte| byte == 0));
            block.cast::<u8>().write_bytes(1, 2 * page);
            Pages.deallocate(block.cast(), layout);
        }
    }
}

#[test]
fn pages_report_why_they_refuse() {
    // Larger than any address space, or, with 32 bits, so large that only one such block fits.
    let layout = Layout::from_size_align(isize::MAX.cast_unsigned() - 4095, 1).expect("a layout");
    let blocks: Vec<_> = std::iter::from_fn(|| Pages.allocate(layout).ok()).collect();
    assert!(blocks.len() < 2);
    assert!(matches!(Pages.allocate(layout), Err(AllocError::Os(code)) if code != 0));
    for block in blocks {
        // SAFETY: the block is live, and this is its layout.
        unsafe { Pages.deallocate(block.cast(), layout) };
    }
}

#[test]
fn region_is_committed_in_pages() {
    let page = Pages::size();
    let region = MappedRegion::reserve(16 * page).expect("addresses are plenty");
    assert_eq!(region.size(), 16 * page);
    region.commit(3 * page..3 * page + 1).expect("a page of memory");
    // SAFETY: page 3 is committed, and nothing else uses it.
    unsafe {
        let byte = region.start().add(4 * page - 1);
        assert_eq!(byte.read(), 0);
        byte.write(9);
        region.commit(0..16 * page).expect("sixteen pages of memory");
        assert_eq!(byte.read(), 9, "committing again changes nothing");
        region.decommit(3 * page + 1..5 * page).expect("decommits page 4 only");
        assert_eq!(byte.read(), 9, "a part of a page is not taken away");
        region.decommit(3 * page..4 * page).expect("decommits page 3");
        region.commit(3 * page..4 * page).expect("a page of memory");
        assert_eq!(byte.read(), 0, "committed memory is zero");
    }
}

#[test]
fn region_refuses_ranges_outside() {
    let region = MappedRegion::reserve(1).expect("addresses are plenty");
    let size = region.size();
    assert_eq!(size, Pages::size());
    assert_eq!(region.commit(0..size + 1), Err(AllocError::Unsupported));
    #[expect(clippy::reversed_empty_ranges, reason = "the test checks that this is refused")]
    let reversed = region.commit(10..5);
    assert_eq!(reversed, Err(AllocError::Unsupported));
    assert_eq!(MappedRegion::reserve(0).err(), Some(AllocError::Unsupported));
    assert_eq!(MappedRegion::reserve(usize::MAX).err(), Some(AllocError::Unsupported));
}

#[test]
fn buffer_takes_back_its_last_block_only() {
    let mut memory = [MaybeUninit::uninit(); 100];
    let buffer = Buffer::new(&mut memory);
    let layout = Layout::from_size_align(40, 1).expect("a layout");
    let first = buffer.allocate(layout).expect("room for 40");
    let second = buffer.allocate(layout).expect("room for 80");
    assert_eq!(buffer.allocate(layout), Err(AllocError::Exhausted));
    // SAFETY: both blocks are live, and the layout is their own.
    unsafe {
        buffer.deallocate(second.cast(), layout);
        assert_eq!(buffer.allocate(layout), Ok(second));
        buffer.deallocate(first.cast(), layout);
    }
    assert_eq!(buffer.allocate(layout), Err(AllocError::Exhausted));
    let rest = buffer.allocate_between(Layout::new::<u8>(), 4096).expect("20 bytes are left");
    assert_eq!(rest.len(), 20);
}
