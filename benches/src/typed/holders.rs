//! The contenders: each defines how to insert a value, how to drop it, and how to drop all values.

use std::{alloc::Layout, ptr::NonNull};

use infinity_pool::{RawPinnedPool, RawPooledMut};
use millpond::{Allocator, ArenaAlloc, Key, Local, Pool, PoolBox, ThinPool, typed::ThinBox};
use opool::{LocalPool, PoolAllocator, RefLocalGuard};
use slab::Slab;
use slotmap::{DefaultKey, SlotMap};

use super::{Value, hand_written::HandWritten};

/// A contender. `Handle` stands for a value in it, and is consumed when that value is dropped.
pub trait Holder {
    type Handle: 'static;
    fn put(&mut self, value: Value) -> Self::Handle;
    fn drop(&mut self, handle: Self::Handle);
    /// Drops all values, of which these are the handles.
    fn clear(&mut self, handles: &mut Vec<Self::Handle>);
}

/// Returns a pool that handles borrow until the program ends.
fn leak<P>(pool: P) -> &'static P {
    Box::leak(Box::new(pool))
}

/// The lower bound: raw blocks and pointers to them.
pub struct Blocks(Local<millpond::Blocks<millpond::For<Value>>>);

impl Blocks {
    pub fn new() -> Self {
        Self(Local::new(millpond::Blocks::new()))
    }
}

impl Holder for Blocks {
    type Handle = NonNull<Value>;

    #[inline(always)]
    fn put(&mut self, value: Value) -> NonNull<Value> {
        let block = self.0.allocate(Layout::new::<Value>()).expect("the heap has room").cast();
        // SAFETY: the block was just allocated for such a value.
        unsafe { block.write(value) };
        block
    }

    #[inline(always)]
    fn drop(&mut self, block: NonNull<Value>) {
        // SAFETY: the block came from `put`, and each handle is used once.
        unsafe { self.0.deallocate(block.cast(), Layout::new::<Value>()) };
    }

    fn clear(&mut self, handles: &mut Vec<NonNull<Value>>) {
        handles.clear();
        self.0.reset();
    }
}

