//! Tests for allocators, those of this crate and yours: do they uphold the contract of [`Allocator`](crate::Allocator)?
//!
//! ```
//! use millpond::{Linear, Local, testing};
//!
//! // Every sentence of the contract, and random sequences of operations, each on a new allocator.
//! testing::conformance(|| Local::new(Linear::new()));
//! ```
//!
//! * [`conformance`] runs all tests against any allocator; with a [`Conformance`] you can declare more about it, so
//!   that more is tested.
//! * [`out_of_memory`] fails each request of a pool to its parent in turn.
//! * [`Stress`] lets several threads use an allocator at once, in four ways and all of them mixed.
//! * [`Oracle`] checks what an allocator does in a test of your own, and [`TrackingParent`] is a parent that detects
//!   leaks.
//!
//! All of them panic with a message if something is wrong. A random sequence that fails is shortened as far as possible
//! and printed with its seed.
//!
//! | bug found elsewhere | where it is tested |
//! |---|---|
//! | wrong length or bounds when a block is resized | `growing_and_shrinking_keep_the_contents`, the sequences |
//! | capacity taken for length | `every_byte_returned_is_the_holders` |
//! | over-alignment | `blocks_are_as_aligned_as_asked` |
//! | reads of uninitialized memory | `zeroed_blocks_are_zero_where_others_were`, `grow_zeroed_clears_the_excess` |
//! | zero-sized requests | `requests_of_no_bytes_touch_nothing` |
//! | shrinking to a larger alignment | `resizing_may_raise_the_alignment` |
//! | provenance narrowed by the owner | `a_block_comes_back_whole_from_its_first_byte` |
//! | sizes that overflow | `impossible_sizes_are_refused` |
//! | use after free through a lifetime, missing `Send` and `Sync` bounds, safe functions over raw memory | examples that must not compile: below, [`Local`](crate::Local), [`OomPolicy`](crate::oom::OomPolicy), [`Reclaim`](crate::Reclaim) |
//!
//! A pool does not outlive its parent:
//!
//! ```compile_fail
//! use millpond::{Blocks, Fixed, Linear, Local};
//!
//! let pool = {
//!     let arena = Local::new(Linear::new());
//!     Local::new_in(Blocks::<Fixed<64>>::new(), &arena) // error: the arena does not live long enough
//! #     // instead: drop(Local::new_in(Blocks::<Fixed<64>>::new(), &arena));
//! };
//! drop(pool);
//! ```
//!
//! A lock makes a pool `Sync`, but not its parent:
//!
//! ```compile_fail
//! use millpond::{Blocks, Fixed, Linear, Local, Locked};
//!
//! let arena = Local::new(Linear::new());
//! let pool: Locked<_, _> = Locked::new_in(Blocks::<Fixed<64>>::new(), &arena);
//! std::thread::scope(|scope| {
//!     scope.spawn(|| &pool); // error: the arena cannot be shared between threads
//! #     // instead: drop(&pool);
//! });
//! ```
//!
//! Functions that rely on a raw pointer cannot be called without `unsafe`:
//!
//! ```compile_fail
//! use core::{alloc::Layout, ptr::NonNull};
//! use millpond::{Allocator, Heap};
//!
//! Heap.deallocate(NonNull::dangling(), Layout::new::<u64>()); // error: requires an unsafe block
//! # // instead: unsafe { Heap.deallocate(Heap.allocate(Layout::new::<u64>()).unwrap().cast(), Layout::new::<u64>()) };
//! ```

mod checks;
mod conformance;
mod exhaustion;
mod oracle;
mod pool_checks;
mod random;
mod run;
mod sequence;
mod stress;
mod tracking_parent;

pub use conformance::{Conformance, conformance};
pub use exhaustion::out_of_memory;
pub use oracle::{Oracle, Violation};
pub use stress::Stress;
pub use tracking_parent::TrackingParent;
