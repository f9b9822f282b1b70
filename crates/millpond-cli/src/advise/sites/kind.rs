//! The advice for a site, as a decision over what was measured.

use super::{super::size_classes, measures::Measures};
use crate::{
    advise::Limits,
    trace::{Count, Request},
};

/// A site with fewer calls than this, or with less than this share of the program's calls, is not worth a change.
const LEAST_CALLS: u64 = 100;
const LEAST_SHARE: f64 = 0.002;
/// Blocks from this size on are large: a pool saves next to nothing of what using them costs.
const LARGE: u64 = 32 << 10;
/// The share of blocks that decides for most kinds.
const NEARLY_ALL: f64 = 0.9;
/// The share of the blocks of a pool of one size that have it. The others come from its parent.
const ONE_SIZE: f64 = 0.95;
/// A thread counts as one that allocates if it has at least this part of the blocks of the thread with the most.
const THREAD: f64 = 0.05;
/// Max number of live blocks per thread of a site whose blocks are buffers that can be used again.
const BUFFERS: u64 = 2;
/// Alignment of the blocks of `malloc`. Buffers and pools of one size are not advised for blocks that are aligned more.
const MALLOC_ALIGN: u32 = 16;
/// A capacity must be enough for this share of the chains, and at least this share of it used by the average chain.
const ENOUGH: f64 = 0.95;
const USED: f64 = 0.75;
/// Min number of generations of a phase that is repeated.
const PHASES: u64 = 3;
/// A site is growing if the last quarter of the recording added at least this share of what it has at the end.
const GROWING: f64 = 0.1;
/// Max number of block sizes for a site.
const SIZES: usize = 6;

/// What to do about a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Take the blocks from a pool of blocks of one size.
    OneSize { bytes: usize },
    /// Take them from a pool of blocks of several sizes.
    Classes { sizes: Vec<usize> },
    /// Take them from a pool that keeps free blocks for each thread.
    ThreadCache { sizes: Vec<usize> },
    /// Take them from a pool of the thread that allocates, to which other threads return them.
    RemoteFree { bytes: usize },
    /// Take them from an arena that is freed as a whole.
    Arena,
    /// Take them from an arena that is reset after each phase; it needs at most this many bytes.
    Frame { bytes: u64 },
    /// Use one buffer again, or the stack; this many bytes are enough nearly always.
    Reuse { bytes: u64 },
    /// Begin with this many bytes instead of growing.
    Capacity { bytes: u64 },
    /// Find out why their number keeps growing.
    Growth,
    /// Leave it alone.
    Nothing(Reason),
}

/// Why a site is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It allocates too seldom.
    Few,
    /// Its blocks are large.
    Large,
    /// Its blocks are aligned more than those of a pool.
    Aligned,
}

impl Kind {
    /// Decides about a site of a program that makes `calls` calls to its allocator.
    pub(super) fn of(measures: &Measures, calls: u64) -> Self {
        let least = LEAST_CALLS.max((calls as f64 * LEAST_SHARE) as u64);
        let threads = measures.threads(THREAD).max(1);
        let is_most = |part: u64| part as f64 >= measures.blocks as f64 * NEARLY_ALL;
        if measures.calls() < least {
            return Self::Nothing(Reason::Few);
        }
        if let Some(bytes) = capacity(measures) {
            return Self::Capacity { bytes };
        }
        if measures.blocks < LEAST_CALLS {
            return Self::Nothing(Reason::Few);
        }
        if measures.quantile(0.5) >= LARGE {
            return Self::Nothing(Reason::Large);
        }
        if is_growing(measures) {
            return Self::Growth;
        }
        if is_remote(measures) {
            return pool(measures, threads);
        }
        if measures.max_live_blocks <= BUFFERS * threads as u64 && measures.align <= MALLOC_ALIGN {
            return Self::Reuse { bytes: largest_usual(measures) };
        }
        if is_most(measures.together) && measures.generations / threads as u64 >= PHASES {
            return Self::Frame { bytes: measures.generation_bytes };
        }
        if is_most(measures.together + measures.kept) {
            return Self::Arena;
        }
        pool(measures, threads)
    }

