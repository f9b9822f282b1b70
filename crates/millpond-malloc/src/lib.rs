//! A `malloc` that detects double, invalid, interior and unaligned frees.
//!
//! As the global allocator of a Rust program:
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: millpond_malloc::MillpondAlloc = millpond_malloc::MillpondAlloc;
//!
//! let numbers: Vec<u32> = (0..100).collect();
//! assert_eq!(numbers.iter().sum::<u32>(), 4950);
//! ```
//!
//! For programs in other languages, `libmillpond_malloc.so` exports `malloc`, `free` and all others of that family; it
//! works with `LD_PRELOAD` or linked to the program.
//!
//! # Modes
//!
//! The environment variable `MILLPOND_MALLOC` chooses what is checked:
//!
//! | mode | ends the program at | instructions for `malloc(64)` and `free` (with the loop around them) |
//! |---|---|---|
//! | `fast` | frees of addresses in the heap where no blocks are | 40 |
//! | `checked` (default) | double, invalid, interior and unaligned frees | 52 |
//! | `light` | also frees outside of the heap, by a wrong function, with a wrong size | 96 |
//! | `full` | also overflows and writes after free | 475 |
//!
//! What is detected ends the program, with one line on standard error that names the address, the size and the kind.
//! From the mode `checked` on this is exact, also across threads, with three exceptions. A block is known to be free
//! until its memory is handed out again. In the modes `checked` and `light`, two threads that free the same block of at
//! most 32 KiB at the same moment may both succeed. In the mode `checked`, an address outside of the heap is passed on to
//! the C library, which may have allocated it before this library was loaded, and which notices most addresses that it
//! has not allocated; the hardened modes `light` and `full` end the program.
//!
//! The hardened modes are for programs that read what others send. What they do against which attack, and what they do
//! not, is in `SECURITY.md` of the repository. In `full`, `malloc_usable_size` is exactly what was requested, memory is
//! always zeroed when it is handed out, and its contents are gone when it is freed.
//!
//! # Design
//!
//! One reservation of address space holds all blocks, in units of 16 KiB. A *span* of units has blocks of one of 40
//! size classes; a larger block is a run of units. Free blocks are held, in this order, by
//!
//! * the *magazine* of the thread and class, an array that the thread fills and empties without synchronisation;
//! * a full spare magazine of the thread;
//! * the *depot* of the class, full magazines behind a lock, up to 64 KiB;
//! * their spans, as bits.
//!
//! Everything that describes blocks lies outside of them, in tables beside the region: a write past the end of a block
//! cannot change what the heap believes. In the mode `checked` a table has one byte for every 16 bytes: the class of
//! the live block that begins there, or 0. Freeing needs that byte in any case, to find the class; so the check is a
//! store of 0 in `free` and a store of the class in `malloc`.
//!
//! From 4 MiB on, the region may have huge pages, where the system permits (`/sys/kernel/mm/transparent_hugepage`).
//! Every half second, free units that were not needed in that time are returned to the system, as are those beyond
//! 32 MiB, or beyond an eighth of what is in use; those beyond four times that limit are returned at once. Both happen
//! when a thread returns units: a program that does nothing keeps what it has.
//!
//! In the hardened modes the byte of a live block also holds the family of functions that allocated it, and blocks leave
//! their spans in random order. Larger blocks are surrounded by guard pages, which Linux marks without a mapping for each
//! (`MADV_GUARD_INSTALL`). In `full` a block ends with a canary; a freed one is erased and waits among up to 128 others
//! of its class, which each thread has; one that is handed out is checked for zeros.
//!
//! Sources: Bonwick, Adams, "Magazines and Vmem" (USENIX 2001); Knuth, "The Art of Computer Programming" 1, 2.5
//! (boundary tags); Leijen, Zorn, de Moura, "Mimalloc" (2019).
//!
//! # Platforms
//!
//! Linux on x86-64 with glibc. Elsewhere this crate is empty.
#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]

pub mod c;
mod cache;
mod call;
mod canary;
mod classes;
mod depot;
mod descriptor;
mod foreign;
mod fork;
mod format;
mod full;
mod global;
mod guard;
mod guarded;
mod hardened;
mod heap;
mod large;
mod magazine;
mod misuse;
mod object;
mod os;
mod pointer;
mod quarantine;
mod random;
mod record;
mod region;
mod settings;
mod shared;
mod span;
mod stats;
mod thread;
mod unit;
mod zeros;

pub use format::Format;
pub use global::MillpondAlloc;
pub use record::Family;
pub use settings::Mode;
pub use stats::{ClassStats, Stats, by_class, stats};
