//! The contract of `Allocator`, sentence by sentence, for every allocator of the crate.

use std::{alloc::Layout, mem::MaybeUninit, ptr::NonNull, rc::Rc, sync::Arc};

use millpond::{
    AllocError, Allocator, Blocks, Buffer, Classes, Fixed, Heap, Inspect, Linear, Local, Locked, Nothing,
    Pages, SignPost, Tlsf,
};

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("the tests' layouts exist")
}

/// Calls a check with each allocator, by reference to the dynamic trait: that it can be one is part of the contract.
fn with_everyone(check: impl Fn(&str, &dyn Allocator)) {
    let mut memory = vec![MaybeUninit::uninit(); 1 << 16];
    check("Heap", &Heap);
    check("Pages", &Pages);
    check("Buffer", &Buffer::new(&mut memory));
    check("Local<Blocks>", &Local::new(Blocks::<Fixed<256, 64>>::new()));
    check("Local<Linear>", &Local::new(Linear::new()));
    check("Local<Classes>", &Local::new(Classes::new()));
    check("Local<Tlsf>", &Local::new(Tlsf::new()));
    check("Local<Tlsf<Pockets>>", &Local::new(Tlsf::with_pockets()));
    check("Local<SignPost>", &Local::new(SignPost::first_fit()));
    check("Local<SignPost>, wiping", &Local::new(SignPost::best_fit().wiping()));
    check("Locked<Classes, Pages>", &Locked::<_, _>::new_in(Classes::new(), Pages));
    check("&Local<Linear>", &&Local::new(Linear::new()));
    check("Rc<Local<Linear>>", &Rc::new(Local::new(Linear::new())));
    check("Arc<Locked<Linear>>", &Arc::new(Locked::<_>::new(Linear::new())));
    check("Box<dyn Allocator>", &(Box::new(Local::new(Classes::new())) as Box<dyn Allocator>));
    check("Local<Classes, Local<Linear>>", &Local::new_in(Classes::new(), Local::new(Linear::new())));
}

#[test]
fn zero_bytes_are_at_their_alignment_and_free_for_all() {
    let zero_everywhere = |name: &str, allocator: &dyn Allocator| {
        for align in [1, 64, 1 << 20] {
            let layout = layout(0, align);
            for block in [allocator.allocate(layout), allocator.allocate_zeroed(layout)] {
                let block = block.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!((block.addr().get(), block.len()), (align, 0), "{name}");
                // SAFETY: the block is live, and the layout is its own.
                unsafe { allocator.deallocate(block.cast(), layout) };
            }
        }
    };
    with_everyone(zero_everywhere);
    zero_everywhere("Nothing", &Nothing);
}

#[test]
fn zero_bytes_grow_and_whole_blocks_shrink_to_zero() {
    with_everyone(|name, allocator| {
        let (zero, some) = (layout(0, 32), layout(48, 8));
        let block = allocator.allocate(zero).expect("zero bytes always exist");
        // SAFETY: each block is live and the layouts are those it has in turn.
        unsafe {
            let grown =
                allocator.grow_zeroed(block.cast(), zero, some).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(grown.as_ref().iter().all(|&byte| byte == 0), "{name}");
            let gone = allocator.shrink(grown.cast(), some, zero).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!((gone.addr().get(), gone.len()), (32, 0), "{name}");
            allocator.deallocate(gone.cast(), zero);
        }
    });
}

#[test]
fn growing_and_shrinking_may_raise_the_alignment() {
    with_everyone(|name, allocator| {
        let old = layout(24, 1);
        for new in [layout(100, 64), layout(24, 64), layout(8, 64)] {
            // Several, so that not all lie well aligned by luck.
            for _ in 0..4 {
                let spacer = allocator.allocate(layout(8, 8)).expect("room for a few bytes");
                let block = allocator.allocate(old).expect("room for a few bytes");
                // SAFETY: each block is live and the layouts are those it has in turn.
                unsafe {
                    block.cast::<u8>().write_bytes(0x5a, 24);
                    let moved = if new.size() >= 24 {
                        allocator.grow(block.cast(), old, new)
                    } else {
                        allocator.shrink(block.cast(), old, new)
                    };
                    let moved = moved.unwrap_or_else(|error| panic!("{name}: {error}"));
                    assert_eq!(moved.addr().get() % 64, 0, "{name}: {new:?}");
                    assert!(moved.as_ref()[..new.size().min(24)].iter().all(|&byte| byte == 0x5a), "{name}");
                    allocator.deallocate(moved.cast(), new);
                    allocator.deallocate(spacer.cast(), layout(8, 8));
                }
            }
        }
    });
}

#[test]
fn grow_zeroed_zeroes_the_excess_too() {
    with_everyone(|name, allocator| {
        let (old, new) = (layout(20, 4), layout(21, 4));
        for _ in 0..8 {
            let block = allocator.allocate(old).expect("room for a few bytes");
            // SAFETY: each block is live and the layouts are those it has in turn.
            unsafe {
                block.cast::<u8>().write_bytes(0xff, block.len());
                let grown =
                    allocator.grow_zeroed(block.cast(), old, new).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert!(grown.as_ref()[..20].iter().all(|&byte| byte == 0xff), "{name}: contents");
                assert!(grown.as_ref()[20..].iter().all(|&byte| byte == 0), "{name}: {} bytes", grown.len());
                allocator.deallocate(grown.cast(), new);
            }
        }
    });
}

