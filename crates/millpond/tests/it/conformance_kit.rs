//! The conformance kit itself: it passes correct allocators, finds broken ones, and shortens sequences that fail.

use std::{
    alloc::Layout,
    cell::{Cell, UnsafeCell},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::NonNull,
};

use millpond::{
    AllocError, Allocator, Classes, Heap, Local,
    raw::Allocation,
    testing::{Conformance, Oracle, Stress, conformance},
};

/// Returns an address for a block of zero bytes.
fn dangling(layout: Layout) -> NonNull<u8> {
    NonNull::new(std::ptr::without_provenance_mut(layout.align())).expect("an alignment is not zero")
}

/// The bugs that an allocator may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    IgnoresAlignment,
    ReturnsMoreThanThereIs,
    ReturnsLessThanAsked,
    ZeroSizedInside,
    ZeroedIsDirty,
    GrowLosesAByte,
    GrowZeroedLeavesAByte,
    ShrinkRefusesAlignment,
    ShrinkIgnoresAlignment,
    ServesTheImpossible,
    FailedGrowthWrites,
    InPlaceMoves,
    BetweenGivesTooLittle,
    HandsOutTwice,
    FreeWritesToANeighbour,
}

const SIZE: usize = 512 << 10;

/// Aligned, so that a sequence has the same effect wherever the memory lies.
#[repr(align(4096))]
struct Memory(UnsafeCell<[u8; SIZE]>);

/// A bump arena that frees nothing, with one bug.
struct Broken {
    memory: Box<Memory>,
    cursor: Cell<usize>,
    last: Cell<Option<NonNull<[u8]>>>,
    served: Cell<usize>,
    bug: Bug,
}

impl Broken {
    fn new(bug: Bug) -> Self {
        let memory = Box::new(Memory(UnsafeCell::new([0xaa; SIZE])));
        Self { memory, cursor: Cell::new(0), last: Cell::new(None), served: Cell::new(0), bug }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    fn cut(&self, layout: Layout) -> Allocation {
        let base = self.memory.0.get().expose_provenance();
        let align = if self.has(Bug::IgnoresAlignment) { 1 } else { layout.align() };
        let start =
            (base + self.cursor.get()).checked_next_multiple_of(align).ok_or(AllocError::Exhausted)?;
        let end = start.checked_add(layout.size()).ok_or(AllocError::Exhausted)?;
        if end > base + SIZE {
            if !self.has(Bug::ServesTheImpossible) || layout.size() <= SIZE {
                return Err(AllocError::Exhausted);
            }
            return Ok(NonNull::slice_from_raw_parts(dangling(layout), layout.size()));
        }
        self.cursor.set(end - base);
        let start =
            NonNull::new(std::ptr::with_exposed_provenance_mut(start)).ok_or(AllocError::Exhausted)?;
        let length = match self.bug {
            Bug::ReturnsMoreThanThereIs => layout.size() + 1,
            Bug::ReturnsLessThanAsked => layout.size() - 1,
            _ => layout.size(),
        };
        Ok(NonNull::slice_from_raw_parts(start, length))
    }
}

// SAFETY: an allocator with a bug is not sound. Its errors stay within its memory, and the kit stops at the first.
unsafe impl Allocator for Broken {
    fn allocate(&self, layout: Layout) -> Allocation {
        if layout.size() == 0 && !self.has(Bug::ZeroSizedInside) {
            return Ok(NonNull::slice_from_raw_parts(dangling(layout), 0));
        }
        self.served.set(self.served.get() + 1);
        if self.has(Bug::HandsOutTwice)
            && self.served.get() == 5
            && let Some(last) = self.last.get()
            && last.len() >= layout.size()
            && last.addr().get().is_multiple_of(layout.align())
        {
            return Ok(last);
        }
        let block = self.cut(layout)?;
        self.last.set(Some(block));
        Ok(block)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if self.has(Bug::FreeWritesToANeighbour) && layout.size() != 0 {
            // SAFETY: behind the end of a block there is another block, or memory that is not in use.
            unsafe { block.add(layout.size()).write(0) };
        }
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        let block = self.allocate(layout)?;
        if !self.has(Bug::ZeroedIsDirty) && layout.size() <= SIZE {
            // SAFETY: the block was just carved, and has the requested length.
            unsafe { block.cast::<u8>().write_bytes(0, layout.size()) };
        }
        Ok(block)
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let Ok(moved) = self.allocate(new) else {
            if self.has(Bug::FailedGrowthWrites) {
                // SAFETY: the block is live, and has at least one byte.
                unsafe { block.write(0) };
            }
            return Err(AllocError::Exhausted);
        };
        let kept = old.size() - usize::from(self.has(Bug::GrowLosesAByte) && old.size() != 0);
        // SAFETY: both blocks are live and have that length.
        unsafe { block.copy_to(moved.cast(), kept) };
        Ok(moved)
    }

    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the contract is the same as the caller's.
        let grown = unsafe { self.grow(block, old, new)? };
        let left = usize::from(self.has(Bug::GrowZeroedLeavesAByte) && new.size() > old.size());
        // SAFETY: these are the bytes behind the old contents.
        unsafe { grown.cast::<u8>().add(old.size()).write_bytes(0, new.size() - old.size() - left) };
        Ok(grown)
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        if self.has(Bug::ShrinkIgnoresAlignment) && new.size() != 0 {
            return Ok(NonNull::slice_from_raw_parts(block, new.size()));
        }
        if self.has(Bug::ShrinkRefusesAlignment) && new.align() > old.align() {
            return Err(AllocError::Unsupported);
        }
        let moved = self.allocate(new)?;
        // SAFETY: both blocks are live and have that length.
        unsafe { block.copy_to(moved.cast(), new.size()) };
        Ok(moved)
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        if self.has(Bug::InPlaceMoves) {
            // SAFETY: the contract is the same as the caller's.
            return unsafe { self.grow(block, old, new) };
        }
        Err(AllocError::InPlace)
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        let size = if self.has(Bug::BetweenGivesTooLittle) { 1 } else { preferred.max(least.size()) };
        self.allocate(Layout::from_size_align(size, least.align()).map_err(|_| AllocError::Unsupported)?)
    }
}

