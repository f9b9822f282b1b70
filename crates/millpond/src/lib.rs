//! Memory pools that compose: **every pool takes a parent allocator and is itself an allocator.**
//!
//! ```
//! use core::alloc::Layout;
//! use millpond::{Allocator, Blocks, Fixed, Linear, Local};
//!
//! // Blocks of 64 bytes, cut from chunks that come from a bump arena, which grows from the heap.
//! let arena = Local::new(Linear::new());
//! let pool = Local::new_in(Blocks::<Fixed<64>>::new(), &arena);
//! let layout = Layout::new::<[u64; 8]>();
//! let block = pool.allocate(layout)?;
//! // SAFETY: the block is live, was handed out by this pool, for this layout.
//! unsafe { pool.deallocate(block.cast(), layout) };
//! # Ok::<(), millpond::AllocError>(())
//! ```
//!
//! # The rooms
//!
//! Memory flows one way. Each room is a folder of this crate, and imports point left only.
//!
//! ```text
//! base ◄─ contract ◄─┬─ source ◄─┐
//!         the traits │  where it │
//!                    │  comes from
//!                    └─ pool ◄───┴─ guard ◄─── share ◄──────── face
//!                       how it      what is    who may hold it  how a person
//!                       is cut      watched    and its parent   holds it
//! ```
//!
//! * A [`RawPool`] is a pure data structure that cuts *chunks* into *blocks*: [`Blocks`],
//!   [`Classes`], [`Tlsf`], [`SignPost`], [`Buddy`], [`Linear`], [`Stack`].
//! * A *source* is where memory comes from: [`Heap`], [`Pages`], [`TunedPages`], [`Reserved`], [`Buffer`],
//!   [`StaticBuffer`].
//! * A *guard* wraps a pool or an allocator and has one job: [`Limit`], [`Stats`], [`Counted`], [`FailNth`],
//!   [`Observe`]; or it chooses between two: [`Fallback`], [`Segregate`]; or it finds misuse of blocks: [`Checked`],
//!   [`Tracked`], [`Canary`], [`Quarantine`], [`Poison`], [`Zeroed`].
//! * A *shell* owns a pool and its parent and decides who may hold it: [`Owned`] (`&mut self`), [`Local`] (`&self`,
//!   one thread), [`Locked`] (any thread), [`Cached`] (many threads, with a cache for each). All but the first are
//!   [`Allocator`]s again, hence parents again. Three are pools and shells in one, without a lock: [`LockFree`],
//!   [`AtomicLinear`], [`Inbox`].
//! * A *face* is typed and safe: [`Pool`], [`SharedPool`] and their handles, [`Arena`], [`Slots`].
//!
//! So a type reads as a sentence: `Local<Blocks>`, `Locked<Classes, Pages>`, `Local<Linear, &Locked<Blocks>>`,
//! `Locked<Limit<Stats<Blocks>>>`. When memory runs out, a shell returns an error, or does what its [`Policy`] says.
//!
//! # Features
//!
//! | feature | what it brings |
//! |---|---|
//! | `std` (default) | `alloc`, [`Pages`], [`TunedPages`], [`Reserved`] and [`Region`], yielding while a lock is waited for |
//! | `alloc` | [`Heap`], and `Rc`, `Arc` and `Box` as parents |
//! | `allocator-api2-02`, `allocator-api2-04`, `nightly` | [`interop`] with other people's collections and allocators |
//! | `log`, `tracing` | events for growth, exhaustion, trim and misuse, target `millpond`; whoever writes them down must not allocate from the pool that they are about |
//! | `valgrind`, `asan` | `Visible`: lets valgrind and AddressSanitizer see the blocks of a pool |
//! | `serde` | figures and pictures of pools can be serialized |
//! | `testing` | the module `testing`: does an allocator keep the contract? |
//!
//! Without features the crate is `no_std` and needs nothing but `lock_api`.

#![no_std]
#![cfg_attr(feature = "nightly", feature(allocator_api))]
#![cfg_attr(not(feature = "std"), allow(rustdoc::broken_intra_doc_links))]

#[cfg(any(feature = "alloc", test))]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod base;
mod contract;
mod face;
mod guard;
mod pool;
mod share;
mod source;
#[cfg(feature = "testing")]
pub mod testing;

pub use base::AllocError;
#[cfg(feature = "alloc")]
pub use contract::Map;
pub use contract::{
    Allocator, Amount, Canvas, Cause, Chunk, ChunkPicture, ChunkRequest, Complaint, Counts, Difference,
    Figures, Flaw, Holes, Inspect, Misuse, Picture, RawPool, Reclaim, Report, Reporter, Reserve, Rewind,
    Sites, Snapshot, Surrender, Usage,
};
pub use face::interop;
pub use face::{
    ArcPool, Arena, Builder, Ceiling, Countable, Drain, DropArena, Intervals, Key, Limited, Pool, PoolArc,
    PoolBox, PoolRc, PoolRef, PoolWeak, RcPool, SharedPool, Slots, Unlimited,
};
#[cfg(target_has_atomic = "64")]
pub use face::{Entry, SharedSlots};
#[cfg(any(feature = "valgrind", feature = "asan"))]
pub use guard::Visible;
#[cfg(feature = "alloc")]
pub use guard::{BySite, Checked, Line, Tracked};
pub use guard::{
    Canary, Counted, Detain, Event, FailNth, Fallback, Guard, Keeper, Limit, Observe, Observer, Poison,
    Quarantine, Segregate, Stats, Zeroed,
};
pub use pool::{
    AnySize, Blocks, Buddy, BuddyError, Classes, ClassesError, Compact, Config, Direct, Fixed, For, Front,
    Kinds, KnownKinds, KnownShape, Lifo, Linear, Magazine, Mark, Marked, Pockets, Shape, SignPost, Sorter,
    Stack, Strategy, Tlsf,
};
pub use share::{
    Abort, AtomicCount, AtomicLinear, Cached, Count, Fail, Fair, Handle, Inbox, Local, LockFree, Locked,
    Owned, Owner, PlainCount, Policy, Retry, Scope, Spin,
};
#[cfg(feature = "alloc")]
pub use source::Heap;
#[cfg(target_arch = "wasm32")]
pub use source::WasmPages;
pub use source::{Buffer, DefaultParent, Nothing, StaticBuffer};
#[cfg(all(feature = "std", any(unix, windows)))]
pub use source::{Numa, Pages, Region, Reserved, TunedPages};

/// The examples of the README, compiled with the others.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