    /// Returns the name in JSON.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::OneSize { .. } => "one_size",
            Self::Classes { .. } => "classes",
            Self::ThreadCache { .. } => "thread_cache",
            Self::RemoteFree { .. } => "remote_free",
            Self::Arena => "arena",
            Self::Frame { .. } => "frame",
            Self::Reuse { .. } => "reuse",
            Self::Capacity { .. } => "capacity",
            Self::Growth => "growth",
            Self::Nothing(_) => "none",
        }
    }

    /// Returns the name for display.
    pub(crate) fn title(&self) -> &'static str {
        match self {
            Self::OneSize { .. } => "a pool of one size",
            Self::Classes { .. } => "a pool of several sizes",
            Self::ThreadCache { .. } => "a pool with a cache for each thread",
            Self::RemoteFree { .. } => "a pool of one thread",
            Self::Arena => "an arena",
            Self::Frame { .. } => "an arena for each phase",
            Self::Reuse { .. } => "a buffer",
            Self::Capacity { .. } => "a capacity",
            Self::Growth => "growth",
            Self::Nothing(_) => "leave it alone",
        }
    }

    /// Returns the block sizes of the pool, if it has any.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        match self {
            Self::OneSize { bytes } | Self::RemoteFree { bytes } => vec![*bytes],
            Self::Classes { sizes } | Self::ThreadCache { sizes } => sizes.clone(),
            _ => Vec::new(),
        }
    }

    /// Returns the bytes that an arena, a buffer or a capacity needs, if the advice names any.
    pub(crate) fn bytes(&self) -> Option<u64> {
        match self {
            Self::Frame { bytes } | Self::Reuse { bytes } | Self::Capacity { bytes } => Some(*bytes),
            _ => None,
        }
    }

    /// Returns whether there is something to do.
    pub(crate) fn is_advice(&self) -> bool {
        !matches!(self, Self::Nothing(_))
    }
}

/// Returns the size at which nearly all chains end, if the site consists of chains that end at about the same size.
fn capacity(measures: &Measures) -> Option<u64> {
    let chains = &measures.chains;
    // The beginning of a chain, and its steps.
    let calls = chains.count + chains.steps;
    let are_few = chains.count < LEAST_CALLS / 2 && !chains.are_slow();
    let are_most = calls as f64 >= measures.calls() as f64 * NEARLY_ALL;
    if are_few || chains.count == 0 || !are_most || measures.align > MALLOC_ALIGN {
        return None;
    }
    let bytes = chains.quantile(ENOUGH);
    let used: f64 = chains.ends.iter().map(|(&size, &count)| size.min(bytes) as f64 * count as f64).sum();
    (used >= bytes as f64 * chains.count as f64 * USED).then_some(bytes)
}

/// Returns whether blocks are hardly ever freed, and there are more of them to the end.
fn is_growing(measures: &Measures) -> bool {
    let live = measures.live_blocks as f64;
    let quarter = measures.checkpoints[measures.checkpoints.len() - 2] as f64;
    let is_kept = live >= measures.blocks as f64 * NEARLY_ALL;
    is_kept && live - quarter >= live * GROWING
}

/// Returns a size that nearly all blocks do not exceed, however often they are resized.
fn largest_usual(measures: &Measures) -> u64 {
    if measures.chains.count > 0 {
        measures.chains.quantile(ENOUGH).max(measures.quantile(ENOUGH))
    } else {
        measures.quantile(ENOUGH)
    }
}

/// Returns whether half of the blocks or more are freed by other threads than those that allocate.
fn is_remote(measures: &Measures) -> bool {
    measures.remote_frees as f64 >= measures.blocks as f64 * 0.5
}

/// Returns the pool for blocks that are freed in any order. A pool of one thread is no advice if another thread uses any
/// of the blocks.
fn pool(measures: &Measures, threads: usize) -> Kind {
    let one_size = one_size(measures);
    if let Some(bytes) = one_size.filter(|_| is_remote(measures) && threads == 1) {
        return Kind::RemoteFree { bytes };
    }
    match (one_size, classes(measures)) {
        (_, sizes) if sizes.is_empty() => Kind::Nothing(Reason::Aligned),
        (_, sizes) if measures.is_shared => Kind::ThreadCache { sizes },
        (Some(bytes), _) => Kind::OneSize { bytes },
        (None, sizes) => Kind::Classes { sizes },
    }
}

