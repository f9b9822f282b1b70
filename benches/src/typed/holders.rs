//! The contenders: each defines how to insert a value, how to drop it, and how to drop all values.

use std::{alloc::Layout, ptr::NonNull};

use infinity_pool::{RawPinnedPool, RawPooledMut};
use millpond::{Allocator, Local};
use opool::{LocalPool, PoolAllocator, RefLocalGuard};
use slab::Slab;
use slotmap::{DefaultKey, SlotMap};

use super::{
    Value,
    hand_written::HandWritten,
    kinds::{ArenaOf, Keyed, OwningKind, PluralAllocs, PluralBoxes, PoolBoxes, ThinBoxes},
};

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

/// A pool whose handles free their values when they are dropped.
pub struct Owning<K: OwningKind>(NonNull<K::Pool<Value>>);

pub type Pooled = Owning<PoolBoxes>;
pub type Thin = Owning<ThinBoxes>;
pub type Plural = Owning<PluralBoxes>;
pub type PluralBound = Owning<PluralAllocs>;

impl<K: OwningKind> Owning<K> {
    pub fn new() -> Self {
        Self(NonNull::from(Box::leak(Box::new(K::new()))))
    }
}

impl<K: OwningKind> Holder for Owning<K> {
    type Handle = K::Handle<Value>;

    #[inline(always)]
    fn put(&mut self, value: Value) -> Self::Handle {
        // SAFETY: the pool lives until the program ends, and is borrowed mutably only while there are no handles.
        K::put(unsafe { self.0.as_ref() }, value)
    }

    #[inline(always)]
    fn drop(&mut self, handle: Self::Handle) {
        drop(handle);
    }

    fn clear(&mut self, handles: &mut Vec<Self::Handle>) {
        if !K::RESETS {
            return handles.clear();
        }
        handles.drain(..).for_each(std::mem::forget);
        // SAFETY: there are no handles any more.
        K::reset(unsafe { self.0.as_mut() });
    }
}

/// A collection with keys.
pub struct Keys<C>(C);

pub type Slots = Keys<millpond::Slots<Value>>;
pub type HandKeys = Keys<HandWritten<Value>>;
pub type Slabs = Keys<Slab<Value>>;
pub type SlotMaps = Keys<SlotMap<DefaultKey, Value>>;

impl<C: Keyed<Value>> Keys<C> {
    pub fn new() -> Self {
        Self(C::new())
    }
}

impl<C: Keyed<Value>> Holder for Keys<C> {
    type Handle = C::Key;

    #[inline(always)]
    fn put(&mut self, value: Value) -> C::Key {
        self.0.insert(value)
    }

    #[inline(always)]
    fn drop(&mut self, key: C::Key) {
        self.0.drop(key);
    }

    fn clear(&mut self, handles: &mut Vec<C::Key>) {
        handles.clear();
        self.0.clear();
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
pub struct InArena<A>(A);

pub type Arena = InArena<millpond::Arena>;
pub type TypedArena = InArena<typed_arena::Arena<Value>>;

impl<A: ArenaOf<Value>> InArena<A> {
    pub fn new() -> Self {
        Self(A::new())
    }
}

impl<A: ArenaOf<Value>> Holder for InArena<A> {
    type Handle = NonNull<Value>;

    #[inline(always)]
    fn put(&mut self, value: Value) -> NonNull<Value> {
        self.0.put(value)
    }

    fn drop(&mut self, _: NonNull<Value>) {}

    fn clear(&mut self, handles: &mut Vec<NonNull<Value>>) {
        handles.clear();
        self.0.clear();
    }
}
