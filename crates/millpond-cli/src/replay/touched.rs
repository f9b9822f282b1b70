//! Which bytes of each block the replay writes, so that it touches no pages that the program did not touch.

use clap::ValueEnum;
use millpond_trace::Resources;
use serde::{Deserialize, Serialize};

use super::worker::Written;
use crate::trace::Histogram;

/// The choices that the user has for what is written in each block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Touch {
    /// The first byte, the last byte, and one byte for each 4 KiB between; of large blocks, only the first and the
    /// last. Which blocks are large depends on the memory that the program had.
    Ends,
    /// Every byte.
    All,
}

/// If nothing is known about the program's memory, blocks are large from this size on: `malloc` maps each of them
/// separately, and programs often fill only a part of one.
const LARGE: usize = 128 << 10;
/// Bytes of a page.
const PAGE: u64 = 4096;
/// Memory that the program may have in addition to its blocks, such as stacks.
const BESIDE: u64 = 256 << 10;

/// Which bytes of the blocks of a trace are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    /// By block size.
    pub(crate) written: Written,
    /// Whether this follows from the program's memory.
    pub(crate) is_known: bool,
}

impl Touched {
    /// Determines this for the option as given. The largest blocks are considered untouched as far as the program had
    /// less memory than all blocks live at the peak would take.
    pub(crate) fn new(touch: Touch, histogram: &Histogram, resources: &Resources) -> Self {
        let grown = resources.anonymous_most.zip(resources.anonymous_first);
        match (touch, grown) {
            (Touch::All, _) => Self { written: Written::All, is_known: false },
            (Touch::Ends, None) => Self { written: Written::Below(LARGE), is_known: false },
            (Touch::Ends, Some((most, first))) => {
                let room = most.saturating_sub(first);
                let room = room + room / 20 + BESIDE;
                Self { written: Written::Below(large(histogram, room)), is_known: true }
            }
        }
    }
}

/// Returns the size from which blocks must be untouched, so that all that were live at the peak fit into `room` bytes.
fn large(histogram: &Histogram, room: u64) -> usize {
    let mut touched = histogram.bytes_at_peak(|_| true);
    let mut large = usize::MAX;
    for count in histogram.counts.iter().rev() {
        let size = count.request.size() as u64;
        if touched <= room || size <= PAGE {
            break;
        }
        // Both ends are written in any case: blocks lie next to each other, so count a page for each.
        touched = touched.saturating_sub(count.live_at_peak.saturating_mul(size - PAGE));
        large = count.request.size();
    }
    large
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Count, Request};

    fn histogram(counts: &[(u64, u64)]) -> Histogram {
        let count = |&(size, live_at_peak)| Count {
            request: Request::of_size(size),
            allocations: live_at_peak,
            live_at_peak,
        };
        Histogram { counts: counts.iter().map(count).collect(), ..Histogram::default() }
    }

    fn of(counts: &[(u64, u64)], grown: u64) -> Written {
        let resources = Resources {
            anonymous_first: Some(1 << 20),
            anonymous_most: Some(grown + (1 << 20)),
            ..Resources::default()
        };
        Touched::new(Touch::Ends, &histogram(counts), &resources).written
    }

    #[test]
    fn blocks_that_would_not_fit_are_not_touched() {
        let leak = [(24, 10), (100_000, 3000)];
        assert_eq!(of(&leak, 13 << 20), Written::Below(100_000));
        assert_eq!(of(&leak, 310 << 20), Written::Below(usize::MAX));
        // A buffer of which the program fills a small part, among others that are full.
        let sort = [(60_000, 100), (1 << 20, 4), (300 << 20, 1)];
        assert_eq!(of(&sort, 12 << 20), Written::Below(300 << 20));
    }

    #[test]
    fn small_blocks_are_touched_and_the_default_is_used() {
        assert_eq!(of(&[(100, 1_000_000)], 0), Written::Below(usize::MAX));
        let unknown = Touched::new(Touch::Ends, &histogram(&[(1 << 30, 1)]), &Resources::default());
        assert_eq!(unknown, Touched { written: Written::Below(LARGE), is_known: false });
        let all = Touched::new(Touch::All, &histogram(&[]), &Resources::default());
        assert_eq!(all.written, Written::All);
    }
}
