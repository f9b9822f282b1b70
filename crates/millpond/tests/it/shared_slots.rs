//! Shared collections with keys: values outlive their removal while they are read, and each is dropped once.

use std::{
    alloc::Layout,
    ptr::NonNull,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use fastrand::Rng;
use millpond::{Allocator, Heap, Key, SharedSlots, guard::Limit, raw::Allocation};

use crate::{cached::alone, slots::unwinds};

#[test]
fn drop_continues_after_a_panic() {
    let _turn = alone();
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Bomb(bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            assert!(!self.0, "a destructor panics");
        }
    }
    let slots = SharedSlots::new();
    for number in 0..5 {
        slots.insert(Bomb(number == 2));
    }
    assert!(unwinds(|| drop(slots)));
    assert_eq!(DROPPED.load(Ordering::Relaxed), 5);
}

#[test]
fn value_outlives_its_removal_while_it_is_read() {
    let _turn = alone();
    let dropped = AtomicUsize::new(0);
    struct Counted<'a>(&'a AtomicUsize);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let slots = SharedSlots::new();
    let key = slots.insert(Counted(&dropped));
    let (one, other) = (slots.get(key).expect("there"), slots.get(key).expect("there"));
    assert!(slots.contains(key) && slots.remove(key) && !slots.remove(key) && !slots.contains(key));
    assert!(slots.get(key).is_none() && slots.is_empty());
    let next = slots.insert(Counted(&dropped));
    assert_ne!(next.index(), key.index(), "the slot is still read");
    drop(one);
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    drop(other);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    assert_eq!(slots.insert(Counted(&dropped)).index(), key.index(), "now it is free");
    std::mem::forget(slots.get(next));
    slots.remove(next);
    drop(slots);
    assert_eq!(dropped.load(Ordering::Relaxed), 3, "forgetting an entry loses no destructor");
}

#[test]
fn slot_is_reused_after_a_panic() {
    let _turn = alone();
    let dropped = Mutex::new(0);
    struct Bomb<'a>(&'a Mutex<u32>);
    impl Drop for Bomb<'_> {
        fn drop(&mut self) {
            *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += 1;
            panic!("a destructor panics");
        }
    }
    let slots = SharedSlots::new();
    let key = slots.insert(Bomb(&dropped));
    assert!(unwinds(|| slots.remove(key)));
    let again = slots.insert(Bomb(&dropped));
    assert_eq!((again.index(), slots.len()), (key.index(), 1));
    let entry = slots.get(again);
    assert!(slots.remove(again));
    assert!(unwinds(|| drop(entry)));
    assert_eq!(*dropped.lock().unwrap_or_else(std::sync::PoisonError::into_inner), 2);
}

