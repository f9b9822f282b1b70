//! The library's integration tests, in one binary.
//!
//! Two flags of the compiler leave some out where programs take long to build and to run: `--cfg in_brief` those that play
//! the whole kit on every composition, `--cfg only_threads` those that have one thread.

#![cfg_attr(feature = "nightly", feature(allocator_api))]

mod again;
mod bounded;
#[cfg(not(only_threads))]
mod buddy;
mod cached;
mod composition;
#[cfg(not(in_brief))]
mod conformance;
mod contract;
#[cfg(not(any(in_brief, only_threads)))]
mod damaged;
#[cfg(feature = "log")]
mod events;
mod face_arena;
mod face_counted;
mod face_frames;
mod face_interop;
mod face_pool;
mod face_shared_slots;
mod face_slots;
mod face_thin;
mod faults;
mod figures;
mod forged;
#[cfg(not(only_threads))]
mod growth;
mod guards;
#[cfg(not(in_brief))]
mod keepers;
mod kit;
mod marked;
mod misuse;
mod misuse_places;
mod one_chunk;
mod oracle;
mod overwritten;
mod pages;
mod parents;
mod pictures;
mod policy;
#[cfg(all(unix, not(miri)))]
mod processes;
mod random;
#[cfg(not(only_threads))]
mod regions;
mod registry;
mod reserved;
mod shared;
#[cfg(not(only_threads))]
mod small;
mod sources;
mod stack;
#[cfg(not(only_threads))]
mod strategies;
mod unwind;
mod values;
#[cfg(not(in_brief))]
mod visible;
