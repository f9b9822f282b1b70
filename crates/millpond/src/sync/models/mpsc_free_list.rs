//! Models of the list of returned blocks, and of an inbox around it.

use core::{alloc::Layout, ptr::NonNull};
use std::{boxed::Box, vec::Vec};

use super::Cells;
use crate::{
    Allocator, Blocks, Fixed, Heap, Inspect, RemoteFree,
    base::atomic::{
        model::{Arc, check, thread},
        yield_now,
    },
    sync::{
        mpsc_free_list::MpscFreeList,
        ordering::{Correct, Orderings},
    },
};

/// Three blocks, each with a cell that the model checker watches.
struct Three {
    starts: [NonNull<u8>; 3],
    cells: Cells<3>,
}

// SAFETY: the blocks are reached by who holds them, and the cells are there to show it.
unsafe impl Send for Three {}
// SAFETY: as above.
unsafe impl Sync for Three {}

impl Three {
    fn new(starts: [NonNull<u8>; 3]) -> Arc<Self> {
        Arc::new(Self { starts, cells: Cells::new() })
    }

    /// Writes to a block, as far as the model checker can see.
    fn touch(&self, block: NonNull<u8>) {
        let place = self.starts.iter().position(|start| *start == block);
        self.cells.touch(place.expect("one of the three"));
    }
}

/// Two threads return a block each while the owner takes what is there, twice.
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
        assert_eq!(taken, 2, "a block is lost, or there twice");
        drop(words);
    });
}

#[test]
fn what_is_returned_is_taken_once() {
    two_return_and_one_takes::<Correct>(3);
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn returning_without_release_is_caught() {
    two_return_and_one_takes::<super::list::BrokenRelease>(2);
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn taking_all_without_acquire_is_caught() {
    two_return_and_one_takes::<super::list::BrokenAcquire>(2);
}

const LAYOUT: Layout = Layout::new::<u64>();

/// The owner takes blocks again that another thread frees at that moment.
#[test]
fn an_owner_takes_home_what_others_free() {
    check(3, || {
        let remote_free = Arc::new(RemoteFree::new(Blocks::<Fixed<8>>::new().with_capacity(3)));
        let owner = remote_free.try_own().expect("nobody owns it yet");
        let starts = [(), (), ()].map(|()| owner.allocate(LAYOUT).expect("three blocks").cast());
        let three = Three::new(starts);
        assert_eq!(owner.stats().live, 24);
        let other = {
            let (remote_free, three) = (Arc::clone(&remote_free), Arc::clone(&three));
            thread::spawn(move || {
                for &start in &three.starts[..2] {
                    three.touch(start);
                    // SAFETY: this thread alone frees these two.
                    unsafe { remote_free.deallocate(start, LAYOUT) };
                }
            })
        };
        let head = owner.collect_remote();
        let again: Vec<NonNull<u8>> =
            (0..head).map(|_| owner.allocate(LAYOUT).expect("free").cast()).collect();
        again.iter().for_each(|&block| three.touch(block));
        other.join().expect("no panic");
        assert_eq!(head + owner.collect_remote(), 2);
        assert_eq!(owner.stats().live, 8 * (1 + head));
        owner.check().expect("sound");
    });
}

/// One thread's pool is another's as soon as the first has let go of it.
#[test]
fn owners_follow_one_another() {
    check(3, || {
        let remote_free = Arc::new(RemoteFree::new_in(Blocks::<Fixed<8>>::new(), Heap));
        let owner = remote_free.try_own().expect("nobody owns it yet");
        assert_eq!(owner.stats().live, 0);
        let other = Arc::clone(&remote_free);
        let other = thread::spawn(move || {
            let owner = loop {
                match other.try_own() {
                    Some(owner) => break owner,
                    None => yield_now(),
                }
            };
            owner.allocate(LAYOUT).expect("the heap has eight bytes").addr()
        });
        let mine = owner.allocate(LAYOUT).expect("the heap has eight bytes").addr();
        drop(owner);
        assert_ne!(mine, other.join().expect("no panic"), "two owners at a time");
    });
}
