//! Models of what handles have in common: a count, of which the last one frees, and a slot, whose last reader empties it.

use crate::{
    base::atomic::{
        UnsafeCell,
        model::{Arc, check, thread},
    },
    share::{AtomicCount, Count, Occupancy},
};

/// A value that is read by those who hold it and written by the last.
struct Held<G> {
    guard: G,
    value: UnsafeCell<u32>,
}

// SAFETY: this is what the models are to show: the value is written by the last holder alone.
unsafe impl<G: Sync> Sync for Held<G> {}

impl<G> Held<G> {
    /// A value that this thread has touched before all others, as the models' atomics and cells ask for.
    fn new(guard: G, touch: impl FnOnce(&G)) -> Arc<Self> {
        let held = Self { guard, value: UnsafeCell::new(7) };
        touch(&held.guard);
        held.read();
        Arc::new(held)
    }

    fn read(&self) -> u32 {
        // SAFETY: there is a holder, so nobody writes, as the model is to show.
        self.value.with(|value| unsafe { *value })
    }

    fn empty(&self) {
        // SAFETY: the last holder is alone, as the model is to show.
        self.value.with_mut(|value| unsafe { *value = 0 });
    }
}

#[test]
fn the_last_of_two_clones_is_alone() {
    check(3, || {
        let held = Held::new(AtomicCount::ONE, AtomicCount::more);
        let threads = [0, 1].map(|_| {
            let held = Arc::clone(&held);
            thread::spawn(move || {
                assert_eq!(held.read(), 7);
                let last = held.guard.less();
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

/// A weak handle that is upgraded finds the value whole, or none.
#[test]
fn an_upgrade_comes_in_time_or_not_at_all() {
    check(3, || {
        let held = Held::new(AtomicCount::ONE, |count| assert_eq!(count.get(), 1));
        let weak = Arc::clone(&held);
        let leaves = move |held: &Held<AtomicCount>| {
            if held.guard.less() {
                held.empty();
            }
        };
        let upgrader = thread::spawn(move || {
            if weak.guard.more_if_any() {
                assert_eq!(weak.read(), 7);
                leaves(&weak);
            }
        });
        leaves(&held);
        upgrader.join().expect("no holder panics");
        assert_eq!(held.guard.get(), 0);
    });
}

/// Two threads read a slot while another removes its value.
#[test]
fn a_slot_is_emptied_once_and_never_under_a_reader() {
    check(3, || {
        let slot = Held::new(Occupancy::at(0), |slot| slot.open(1));
        let emptied = |slot: &Held<Occupancy>| {
            slot.empty();
            assert!(slot.guard.vacate());
        };
        let readers = [0, 1].map(|_| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                let entered = slot.guard.enter(1);
                if entered {
                    assert_eq!(slot.read(), 7);
                }
                let last = entered && slot.guard.leave();
                if last {
                    emptied(&slot);
                }
                last
            })
        });
        let alone = slot.guard.close(1).expect("nobody else closes it");
        if alone {
            emptied(&slot);
        }
        let by_readers = readers.map(|reader| usize::from(reader.join().expect("no reader panics")));
        assert_eq!(usize::from(alone) + by_readers.iter().sum::<usize>(), 1, "exactly one empties the slot");
        assert!(!slot.guard.enter(1) && !slot.guard.is_filled());
    });
}

/// Two threads remove one value: one of them does.
#[test]
fn a_value_is_removed_once() {
    check(3, || {
        let slot = Held::new(Occupancy::at(0), |slot| slot.open(1));
        let closers = [0, 1].map(|_| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.guard.close(1).is_some())
        });
        let closed = closers.map(|closer| usize::from(closer.join().expect("no closer panics")));
        assert_eq!(closed.iter().sum::<usize>(), 1);
    });
}
