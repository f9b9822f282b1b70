//! Guards that count requests, blocks and bytes, and refuse requests that exceed a limit.

mod accounted;
mod accounted_pool;
mod counter;
mod engine;
mod fail;
mod limit;
mod stats;

pub use accounted::Accounted;
pub use fail::FailNth;
pub use limit::Limit;
pub use stats::{Counted, Stats};
