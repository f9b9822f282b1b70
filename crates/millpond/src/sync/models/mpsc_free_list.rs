//! Models of the list of blocks that other threads free.

use core::ptr::NonNull;
use std::boxed::Box;

use super::Cells;
#[cfg(loom)]
use crate::sync::ordering::{BrokenAcquire, BrokenRelease};
use crate::{
    base::atomic::model::{Arc, check, thread},
    sync::{
        mpsc_free_list::MpscFreeList,
        ordering::{Correct, Orderings},
    },
};

/// Three blocks, each with a cell that the model checker watches.
pub(crate) struct Three {
    pub(crate) starts: [NonNull<u8>; 3],
    cells: Cells<3>,
}

// SAFETY: blocks are accessed by their holders only, which the cells verify.
unsafe impl Send for Three {}
// SAFETY: as above.
unsafe impl Sync for Three {}

impl Three {
    pub(crate) fn new(starts: [NonNull<u8>; 3]) -> Arc<Self> {
        Arc::new(Self { starts, cells: Cells::new() })
    }

    /// Writes to a block, as far as the model checker can see.
    pub(crate) fn touch(&self, block: NonNull<u8>) {
        let place = self.starts.iter().position(|start| *start == block);
        self.cells.touch(place.expect("one of the three"));
    }
}

/// Two threads return a block each while the owner takes the list, twice.
fn two_return_and_one_takes<T: Orderings + 'static>(preemptions: usize) {
    check(preemptions, || {
        let mut words = Box::new([0usize; 3]);
        let starts = [0, 1, 2].map(|place| NonNull::from(&mut words[place]).cast::<u8>());
        let _addresses = starts.map(|start| start.as_ptr().expose_provenance());
        let shared = Arc::new((MpscFreeList::<T>::new(), Three::new(starts)));
        assert_eq!(shared.0.head(), 0);
        let others = [0, 1].map(|place| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (returned, three) = &*shared;
                three.touch(three.starts[place]);
                // SAFETY: each block is returned by one thread.
                unsafe { returned.push(three.starts[place]) };
            })
        });
        let mut taken = shared.0.take_all(|block| shared.1.touch(block));
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        taken += shared.0.take_all(|block| shared.1.touch(block));
        assert_eq!(taken, 2, "a block is lost or duplicated");
        drop(words);
    });
}

#[test]
fn returned_blocks_are_taken_once() {
    two_return_and_one_takes::<Correct>(3);
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn returning_without_release_is_caught() {
    two_return_and_one_takes::<BrokenRelease>(2);
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn taking_all_without_acquire_is_caught() {
    two_return_and_one_takes::<BrokenAcquire>(2);
}
