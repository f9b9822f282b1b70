//! The library's integration tests, in one binary.

mod buddy;
mod composition;
mod contract;
mod oracle;
mod parents;
mod random;
mod regions;
mod sources;
mod strategies;