#[test]
fn any_size_from_requested_to_returned_may_be_freed() {
    with_everyone(|name, allocator| {
        let asked = layout(33, 8);
        for part in 0..=2 {
            let block = allocator.allocate(asked).unwrap_or_else(|error| panic!("{name}: {error}"));
            let size = 33 + (block.len() - 33) * part / 2;
            // SAFETY: the block is live, and the size lies between what was requested and what was returned.
            unsafe { allocator.deallocate(block.cast(), layout(size, 8)) };
        }
    });
}

#[test]
fn impossible_sizes_are_refused_and_leave_the_allocator_well() {
    with_everyone(|name, allocator| {
        let huge = isize::MAX.cast_unsigned();
        for impossible in
            [layout(huge, 1), layout(huge & !4095, 4096), layout(huge / 2, 1 << 40), layout(1, 1 << 62)]
        {
            assert!(allocator.allocate(impossible).is_err(), "{name}: {impossible:?}");
        }
        let small = layout(16, 8);
        let block = allocator.allocate(small).unwrap_or_else(|error| panic!("{name}: {error}"));
        // SAFETY: the block is live; a failed growth leaves it as it is.
        unsafe {
            block.cast::<u8>().write(7);
            assert!(allocator.grow(block.cast(), small, layout(huge & !7, 8)).is_err(), "{name}");
            assert_eq!(block.cast::<u8>().read(), 7, "{name}");
            allocator.deallocate(block.cast(), small);
        }
    });
}

#[test]
fn allocate_between_gives_at_least_the_least() {
    with_everyone(|name, allocator| {
        let least = layout(10, 2);
        let block = allocator.allocate_between(least, 200).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(block.len() >= 10, "{name}");
        // SAFETY: the block is live, and the size lies between the least and what was returned.
        unsafe { allocator.deallocate(block.cast(), layout(block.len(), 2)) };
        let block = allocator.allocate_between(least, 0).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(block.len() >= 10, "{name}: a preference below the least");
        // SAFETY: as above.
        unsafe { allocator.deallocate(block.cast(), least) };
    });
}

#[test]
fn errors_tell_what_may_pass_from_what_never_does() {
    let pool = Local::new_in(Blocks::<Fixed<64>>::new(), Nothing);
    assert_eq!(pool.allocate(layout(64, 8)), Err(AllocError::Exhausted));
    assert_eq!(pool.allocate(layout(65, 8)), Err(AllocError::Unsupported));
    assert_eq!(pool.allocate(layout(8, 16)), Err(AllocError::Unsupported));
    let errors =
        [AllocError::Exhausted, AllocError::Unsupported, AllocError::Os(12)].map(|error| error.to_string());
    assert!(errors[2].contains("12") && errors[0] != errors[1]);
}

#[test]
fn resizing_stays_in_place_where_it_can() {
    let pool = Local::new(Blocks::<Fixed<64>>::new());
    let block = pool.allocate(layout(10, 8)).expect("the heap has room").cast::<u8>();
    let classes = Local::new(Classes::new());
    let in_class = classes.allocate(layout(97, 8)).expect("the heap has room").cast::<u8>();
    let arena = Local::new(Linear::new());
    let first = arena.allocate(layout(10, 1)).expect("the heap has room").cast::<u8>();
    // SAFETY: each block is live and the layouts are those it has in turn.
    unsafe {
        assert_eq!(pool.grow(block, layout(10, 8), layout(64, 8)).map(NonNull::cast), Ok(block));
        assert_eq!(pool.shrink(block, layout(64, 8), layout(1, 8)).map(NonNull::cast), Ok(block));
        assert_eq!(classes.grow(in_class, layout(97, 8), layout(112, 8)).map(NonNull::cast), Ok(in_class));
        assert!(classes.grow_in_place(in_class, layout(112, 8), layout(113, 8)).is_err(), "another class");
        assert_eq!(arena.grow(first, layout(10, 1), layout(1000, 1)).map(NonNull::cast), Ok(first));
        let second = arena.allocate(layout(10, 1)).expect("the heap has room").cast::<u8>();
        assert_eq!(second.addr().get(), first.addr().get() + 1000);
        assert!(
            arena.grow_in_place(first, layout(1000, 1), layout(1001, 1)).is_err(),
            "not the last any more"
        );
        assert_eq!(arena.shrink(first, layout(1000, 1), layout(5, 1)).map(NonNull::cast), Ok(first));
    }
}

#[test]
fn what_is_not_ours_is_never_owned() {
    let pool = Local::new(Blocks::<Fixed<64>>::new());
    let block = pool.allocate(layout(64, 8)).expect("the heap has room");
    let end = block.as_ptr().cast::<u8>().wrapping_add(1 << 40);
    assert!(pool.owns(block.as_ptr().cast()));
    for foreign in
        [std::ptr::null(), std::ptr::dangling(), end.cast_const(), std::ptr::without_provenance(usize::MAX)]
    {
        assert!(!pool.owns(foreign), "{foreign:?}");
    }
}
