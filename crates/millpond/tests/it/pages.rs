//! Pages, tuned or not: sizes, alignment, zeros, and how the system handles each option.

use std::alloc::Layout;

use fastrand::Rng;
use millpond::{
    AllocError, Allocator, Blocks, Fixed, Inspect, Local, Pages,
    source::{Numa, TunedPages},
};

use crate::{again::skipped, oracle::Oracle};

/// Returns every combination of options that needs no preparation by the administrator.
fn all_wishes() -> impl Iterator<Item = TunedPages> {
    (0..16).map(|bits| {
        let mut pages = TunedPages::new();
        if bits & 1 != 0 {
            pages = pages.guarded();
        }
        if bits & 2 != 0 {
            pages = pages.transparent_huge_pages();
        }
        if bits & 4 != 0 {
            pages = pages.populated();
        }
        if bits & 8 != 0 {
            pages = pages.numa(Numa::Local);
        }
        pages
    })
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout")
}

#[test]
fn tuned_pages_are_whole_zero_and_aligned() {
    let (page, huge) = (Pages::size(), Pages::huge_size());
    for pages in all_wishes() {
        for (size, align) in
            [(1, 1), (page, page), (page + 1, 16 * page), (100, huge), (huge - 1, 8), (huge + 1, 8)]
        {
            let asked = layout(size, align);
            let block = pages.allocate_zeroed(asked).expect("the system has pages");
            assert!(block.len() >= size && block.len().is_multiple_of(page), "{pages:?}: {}", block.len());
            assert!(block.addr().get().is_multiple_of(align.max(page)), "{pages:?}: {block:?}");
            // SAFETY: the block is live and `block.len()` bytes long, and any size up to that frees it.
            unsafe {
                assert!(block.as_ref().iter().all(|&byte| byte == 0), "{pages:?}: fresh pages are zero");
                block.cast::<u8>().write_bytes(1, block.len());
                let freed = if size % 2 == 0 { block.len() } else { size };
                pages.deallocate(block.cast(), layout(freed, align));
            }
        }
    }
}

#[test]
fn huge_pages_are_whole() {
    let huge = Pages::huge_size();
    let pages = TunedPages::new().transparent_huge_pages();
    let sizes = [(huge / 2, huge / 2), (huge / 2 + 1, huge), (huge, huge), (huge + 1, 2 * huge)];
    for (pages, (size, whole)) in
        [pages, pages.guarded()].into_iter().flat_map(|pages| sizes.map(|size| (pages, size)))
    {
        let block = pages.allocate(layout(size, 1)).expect("the system has pages");
        assert_eq!(block.len(), whole);
        assert!(whole < huge || block.addr().get().is_multiple_of(huge), "{block:?}");
        // SAFETY: the block is live, and the layout fits it.
        unsafe { pages.deallocate(block.cast(), layout(whole, 1)) };
    }
}

/// Random requests, resizes and frees, checked by the oracle.
pub(crate) fn workout<A: Allocator>(allocator: A, largest: usize, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut oracle = Oracle::new(allocator);
    let pick = |rng: &mut Rng| layout(rng.usize(0..=largest) >> rng.u32(0..16), 1 << rng.u32(0..18));
    for _ in 0..80 {
        // Running out of memory is not what this tests.
        let _ = oracle.allocate(pick(&mut rng), rng.bool());
        if oracle.count() > 8 {
            let _ = oracle.resize(rng.usize(0..oracle.count()), pick(&mut rng), rng.bool());
            oracle.deallocate(rng.usize(0..oracle.count()), rng.usize(..));
        }
    }
}

#[test]
fn random_requests_to_pages() {
    workout(Pages, 1 << 20, 0);
    for (seed, pages) in all_wishes().enumerate() {
        workout(pages, 3 << 20, seed as u64);
    }
}

