//! Assigns request sizes to block sizes.
//!
//! The requests are sorted by the block that each would need on its own and partitioned into at most `k` groups of
//! neighbours. The block of a group is as large as its largest member needs, and as aligned as the most demanding one.
//! Dynamic programming finds the partition with the least waste: the best partition of the first `j` requests into `k`
//! groups is the best partition of the first `i` into `k − 1` groups, for some `i < j`, and one group of the remaining
//! requests. This takes O(k·n²) for n different requests; there are at most a few hundred of them once sizes are
//! rounded as blocks are.
//!
//! The weight of a wasted byte is the share of the live blocks that waste it when most bytes are live, plus the share
//! of the allocations that do. The first share stands for memory, the second for cache.

use crate::trace::Count;

/// The largest block that a pool is advised for; larger requests go to the parent.
const LARGEST_BLOCK: usize = 32 << 10;
/// The largest alignment that a block is advised for.
const LARGEST_ALIGN: usize = 64;

/// Limits of the advice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Max number of block sizes.
    pub(crate) most: usize,
    /// If there are more sizes than that, the largest are left to the parent, up to this share of the allocations.
    pub(crate) leave: f64,
    /// One more block size must save at least this share of the requested bytes, weighted as waste is.
    pub(crate) gain: f64,
}

impl Limits {
    /// Values that have proved useful.
    pub(crate) fn sensible(most: usize) -> Self {
        Self { most, leave: 0.01, gain: 0.01 }
    }
}

/// Returns the alignment that `millpond::Classes` gives its blocks: the largest power of two that divides their size,
/// up to a cache line.
pub(crate) fn align_of_block(size: usize) -> usize {
    (1 << size.trailing_zeros()).min(LARGEST_ALIGN)
}

/// The block sizes that `millpond::Classes` can distinguish.
fn round(size: usize) -> usize {
    size.max(1).next_multiple_of(if size <= 1024 { 8 } else { 256 })
}

/// Returns the block that serves sizes up to `size` and alignments up to `align`.
fn block_for(size: usize, align: usize) -> usize {
    round(round(size).next_multiple_of(align))
}

/// Requests that need the same block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    /// Rounded size.
    size: usize,
    align: usize,
    allocations: u64,
    /// The weight of a wasted byte.
    weight: u128,
    /// Bytes requested, weighted.
    requested: u128,
}

