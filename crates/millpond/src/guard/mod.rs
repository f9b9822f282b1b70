//! Guards: wrappers with one job each, in any order, at no cost if not used.
//!
//! A guard goes around a pool, inside a shell, or around an allocator:
//!
//! ```
//! use core::alloc::Layout;
//! use millpond::{Allocator, Blocks, Fixed, Heap, Inspect, Local, Locked, guard::{Limit, Stats}};
//!
//! // At most three blocks, counted without atomics because the shell's lock is held.
//! let pool = Locked::<_>::new(Limit::blocks(Stats::new(Blocks::<Fixed<64>>::new()), 3));
//! let layout = Layout::new::<[u64; 8]>();
//! let taken = core::iter::from_fn(|| pool.allocate(layout).ok()).count();
//! let counts = pool.report().counts.expect("one of the guards counts");
//! assert_eq!((taken, counts.live.bytes, counts.failed), (3, 3 * 64, 0));
//!
//! // At most a mebibyte of the heap for this pool's chunks.
//! let pool = Local::new_in(Blocks::<Fixed<64>>::new(), Limit::bytes(Heap, 1 << 20));
//! while pool.allocate(layout).is_ok() {}
//! assert_eq!(pool.stats().held, 1 << 20);
//! ```
//!
//! | guard | job | around |
//! |---|---|---|
//! | [`Limit`] | limits live bytes or blocks | pools, allocators |
//! | [`Stats`] | counts live and past blocks and bytes, and failures | pools, allocators |
//! | [`Counted`] | counts live blocks | pools, allocators |
//! | [`FailNth`] | fails requests on purpose, for tests | pools, allocators |
//! | [`Segregator`] | sends small requests to one, large ones to another | pools, allocators |
//! | [`Fallback`] | sends what the first cannot serve to the second | pools, allocators |
//! | [`Observe`] | calls back on every event | allocators |
//! | `Checked` (feature `alloc`) | detects and prevents invalid frees, reports leaks | pools, allocators |
//! | `Tracked` (feature `alloc`) | the same, and records where blocks were allocated and first freed | allocators, pools |
//! | [`Canary`] | detects writes past the end of a block, or in front of it | pools, allocators |
//! | [`Quarantine`] | holds freed blocks back, detects writes to them | pools, allocators |
//! | [`Poison`] | fills new and freed blocks with patterns | pools, allocators |
//! | [`Zeroed`] | erases freed blocks | pools, allocators |
//! | `ToolAnnotated` (features `valgrind`, `asan`) | makes blocks visible to valgrind and AddressSanitizer | pools, allocators |
//!
//! An [`Observer`] cannot be called from inside a pool, because there the shell's borrow or lock is held. Around a
//! shell it sees blocks, around the shell's parent it sees chunks.
//!
//! The order of two guards matters if one refuses what the other counts: `Stats<Limit<…>>` counts refusals as failures,
//! `Limit<Stats<…>>` does not let `Stats` see them.

mod accounting;
mod bytes;
mod observe;
mod quarantine;
mod routing;

pub use crate::traits::CallSites;
pub use accounting::{Accounted, Counted, FailNth, Limit, Stats};
#[cfg(any(feature = "valgrind", feature = "asan"))]
pub use bytes::ToolAnnotated;
pub use bytes::{Canary, Instrumented, Poison, Zeroed};
#[cfg(feature = "alloc")]
pub use bytes::{Checked, SiteReport, SiteStats, Tracked};
pub use observe::{Event, Observe, Observer};
pub use quarantine::{DelayedFree, Quarantine};
pub use routing::{Fallback, Routed, Segregator};

/// The byte with which [`Poison`] and [`Quarantine`] fill freed blocks.
const FREED: u8 = 0xDF;
