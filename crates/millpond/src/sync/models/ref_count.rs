//! Models of what handles have in common: a count, whose last holder frees the value, and a slot, which its last reader
//! empties.

use crate::{
    base::atomic::{
        UnsafeCell,
        model::{Arc, check, thread},
    },
    sync::{AtomicRefCount, RefCount, SlotState},
};

/// A value that is read by its holders and written by the last one.
struct Held<G> {
    guard: G,
    value: UnsafeCell<u32>,
}

// SAFETY: the model checks that the value is written by the last holder alone.
unsafe impl<G: Sync> Sync for Held<G> {}

impl<G> Held<G> {
    /// Creates a value that this thread has touched before all others, as the models' atomics and cells require.
    fn new(guard: G, touch: impl FnOnce(&G)) -> Arc<Self> {
        let held = Self { guard, value: UnsafeCell::new(7) };
        touch(&held.guard);
        held.read();
        Arc::new(held)
    }

    fn read(&self) -> u32 {
        // SAFETY: there is a holder, so no thread writes, which the model checks.
        self.value.with(|value| unsafe { *value })
    }

    fn empty(&self) {
        // SAFETY: the last holder is the only one, which the model checks.
        self.value.with_mut(|value| unsafe { *value = 0 });
    }
}

#[test]
fn last_clone() {
    check(3, || {
        let held = Held::new(AtomicRefCount::ONE, AtomicRefCount::increment);
        let threads = [0, 1].map(|_| {
            let held = Arc::clone(&held);
            thread::spawn(move || {
                assert_eq!(held.read(), 7);
                let last = held.guard.decrement();
                if last {
                    held.empty();
                }
                last
            })
        });
        let lasts = threads.map(|thread| usize::from(thread.join().expect("no holder panics")));
        assert_eq!(lasts.iter().sum::<usize>(), 1);
    });
}

/// A weak handle that is upgraded finds the value intact, or none.
#[test]
fn upgrade_succeeds_in_time_or_fails() {
    check(3, || {
        let held = Held::new(AtomicRefCount::ONE, |count| assert_eq!(count.get(), 1));
        let weak = Arc::clone(&held);
        let leaves = move |held: &Held<AtomicRefCount>| {
            if held.guard.decrement() {
                held.empty();
            }
        };
        let upgrader = thread::spawn(move || {
            if weak.guard.increment_if_nonzero() {
                assert_eq!(weak.read(), 7);
                leaves(&weak);
            }
        });
        leaves(&held);
        upgrader.join().expect("no holder panics");
        assert_eq!(held.guard.get(), 0);
    });
}

/// Three handles of a saturated count are dropped by two threads: a thread that is reported to be the last one is, and
/// the count is not touched after that.
#[cfg(loom)]
fn a_full_count(decrement: fn(&AtomicRefCount) -> bool) {
    check(3, move || {
        let held = Held::new(AtomicRefCount::saturating(), |count| assert_ne!(count.get(), 0));
        let other = Arc::clone(&held);
        let one = thread::spawn(move || decrement(&other.guard));
        let lasts = [decrement(&held.guard), decrement(&held.guard), one.join().expect("no holder panics")];
        if lasts.contains(&true) {
            assert_eq!(held.guard.get(), 0, "the count was touched after its end");
        }
    });
}

#[cfg(loom)]
#[test]
fn count_is_not_touched_after_its_end() {
    a_full_count(AtomicRefCount::decrement);
}

#[cfg(loom)]
#[test]
#[should_panic(expected = "touched after its end")]
fn late_correction_of_a_count_is_caught() {
    a_full_count(AtomicRefCount::decrement_and_correct);
}

/// One of two holders changes the value if it is the only one, while the other creates a weak handle of its own, and a
/// strong one from that.
fn only_one(is_unique: fn(&AtomicRefCount, &AtomicRefCount) -> bool, done: fn(&AtomicRefCount)) {
    check(3, move || {
        let check_counts = (AtomicRefCount::ONE, AtomicRefCount::ONE);
        let held = Held::new(check_counts, |(strong, weak)| {
            strong.increment();
            assert_eq!(weak.get(), 1);
        });
        let other = Arc::clone(&held);
        let other = thread::spawn(move || {
            let (strong, weak) = &other.guard;
            weak.increment_unless_locked();
            assert!(!strong.decrement());
            assert!(strong.increment_if_nonzero(), "the first holder has it");
            let seen = other.read();
            assert_eq!((weak.get(), other.read()), (2, seen), "the value was changed under a reader");
            assert!(!strong.decrement() && !weak.decrement());
        });
        let (strong, weak) = &held.guard;
        if is_unique(strong, weak) {
            // Other threads may run before the value is changed.
            assert_ne!(weak.get(), 0);
            held.empty();
            done(weak);
        }
        other.join().expect("no holder panics");
    });
}

#[test]
fn only_holder_may_change_the_value() {
    only_one(
        |strong, weak| {
            let held = weak.lock_if_one();
            let only = held && strong.is_one();
            if held && !only {
                weak.unlock();
            }
            only
        },
        RefCount::unlock,
    );
}

/// By shuttle: loom does not see an exchange between two loads of one thread.
#[cfg(shuttle)]
#[test]
#[should_panic(expected = "the value was changed under a reader")]
fn concurrent_weak_handle_is_caught() {
    let held_too_short = |strong: &AtomicRefCount, weak: &AtomicRefCount| {
        let held = weak.lock_if_one();
        if held {
            weak.unlock();
        }
        held && strong.is_one()
    };
    only_one(held_too_short, |_| ());
}

/// Two threads read a slot while another removes its value.
#[test]
fn slot_is_emptied_once_without_readers() {
    check(3, || {
        let slot = Held::new(SlotState::at(0), |slot| slot.publish(1));
        let emptied = |slot: &Held<SlotState>| {
            slot.empty();
            assert!(slot.guard.vacate());
        };
        let readers = [0, 1].map(|_| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                let entered = slot.guard.begin_read(1);
                if entered {
                    assert_eq!(slot.read(), 7);
                }
                let last = entered && slot.guard.end_read();
                if last {
                    emptied(&slot);
                }
                last
            })
        });
        let alone = slot.guard.begin_removal(1).expect("no other thread closes it");
        if alone {
            emptied(&slot);
        }
        let by_readers = readers.map(|reader| usize::from(reader.join().expect("no reader panics")));
        assert_eq!(usize::from(alone) + by_readers.iter().sum::<usize>(), 1, "exactly one empties the slot");
        assert!(!slot.guard.begin_read(1) && !slot.guard.is_occupied());
    });
}

/// Two threads remove one value: exactly one of them succeeds.
#[test]
fn value_is_removed_once() {
    check(3, || {
        let slot = Held::new(SlotState::at(0), |slot| slot.publish(1));
        let closers = [0, 1].map(|_| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.guard.begin_removal(1).is_some())
        });
        let closed = closers.map(|closer| usize::from(closer.join().expect("no closer panics")));
        assert_eq!(closed.iter().sum::<usize>(), 1);
    });
}
