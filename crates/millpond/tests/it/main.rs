//! The library's integration tests, in one binary.

#![cfg_attr(feature = "nightly", feature(allocator_api))]

mod buddy;
mod cached;
mod composition;
mod conformance;
mod contract;
#[cfg(feature = "log")]
mod events;
mod face_arena;
mod face_frames;
mod face_interop;
mod face_pool;
mod face_slots;
mod faults;
mod figures;
mod growth;
mod guards;
mod keepers;
mod kit;
mod marked;
mod misuse;
mod oracle;
mod pages;
mod parents;
mod pictures;
mod policy;
#[cfg(all(unix, not(miri)))]
mod processes;
mod random;
mod regions;
mod registry;
mod reserved;
mod shared;
mod sources;
mod stack;
mod strategies;
mod visible;
