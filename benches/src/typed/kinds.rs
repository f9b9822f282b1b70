//! What several contenders have in common: collections with keys, pools whose handles own their values, and arenas.
//!
//! A node of a tree contains links to other nodes, so the type of a pool is known only when that of its links is. This
//! is why there are kinds of collections and pools, for any type of values.

use std::{ops::Deref, ptr::NonNull};

use millpond::{ArenaAlloc, Key, Pool, PoolBox, ThinPool, typed::ThinBox};
use slab::Slab;
use slotmap::{DefaultKey, SlotMap};

use super::hand_written::HandWritten;

/// A collection whose values are found by keys.
pub trait Keyed<T>: 'static {
    type Key: Copy + 'static;
    fn new() -> Self;
    fn insert(&mut self, value: T) -> Self::Key;
    fn get(&self, key: Self::Key) -> Option<&T>;
    fn remove(&mut self, key: Self::Key) -> Option<T>;
    /// Drops the value of a key.
    #[inline(always)]
    fn drop(&mut self, key: Self::Key) {
        self.remove(key);
    }
    /// Drops all values.
    fn clear(&mut self);
}

impl<T: 'static> Keyed<T> for millpond::Slots<T> {
    type Key = Key<T>;

    fn new() -> Self {
        Self::new()
    }

    #[inline(always)]
    fn insert(&mut self, value: T) -> Key<T> {
        self.insert(value)
    }

    #[inline(always)]
    fn get(&self, key: Key<T>) -> Option<&T> {
        self.get(key)
    }

    #[inline(always)]
    fn remove(&mut self, key: Key<T>) -> Option<T> {
        self.remove(key)
    }

    fn clear(&mut self) {
        self.clear();
    }
}

impl<T: 'static> Keyed<T> for HandWritten<T> {
    type Key = u64;

    fn new() -> Self {
        Self::new()
    }

    #[inline(always)]
    fn insert(&mut self, value: T) -> u64 {
        self.insert(value)
    }

    #[inline(always)]
    fn get(&self, key: u64) -> Option<&T> {
        self.get(key)
    }

    #[inline(always)]
    fn remove(&mut self, key: u64) -> Option<T> {
        self.remove(key)
    }

    fn clear(&mut self) {
        self.remove_all();
    }
}

impl<T: 'static> Keyed<T> for Slab<T> {
    type Key = usize;

    fn new() -> Self {
        Self::new()
    }

    #[inline(always)]
    fn insert(&mut self, value: T) -> usize {
        self.insert(value)
    }

    #[inline(always)]
    fn get(&self, key: usize) -> Option<&T> {
        self.get(key)
    }

    #[inline(always)]
    fn remove(&mut self, key: usize) -> Option<T> {
        self.try_remove(key)
    }

    #[inline(always)]
    fn drop(&mut self, key: usize) {
        Self::remove(self, key);
    }

    fn clear(&mut self) {
        self.clear();
    }
}

impl<T: 'static> Keyed<T> for SlotMap<DefaultKey, T> {
    type Key = DefaultKey;

    fn new() -> Self {
        Self::new()
    }

    #[inline(always)]
    fn insert(&mut self, value: T) -> DefaultKey {
        self.insert(value)
    }

    #[inline(always)]
    fn get(&self, key: DefaultKey) -> Option<&T> {
        self.get(key)
    }

    #[inline(always)]
    fn remove(&mut self, key: DefaultKey) -> Option<T> {
        self.remove(key)
    }

    fn clear(&mut self) {
        self.clear();
    }
}

/// A kind of collection with keys.
pub trait KeyedKind: 'static {
    type Of<T: 'static>: Keyed<T>;
}

pub struct SlotsKind;
pub struct HandWrittenKind;
pub struct SlabKind;
pub struct SlotMapKind;

impl KeyedKind for SlotsKind {
    type Of<T: 'static> = millpond::Slots<T>;
}

impl KeyedKind for HandWrittenKind {
    type Of<T: 'static> = HandWritten<T>;
}

