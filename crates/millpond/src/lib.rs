//! Memory pools that compose: **every pool takes a parent allocator and is itself an allocator.**
//!
//! ```
//! use millpond::{Inspect, Linear, Local, Pool};
//!
//! // A pool of values, in chunks that come from a bump arena, which grows from the heap.
//! let arena = Local::new(Linear::new());
//! let pool = Pool::builder().parent(&arena).build();
//! let mut node = pool.alloc([0u64; 8]); // owns its value, as `Box` does
//! node[0] = 1;
//! assert_eq!(pool.stats().live, 64);
//! drop(node); // its block returns to the pool, and is the next one handed out
//! assert_eq!(pool.stats().live, 0);
//! ```
//!
//! ```text
//!   where it comes from          how it is carved         what is watched         who may use it
//!   source                       pool                     guard                   shell
//!
//!   Heap   Pages   Buffer        Blocks   Linear          Limit   Stats           Owned    &mut self
//!   ReservedRegion               Classes  Tlsf            Observe Fallback …      Local    one thread
//!   StaticBuffer                 Buddy …                                          Locked   any thread
//!                                                                                 Cached   any thread, fast
//!         ▲                                                                          │
//!         └────────── a shell is an allocator again, and so can be a parent ◄────────┘
//! ```
//!
//! A type reads like a description: `Locked<Limit<Tlsf>, Pages>` is a TLSF pool with a limit, behind a lock, on pages
//! of the operating system.
//!
//! The [`guide`] has a [cookbook](guide::cookbook), pages about [performance](guide::performance) and
//! [platforms](guide::platforms), small programs, and [notes on migrating](guide::migrating) from bumpalo, typed-arena,
//! slab, slotmap and object-pool.
//!
//! # Which type do I want?
//!
//! | to allocate | use |
//! |---|---|
//! | values of one type, on one thread | [`Pool<T>`](Pool); with handles of one word, [`ThinPool<T>`](ThinPool); with reference counting, [`RcPool`] |
//! | values of one type, on many threads | [`SharedPool<T>`](SharedPool); if threads allocate often, [`CachedPool<T>`](CachedPool), which has a cache per thread; with reference counting, [`ArcPool`] |
//! | to name a handle in a struct | [`PoolBox`], [`SharedBox`], [`CachedBox`], [`PoolRc`], [`PoolArc`]: see [the types](guide::cookbook#what-is-the-type-called) |
//! | values that are named by keys, refer to one another, or are stored in a struct with their pool | [`Slots<T>`](Slots); on many threads, [`SharedSlots<T>`](SharedSlots) |
//! | values that are all freed at once | [`Arena`]; with destructors, [`DropArena`] |
//! | values that live as long as a frame or a request | [`Frames`], [`ArenaPool`] |
//! | values of many types, strings, slices | [`PoolBox::new_in`], [`str_in`](PoolBox::str_in), [`slice_in`](PoolBox::slice_in) on a `Local<Classes>` |
//! | a `HashMap` or a `Vec` | any allocator, through [`interop`] |
//! | everything in a program | [`interop::Global`] |
//!
//! These types are safe and own their values. Below them is an interface of raw memory, for containers and allocators
//! of your own: a pool, in a shell, on a parent.
//!
//! ```
//! use core::alloc::Layout;
//! use millpond::{Allocator, Blocks, Fixed, Local, Pages};
//!
//! let pool = Local::new_in(Blocks::<Fixed<64>>::new(), Pages); // blocks of 64 bytes, in pages of the operating system
//! let layout = Layout::new::<[u64; 8]>();
//! let block = pool.allocate(layout)?;
//! // SAFETY: the block is live, and this pool handed it out for this layout.
//! unsafe { pool.deallocate(block.cast(), layout) };
//! # Ok::<(), millpond::AllocError>(())
//! ```
//!
//! | blocks | pool | properties |
//! |---|---|---|
//! | of one size | [`Blocks<Fixed<64>>`](Blocks), `Blocks<For<T>>`; at run time, [`Blocks::of`] | as fast as a hand-written list; with [`Magazine`] for many live blocks, with [`AddressOrdered`] to iterate in address order |
//! | of a few sizes, or all | [`Classes`] | nearly as fast; up to a fifth of a block is lost to rounding |
//! | of any size, in one region, in bounded time | [`Tlsf`] | little waste; suitable for real time |
//! | in powers of two | [`Buddy`] | aligned to their size |
//! | of any size, in a kilobyte or two | [`SignPost`] | a few words of overhead; searches all holes |
//! | that are all freed at once | [`Linear`]; in nested scopes, [`Stack`] | a few instructions; reset in constant time |
//!
//! | used by | shell |
//! |---|---|
//! | one owner | [`Owned`] |
//! | everything on one thread | [`Local`] |
//! | threads that rarely contend, any pool | [`Locked`] |
//! | threads that allocate often | [`Cached`], for `Blocks` and `Classes` |
//! | threads that must not wait, signal handlers | [`LockFree`], [`AtomicLinear`] |
//! | one thread that allocates, others that free | [`RemoteFree`] |
//!
//! | memory from | parent |
//! |---|---|
//! | the heap | [`Heap`], which is the default |
//! | the operating system | [`Pages`]; huge pages, guard pages or a NUMA node: [`TunedPages`]; one range that grows without moving: [`ReservedRegion`] |
//! | existing memory | [`Buffer`], [`StaticBuffer`] |
//! | the end of a WebAssembly module's memory | `WasmPages` |
//! | another pool | a reference to it |
//!
//! Every pool reports its memory use, as metrics and as a heap map ([`Inspect`]); a [`Registry`] lists pools by name.
//!
//! | to | guard, around any of these |
//! |---|---|
//! | bound, count or observe | [`Limit`], [`Stats`], [`Counted`], [`Observe`] |
//! | use another allocator when memory runs out, or by size | [`Fallback`], [`Segregator`] |
//! | find double frees, leaks, overflows, use after free | [`Checked`], [`Tracked`], [`Canary`], [`Quarantine`], [`Poison`] |
//! | erase secrets | [`Zeroed`] |
//! | withstand attacks | [`Hardened`](pool::Hardened), [`HardenedClasses`](pool::HardenedClasses), with everything around them: [`secure`] |
//! | test what happens when memory runs out | [`FailNth`] |
//!
//! # Use something else when
//!
//! * **a program only makes a handful of allocations.** `Box` and `Vec` are fine. `millpond try` measures what any
//!   program would gain from pools.
//! * **you want a faster malloc without changing the code**: mimalloc, or jemalloc.
//! * **you want vectors and strings in an arena, without features or adapters**: bumpalo has its own.
//! * **you mostly iterate over all values**: a `Vec`, or the `DenseSlotMap` of slotmap, which keep them contiguous.
//! * **you want to reuse objects, with their grown buffers, rather than memory**: object-pool.
//! * **handles must keep their pool alive and have no lifetime**: infinity_pool, which counts references.
//! * **attackers choose what you allocate**: not the plain pools, whose free blocks hold addresses, but those of
//!   [`secure`], or a whole program on a hardened malloc.
//! * **the crate must have passed Miri**: bumpalo has. This crate has not; `SAFETY.md` describes what it does instead.
//!
//! # Where to read on
//!
//! The contracts are documented with their traits: [`Allocator`] for what hands out memory, [`RawPool`] for what carves
//! blocks, [`Inspect`] and [`Reclaim`] for inspecting a pool and reclaiming memory, [`OomPolicy`] for what happens when
//! memory runs out.
//!
//! # Features
//!
//! | feature | enables |
//! |---|---|
//! | `std` (default) | `alloc`, [`Registry`], on Unix and Windows [`Pages`], [`TunedPages`], [`ReservedRegion`] and [`MappedRegion`], yielding while waiting for a lock |
//! | `alloc` | [`Heap`], and `Rc`, `Arc` and `Box` as parents |
//! | `allocator-api2-02`, `allocator-api2-04`, `nightly` | [`interop`] with collections and allocators of other crates |
//! | `metrics` | [`Registry`] reports metrics to the recorder of that crate |
//! | `log`, `tracing` | events for growth, exhaustion, trim and misuse, target `millpond`; a subscriber must not allocate from the pool that an event is about |
//! | `valgrind`, `asan` | `ToolAnnotated`: makes the blocks of a pool visible to valgrind and AddressSanitizer |
//! | `serde` | metrics and heap maps can be serialized |
//! | `testing` | the module `testing`: tests whether an allocator upholds the contract |
//!
//! Without features the crate is `no_std` and depends only on `lock_api`.
//!
//! [`AddressOrdered`]: pool::AddressOrdered
//! [`AtomicLinear`]: shell::AtomicLinear
//! [`CachedBox`]: typed::CachedBox
//! [`Canary`]: guard::Canary
//! [`Checked`]: guard::Checked
//! [`Counted`]: guard::Counted
//! [`FailNth`]: guard::FailNth
//! [`Fallback`]: guard::Fallback
//! [`Limit`]: guard::Limit
//! [`MappedRegion`]: source::MappedRegion
//! [`Observe`]: guard::Observe
//! [`OomPolicy`]: oom::OomPolicy
//! [`Poison`]: guard::Poison
//! [`Quarantine`]: guard::Quarantine
//! [`RawPool`]: raw::RawPool
//! [`Registry`]: observe::Registry
//! [`RemoteFree`]: shell::RemoteFree
//! [`ReservedRegion`]: source::ReservedRegion
//! [`Segregator`]: guard::Segregator
//! [`SharedBox`]: typed::SharedBox
//! [`Stats`]: guard::Stats
//! [`Tracked`]: guard::Tracked
//! [`TunedPages`]: source::TunedPages
//! [`Zeroed`]: guard::Zeroed