/// The minimum cost of a handle that finds its own pool: as above, with a reference to the pool in each pointer.
pub struct Referring(&'static Local<millpond::Blocks<millpond::For<Value>>>);

impl Referring {
    pub fn new() -> Self {
        Self(leak(Local::new(millpond::Blocks::new())))
    }
}

impl Holder for Referring {
    type Handle = (NonNull<Value>, &'static Local<millpond::Blocks<millpond::For<Value>>>);

    #[inline(always)]
    fn put(&mut self, value: Value) -> Self::Handle {
        let block = self.0.allocate(Layout::new::<Value>()).expect("the heap has room").cast();
        // SAFETY: the block was just allocated for such a value.
        unsafe { block.write(value) };
        (block, self.0)
    }

    #[inline(always)]
    fn drop(&mut self, (block, pool): Self::Handle) {
        // SAFETY: the block came from `put`, and each handle is used once.
        unsafe { pool.deallocate(block.cast(), Layout::new::<Value>()) };
    }

    fn clear(&mut self, handles: &mut Vec<Self::Handle>) {
        handles.drain(..).for_each(|handle| self.drop(handle));
    }
}

/// A pool of Millpond whose handles free their values when they are dropped.
macro_rules! pooled {
    ($(#[$doc:meta])* $holder:ident, $pool:ident, $handle:ident) => {
        $(#[$doc])*
        pub struct $holder(NonNull<$pool<Value>>);

        impl $holder {
            pub fn new() -> Self {
                Self(NonNull::from(Box::leak(Box::new($pool::new()))))
            }
        }

        impl Holder for $holder {
            type Handle = $handle<'static, Value>;

            #[inline(always)]
            fn put(&mut self, value: Value) -> Self::Handle {
                // SAFETY: the pool lives until the program ends, and is borrowed mutably only while there are no
                // handles.
                unsafe { self.0.as_ref() }.alloc(value)
            }

            #[inline(always)]
            fn drop(&mut self, handle: Self::Handle) {
                drop(handle);
            }

            fn clear(&mut self, handles: &mut Vec<Self::Handle>) {
                handles.drain(..).for_each(std::mem::forget);
                // SAFETY: there are no handles any more.
                unsafe { self.0.as_mut() }.reset();
            }
        }
    };
}

pooled!(
    /// Millpond's pool of values.
    Pooled,
    Pool,
    PoolBox
);
pooled!(
    /// Millpond's pool whose handles are one word.
    Thin,
    ThinPool,
    ThinBox
);

/// Millpond's collection with keys.
pub struct Slots(millpond::Slots<Value>);

impl Slots {
    pub fn new() -> Self {
        Self(millpond::Slots::new())
    }
}

impl Holder for Slots {
    type Handle = Key<Value>;

    #[inline(always)]
    fn put(&mut self, value: Value) -> Key<Value> {
        self.0.insert(value)
    }

    #[inline(always)]
    fn drop(&mut self, key: Key<Value>) {
        self.0.remove(key);
    }

    fn clear(&mut self, handles: &mut Vec<Key<Value>>) {
        handles.clear();
        self.0.clear();
    }
}

impl Holder for HandWritten<Value> {
    type Handle = u64;

    #[inline(always)]
    fn put(&mut self, value: Value) -> u64 {
        self.insert(value)
    }

    #[inline(always)]
    fn drop(&mut self, key: u64) {
        self.remove(key);
    }

    fn clear(&mut self, handles: &mut Vec<u64>) {
        handles.clear();
        self.remove_all();
    }
}

/// The crate `slab`.
pub struct Slabs(Slab<Value>);

impl Slabs {
    pub fn new() -> Self {
        Self(Slab::new())
    }
}

impl Holder for Slabs {
    type Handle = usize;

    #[inline(always)]
    fn put(&mut self, value: Value) -> usize {
        self.0.insert(value)
    }

    #[inline(always)]
    fn drop(&mut self, key: usize) {
        self.0.remove(key);
    }

    fn clear(&mut self, handles: &mut Vec<usize>) {
        handles.clear();
        self.0.clear();
    }
}

/// The crate `slotmap`.
pub struct SlotMaps(SlotMap<DefaultKey, Value>);

impl SlotMaps {
    pub fn new() -> Self {
        Self(SlotMap::new())
    }
}

impl Holder for SlotMaps {
    type Handle = DefaultKey;

    #[inline(always)]
    fn put(&mut self, value: Value) -> DefaultKey {
        self.0.insert(value)
    }

    #[inline(always)]
    fn drop(&mut self, key: DefaultKey) {
        self.0.remove(key);
    }

    fn clear(&mut self, handles: &mut Vec<DefaultKey>) {
        handles.clear();
        self.0.clear();
    }
}

/// The crate `plurality`, with handles that share ownership of the pool.
pub struct Plural(plurality::Pool<Value>);

impl Plural {
    pub fn new() -> Self {
        Self(plurality::Pool::new())
    }
}

impl Holder for Plural {
    type Handle = plurality::Box<Value>;

    #[inline(always)]
    fn put(&mut self, value: Value) -> Self::Handle {
        self.0.alloc_box(value)
    }

    #[inline(always)]
    fn drop(&mut self, handle: Self::Handle) {
        drop(handle);
    }

    fn clear(&mut self, handles: &mut Vec<Self::Handle>) {
        handles.clear();
    }
}

/// The crate `plurality`, with handles that borrow the pool.
pub struct PluralBound(&'static plurality::Pool<Value>);

impl PluralBound {
    pub fn new() -> Self {
        Self(leak(plurality::Pool::new()))
    }
}

impl Holder for PluralBound {
    type Handle = plurality::Alloc<'static, Value>;

    #[inline(always)]
    fn put(&mut self, value: Value) -> Self::Handle {
        self.0.alloc(value)
    }

    #[inline(always)]
    fn drop(&mut self, handle: Self::Handle) {
        drop(handle);
    }

    fn clear(&mut self, handles: &mut Vec<Self::Handle>) {
        handles.clear();
    }
}

/// The crate `opool`: objects are constructed once and handed out repeatedly.
pub struct Objects(&'static LocalPool<Zeros, Value>);

/// Constructs the objects.
pub struct Zeros;

impl PoolAllocator<Value> for Zeros {
    #[inline]
    fn allocate(&self) -> Value {
        [0; 8]
    }
}

impl Objects {
    /// Creates the pool with this capacity.
    pub fn new(most: usize) -> Self {
        Self(leak(LocalPool::new_prefilled(most, Zeros)))
    }
}

impl Holder for Objects {
    type Handle = RefLocalGuard<'static, Zeros, Value>;

    #[inline(always)]
    fn put(&mut self, value: Value) -> Self::Handle {
        let mut object = self.0.get();
        *object = value;
        object
    }

    #[inline(always)]
    fn drop(&mut self, handle: Self::Handle) {
        drop(handle);
    }

    fn clear(&mut self, handles: &mut Vec<Self::Handle>) {
        handles.clear();
    }
}

/// The crate `infinity_pool`, with unchecked handles.
pub struct Infinity(RawPinnedPool<Value>);

impl Infinity {
    pub fn new() -> Self {
        Self(RawPinnedPool::new())
    }
}

impl Holder for Infinity {
    type Handle = RawPooledMut<Value>;

    #[inline(always)]
    fn put(&mut self, value: Value) -> Self::Handle {
        self.0.insert(value)
    }

    #[inline(always)]
    fn drop(&mut self, handle: Self::Handle) {
        // SAFETY: the handle came from this pool and is used once.
        unsafe { self.0.remove(handle) };
    }

    fn clear(&mut self, handles: &mut Vec<Self::Handle>) {
        handles.drain(..).for_each(|handle| self.drop(handle));
    }
}

/// An arena, which drops all values or none.
macro_rules! arena {
    ($(#[$doc:meta])* $holder:ident($arena:ty), |$used:ident| $clear:expr) => {
        $(#[$doc])*
        pub struct $holder($arena);

        impl $holder {
            pub fn new() -> Self {
                Self(<$arena>::new())
            }
        }

        impl Holder for $holder {
            type Handle = NonNull<Value>;

            #[inline(always)]
            fn put(&mut self, value: Value) -> NonNull<Value> {
                NonNull::from(self.0.alloc(value))
            }

            fn drop(&mut self, _: NonNull<Value>) {}

            fn clear(&mut self, handles: &mut Vec<NonNull<Value>>) {
                handles.clear();
                let $used = &mut self.0;
                $clear;
            }
        }
    };
}

arena!(
    /// Millpond's.
    Arena(millpond::Arena),
    |arena| arena.reset()
);
arena!(
    /// The crate `typed-arena`.
    TypedArena(typed_arena::Arena<Value>),
    |arena| *arena = typed_arena::Arena::new()
);
