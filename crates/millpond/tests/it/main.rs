//! The library's integration tests, in one binary.
//!
//! Two compiler flags leave tests out where programs take long to build and to run: `--cfg in_brief` those that run the
//! whole kit on every composition, `--cfg only_threads` those that use one thread only.

#![cfg_attr(feature = "nightly", feature(allocator_api))]

mod again;
mod arena;
mod bounded;
mod bounded_collections;
#[cfg(not(only_threads))]
mod buddy;
mod cached;
mod composition;
#[cfg(not(in_brief))]
mod conformance;
mod conformance_kit;
mod contract;
#[cfg(not(any(in_brief, only_threads)))]
mod damaged;
#[cfg(feature = "log")]
mod events;
mod exhaustion;
mod forged;
mod frames;
#[cfg(not(only_threads))]
mod free_lists;
#[cfg(not(only_threads))]
mod growth;
mod guards;
mod hardened;
mod heap_maps;
#[cfg(not(in_brief))]
mod instrumented;
mod interop;
mod misuse;
mod misuse_places;
mod one_chunk;
mod oom_policy;
mod oracle;
mod overwritten;
mod pages;
mod pool_metrics;
#[cfg(all(unix, not(miri)))]
mod processes;
mod random;
mod rc;
#[cfg(not(only_threads))]
mod regions;
mod registry;
mod reserved_region;
mod shared;
mod shared_slots;
mod slots;
#[cfg(not(only_threads))]
mod small;
mod sources;
mod stack;
mod thin;
#[cfg(not(in_brief))]
mod tool_annotated;
mod tracking_parent;
mod typed_pool;
mod unwind;
mod validated;
mod values;
