//! Accesses that must fault: each case runs in a child process of its own, which is this very test binary.

use std::{alloc::Layout, env, process::ExitStatus};

use millpond::{
    Allocator, Pages,
    source::{MappedRegion, ReservedRegion, TunedPages},
};

use crate::again;

/// The variable that selects the child's case.
const CASE: &str = "MILLPOND_FAULT";

/// Returns an address that must not be touched; the memory around it stays allocated.
type Prepare = fn() -> *mut u8;

const CASES: &[(&str, Prepare)] = &[
    ("before a guarded page", || edge(TunedPages::new().guarded(), 100, 1, -1)),
    ("behind a guarded page", || edge(TunedPages::new().guarded(), 100, 1, 0)),
    ("before a guarded block of large alignment", || edge(TunedPages::new().guarded(), 10_000, 1 << 18, -1)),
    ("behind a guarded block of large alignment", || edge(TunedPages::new().guarded(), 10_000, 1 << 18, 0)),
    ("before guarded huge pages", || {
        edge(TunedPages::new().guarded().transparent_huge_pages(), Pages::huge_size() + 1, 1, -1)
    }),
    ("behind guarded huge pages", || {
        edge(TunedPages::new().guarded().transparent_huge_pages(), Pages::huge_size() + 1, 1, 0)
    }),
    ("what a region has not committed", || {
        let region = Box::leak(Box::new(MappedRegion::reserve(1 << 20).expect("addresses are plenty")));
        region.commit(0..1).expect("a page of memory");
        region.start().as_ptr().wrapping_add(Pages::size())
    }),
    ("what a reserved range has not handed out", || reserved().1.wrapping_add(Pages::size())),
    ("what was freed in a reserved range", || {
        let (range, block) = reserved();
        let start = std::ptr::NonNull::new(block).expect("blocks are not null");
        // SAFETY: the block is live, and this is its layout.
        unsafe { range.deallocate(start, Layout::new::<[u8; 100]>()) };
        block
    }),
];

/// Returns the last byte in front of a block (-1), or the first behind it (0).
fn edge(pages: TunedPages, size: usize, align: usize, side: isize) -> *mut u8 {
    let layout = Layout::from_size_align(size, align).expect("a layout");
    // Neighbours that do not fault, so that a fault comes from the guard page: systems place mappings side by side.
    let neighbours = || (0..100).all(|_| Pages.allocate(Layout::new::<u8>()).is_ok());
    assert!(neighbours());
    let block = pages.allocate(layout).expect("the system has pages");
    assert!(neighbours());
    // SAFETY: the block is live, so its first and its last byte may be written.
    unsafe {
        block.cast::<u8>().write(1);
        block.cast::<u8>().add(block.len() - 1).write(1);
    }
    let start = block.as_ptr().cast::<u8>();
    if side < 0 { start.wrapping_sub(1) } else { start.wrapping_add(block.len()) }
}

fn reserved() -> (&'static ReservedRegion, *mut u8) {
    let range = Box::leak(Box::new(ReservedRegion::new(1 << 20).expect("addresses are plenty")));
    let block = range.allocate(Layout::new::<[u8; 100]>()).expect("memory for a page").cast::<u8>();
    // SAFETY: the block is live.
    unsafe { block.write(1) };
    (range, block.as_ptr())
}

#[test]
fn forbidden_accesses_fault() {
    for (name, _) in CASES {
        let Some(mut again) = again::this_program("accesses that must fault") else { return };
        again.args(["--exact", "exhaustion::the_child", "--nocapture"]).env(CASE, name);
        // A sanitizer must not report the fault as its own.
        for options in ["ASAN_OPTIONS", "TSAN_OPTIONS", "MSAN_OPTIONS"] {
            again.env(options, "handle_segv=0:handle_sigbus=0");
        }
        let output = again.output().expect("as it did before");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("about to touch"), "{name}: {said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains("still alive"), "{name}: touched without a fault");
        assert!(was_a_fault(output.status), "{name}: ended with {}", output.status);
    }
}

#[cfg(unix)]
fn was_a_fault(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    const SIGSEGV: i32 = 11;
    const SIGBUS: i32 = 10;
    matches!(status.signal(), Some(SIGSEGV | SIGBUS))
}

#[cfg(windows)]
fn was_a_fault(status: ExitStatus) -> bool {
    const ACCESS_VIOLATION: u32 = 0xC000_0005;
    // Wine's exit code if a process faults and there is no debugger to start.
    const DEBUGGER_INACTIVE: u32 = 0xC000_0354;
    matches!(status.code().map(i32::cast_unsigned), Some(ACCESS_VIOLATION | DEBUGGER_INACTIVE))
}

/// Does nothing unless it is run by the test above.
#[test]
fn the_child() {
    let Ok(wanted) = env::var(CASE) else { return };
    let (_, prepare) = CASES.iter().find(|(name, _)| *name == wanted).expect("the test above names a case");
    let address = prepare();
    println!("about to touch {address:?}");
    // SAFETY: wrong on purpose: the test checks that this ends the process.
    unsafe { address.write_volatile(1) };
    println!("still alive");
}
