//! Watching pools while a program runs.

mod intervals;

pub use intervals::Intervals;