#![no_std]
// The libraries never panic and never print. Their tests may: see clippy.toml.
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::print_stdout,
    clippy::print_stderr
)]
#![cfg_attr(feature = "nightly", feature(allocator_api))]
#![cfg_attr(not(feature = "std"), allow(rustdoc::broken_intra_doc_links))]

#[cfg(any(feature = "alloc", test))]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

pub mod arena;
mod base;
pub mod guard;
pub mod interop;
pub mod observe;
pub mod pool;
pub mod shell;
pub mod slots;
pub mod source;
mod sync;
#[cfg(feature = "testing")]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests for the allocators of users fail as tests do"
)]
pub mod testing;
mod traits;
pub mod typed;

/// Locks for [`Locked`] and [`SharedPool`]; any `lock_api::RawMutex` can take their place.
pub mod lock {
    #[cfg(feature = "std")]
    pub use crate::sync::ParkingLock;
    pub use crate::sync::{DefaultLock, SpinLock, TicketLock};
}

/// The interface between a pool and its shell, for those who write a pool.
///
/// A [`RawPool`](raw::RawPool) carves blocks from chunks and has neither a parent nor a lock. A shell, such as
/// [`Local`], adds both. The module `testing` (feature `testing`) tests whether a pool upholds the contract.
pub mod raw {
    pub use crate::traits::{
        Allocation, AtFork, Chunk, ChunkRequest, Live, PendingReport, PoolHooks, RawPool, Release, Reserve,
        Rewind,
    };
}

