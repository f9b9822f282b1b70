//! Models of a lock-free pool whose blocks are returned to the parent while other threads use it, sound and broken.

use core::{alloc::Layout, ptr::NonNull};
use std::vec::Vec;

use crate::{
    AllocError, Allocator, Heap,
    base::atomic::{
        AtomicBool, Ordering,
        model::{Arc, check, thread},
    },
    shell::lock_free::numbered::Numbered,
    sync::{
        models::Cells,
        ordering::{BrokenNoTag, BrokenTwoSteps, Correct, Orderings},
    },
};

const BLOCK: Layout = Layout::new::<u64>();

/// A parent with one chunk for two blocks, which the model checker watches. All other memory is the heap's.
struct Parent {
    is_out: AtomicBool,
    cells: Cells<2>,
}

/// The address of the chunk. It is neither read nor written.
static MEMORY: [u64; 2] = [0; 2];

/// Size of the chunk.
const CHUNK: usize = 2 * BLOCK.size();

impl Parent {
    fn new() -> Self {
        Self { is_out: AtomicBool::new(false), cells: Cells::new() }
    }

    /// Uses a block, as far as the model checker can see.
    fn touch(&self, block: NonNull<u8>) {
        let place = block.addr().get().wrapping_sub(MEMORY.as_ptr().addr()) / BLOCK.size();
        if place < 2 {
            assert!(self.is_out.load(Ordering::Relaxed), "the block's chunk was returned");
            self.cells.touch(place);
        }
    }

    /// Uses the whole chunk.
    fn touch_all(&self) {
        (0..2).for_each(|place| self.cells.touch(place));
    }
}

// SAFETY: the chunk is handed out to one caller at a time, and all other memory is the heap's.
unsafe impl Allocator for Parent {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() != CHUNK {
            return Heap.allocate(layout);
        }
        // (Not a swap, which writes where it fails: the model checker might take that write for a later one than it
        // is.)
        if self.is_out.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return Err(AllocError::Exhausted);
        }
        self.touch_all();
        Ok(NonNull::slice_from_raw_parts(NonNull::from(&MEMORY).cast(), CHUNK))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() == CHUNK {
            self.touch_all();
            self.is_out.store(false, Ordering::Release);
        } else {
            // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
            unsafe { Heap.deallocate(block, layout) };
        }
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Result<NonNull<[u8]>, AllocError> {
        // There is no memory for the third segment.
        if least.size() == BLOCK.size() && preferred > CHUNK && preferred < 5 * BLOCK.size() {
            return Err(AllocError::Exhausted);
        }
        Layout::from_size_align(preferred, least.align())
            .map_err(|_| AllocError::Exhausted)
            .and_then(|layout| self.allocate(layout))
    }
}

/// Two segments, of one block and of two.
struct Shared<T: Orderings> {
    pool: Numbered<T>,
    parent: Parent,
}

impl<T: Orderings + 'static> Shared<T> {
    /// Creates a pool whose first block is never freed; of the second segment, `free` blocks were handed out and are
    /// free.
    fn new(free: usize) -> Arc<Self> {
        let shared = Self { pool: Numbered::new(1), parent: Parent::new() };
        // Everything is touched before other threads start, including what threads touch that bring blocks back.
        let [_, second, third] = [(); 3].map(|()| shared.take());
        assert_eq!(shared.pool.allocate(&shared.parent, BLOCK), Err(AllocError::Exhausted));
        [second, third].into_iter().for_each(|block| shared.put(block));
        assert_eq!(shared.trim(), CHUNK);
        let blocks: Vec<_> = (0..free).map(|_| shared.take()).collect();
        // The list begins with the block that is the first to be handed out again when they have gone and come back.
        blocks.into_iter().rev().for_each(|block| shared.put(block));
        Arc::new(shared)
    }

    fn take(&self) -> NonNull<u8> {
        let block =
            self.pool.allocate(&self.parent, BLOCK).expect("there are as many blocks as are asked for");
        self.parent.touch(block);
        block
    }

    fn put(&self, block: NonNull<u8>) {
        self.parent.touch(block);
        self.pool.push(block, BLOCK.size());
    }

    fn trim(&self) -> usize {
        self.pool.trim(&self.parent, BLOCK)
    }

    /// Checks that both blocks of the second segment can be allocated, and no third one.
    fn expect_whole(&self) {
        self.pool.check().expect("sound");
        assert_ne!(self.take(), self.take(), "one block, twice");
        assert!(self.pool.allocate(&self.parent, BLOCK).is_err(), "a third block");
    }
}

impl<T: Orderings> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: no thread uses the pool any more, and this is its parent.
        unsafe { self.pool.release(&self.parent, BLOCK.align()) };
    }
}

/// One thread pops a block and pushes it back, while the other returns free blocks to the parent; of the two blocks,
/// `free` were handed out.
fn in_and_out_while_trimming<T: Orderings + 'static>(preemptions: usize, free: usize) {
    check(preemptions, move || {
        let shared = Shared::<T>::new(free);
        let other = Arc::clone(&shared);
        let other = thread::spawn(move || other.put(other.take()));
        shared.trim();
        other.join().expect("no panic");
        shared.expect_whole();
    });
}

/// One thread is about to pop a block, while the other lets all blocks return to the parent and come back, and puts one
/// at the head of the list again.
fn away_and_back<T: Orderings + 'static>(preemptions: usize) {
    check(preemptions, || {
        let shared = Shared::<T>::new(2);
        let other = Arc::clone(&shared);
        let other = thread::spawn(move || other.put(other.take()));
        shared.trim();
        shared.put(shared.take());
        other.join().expect("no panic");
        shared.expect_whole();
    });
}

/// Two threads trim at once, and one pops a block afterwards.
fn both_trim<T: Orderings + 'static>(preemptions: usize) {
    check(preemptions, || {
        let shared = Shared::<T>::new(2);
        let other = Arc::clone(&shared);
        let other = thread::spawn(move || {
            other.trim();
            other.put(other.take());
        });
        shared.trim();
        other.join().expect("no panic");
        shared.expect_whole();
    });
}

#[test]
fn freed_blocks_are_returned_and_come_back() {
    in_and_out_while_trimming::<Correct>(3, 2);
}

/// A block that was never handed out is claimed while its segment is being closed: one of the two comes first.
#[test]
fn uncarved_blocks_are_returned_and_come_back() {
    in_and_out_while_trimming::<Correct>(3, 1);
}

#[test]
fn returned_blocks_are_not_confused() {
    away_and_back::<Correct>(2);
}

#[test]
fn one_thread_trims_at_a_time() {
    both_trim::<Correct>(2);
}

#[test]
#[should_panic]
fn closing_a_segment_in_two_steps_is_caught() {
    in_and_out_while_trimming::<BrokenTwoSteps>(3, 1);
}

#[test]
#[should_panic]
fn trimming_without_tags_is_caught() {
    away_and_back::<BrokenNoTag>(2);
}