/// Returns the message of a panic; `None` if there was none.
fn complaint(test: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(test)).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
}

#[test]
fn correct_allocator_passes() {
    conformance(|| Broken::new(Bug::None));
}

#[test]
fn each_bug_is_found() {
    for (bug, sentence) in [
        (Bug::IgnoresAlignment, "misaligned"),
        (Bug::ReturnsMoreThanThereIs, "not zero"),
        (Bug::ReturnsLessThanAsked, "bytes"),
        (Bug::ZeroSizedInside, "no bytes"),
        (Bug::ZeroedIsDirty, "not zero"),
        (Bug::GrowLosesAByte, "lost contents"),
        (Bug::GrowZeroedLeavesAByte, "not zero"),
        (Bug::ShrinkRefusesAlignment, "shrinks"),
        (Bug::ShrinkIgnoresAlignment, "misaligned"),
        #[cfg(target_pointer_width = "64")]
        (Bug::ServesTheImpossible, "was served"),
        (Bug::FailedGrowthWrites, "lost contents"),
        (Bug::InPlaceMoves, "moved"),
        (Bug::BetweenGivesTooLittle, if usize::BITS > 32 { "was served" } else { "bytes" }),
        (Bug::HandsOutTwice, "overlap"),
        (Bug::FreeWritesToANeighbour, "were overwritten"),
    ] {
        let found = complaint(|| conformance(|| Broken::new(bug)));
        let found = found.unwrap_or_else(|| panic!("{bug:?} was not found"));
        assert!(found.contains(sentence), "{bug:?} was found as: {found}");
    }
}