#[test]
fn pools_stand_on_tuned_pages() {
    for pages in all_wishes() {
        let pool = Local::new_in(Blocks::<Fixed<64>>::new(), pages);
        let mut oracle = Oracle::new(&pool);
        for _ in 0..20_000 {
            oracle.allocate(layout(64, align_of::<usize>()), false).expect("the system has pages");
        }
        pool.check().expect("sound when grown");
    }
}

#[test]
fn impossible_sizes_are_refused() {
    let most = isize::MAX.cast_unsigned();
    for pages in all_wishes().chain([TunedPages::new().explicit_huge_pages()]) {
        for size in [most - 4095, most - 3 * 4096] {
            let asked = layout(size, 1);
            match pages.allocate(asked) {
                // Half of what 32 bits can address may exist.
                // SAFETY: the block was just handed out for this layout.
                Ok(block) if usize::BITS == 32 => unsafe { pages.deallocate(block.cast(), asked) },
                Err(AllocError::Unsupported) => {}
                Err(AllocError::Os(code)) if code != 0 => {}
                other => panic!("{pages:?}, {size} bytes: {other:?}"),
            }
        }
    }
}

#[test]
fn pages_keep_their_contents_when_resized() {
    let page = Pages::size();
    let (small, large) = (layout(3 * page - 10, 8), layout(300 * page, 8));
    let block = Pages.allocate(small).expect("the system has pages");
    // SAFETY: each block is live, and is resized with its own layout; lengths are as returned.
    unsafe {
        block.cast::<u8>().write_bytes(7, block.len());
        let grown = Pages.grow_zeroed(block.cast(), small, large).expect("the system has pages");
        let (kept, fresh) = grown.as_ref().split_at(small.size());
        assert!(kept.iter().all(|&byte| byte == 7), "growing keeps the contents");
        assert!(fresh.iter().all(|&byte| byte == 0), "the excess was written to, and is zero now");
        let shrunk = Pages.shrink(grown.cast(), large, small).expect("shrinking needs nothing");
        assert_eq!(
            (shrunk.cast::<u8>(), shrunk.len()),
            (grown.cast(), 3 * page),
            "pages shrink where they are"
        );
        let within = Pages.grow_in_place(shrunk.cast(), small, layout(3 * page, 8)).expect("the same pages");
        assert_eq!(within, shrunk);
        let aligned = Pages.grow(within.cast(), layout(3 * page, 8), layout(5 * page, 64 * page));
        let aligned = aligned.expect("the system has pages");
        assert!(aligned.addr().get().is_multiple_of(64 * page));
        assert!(aligned.as_ref()[..small.size()].iter().all(|&byte| byte == 7));
        Pages.deallocate(aligned.cast(), layout(5 * page, 64 * page));
    }
}

#[cfg(not(target_os = "linux"))]
#[test]
fn memory_policy_elsewhere_does_nothing() {
    for numa in [Numa::Local, Numa::Prefer(63), Numa::Bind(1 << 63), Numa::Interleave(0)] {
        workout(TunedPages::new().numa(numa), 100_000, 1);
    }
}

#[cfg(not(target_os = "linux"))]
#[test]
fn explicit_huge_pages_elsewhere() {
    let pages = TunedPages::new().explicit_huge_pages();
    match pages.allocate(layout(1, 1)) {
        Ok(block) => {
            assert_eq!((block.len(), block.addr().get() % Pages::huge_size()), (Pages::huge_size(), 0));
            // SAFETY: the block is live, and this is its layout.
            unsafe { pages.deallocate(block.cast(), layout(1, 1)) };
            workout(pages, 5 << 20, 2);
        }
        Err(error) => skipped("explicit huge pages", &error.to_string()),
    }
    if cfg!(windows) {
        let refused = pages.guarded().allocate(layout(1, 1));
        assert_eq!(refused, Err(AllocError::Unsupported), "there are no guards beside large pages");
    }
}

/// What only the Linux kernel knows: which pages have memory, and the flags of a mapping.
#[cfg(target_os = "linux")]
mod linux {
    use std::{fs, os::unix::fs::FileExt, ptr::NonNull};

    use super::*;
    use crate::again::kernel_acts;