#[cfg(feature = "alloc")]
#[doc(inline)]
pub use arena::ArenaPool;
#[doc(inline)]
pub use arena::{Arena, ArenaAlloc, DropArena, Frames};
pub use base::AllocError;
#[doc(inline)]
pub use pool::{Blocks, Buddy, Classes, Fixed, For, Linear, Magazine, SignPost, Stack, Tlsf};
#[cfg(all(feature = "std", any(unix, windows)))]
#[doc(inline)]
pub use shell::secure;
#[doc(inline)]
pub use shell::{Cached, Local, LockFree, Locked, Owned, oom};
#[cfg(target_has_atomic = "64")]
#[doc(inline)]
pub use slots::SharedSlots;
#[doc(inline)]
pub use slots::{Key, Slots};
#[cfg(feature = "alloc")]
#[doc(inline)]
pub use source::Heap;
#[cfg(all(feature = "std", any(unix, windows)))]
#[doc(inline)]
pub use source::Pages;
#[doc(inline)]
pub use source::{Buffer, StaticBuffer};
pub use traits::{Allocator, Inspect, Reclaim};
#[doc(inline)]
pub use typed::{ArcPool, CachedPool, Pool, PoolArc, PoolBox, PoolRc, RcPool, SharedPool, ThinPool};
// Items that the macro `unsize!` names.
#[doc(hidden)]
pub use typed::{Unsized as __Unsized, coerce as __coerce};

#[cfg(doc)]
pub mod guide {
    #![doc = include_str!("../docs/guide.md")]

    pub mod cookbook {
        #![doc = include_str!("../docs/cookbook.md")]
        use crate::{
            arena::*, guard::*, lock::*, observe::*, oom::*, pool::*, raw::*, shell::*, slots::*, source::*,
            typed::*, *,
        };
    }

    pub mod performance {
        #![doc = include_str!("../docs/performance.md")]
        use crate::{
            arena::*, guard::*, lock::*, observe::*, oom::*, pool::*, raw::*, shell::*, slots::*, source::*,
            typed::*, *,
        };
    }

    pub mod platforms {
        #![doc = include_str!("../docs/platforms.md")]
        use crate::{
            arena::*, guard::*, lock::*, observe::*, oom::*, pool::*, raw::*, shell::*, slots::*, source::*,
            typed::*, *,
        };
    }

    pub mod migrating {
        #![doc = include_str!("../docs/migrating.md")]
        use crate::{
            arena::*, guard::*, lock::*, observe::*, oom::*, pool::*, raw::*, shell::*, slots::*, source::*,
            typed::*, *,
        };
    }

    /// How the parts of Millpond work, and why: questions and answers by topic.
    pub mod design {
        pub mod shells {
            #![doc = include_str!("../docs/design/shells.md")]
        }

        pub mod blocks {
            #![doc = include_str!("../docs/design/blocks.md")]
        }

        pub mod cached {
            #![doc = include_str!("../docs/design/cached.md")]
        }

        pub mod lock_free {
            #![doc = include_str!("../docs/design/lock_free.md")]
        }

        pub mod slots {
            #![doc = include_str!("../docs/design/slots.md")]
        }

        pub mod typed {
            #![doc = include_str!("../docs/design/typed.md")]
        }

        pub mod guards {
            #![doc = include_str!("../docs/design/guards.md")]
        }

        pub mod c_abi {
            #![doc = include_str!("../docs/design/c_abi.md")]
        }

        pub mod recorder {
            #![doc = include_str!("../docs/design/recorder.md")]
        }
    }
}

/// The examples of the crate's README, compiled with the others. `cargo xtask tidy` compares them with those of the
/// repository's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
