//! Tests of the trace format through the crate's public face.

mod round_trip;