impl KeyedKind for SlabKind {
    type Of<T: 'static> = Slab<T>;
}

impl KeyedKind for SlotMapKind {
    type Of<T: 'static> = SlotMap<DefaultKey, T>;
}

/// A kind of pool whose handles free their values when they are dropped.
pub trait OwningKind: 'static {
    type Pool<T: 'static>: 'static;
    type Handle<T: 'static>: Deref<Target = T> + 'static;
    /// Whether the pool can drop all values at once.
    const RESETS: bool = false;

    fn new<T: 'static>() -> Self::Pool<T>;
    fn put<T: 'static>(pool: &'static Self::Pool<T>, value: T) -> Self::Handle<T>;
    /// Drops all values at once, if the pool can do that.
    fn reset<T: 'static>(_: &mut Self::Pool<T>) {}
}

/// Millpond's pool of values.
pub struct PoolBoxes;

impl OwningKind for PoolBoxes {
    type Pool<T: 'static> = Pool<T>;
    type Handle<T: 'static> = PoolBox<'static, T>;
    const RESETS: bool = true;

    fn new<T: 'static>() -> Pool<T> {
        Pool::new()
    }

    #[inline(always)]
    fn put<T: 'static>(pool: &'static Pool<T>, value: T) -> PoolBox<'static, T> {
        pool.alloc(value)
    }

    fn reset<T: 'static>(pool: &mut Pool<T>) {
        pool.reset();
    }
}

/// Millpond's pool whose handles are one word.
pub struct ThinBoxes;

impl OwningKind for ThinBoxes {
    type Pool<T: 'static> = ThinPool<T>;
    type Handle<T: 'static> = ThinBox<'static, T>;
    const RESETS: bool = true;

    fn new<T: 'static>() -> ThinPool<T> {
        ThinPool::new()
    }

    #[inline(always)]
    fn put<T: 'static>(pool: &'static ThinPool<T>, value: T) -> ThinBox<'static, T> {
        pool.alloc(value)
    }

    fn reset<T: 'static>(pool: &mut ThinPool<T>) {
        pool.reset();
    }
}

/// The crate `plurality`, with handles that share ownership of the pool.
pub struct PluralBoxes;

impl OwningKind for PluralBoxes {
    type Pool<T: 'static> = plurality::Pool<T>;
    type Handle<T: 'static> = plurality::Box<T>;

    fn new<T: 'static>() -> plurality::Pool<T> {
        plurality::Pool::new()
    }

    #[inline(always)]
    fn put<T: 'static>(pool: &'static plurality::Pool<T>, value: T) -> plurality::Box<T> {
        pool.alloc_box(value)
    }
}

/// The crate `plurality`, with handles that borrow the pool.
pub struct PluralAllocs;

impl OwningKind for PluralAllocs {
    type Pool<T: 'static> = plurality::Pool<T>;
    type Handle<T: 'static> = plurality::Alloc<'static, T>;

    fn new<T: 'static>() -> plurality::Pool<T> {
        plurality::Pool::new()
    }

    #[inline(always)]
    fn put<T: 'static>(pool: &'static plurality::Pool<T>, value: T) -> plurality::Alloc<'static, T> {
        pool.alloc(value)
    }
}

/// An arena, which drops all values at once.
pub trait ArenaOf<T>: 'static {
    fn new() -> Self;
    fn put(&mut self, value: T) -> NonNull<T>;
    fn clear(&mut self);
}

impl<T: 'static> ArenaOf<T> for millpond::Arena {
    fn new() -> Self {
        Self::new()
    }

    #[inline(always)]
    fn put(&mut self, value: T) -> NonNull<T> {
        NonNull::from(self.alloc(value))
    }

    fn clear(&mut self) {
        self.reset();
    }
}

impl<T: 'static> ArenaOf<T> for typed_arena::Arena<T> {
    fn new() -> Self {
        Self::new()
    }

    #[inline(always)]
    fn put(&mut self, value: T) -> NonNull<T> {
        NonNull::from(self.alloc(value))
    }

    fn clear(&mut self) {
        *self = Self::new();
    }
}
