//! What of each block the replay writes, so that it touches no pages that the program did not.

use clap::ValueEnum;
use millpond_trace::Resources;
use serde::{Deserialize, Serialize};

use super::worker::Written;
use crate::trace::Histogram;

/// What of each block is written, as it can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Touch {
    /// The first byte, the last byte, and one byte for each 4 KiB between; of large blocks, only the first and the last.
    /// Which are large is seen from the memory that the program had.
    Ends,
    /// Every byte.
    All,
}

/// Where nothing is known of the program's memory, blocks are large from this size on: malloc asks the system for each of
/// them, and programs often fill but a part of it.
const LARGE: usize = 128 << 10;
/// Bytes of a page.
const PAGE: u64 = 4096;
/// What the program has beside its blocks, such as stacks, may be as much as this.
const BESIDE: u64 = 256 << 10;

/// What is written of the blocks of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    /// By their sizes.
    pub(crate) written: Written,
    /// Whether the program's memory has told that.
    pub(crate) is_known: bool,
}

impl Touched {
    /// Of blocks that are written as is asked for. The largest ones are taken for untouched, as far as the program had less
    /// memory than all that were live when most bytes were would take.
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

/// From which size on blocks must be untouched, so that all that were live at the peak fit into `room` bytes.
fn large(histogram: &Histogram, room: u64) -> usize {
    let all: u64 =
        histogram.counts.iter().map(|count| count.live_at_peak * count.request.size() as u64).sum();
    let mut touched = all;
    let mut large = usize::MAX;
    for count in histogram.counts.iter().rev() {
        let size = count.request.size() as u64;
        if touched <= room || size <= PAGE {
            break;
        }
        // Both ends are written in any case: blocks lie side by side, so that is a page for each.
        touched -= count.live_at_peak * (size - PAGE);
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
        // A buffer that is filled but a little, beside others that are filled.
        let sort = [(60_000, 100), (1 << 20, 4), (300 << 20, 1)];
        assert_eq!(of(&sort, 12 << 20), Written::Below(300 << 20));
    }

    #[test]
    fn small_blocks_are_always_touched_and_nothing_known_is_the_usual() {
        assert_eq!(of(&[(100, 1_000_000)], 0), Written::Below(usize::MAX));
        let unknown = Touched::new(Touch::Ends, &histogram(&[(1 << 30, 1)]), &Resources::default());
        assert_eq!(unknown, Touched { written: Written::Below(LARGE), is_known: false });
        let all = Touched::new(Touch::All, &histogram(&[]), &Resources::default());
        assert_eq!(all.written, Written::All);
    }
}