    /// Returns how many pages of a block have memory behind them; `None`, with a message, if the kernel does not tell.
    fn resident(block: NonNull<[u8]>) -> Option<usize> {
        let page = Pages::size();
        let mut entries = vec![0u8; block.len() / page * 8];
        let offset = (block.addr().get() / page * 8) as u64;
        let read =
            fs::File::open("/proc/self/pagemap").and_then(|map| map.read_exact_at(&mut entries, offset));
        if let Err(error) = read {
            skipped("which pages are resident", &format!("/proc/self/pagemap: {error}"));
            return None;
        }
        // The highest bit of each word means present, the next one means swapped.
        Some(
            entries
                .chunks_exact(8)
                .filter(|entry| u64::from_ne_bytes((*entry).try_into().expect("8 bytes")) >> 62 != 0)
                .count(),
        )
    }

    /// Returns a line of `/proc/self/smaps` about the mapping that holds `address`.
    fn noted(address: usize, what: &str) -> Option<String> {
        let maps = fs::read_to_string("/proc/self/smaps").ok()?;
        let mut inside = false;
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            if let Some((start, end)) = range
                && let (Ok(start), Ok(end)) =
                    (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
            {
                inside = (start..end).contains(&address);
            } else if inside && let Some(value) = line.strip_prefix(what) {
                return Some(value.trim().to_owned());
            }
        }
        None
    }

    #[test]
    fn zero_pages_are_not_zeroed_again() {
        let asked = layout(1 << 20, 8);
        let more = layout(4 << 20, 8);
        let range = millpond::source::ReservedRegion::new(64 << 20).expect("addresses are plenty");
        let tuned = TunedPages::new().guarded();
        let sources: [(&str, &dyn Allocator); 3] =
            [("Pages", &Pages), ("TunedPages", &tuned), ("Reserved", &range)];
        for (name, source) in sources {
            let block = source.allocate_zeroed(asked).expect("the system has pages");
            let Some(count) = resident(block) else { return };
            assert_eq!(count, 0, "{name}: these pages were not touched");
            // SAFETY: the block is live with the layout `asked`, then with the layout `more`.
            unsafe {
                block.cast::<u8>().write(1);
                let grown = source.grow_zeroed(block.cast(), asked, more).expect("the system has pages");
                let touched = resident(grown).expect("it was readable above");
                let copied = asked.size() / Pages::size();
                assert!(
                    touched <= copied,
                    "{name}: {touched} pages touched, at most {copied} can have been copied"
                );
                source.deallocate(grown.cast(), more);
            }
        }
    }

    #[test]
    fn pages_are_moved_not_copied() {
        let (small, large) = (layout(1 << 20, 8), layout(8 << 20, 8));
        let block = Pages.allocate(small).expect("the system has pages");
        // SAFETY: the block is live with the layout `small`, then with the layout `large`.
        unsafe {
            block.cast::<u8>().write(5);
            let grown = Pages.grow(block.cast(), small, large).expect("the system has pages");
            assert_eq!(grown.cast::<u8>().read(), 5);
            if let Some(count) = resident(grown) {
                assert_eq!(count, 1, "copying would have touched the other pages");
            }
            Pages.deallocate(grown.cast(), large);
        }
    }

    #[test]
    fn populated_pages_have_memory() {
        if !kernel_acts("populated pages") {
            return;
        }
        for pages in all_wishes().map(TunedPages::populated) {
            let asked = layout(3 << 20, 8);
            let block = pages.allocate(asked).expect("the system has pages");
            if let Some(count) = resident(block) {
                assert_eq!(count, block.len() / Pages::size(), "{pages:?}");
            }
            // SAFETY: the block is live, and this is its layout.
            unsafe { pages.deallocate(block.cast(), asked) };
        }
    }

