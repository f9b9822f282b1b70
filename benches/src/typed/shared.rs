//! Collections with keys that two threads share: `SharedSlots` beside `sharded-slab`.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use millpond::SharedSlots;

use super::Value;
use crate::{
    random::Random,
    report::Mix,
    shared::{Clock, Entrant, Job, compare},
};

const LIVE: usize = 1024;

pub const MIXES: &[Mix] = &[
    Mix {
        name: "typed-shared-pair",
        what: "both threads put one value in and remove it, again",
        run: || vec![compare(both::<false>, 2)],
    },
    Mix {
        name: "typed-shared-read",
        what: "both threads read random ones of 1,024 values that one of them put in",
        run: || vec![compare(both::<true>, 2)],
    },
];

/// A collection of values that threads share.
trait Shared: Send + Sync + 'static {
    type Key: Copy + Send + Sync + 'static;
    fn put(&self, value: Value) -> Self::Key;
    fn read(&self, key: Self::Key) -> u64;
    fn remove(&self, key: Self::Key);
}

impl Shared for SharedSlots<Value> {
    type Key = millpond::Key<Value>;

    fn put(&self, value: Value) -> Self::Key {
        self.insert(value)
    }

    #[inline(always)]
    fn read(&self, key: Self::Key) -> u64 {
        self.get(key).map_or(0, |value| value[7])
    }

    fn remove(&self, key: Self::Key) {
        SharedSlots::remove(self, key);
    }
}

impl Shared for sharded_slab::Slab<Value> {
    type Key = usize;

    fn put(&self, value: Value) -> usize {
        self.insert(value).expect("there is room")
    }

    #[inline(always)]
    fn read(&self, key: usize) -> u64 {
        self.get(key).map_or(0, |value| value[7])
    }

    fn remove(&self, key: usize) {
        sharded_slab::Slab::remove(self, key);
    }
}

fn both<const READS: bool>() -> Vec<Entrant> {
    vec![
        ("SharedSlots", job::<_, READS>(SharedSlots::new())),
        ("sharded-slab", job::<_, READS>(sharded_slab::Slab::new())),
    ]
}

fn job<S: Shared, const READS: bool>(slots: S) -> Job {
    let keys: Vec<S::Key> = (0..LIVE as u64).map(|number| slots.put([number; 8])).collect();
    let seed = AtomicUsize::new(1);
    Arc::new(move |_, pairs, tails| {
        let mut random = Random::new(seed.fetch_add(1, Ordering::Relaxed) as u64);
        let mut once = |number| {
            if READS {
                black_box(slots.read(keys[random.below(LIVE)]));
            } else {
                slots.remove(black_box(slots.put([number; 8])));
            }
        };
        let numbers = 0..pairs as u64;
        match tails {
            Some(mut tails) => numbers.for_each(|number| tails.time(|| once(number))),
            None => numbers.for_each(once),
        }
    })
}