#[test]
fn random_sequences_find_bugs_and_are_shortened() {
    for (bug, most) in [
        (Bug::IgnoresAlignment, 2),
        (Bug::ReturnsMoreThanThereIs, 2),
        (Bug::ZeroedIsDirty, 1),
        (Bug::GrowLosesAByte, 2),
        (Bug::GrowZeroedLeavesAByte, 2),
        (Bug::ShrinkIgnoresAlignment, 4),
        (Bug::InPlaceMoves, 2),
        (Bug::BetweenGivesTooLittle, 1),
        (Bug::HandsOutTwice, 6),
        (Bug::FreeWritesToANeighbour, 4),
    ] {
        let sequences = || Conformance::of(|| Broken::new(bug)).sequences(8, 100);
        let found = complaint(|| sequences().run_sequences());
        let found = found.unwrap_or_else(|| panic!("{bug:?} was not found"));
        let steps = found.lines().filter(|line| line.starts_with("    ")).count();
        assert!((1..=most).contains(&steps), "{bug:?} takes {most} steps at most: {found}");
        assert!(found.starts_with("seed "), "{found}");
    }
}

#[test]
fn sequences_from_bytes_find_bugs() {
    let mut rng = fastrand::Rng::with_seed(7);
    let bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(2000).collect();
    let play = |bug, bytes: &[u8]| complaint(|| Conformance::of(|| Broken::new(bug)).run_bytes(bytes));
    assert_eq!(play(Bug::None, &bytes), None);
    assert_eq!(play(Bug::InPlaceMoves, &[]), None, "no bytes, no sequence");
    for bug in [Bug::IgnoresAlignment, Bug::ReturnsMoreThanThereIs, Bug::GrowLosesAByte] {
        let found = play(bug, &bytes).unwrap_or_else(|| panic!("{bug:?} was not found"));
        assert!(found.starts_with("these bytes: "), "{found}");
    }
}

#[test]
fn panic_of_the_allocator_is_a_failure() {
    struct Panics;
    // SAFETY: it hands out only blocks of zero bytes.
    unsafe impl Allocator for Panics {
        fn allocate(&self, layout: Layout) -> Allocation {
            assert!(layout.align() < 8, "eight is too much");
            Err(AllocError::Exhausted)
        }

        unsafe fn deallocate(&self, _: NonNull<u8>, _: Layout) {}
    }
    let found = complaint(|| Conformance::of(|| Panics).run_sequences()).expect("it panics");
    assert!(found.contains("eight is too much") && found.contains("these 1 steps"), "{found}");
}

#[test]
fn oracle_notices_foreign_writes() {
    let found = complaint(|| {
        let mut oracle = Oracle::new(Broken::new(Bug::None));
        oracle.allocate(Layout::new::<u64>(), false).expect("there is room");
        let byte = oracle.allocator().memory.0.get().cast::<u8>().wrapping_add(7);
        // SAFETY: the byte lies in the memory, and no reference to it is in use.
        unsafe { byte.write(byte.read().wrapping_add(1)) };
        oracle.deallocate(0, 0);
    });
    assert!(found.expect("it was written to").contains("were overwritten"));
}

#[test]
fn oracle_resets_and_trims() {
    let mut oracle = Oracle::new(Local::new(Classes::new()));
    for round in 0..3 {
        for size in 1..100 {
            oracle
                .allocate(Layout::from_size_align(size, 1).expect("small"), false)
                .expect("the heap has room");
        }
        oracle.deallocate(0, round);
        oracle.reset();
        assert_eq!((oracle.count(), oracle.allocator().stats().live), (0, 0));
    }
    assert!(oracle.trim() > 0);
    assert_eq!(oracle.allocator().stats().held, 0);
}

/// A block that is too small or not aligned would be written past its end, or misaligned.
#[test]
fn stress_needs_two_aligned_words() {
    let (word, align) = (size_of::<usize>(), align_of::<usize>());
    for (size, align) in [(0, align), (1, 1), (word, align), (2 * word - 1, align), (2 * word, align / 2)] {
        let layout = Layout::from_size_align(size, align).expect("a layout");
        let found = complaint(|| _ = Stress::of(layout).rounds(1).run(&Heap)).expect("it is refused");
        assert!(found.contains("two aligned words"), "{found}");
    }
    assert_ne!(Stress::of(Layout::new::<[usize; 2]>()).rounds(1).run(&Heap), 0);
}
