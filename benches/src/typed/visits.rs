//! Iteration over collections with keys: over all values, over few values among many vacant slots, `retain` and
//! `drain`.

use std::{hint::black_box, marker::PhantomData};

use slab::Slab;
use slotmap::{DefaultKey, SlotMap};

use super::{LIVE, Value, kinds::Keyed};
use crate::harness::Runner;

/// A collection that can be iterated over.
pub trait Collection: Keyed<Value> {
    /// Returns the sum of the first words of the values.
    fn sum(&self) -> u64;
    /// Keeps the values whose first word passes the test.
    fn retain(&mut self, keep: impl FnMut(u64) -> bool);
    /// Removes all values; returns the sum of their first words.
    fn drain(&mut self) -> u64;
}

impl Collection for millpond::Slots<Value> {
    fn sum(&self) -> u64 {
        self.iter().fold(0, |sum, (_, value)| sum.wrapping_add(value[0]))
    }

    fn retain(&mut self, mut keep: impl FnMut(u64) -> bool) {
        self.retain(|_, value| keep(value[0]));
    }

    fn drain(&mut self) -> u64 {
        self.drain().fold(0, |sum, value| sum.wrapping_add(value[0]))
    }
}

impl Collection for Slab<Value> {
    fn sum(&self) -> u64 {
        self.iter().fold(0, |sum, (_, value)| sum.wrapping_add(value[0]))
    }

    fn retain(&mut self, mut keep: impl FnMut(u64) -> bool) {
        self.retain(|_, value| keep(value[0]));
    }

    fn drain(&mut self) -> u64 {
        self.drain().fold(0, |sum, value| sum.wrapping_add(value[0]))
    }
}

impl Collection for SlotMap<DefaultKey, Value> {
    fn sum(&self) -> u64 {
        self.iter().fold(0, |sum, (_, value)| sum.wrapping_add(value[0]))
    }

    fn retain(&mut self, mut keep: impl FnMut(u64) -> bool) {
        self.retain(|_, value| keep(value[0]));
    }

    fn drain(&mut self) -> u64 {
        self.drain().fold(0, |sum, (_, value)| sum.wrapping_add(value[0]))
    }
}

/// The operation that is repeated on a collection; it counts as this many slots.
pub trait Visit: 'static {
    fn visit<C: Collection>(collection: &mut C);
}

pub struct Iterate;
pub struct Retain;
pub struct Drain;

impl Visit for Iterate {
    #[inline(never)]
    fn visit<C: Collection>(collection: &mut C) {
        black_box(collection.sum());
    }
}

impl Visit for Retain {
    #[inline(never)]
    fn visit<C: Collection>(collection: &mut C) {
        let mut removed = Vec::with_capacity(LIVE / 10);
        collection.retain(|number| {
            let keep = number % 10 != 0;
            if !keep {
                removed.push(number);
            }
            keep
        });
        removed.into_iter().for_each(|number| _ = collection.insert([number; 8]));
    }
}

impl Visit for Drain {
    #[inline(never)]
    fn visit<C: Collection>(collection: &mut C) {
        black_box(collection.drain());
        (0..LIVE as u64).for_each(|number| _ = collection.insert([number; 8]));
    }
}

/// Returns a collection in which one in `N` slots has a value.
struct Filled<C, V, const N: usize>(C, PhantomData<V>);

fn runner<C: Collection, V: Visit, const N: usize>(name: &'static str) -> Runner {
    let mut collection = C::new();
    (0..LIVE as u64).for_each(|number| _ = collection.insert([number; 8]));
    collection.retain(|number| number % N as u64 == 0);
    let mut filled = Filled::<C, V, N>(collection, PhantomData);
    let run = move |count: usize| {
        let visits = count.div_ceil(LIVE);
        (0..visits).for_each(|_| V::visit(&mut filled.0));
        visits * LIVE
    };
    Runner { name, run: Box::new(run) }
}

pub fn runners<V: Visit, const N: usize>() -> Vec<Runner> {
    vec![
        runner::<Slab<Value>, V, N>("slab"),
        runner::<millpond::Slots<Value>, V, N>("Slots"),
        runner::<SlotMap<DefaultKey, Value>, V, N>("slotmap"),
    ]
}
