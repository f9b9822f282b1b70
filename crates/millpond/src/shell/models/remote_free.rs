//! Models of the flag that makes one thread the owner, and of a pool whose owner collects what other threads free.

use core::{alloc::Layout, ptr::NonNull};
use std::vec::Vec;

use super::super::remote_free::OwnerFlag;
#[cfg(loom)]
use crate::sync::ordering::{BrokenAcquire, BrokenRelease, BrokenTwoSteps};
use crate::{
    Allocator, Blocks, Fixed, Heap, Inspect,
    base::atomic::{
        model::{Arc, check, thread},
        yield_now,
    },
    shell::RemoteFree,
    sync::{
        models::{Cells, mpsc_free_list::Three},
        ordering::{Correct, Orderings},
    },
};

/// Two threads own a pool one after the other, and use what it protects.
fn two_own<T: Orderings + 'static>() {
    check(3, || {
        let shared = Arc::new((OwnerFlag::<T>::new(), Cells::<1>::new()));
        assert!(shared.0.begin());
        shared.0.end();
        let own = |(owner_flag, cells): &(OwnerFlag<T>, Cells<1>)| {
            while !owner_flag.begin() {
                yield_now();
            }
            cells.touch(0);
            owner_flag.end();
        };
        let other = Arc::clone(&shared);
        let other = thread::spawn(move || own(&other));
        own(&shared);
        other.join().expect("no panic");
    });
}

#[test]
fn flag_has_one_owner_at_a_time() {
    two_own::<Correct>();
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn owning_without_release_is_caught() {
    two_own::<BrokenRelease>();
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn owning_without_acquire_is_caught() {
    two_own::<BrokenAcquire>();
}

#[cfg(loom)]
#[test]
#[should_panic]
fn owning_in_two_steps_is_caught() {
    two_own::<BrokenTwoSteps>();
}

const LAYOUT: Layout = Layout::new::<u64>();

/// The owner allocates blocks again that another thread is freeing at that moment.
#[test]
fn owner_collects_remote_frees() {
    check(3, || {
        let remote_free = Arc::new(RemoteFree::new(Blocks::<Fixed<8>>::new().with_capacity(3)));
        let owner = remote_free.try_own().expect("it has no owner");
        let starts = [(), (), ()].map(|()| owner.allocate(LAYOUT).expect("three blocks").cast());
        let three = Three::new(starts);
        assert_eq!(owner.stats().live, 24);
        let other = {
            let (remote_free, three) = (Arc::clone(&remote_free), Arc::clone(&three));
            thread::spawn(move || {
                for &start in &three.starts[..2] {
                    three.touch(start);
                    // SAFETY: only this thread frees these two blocks.
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

/// A pool can be owned by another thread as soon as its owner has released it.
#[test]
fn pool_has_one_owner_at_a_time() {
    check(3, || {
        let remote_free = Arc::new(RemoteFree::new_in(Blocks::<Fixed<8>>::new(), Heap));
        let owner = remote_free.try_own().expect("it has no owner");
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
