//! Programs that must not compile: misuse of `Send`, `Sync` and lifetimes with the types of this crate. Each is a
//! mistake that was possible in some library, or similar to one. Programs that are part of a type's documentation are
//! not repeated here.
//!
//! Traits that unsafe code relies on are `unsafe` to implement. If a constant class map differed from that of the
//! pool, blocks would overflow:
//!
//! ```compile_fail,E0200
//! use core::{alloc::Layout, ptr::NonNull};
//! use millpond::{
//!     Blocks, Fixed, raw::{Chunk, ChunkRequest, PoolHooks, RawPool, Release},
//!     pool::{ConstSizeClasses, SizeClasses},
//! };
//!
//! struct Mine(Blocks<Fixed<64>>);
//! impl PoolHooks for Mine {}
//! // SAFETY: every method forwards to the inner pool with the same arguments.
//! unsafe impl RawPool for Mine {
//!     fn allocate(&mut self, l: Layout) -> Option<NonNull<[u8]>> { self.0.allocate(l) }
//!     unsafe fn deallocate(&mut self, b: NonNull<u8>, l: Layout) { unsafe { self.0.deallocate(b, l) } }
//!     fn chunk_request(&self, l: Layout) -> Option<ChunkRequest> { self.0.chunk_request(l) }
//!     unsafe fn add_chunk(&mut self, c: Chunk, l: Layout) -> Result<(), Chunk> { unsafe { self.0.add_chunk(c, l) } }
//!     fn release_chunk(&mut self, w: Release) -> Option<Chunk> { self.0.release_chunk(w) }
//!     fn reset(&mut self) { self.0.reset() }
//! }
//! // SAFETY: the classes are those of the inner pool.
//! unsafe impl SizeClasses for Mine {
//!     type ClassMap = <Blocks<Fixed<64>> as SizeClasses>::ClassMap;
//!     fn class_map(&self) -> Self::ClassMap { self.0.class_map() }
//! }
//! impl ConstSizeClasses for Mine { // error: it is an unsafe trait
//! # // instead: unsafe impl ConstSizeClasses for Mine {
//!     const CLASS_MAP: Self::ClassMap = <Blocks<Fixed<64>> as ConstSizeClasses>::CLASS_MAP;
//! }
//! ```
//!
//! A pool must rewind exactly to the mark, otherwise memory that an outer scope has handed out would be handed out
//! again:
//!
//! ```compile_fail,E0200
//! use core::{alloc::Layout, ptr::NonNull};
//! use millpond::{Linear, raw::{Chunk, ChunkRequest, PoolHooks, RawPool, Release, Rewind}};
//!
//! struct Mine(Linear);
//! impl PoolHooks for Mine {}
//! // SAFETY: every method forwards to the inner pool.
//! unsafe impl RawPool for Mine {
//!     fn allocate(&mut self, l: Layout) -> Option<NonNull<[u8]>> { self.0.allocate(l) }
//!     unsafe fn deallocate(&mut self, b: NonNull<u8>, l: Layout) { unsafe { self.0.deallocate(b, l) } }
//!     fn chunk_request(&self, l: Layout) -> Option<ChunkRequest> { self.0.chunk_request(l) }
//!     unsafe fn add_chunk(&mut self, c: Chunk, l: Layout) -> Result<(), Chunk> { unsafe { self.0.add_chunk(c, l) } }
//!     fn release_chunk(&mut self, w: Release) -> Option<Chunk> { self.0.release_chunk(w) }
//!     fn reset(&mut self) { self.0.reset() }
//! }
//! impl Rewind for Mine { // error: it is an unsafe trait
//! # // instead: unsafe impl Rewind for Mine {
//!     type Mark = ();
//!     fn mark(&mut self) {}
//!     unsafe fn release(&mut self, (): ()) { self.0.reset() }
//! }
//! ```
//!
//! A pointer that a closure returns need not be a coercion of its argument:
//!
//! ```compile_fail,E0133
//! use core::fmt::Display;
//! use millpond::{Pool, typed::CoerceUnsize};
//!
//! let pool = Pool::new();
//! static mut OTHER: u32 = 1;
//! let shown = pool.alloc(1_u32).coerce(|_| &raw mut OTHER as *mut dyn Display); // error: it is unsafe
//! # // instead: let shown = unsafe { pool.alloc(1_u32).coerce(|value| value as *mut dyn Display) };
//! ```
//!
//! Values in a scope may refer to values outside of it, but not the other way round:
//!
//! ```compile_fail
//! use millpond::ArenaAlloc;
//!
//! let mut stack = millpond::Local::new(millpond::Stack::new());
//! let mut kept: Vec<&u32> = Vec::new();
//! stack.scope(|scope| kept.push(scope.alloc(1))); // error: it would outlive the scope
//! # // instead: stack.scope(|scope| kept.push(if *scope.alloc(1) == 1 { &1 } else { &2 }));
//! ```
//!
//! ```compile_fail
//! use millpond::ArenaAlloc;
//!
//! let mut stack = millpond::Local::new(millpond::Stack::new());
//! stack.scope(|outer| {
//!     let kept: &mut Option<&u32> = outer.alloc(None);
//!     outer.scope(|inner| *kept = Some(inner.alloc(1))); // error: as above
//! #     // instead: outer.scope(|inner| *kept = Some(if *inner.alloc(1) == 1 { &1 } else { &2 }));
//! });
//! ```
//!
//! ```compile_fail
//! use millpond::ArenaAlloc;
//!
//! let mut stack = millpond::Local::new(millpond::Stack::new());
//! let text = String::from("gone");
//! stack.scope(|scope| {
//!     let kept = scope.alloc(&text);
//!     drop(text); // error: `text` is borrowed
//! #     // instead: drop(&text);
//!     kept.len()
//! });
//! ```
//!
//! ```compile_fail
//! use millpond::ArenaAlloc;
//!
//! let (mut one, mut other) = (millpond::Local::new(millpond::Stack::new()), millpond::Local::new(millpond::Stack::new()));
//! one.scope(|first| other.scope(|second| std::mem::swap(first, second))); // error: two scopes are two types
//! # // instead: one.scope(|first| other.scope(|second| std::mem::swap(first.alloc(1), second.alloc(2))));
//! ```
//!
//! A function that takes any arena or scope cannot get its allocator:
//!
//! ```compile_fail,E0616
//! use millpond::ArenaAlloc;
//!
//! fn allocator<'a, M: ArenaAlloc<'a>>(memory: M) -> &'a M::Memory {
//!     memory.arena_memory().0 // error: it would be usable while an inner scope is open
//! #     // instead: panic!("{}", memory.alloc_str("lent"))
//! }
//! ```
//!
//! A pool that threads share needs a parent that can be shared:
//!
//! ```compile_fail,E0277
//! use std::rc::Rc;
//!
//! use millpond::{Heap, SharedPool};
//!
//! let pool: SharedPool<u32, _> = millpond::Pool::<u32>::builder().parent(Rc::new(Heap)).build_shared(); // error
//! # // instead: let pool: SharedPool<u32, _> = millpond::Pool::<u32>::builder().parent(Heap).build_shared();
//! std::thread::scope(|scope| {
//!     scope.spawn(|| drop(pool.alloc(1)));
//! });
//! ```
//!
//! A handle cannot be sent if its value is `Sync` but not `Send`, and neither can a counted handle:
//!
//! ```compile_fail,E0277
//! use std::sync::Mutex;
//!
//! static LOCK: Mutex<u32> = Mutex::new(0);
//!
//! let pool = millpond::SharedPool::new();
//! let locked = pool.alloc(LOCK.lock());
//! std::thread::scope(|scope| {
//!     scope.spawn(move || drop(locked)); // error: it would be unlocked by another thread
//! #     // instead: drop(locked);
//! });
//! ```
//!
//! ```compile_fail,E0277
//! use std::sync::Mutex;
//!
//! static LOCK: Mutex<u32> = Mutex::new(0);
//!
//! let pool = millpond::ArcPool::new();
//! let locked = pool.alloc_rc(LOCK.lock());
//! std::thread::scope(|scope| {
//!     scope.spawn(move || drop(locked)); // error: as above, if it is the last
//! #     // instead: drop(locked);
//! });
//! ```
//!
//! A weak handle may become a strong one on the other thread:
//!
//! ```compile_fail,E0277
//! use millpond::{ArcPool, PoolArc};
//!
//! let pool = ArcPool::new();
//! let one = pool.alloc_rc(std::cell::Cell::new(1));
//! let weak = PoolArc::downgrade(&one);
//! std::thread::scope(|scope| {
//!     scope.spawn(move || weak.upgrade().map(|other| other.set(2))); // error
//! #     // instead: weak.upgrade().map(|other| other.set(2));
//! });
//! ```
//!
//! ```compile_fail,E0277
//! use millpond::{PoolRc, RcPool};
//!
//! let pool = RcPool::new();
//! let one = pool.alloc_rc(1);
//! let weak = PoolRc::downgrade(&one);
//! std::thread::scope(|scope| {
//!     scope.spawn(move || drop(weak)); // error: its count is for one thread
//! #     // instead: drop(weak);
//! });
//! ```
//!
//! A counted handle does not outlive its pool:
//!
//! ```compile_fail,E0597
//! let one;
//! {
//!     let pool = millpond::RcPool::new();
//!     one = pool.alloc_rc(1); // error
//! #     // instead: one = *pool.alloc_rc(1);
//! }
//! drop(one);
//! ```
//!
//! A handle that drops its value does not outlive what the destructor accesses:
//!
//! ```compile_fail,E0597
//! struct Loud<'a>(&'a str);
//! impl Drop for Loud<'_> {
//!     fn drop(&mut self) {
//!         println!("{}", self.0);
//!     }
//! }
//!
//! let pool = millpond::Pool::new();
//! let loud;
//! let text = String::from("gone");
//! loud = pool.alloc(Loud(&text)); // error
//! # // instead: loud = pool.alloc(Loud("stays"));
//! ```
//!
//! A thin pool belongs to one thread, cannot be moved while it has handles, and can be sent only if its parent can:
//!
//! ```compile_fail,E0277
//! let pool = millpond::ThinPool::<u32>::new();
//! std::thread::scope(|scope| {
//!     scope.spawn(|| drop(pool.alloc(1))); // error
//! #     // instead: drop(pool.alloc(1));
//! });
//! ```
//!
//! ```compile_fail,E0502
//! use millpond::{Reclaim, ThinPool};
//!
//! let mut pool = ThinPool::new();
//! let number = pool.alloc(1);
//! pool.reset(); // error
//! # // instead: pool.alloc(2);
//! drop(number);
//! ```
//!
//! ```compile_fail,E0277
//! use std::rc::Rc;
//!
//! use millpond::{Heap, ThinPool};
//!
//! let pool = ThinPool::<u32, _>::new_in(Rc::new(Heap));
//! std::thread::spawn(move || drop(pool)); // error
//! # // instead: drop(pool);
//! ```
//!
//! Two threads cannot allocate from the same arena or the same frames:
//!
//! ```compile_fail,E0277
//! use millpond::ArenaAlloc;
//!
//! let arena = millpond::Arena::new();
//! std::thread::scope(|scope| {
//!     scope.spawn(|| *arena.alloc(1)); // error
//! #     // instead: *arena.alloc(1) = 2;
//! });
//! ```
//!
//! ```compile_fail,E0277
//! let arena = millpond::DropArena::new();
//! std::thread::scope(|scope| {
//!     scope.spawn(|| drop(arena.alloc(String::new()))); // error
//! #     // instead: arena.alloc(String::new());
//! });
//! ```
//!
//! ```compile_fail,E0277
//! use millpond::ArenaAlloc;
//!
//! let frames = millpond::Frames::<2>::new();
//! std::thread::scope(|scope| {
//!     scope.spawn(|| *frames.alloc(1)); // error
//! #     // instead: *frames.alloc(1) = 2;
//! });
//! ```
//!
//! A reference to a value in an arena that drops its values does not outlive a reset:
//!
//! ```compile_fail,E0502
//! let mut arena = millpond::DropArena::new();
//! let name = arena.alloc(String::from("gone"));
//! arena.reset(); // error
//! # // instead: arena.alloc(String::new());
//! name.push('!');
//! ```
//!
//! The same applies to slices, and what their values refer to must outlive the arena:
//!
//! ```compile_fail,E0502
//! let mut arena = millpond::DropArena::new();
//! let names = arena.alloc_iter(["one", "two"].map(String::from));
//! arena.reset(); // error
//! # // instead: arena.alloc(String::new());
//! names[0].push('!');
//! ```
//!
//! ```compile_fail,E0597
//! struct Loud<'a>(&'a str);
//! impl Drop for Loud<'_> {
//!     fn drop(&mut self) {
//!         println!("{}", self.0);
//!     }
//! }
//!
//! let arena = millpond::DropArena::new();
//! let text = String::from("gone");
//! arena.alloc_iter([Loud(&text)]); // error
//! # // instead: arena.alloc_iter([Loud("stays")]);
//! ```
//!
//! An arena that runs no destructors rejects slices of values that have one:
//!
//! ```compile_fail,E0080
//! use millpond::ArenaAlloc;
//!
//! millpond::Arena::new().alloc_iter(["one", "two"].map(String::from)); // error
//! # // instead: millpond::Arena::new().alloc_iter(["one", "two"]);
//! ```
//!
//! A pool with caches is for several threads, so its parent must be `Sync`, and what its handles hold must be `Send`:
//!
//! ```compile_fail,E0277
//! use std::rc::Rc;
//!
//! use millpond::{Heap, Pool};
//!
//! let pool = Pool::<u32>::builder().parent(Rc::new(Heap)).build_cached(); // error
//! # // instead: let pool = Pool::<u32>::builder().parent(std::sync::Arc::new(Heap)).build_cached();
//! ```
//!
//! ```compile_fail,E0277
//! use millpond::{CachedPool, SharedPool};
//!
//! static POOL: CachedPool<std::rc::Rc<u32>> = SharedPool::builder().build_cached();
//!
//! let counted = POOL.alloc(std::rc::Rc::new(1));
//! std::thread::spawn(move || drop(counted)); // error
//! # // instead: drop(counted);
//! ```
//!
//! A pool for one thread cannot be a `static`:
//!
//! ```compile_fail,E0277
//! static POOL: millpond::Pool<u32> = millpond::Pool::builder().build(); // error
//! # // instead: static POOL: millpond::SharedPool<u32> = millpond::Pool::builder().build_shared();
//! ```
//!
//! ```compile_fail,E0277
//! static POOL: millpond::ThinPool<u32> = millpond::ThinPool::new(); // error
//! # // instead: thread_local!(static POOL: millpond::ThinPool<u32> = millpond::ThinPool::new());
//! ```
//!
//! A collection with keys is `Sync` only if its values are, and `Send` only if its parent is:
//!
//! ```compile_fail,E0277
//! let mut slots = millpond::Slots::new();
//! let key = slots.insert(std::cell::Cell::new(1));
//! std::thread::scope(|scope| {
//!     scope.spawn(|| slots[key].set(2)); // error
//! #     // instead: slots[key].set(2);
//! });
//! ```
//!
//! ```compile_fail,E0277
//! use std::rc::Rc;
//!
//! use millpond::{Heap, Slots};
//!
//! let slots = Slots::<u32, _>::new_in(Rc::new(Heap));
//! std::thread::spawn(move || drop(slots)); // error
//! # // instead: drop(slots);
//! ```
//!
//! References into a collection and its iterators end before it can be changed:
//!
//! ```compile_fail,E0499
//! let mut slots = millpond::Slots::new();
//! let key = slots.insert(1);
//! let number = slots.values_mut().next();
//! slots.remove(key); // error
//! # // instead: number.as_deref();
//! drop(number);
//! ```
//!
//! ```compile_fail,E0499
//! let mut slots = millpond::Slots::new();
//! let key = slots.insert(1);
//! let number = &mut slots[key];
//! slots.remove(key); // error
//! # // instead: *number = 3;
//! *number = 2;
//! ```
//!
//! ```compile_fail,E0499
//! let mut slots = millpond::Slots::new();
//! slots.insert(1);
//! let drain = slots.drain();
//! slots.clear(); // error
//! # // instead: drain.len();
//! drop(drain);
//! ```
//!
//! A shared collection can be sent to another thread only if its values can:
//!
//! ```compile_fail,E0277
//! let slots = millpond::SharedSlots::new();
//! slots.insert(std::rc::Rc::new(1));
//! std::thread::spawn(move || drop(slots)); // error
//! # // instead: drop(slots);
//! ```
//!
//! An entry may be the last reader of a value, in which case it drops the value:
//!
//! ```compile_fail,E0277
//! use std::sync::Mutex;
//!
//! static LOCK: Mutex<u32> = Mutex::new(0);
//!
//! let slots = millpond::SharedSlots::new();
//! let key = slots.insert(LOCK.lock());
//! let entry = slots.get(key);
//! std::thread::scope(|scope| {
//!     scope.spawn(move || drop(entry)); // error: it might be unlocked by another thread
//! #     // instead: drop(entry);
//! });
//! ```
