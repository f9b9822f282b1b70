//! Counts how often each size is requested, and how much of it is live when most bytes are live.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use foldhash::fast::RandomState;
use millpond_trace::Reader;

use super::{
    Kind, Request, Step, Steps,
    threads::{Threads, Watch},
};

/// One kind of request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// Size and alignment.
    pub(crate) request: Request,
    /// How often it was requested, including by resizes.
    pub(crate) allocations: u64,
    /// Blocks of it that are live when most bytes are live.
    pub(crate) live_at_peak: u64,
}

impl Count {
    /// Returns the bytes of its blocks that are live when most bytes are live.
    pub(crate) fn bytes_at_peak(&self) -> u64 {
        self.live_at_peak.saturating_mul(self.request.size() as u64)
    }
}

/// The requests of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    /// Every kind of request, by size and then alignment.
    pub(crate) counts: Vec<Count>,
    /// Number of events after which most bytes are live for the first time.
    pub(crate) peak_after: u64,
    /// The threads that made the requests.
    pub(crate) threads: Threads,
}

impl Histogram {
    /// Counts a whole trace. The memory needed depends on the max number of blocks live at once and on the number of
    /// different requests.
    pub(crate) fn read(reader: &mut Reader) -> Result<Self> {
        let peak = reader.summary().peak_bytes;
        let (mut tally, mut watch) = (Tally::default(), Watch::default());
        let mut histogram = Self::default();
        let mut done = 0;
        let mut found = peak == 0;
        Steps::all(reader, "reading the trace", |caller, step| {
            watch.note(done, caller.thread, &step);
            done += 1;
            tally.take(step);
            if !found && tally.live_bytes >= peak {
                found = true;
                histogram.peak_after = done;
                tally.counts.iter_mut().for_each(|(count, live)| count.live_at_peak = *live);
            }
        })?;
        ensure!(found, "the trace's summary does not fit its events: record again");
        histogram.threads = watch.finish();
        histogram.counts = tally.counts.into_iter().map(|(count, _)| count).collect();
        histogram.counts.sort_by_key(|count| (count.request.size(), count.request.align()));
        Ok(histogram)
    }

    /// Returns the bytes of all blocks that are live when most bytes are live, as far as their sizes are selected.
    pub(crate) fn bytes_at_peak(&self, is_selected: impl Fn(usize) -> bool) -> u64 {
        let selected = self.counts.iter().filter(|count| is_selected(count.request.size()));
        selected.fold(0, |sum: u64, count| sum.saturating_add(count.bytes_at_peak()))
    }

    /// Returns the number of calls that allocated.
    pub(crate) fn allocations(&self) -> u64 {
        self.counts.iter().map(|count| count.allocations).sum()
    }
}

/// The state of the count.
#[derive(Default)]
struct Tally {
    /// Each kind of request, and how many blocks of it are live now.
    counts: Vec<(Count, u64)>,
    /// The index of a request in `counts`.
    places: HashMap<Request, u32, RandomState>,
    /// The index in `counts` of the block in each slot.
    slots: Vec<u32>,
    live_bytes: u64,
}

impl Tally {
    fn take(&mut self, step: Step) {
        let slot = step.slot as usize;
        if let Kind::Free | Kind::Resize = step.kind {
            let (count, live) = &mut self.counts[self.slots[slot] as usize];
            *live -= 1;
            self.live_bytes = self.live_bytes.saturating_sub(count.request.size() as u64);
        }
        if step.kind == Kind::Free {
            return;
        }
        let fresh = self.counts.len() as u32;
        let place = *self.places.entry(step.request).or_insert(fresh);
        if place == fresh {
            self.counts.push((Count { request: step.request, allocations: 0, live_at_peak: 0 }, 0));
        }
        let (count, live) = &mut self.counts[place as usize];
        count.allocations += 1;
        *live += 1;
        self.live_bytes = self.live_bytes.saturating_add(step.request.size() as u64);
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, 0);
        }
        self.slots[slot] = place;
    }
}

#[cfg(test)]
mod tests {
    use millpond_trace::{At, Outcome, Start, Writer};

    use super::*;

    #[test]
    fn counts_every_size_and_the_first_peak() {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
        let at = |time| At { time, ..At::default() };
        let a = writer.allocate(at(1), 32, 0, false).unwrap();
        let b = writer.allocate(at(2), 32, 0, false).unwrap();
        writer.resize(at(3), a, 100).unwrap(); // the peak: 132 bytes after 3 events
        writer.free(at(4), a).unwrap();
        writer.free(at(5), b).unwrap();
        writer.allocate(at(6), 132, 64, false).unwrap(); // as much again
        writer.finish(Outcome::default()).unwrap();
        let histogram = Histogram::read(&mut Reader::from_bytes(file).unwrap()).unwrap();
        let expect = |size, align, allocations, live_at_peak| Count {
            request: Request::recorded(size, align).unwrap(),
            allocations,
            live_at_peak,
        };
        assert_eq!(histogram.counts, [expect(32, 0, 2, 1), expect(100, 0, 1, 1), expect(132, 64, 1, 0)]);
        assert_eq!((histogram.peak_after, histogram.allocations()), (3, 4));
    }
}