/// Threads insert, read, remove and list the values of all threads; each value knows its owner, and is dropped once.
#[test]
fn threads_share_a_collection() {
    let _turn = alone();
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Pair(u64, u64);
    impl Drop for Pair {
        fn drop(&mut self) {
            assert_eq!(self.0, !self.1, "dropped twice, or never made");
            self.1 = self.0;
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
    const PER_THREAD: u64 = 3000;
    let slots = SharedSlots::new();
    thread::scope(|scope| {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| mpsc::channel::<Key<Pair>>()).unzip();
        for (name, receiver) in (0u64..).zip(receivers) {
            let (slots, mut next) = (&slots, senders.clone());
            next.rotate_left(name as usize + 1);
            let next = next.swap_remove(0);
            scope.spawn(move || {
                let mut rng = Rng::with_seed(name);
                for number in 0..PER_THREAD {
                    let value = name << 32 | number;
                    let key = slots.insert(Pair(value, !value));
                    assert_eq!(slots.get(key).map(|pair| pair.0), Some(value));
                    // A thread that has ended receives nothing; in that case its value stays.
                    let _ = next.send(key);
                    // What the previous thread inserted is removed here, sometimes while it is read.
                    if let Ok(theirs) = receiver.try_recv() {
                        let entry = slots.get(theirs);
                        assert!(slots.remove(theirs) && slots.get(theirs).is_none());
                        assert!(entry.is_some_and(|pair| pair.0 == !pair.1));
                    }
                    if rng.u8(..) == 0 {
                        assert!(slots.iter().all(|(_, pair)| pair.0 == !pair.1));
                    }
                }
            });
        }
        drop(senders);
    });
    let left = slots.iter().count();
    assert_eq!((left, DROPPED.load(Ordering::Relaxed)), (slots.len(), 3 * PER_THREAD as usize - left));
    slots.retain(|key, _| key.index() % 2 == 0);
    drop(slots);
    assert_eq!(DROPPED.load(Ordering::Relaxed), 3 * PER_THREAD as usize);
}

/// A value that one thread inserts and another removes is counted once.
#[test]
fn values_are_counted_across_threads() {
    let _turn = alone();
    let slots = SharedSlots::new();
    let keys: Vec<_> = (0..200).map(|number| slots.insert(number)).collect();
    thread::scope(|scope| {
        let (mine, others) = keys.split_at(150);
        scope.spawn(|| assert!(others.iter().all(|&key| slots.remove(key))));
        assert!(mine.iter().all(|&key| slots.get(key).is_some()));
    });
    assert_eq!((slots.len(), slots.iter().count()), (150, 150));
    let read = slots.get(keys[0]);
    assert!(slots.remove(keys[0]));
    assert_eq!(slots.len(), 149, "it is read, but gone");
    thread::scope(|scope| _ = scope.spawn(move || drop(read)));
    assert_eq!(slots.len(), 149);
}

/// Slots that ended threads hold are found when memory runs out.
#[test]
fn slots_of_ended_threads_are_found() {
    let _turn = alone();
    let slots = SharedSlots::<u64, _>::new_in(Limit::bytes(Heap, 40_000));
    let fill = || std::iter::from_fn(|| slots.try_insert(7).ok()).collect::<Vec<_>>();
    let empty = |keys: Vec<_>| assert!(keys.into_iter().all(|key| slots.remove(key)));
    let most = fill();
    let count = most.len();
    empty(most);
    for _ in 0..3 {
        let work = || empty((0..20).map(|_| slots.insert(1)).collect());
        // A thread gives its index back when it has ended, which may be after the end of the scope.
        thread::scope(|scope| scope.spawn(work).join()).expect("no panic");
    }
    // Another thread of this process may have one of their indices for a while.
    let mut all = fill();
    for _ in 0..1000 {
        if all.len() < count {
            thread::sleep(std::time::Duration::from_millis(1));
            all.extend(fill());
        }
    }
    assert_eq!((all.len(), slots.len()), (count, count));
    // While the other thread lives, only its slots are out of reach.
    let mut keys = all;
    thread::scope(|scope| {
        let (to_main, from_other) = mpsc::channel();
        let (to_other, from_main) = mpsc::channel::<()>();
        let half = keys.split_off(count / 2);
        let slots = &slots;
        let other = scope.spawn(move || {
            half.into_iter().for_each(|key| assert!(slots.remove(key)));
            to_main.send(()).expect("it listens");
            from_main.recv().expect("it says when");
        });
        from_other.recv().expect("it answers");
        keys.extend(fill());
        assert!(keys.len() + SharedSlots::<u64>::CACHED_PER_THREAD >= count, "{} of {count}", keys.len());
        to_other.send(()).expect("it listens");
        other.join().expect("no panic");
    });
    keys.extend(fill());
    assert_eq!(keys.len(), count);
}

/// A destructor that uses the collection itself.
#[test]
fn destructor_may_remove_other_values() {
    let _turn = alone();
    static CHAIN: SharedSlots<Next> = SharedSlots::new();
    struct Next(Option<Key<Next>>);
    impl Drop for Next {
        fn drop(&mut self) {
            if let Some(next) = self.0 {
                assert!(CHAIN.remove(next));
                CHAIN.remove(CHAIN.insert(Next(None)));
            }
        }
    }
    let mut key = CHAIN.insert(Next(None));
    for _ in 0..100 {
        key = CHAIN.insert(Next(Some(key)));
    }
    assert!(CHAIN.remove(key) && CHAIN.is_empty());
    assert_eq!(CHAIN.iter().count(), 0);
}

/// The heap behind a parent that inspects the collection during a request, which takes the lock.
struct Nosy;

static NOSY: SharedSlots<u32, Nosy> = SharedSlots::new_in(Nosy);
static SEEN: AtomicUsize = AtomicUsize::new(0);

// SAFETY: `Heap` upholds the contract.
unsafe impl Allocator for Nosy {
    fn allocate(&self, layout: Layout) -> Allocation {
        SEEN.fetch_add(1 + NOSY.len(), Ordering::Relaxed);
        Heap.allocate(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the contract is the same as the caller's.
        unsafe { Heap.deallocate(block, layout) };
    }
}

#[test]
fn parent_is_called_without_the_lock() {
    let _turn = alone();
    let keys: Vec<_> = (0..5).map(|number| NOSY.insert(number)).collect();
    assert!(keys.iter().zip(0..).all(|(&key, number)| NOSY.get(key).is_some_and(|value| *value == number)));
    assert_eq!(SEEN.load(Ordering::Relaxed), 2 + 5, "asked three times, when there were 0, 0 and 4 values");
}
