//! Statistics of an allocator for C: everything that the library knows, in one structure.

use millpond::{Inspect, observe::PoolStats};

use crate::{
    abi::{MP_UNKNOWN, mp_stats},
    versioned_struct::VersionedStruct,
};

// SAFETY: the type is `repr(C)`, begins with its size, and consists of integers.
unsafe impl VersionedStruct for mp_stats {}

impl mp_stats {
    /// Statistics of which nothing is known.
    pub(crate) const UNKNOWN: Self = Self {
        struct_size: size_of::<Self>(),
        chunks: MP_UNKNOWN,
        held: MP_UNKNOWN,
        live: MP_UNKNOWN,
        free: MP_UNKNOWN,
        largest_free: MP_UNKNOWN,
        holes: MP_UNKNOWN,
        live_blocks: MP_UNKNOWN,
        live_bytes: MP_UNKNOWN,
        peak_blocks: MP_UNKNOWN,
        peak_bytes: MP_UNKNOWN,
        total_blocks: MP_UNKNOWN,
        total_bytes: MP_UNKNOWN,
        failed: MP_UNKNOWN,
        left: MP_UNKNOWN,
    };

    /// Collects the statistics of an allocator.
    pub(crate) fn take(inspect: &dyn Inspect) -> Self {
        let PoolStats { chunks, held, live, free } = inspect.stats();
        let mut stats = Self { chunks, held, live, free, ..Self::UNKNOWN };
        stats.largest_free = inspect.largest_free().unwrap_or(MP_UNKNOWN);
        stats.holes = inspect.holes().map_or(MP_UNKNOWN, |holes| holes.count);
        let report = inspect.report();
        stats.live_blocks = report.live_blocks.unwrap_or(MP_UNKNOWN);
        stats.left = report.left.unwrap_or(MP_UNKNOWN);
        if let Some(counts) = report.counts {
            (stats.live_blocks, stats.live_bytes) = (counts.live.blocks, counts.live.bytes);
            (stats.peak_blocks, stats.peak_bytes) = (counts.peak.blocks, counts.peak.bytes);
            (stats.total_blocks, stats.total_bytes) = (counts.total.blocks, counts.total.bytes);
            stats.failed = counts.failed;
        }
        stats
    }
}
