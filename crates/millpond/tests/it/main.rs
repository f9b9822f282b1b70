//! The library's integration tests, in one binary.

mod buddy;
mod composition;
mod contract;
mod faults;
mod growth;
mod oracle;
mod pages;
mod parents;
mod random;
mod regions;
mod reserved;
mod sources;
mod stack;
mod strategies;