/// Returns the size that nearly all blocks have, rounded up.
fn one_size(measures: &Measures) -> Option<usize> {
    let most = measures.sizes.iter().max_by_key(|size| (size.blocks, size.size))?;
    let is_only = most.blocks as f64 >= measures.blocks as f64 * ONE_SIZE && measures.resizes == 0;
    (is_only && measures.align <= MALLOC_ALIGN).then_some(most.size as usize)
}

/// Returns block sizes for all blocks of a site; none if they are aligned more than those of any pool.
fn classes(measures: &Measures) -> Vec<usize> {
    let counts = measures.sizes.iter().filter_map(|size| {
        let request = Request::recorded(size.size, measures.align).ok()?;
        Some(Count { request, allocations: size.blocks, live_at_peak: size.max_live })
    });
    size_classes::choose(&counts.collect::<Vec<_>>(), Limits::sensible(SIZES))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{generation::Generations, measures::SizeUse},
        *,
    };

    /// A site of blocks that each grow this often, to a size that each turn gives.
    fn grown(blocks: u64, steps: u32, end: impl Fn(u64) -> u64) -> Measures {
        let mut measures = Measures::default();
        for turn in 0..blocks {
            measures.allocate(0, 8, 0, 0);
            (0..steps).for_each(|_| measures.resize(8, end(turn)));
            measures.end_chain(steps, end(turn));
        }
        measures
    }

    #[test]
    fn a_capacity_needs_many_chains_or_many_steps() {
        let kind = |measures: &Measures| Kind::of(measures, 1000);
        assert_eq!(kind(&grown(100, 4, |_| 128)), Kind::Capacity { bytes: 128 });
        assert_eq!(kind(&grown(1, 330, |_| 2640)), Kind::Capacity { bytes: 2640 });
        assert_eq!(kind(&grown(20, 4, |_| 128)), Kind::Nothing(Reason::Few));
        assert!(!matches!(kind(&grown(100, 4, |turn| 100 << (turn % 8))), Kind::Capacity { .. }));
    }

    /// A site of 1,000 blocks of 64 bytes that these threads allocate in turn, and free in any order.
    fn allocated(threads: u32, align: u32) -> Measures {
        let (mut measures, mut generations) = (Measures::default(), Generations::default());
        measures.sizes = vec![SizeUse { size: 64, ..SizeUse::default() }];
        for turn in 0..1000 {
            measures.allocate(turn % threads, 64, align, 0);
            generations.allocate(turn % threads, 64);
            measures.free(64, 0, false, false);
        }
        generations.finish(&mut measures);
        Measures { max_live_blocks: 1000, kept: 0, ..measures }
    }

    #[test]
    fn a_pool_of_one_thread_needs_one_thread() {
        let sizes = vec![64];
        let kind = |measures: &Measures| Kind::of(measures, 1000);
        assert_eq!(kind(&allocated(1, 0)), Kind::OneSize { bytes: 64 });
        for threads in [2, 40, 64] {
            assert_eq!(kind(&allocated(threads, 0)), Kind::ThreadCache { sizes: sizes.clone() }, "{threads}");
        }
        let mut other = allocated(1, 0);
        other.touch(7);
        assert_eq!(kind(&other), Kind::ThreadCache { sizes });
        other.remote_frees = 900;
        assert_eq!(kind(&other), Kind::RemoteFree { bytes: 64 });
    }

    #[test]
    fn alignment_is_kept() {
        let kind = |measures: &Measures| Kind::of(measures, 1000);
        assert_eq!(kind(&allocated(1, 64)), Kind::Classes { sizes: vec![64] });
        assert_eq!(kind(&allocated(1, 128)), Kind::Nothing(Reason::Aligned));
        let buffer = |align| Measures { max_live_blocks: 1, ..allocated(1, align) };
        assert_eq!(kind(&buffer(16)), Kind::Reuse { bytes: 64 });
        assert_eq!(kind(&buffer(32)), Kind::Classes { sizes: vec![64] });
    }
}
