//! Tests of the trace format through the crate's public interface.

mod analysis;
mod archive;
mod damage;
mod forged;
mod memory;
mod narrow;
mod round_trip;
mod summary;
mod support;
mod tables;
mod writer;

#[global_allocator]
static METER: memory::Meter = memory::Meter;
