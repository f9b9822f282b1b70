//! Collections with keys that are gone through: all values, few among many vacant slots, some kept, all taken out.

use std::{hint::black_box, marker::PhantomData};

use slab::Slab;
use slotmap::{DefaultKey, SlotMap};

use super::{LIVE, Value};
use crate::harness::Runner;

/// A collection, as one goes through it.
pub trait Collection: 'static {
    fn new() -> Self;
    fn insert(&mut self, value: Value);
    /// The sum of the values' first words.
    fn sum(&self) -> u64;
    /// Keeps the values whose first word is wanted.
    fn retain(&mut self, keep: impl FnMut(u64) -> bool);
    /// Takes all values out; the sum of their first words.
    fn drain(&mut self) -> u64;
}

/// Collections whose methods have the same names; `drain` gives values in some, and values with their keys in others.
macro_rules! collections {
    ($($collection:ty, |$value:ident| $drained:tt;)*) => {$(
        impl Collection for $collection {
            fn new() -> Self {
                <$collection>::new()
            }

            fn insert(&mut self, value: Value) {
                self.insert(value);
            }

            fn sum(&self) -> u64 {
                self.iter().fold(0, |sum, (_, value)| sum.wrapping_add(value[0]))
            }

            fn retain(&mut self, mut keep: impl FnMut(u64) -> bool) {
                self.retain(|_, value| keep(value[0]));
            }

            fn drain(&mut self) -> u64 {
                self.drain().fold(0, |sum, $drained| sum.wrapping_add($value[0]))
            }
        }
    )*};
}

collections! {
    millpond::Slots<Value>, |value| value;
    Slab<Value>, |value| value;
    SlotMap<DefaultKey, Value>, |value| (_, value);
}

/// What is done to a collection, again and again; it counts as so many slots.
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
        removed.into_iter().for_each(|number| collection.insert([number; 8]));
    }
}

impl Visit for Drain {
    #[inline(never)]
    fn visit<C: Collection>(collection: &mut C) {
        black_box(collection.drain());
        (0..LIVE as u64).for_each(|number| collection.insert([number; 8]));
    }
}

/// A collection in which one in `N` slots has a value.
struct Filled<C, V, const N: usize>(C, PhantomData<V>);

fn runner<C: Collection, V: Visit, const N: usize>(name: &'static str) -> Runner {
    let mut collection = C::new();
    (0..LIVE as u64).for_each(|number| collection.insert([number; 8]));
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