/// Chooses block sizes, in ascending order. Empty if no request is small enough for a pool.
pub(super) fn choose(counts: &[Count], limits: Limits) -> Vec<usize> {
    let mut items = items(counts);
    leave_the_largest(&mut items, counts, limits);
    let requested: u128 = items.iter().map(|item| item.requested).sum();
    let cuts = divide(&items, limits.most);
    let Some(least) = cuts.last().map(|(waste, _)| *waste) else { return Vec::new() };
    let enough = least + (requested as f64 * limits.gain) as u128;
    let chosen = cuts.into_iter().find(|(waste, _)| *waste <= enough);
    let mut sizes = chosen.map_or_else(Vec::new, |(_, sizes)| sizes);
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// Returns the requests to serve, by the block that each would need on its own.
fn items(counts: &[Count]) -> Vec<Item> {
    let all: u64 = counts.iter().map(|count| count.allocations).sum();
    let live: u64 = counts.iter().map(|count| count.live_at_peak).sum();
    let alone = |count: &Count| block_for(count.request.size(), count.request.align());
    let fits = |count: &&Count| {
        count.request.align() <= LARGEST_ALIGN
            && count.request.size() <= LARGEST_BLOCK
            && alone(count) <= LARGEST_BLOCK
    };
    let mut served: Vec<_> = counts.iter().filter(fits).collect();
    served.sort_by_key(|count| (alone(count), count.request.align()));
    let mut items: Vec<Item> = Vec::new();
    for count in served {
        let weight = u128::from(count.live_at_peak) * u128::from(all)
            + u128::from(count.allocations) * u128::from(live.max(1));
        let (size, align) = (round(count.request.size()), count.request.align());
        let requested = weight * count.request.size() as u128;
        match items.last_mut() {
            Some(item) if (item.size, item.align) == (size, align) => {
                item.allocations += count.allocations;
                item.weight += weight;
                item.requested += requested;
            }
            _ => items.push(Item { size, align, allocations: count.allocations, weight, requested }),
        }
    }
    items
}

/// Removes the largest items while there are too many for each to have its own block size and while this loses few
/// allocations.
fn leave_the_largest(items: &mut Vec<Item>, counts: &[Count], limits: Limits) {
    let all: u64 = counts.iter().map(|count| count.allocations).sum();
    let served: u64 = items.iter().map(|item| item.allocations).sum();
    let mut left = ((all as f64 * limits.leave) as u64).saturating_sub(all - served);
    while let Some(last) = items.last().filter(|last| last.allocations <= left)
        && items.len() > limits.most
    {
        left -= last.allocations;
        items.pop();
    }
}

/// Returns the best partition into 1, 2, … `most` groups, as far as more groups are useful: waste and block sizes of
/// each.
fn divide(items: &[Item], most: usize) -> Vec<(u128, Vec<usize>)> {
    let count = items.len();
    // best[j]: the least waste of the first j items in at most as many groups as `starts` has rows.
    let mut best = vec![u128::MAX; count + 1];
    best[0] = 0;
    // starts[k][j]: where the last of those groups begins.
    let mut starts: Vec<Vec<usize>> = Vec::new();
    let mut cuts = Vec::new();
    for _ in 0..most.min(count) {
        let (next, row) = one_more_group(items, &best);
        best = next;
        starts.push(row);
        cuts.push((best[count], blocks(items, &starts)));
    }
    cuts
}

/// Computes the best partitions into one group more from the best ones into some number of groups: waste, and where the
/// last group begins.
fn one_more_group(items: &[Item], best: &[u128]) -> (Vec<u128>, Vec<usize>) {
    let mut next = best.to_vec();
    let mut starts: Vec<usize> = (0..best.len()).collect(); // a group of its own length 0: no group more
    for end in 1..best.len() {
        let (mut size, mut align, mut weight, mut requested) = (0, 1, 0, 0);
        for start in (0..end).rev() {
            let item = &items[start];
            (size, align) = (item.size.max(size), item.align.max(align));
            weight += item.weight;
            requested += item.requested;
            let block = block_for(size, align);
            if best[start] == u128::MAX || block > LARGEST_BLOCK {
                continue;
            }
            let waste = best[start] + weight * block as u128 - requested;
            if waste < next[end] {
                next[end] = waste;
                starts[end] = start;
            }
        }
    }
    (next, starts)
}

/// Returns the block sizes of the partition that `starts` describes.
fn blocks(items: &[Item], starts: &[Vec<usize>]) -> Vec<usize> {
    let mut end = items.len();
    let mut sizes = Vec::new();
    for row in starts.iter().rev() {
        let group = &items[row[end]..end];
        if let Some(size) = group.iter().map(|item| item.size).max() {
            let align = group.iter().map(|item| item.align).max().unwrap_or(1);
            sizes.push(block_for(size, align));
        }
        end = row[end];
    }
    sizes
}

#[cfg(test)]
mod tests {
    use millpond::Classes;

    use super::*;
    use crate::trace::Request;

    fn count(size: u64, allocations: u64, live_at_peak: u64) -> Count {
        Count { request: Request::of_size(size), allocations, live_at_peak }
    }

    fn limits(most: usize) -> Limits {
        Limits { most, leave: 0.0, gain: 0.0 }
    }

    /// Returns the waste of the best partition into at most `most` groups, by trying all of them.
    fn brute_force(items: &[Item], most: usize) -> u128 {
        let mut least = u128::MAX;
        for cuts in 0..1_u32 << (items.len() - 1) {
            if cuts.count_ones() as usize >= most {
                continue;
            }
            let mut waste = 0;
            let mut group: Vec<Item> = Vec::new();
            for (index, item) in items.iter().enumerate() {
                group.push(*item);
                if index + 1 == items.len() || cuts >> index & 1 == 1 {
                    let size = group.iter().map(|item| item.size).max().unwrap();
                    let align = group.iter().map(|item| item.align).max().unwrap();
                    let block = block_for(size, align) as u128;
                    waste += group.iter().map(|item| item.weight * block - item.requested).sum::<u128>();
                    group.clear();
                }
            }
            least = least.min(waste);
        }
        least
    }

    #[test]
    fn partition_is_the_best() {
        let mut state = 1_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for round in 0..200 {
            let largest = if round % 2 == 0 { 200 } else { 3000 };
            let mut counts: Vec<_> = (0..1 + random(11))
                .map(|_| count(1 + random(largest), 1 + random(1000), random(50)))
                .collect();
            counts.sort_by_key(|count| count.request.size());
            counts.dedup_by_key(|count| count.request.size());
            let items = items(&counts);
            for (groups, (waste, sizes)) in divide(&items, 5).into_iter().enumerate() {
                assert_eq!(waste, brute_force(&items, groups + 1), "{counts:?} in {} groups", groups + 1);
                assert!(sizes.len() <= groups + 1);
                let served =
                    |count: &Count| crate::advise::class_of(&sorted(&sizes), count.request).is_some();
                assert!(counts.iter().all(served), "{counts:?} {sizes:?}");
            }
        }
    }

    fn sorted(sizes: &[usize]) -> Vec<usize> {
        let mut sizes = sizes.to_vec();
        sizes.sort_unstable();
        sizes
    }

    #[test]
    fn few_sizes_get_a_block_each() {
        let counts = [count(24, 10, 5), count(32, 70, 50), count(100, 10, 1)];
        assert_eq!(choose(&counts, limits(8)), [24, 32, 104]);
        assert_eq!(choose(&counts, limits(2)), [32, 104]);
        assert_eq!(choose(&counts, limits(1)), [112]); // 32 bytes may need an alignment of 16
    }

    #[test]
    fn large_or_rare_sizes_are_left_out() {
        let counts = [count(48, 1000, 10), count(5000, 1, 1), count(1 << 20, 5, 5)];
        assert_eq!(choose(&counts, Limits { leave: 0.01, ..limits(1) }), [48]);
        assert_eq!(choose(&counts, Limits { leave: 0.01, ..limits(2) }), [48, 5120]);
        assert_eq!(choose(&counts, limits(1)), [5120]);
        assert_eq!(choose(&counts, limits(8)), [48, 5120]);
        assert_eq!(choose(&counts[2..], limits(8)), [0_usize; 0]);
        assert_eq!(choose(&[], limits(8)), [0_usize; 0]);
    }

    #[test]
    fn size_that_saves_little_is_not_advised() {
        let counts = [count(1000, 1000, 10), count(1008, 1000, 10)];
        assert_eq!(choose(&counts, Limits { gain: 0.01, ..limits(8) }), [1008]);
        assert_eq!(choose(&counts, limits(8)), [1000, 1008]);
    }

    #[test]
    fn agrees_with_the_library() {
        let all: Vec<_> = (1..=LARGEST_BLOCK).step_by(7).map(|size| block_for(size, 1)).collect();
        for sizes in all.chunks(60) {
            let classes = Classes::with_sizes(sizes).unwrap();
            let mut expected = sizes.to_vec();
            expected.dedup();
            assert_eq!(classes.sizes().collect::<Vec<_>>(), expected);
        }
        assert!(Classes::with_sizes(&[LARGEST_BLOCK + 1]).is_err());
    }
}