    #[test]
    fn kernel_gets_the_huge_page_hint() {
        if !kernel_acts("transparent huge pages") {
            return;
        }
        let path = "/sys/kernel/mm/transparent_hugepage/enabled";
        let Ok(state) = fs::read_to_string(path) else {
            return skipped("transparent huge pages", &format!("this kernel has no {path}"));
        };
        // The guard pages keep the mapping separate from its neighbours.
        let pages = TunedPages::new().guarded().transparent_huge_pages();
        let asked = layout(4 * Pages::huge_size(), 8);
        let block = pages.allocate(asked).expect("the system has pages");
        let flags = noted(block.addr().get(), "VmFlags:").expect("the block is mapped");
        assert!(flags.split(' ').any(|flag| flag == "hg"), "no huge pages were asked for: {flags}");
        // SAFETY: the block is live, `block.len()` bytes long, and this is its layout.
        unsafe {
            block.cast::<u8>().write_bytes(1, block.len());
            let got = noted(block.addr().get(), "AnonHugePages:").expect("the block is mapped");
            eprintln!("{} bytes asked, enabled: {}, AnonHugePages: {got}", asked.size(), state.trim());
            pages.deallocate(block.cast(), asked);
        }
    }

    #[test]
    fn explicit_huge_pages_come_from_the_reserve() {
        let huge = Pages::huge_size();
        let guarded = TunedPages::new().guarded().explicit_huge_pages();
        for pages in [TunedPages::new().explicit_huge_pages(), guarded, guarded.populated()] {
            let block = match pages.allocate(layout(1, 1)) {
                Ok(block) => block,
                Err(error) => {
                    assert!(matches!(error, AllocError::Os(code) if code != 0), "{error:?}");
                    let why = format!("none are set aside in /proc/sys/vm/nr_hugepages ({error})");
                    return skipped("explicit huge pages", &why);
                }
            };
            assert_eq!((block.len(), block.addr().get() % huge), (huge, 0));
            let size = noted(block.addr().get(), "KernelPageSize:").expect("the block is mapped");
            assert_eq!(size, format!("{} kB", huge / 1024));
            // SAFETY: the block is live and `block.len()` bytes long, and the layout fits it.
            unsafe {
                assert!(block.as_ref().iter().all(|&byte| byte == 0));
                block.cast::<u8>().write_bytes(1, block.len());
                pages.deallocate(block.cast(), layout(huge, 1));
            }
        }
        workout(guarded, 2 * huge, 3);
    }

    #[test]
    fn kernel_gets_the_memory_policy() {
        if !kernel_acts("memory policies") {
            return;
        }
        let Ok(nodes) = fs::read_to_string("/sys/devices/system/node/online") else {
            return skipped("memory policies", "this kernel knows no nodes");
        };
        for (numa, policy) in [
            (Numa::Local, "local"),
            (Numa::Prefer(0), "prefer:0"),
            (Numa::Bind(1), "bind:0"),
            (Numa::Interleave(1), "interleave:0"),
        ] {
            let pages = TunedPages::new().guarded().numa(numa);
            let block = pages.allocate(layout(1, 1)).expect("node 0 exists");
            let start = format!("{:08x} ", block.addr().get());
            // SAFETY: the block is live, so it may be written to and freed.
            unsafe { block.cast::<u8>().write(1) };
            match fs::read_to_string("/proc/self/numa_maps") {
                Ok(maps) => {
                    let line =
                        maps.lines().find(|line| line.starts_with(&start)).expect("the block is mapped");
                    assert!(line.split(' ').any(|word| word == policy), "{numa:?}: {line}");
                }
                Err(error) => skipped("reading the policy back", &format!("/proc/self/numa_maps: {error}")),
            }
            // SAFETY: as above.
            unsafe { pages.deallocate(block.cast(), layout(1, 1)) };
        }
        if !nodes.contains("63") {
            let refused = TunedPages::new().numa(Numa::Bind(1 << 63)).allocate(layout(1, 1));
            assert!(matches!(refused, Err(AllocError::Os(code)) if code != 0), "{refused:?}");
        }
        let unnameable = TunedPages::new().numa(Numa::Prefer(64)).allocate(layout(1, 1));
        assert_eq!(unnameable, Err(AllocError::Unsupported));
    }
}
