//! The threads of a trace, which of them can share a thread of the replay, and how often one frees another's blocks.

use std::collections::BTreeMap;

use super::{Kind, Step};

/// Max number of threads in a replay.
const MOST: usize = 64;

/// The threads of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Threads {
    /// The thread of the replay for each thread of the trace. Two threads share one if the first had allocated and
    /// freed for the last time before the second started.
    pub(crate) workers: Vec<u16>,
    /// Number of threads in the replay.
    pub(crate) at_once: u16,
    /// Number of frees and resizes by another thread than the one that allocated or last resized the block.
    pub(crate) foreign: u64,
}

/// What is known about the threads while a trace is read.
#[derive(Default)]
pub(super) struct Watch {
    /// The first and the last event of each thread.
    spans: Vec<(u64, u64)>,
    /// The thread that owns the block in each slot.
    owners: Vec<u32>,
    foreign: u64,
}

impl Watch {
    /// Notes the step with this number.
    pub(super) fn note(&mut self, number: u64, thread: u32, step: &Step) {
        let (thread_at, slot) = (thread as usize, step.slot as usize);
        let is_new = !matches!(step.kind, Kind::Free | Kind::Resize);
        if self.spans.len() <= thread_at {
            self.spans.resize(thread_at + 1, (number, number));
        }
        self.spans[thread_at].1 = number;
        if self.owners.len() <= slot {
            self.owners.resize(slot + 1, thread);
        }
        self.foreign += u64::from(!is_new && self.owners[slot] != thread);
        self.owners[slot] = thread;
    }

    /// Returns everything that was observed.
    pub(super) fn finish(self) -> Threads {
        let workers = share_out(&self.spans);
        let at_once = workers.iter().max().map_or(0, |&most| most + 1);
        Threads { workers, at_once, foreign: self.foreign }
    }
}

/// Assigns a worker to each thread: the lowest that is free; if all are taken, the one that becomes free first.
fn share_out(spans: &[(u64, u64)]) -> Vec<u16> {
    // Threads are numbered as they appear, so they are in the order of their first events.
    let mut ends: BTreeMap<u16, u64> = BTreeMap::new();
    spans
        .iter()
        .map(|&(first, last)| {
            let free = ends.iter().find(|&(_, &end)| end < first).map(|(&worker, _)| worker);
            let fresh = (ends.len() < MOST).then_some(ends.len() as u16);
            let soonest = ends.iter().min_by_key(|&(_, &end)| end).map(|(&worker, _)| worker);
            let worker = free.or(fresh).or(soonest).unwrap_or(0);
            let end = ends.entry(worker).or_insert(last);
            *end = last.max(*end);
            worker
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Request;

    #[test]
    fn threads_that_do_not_overlap_share_a_worker() {
        assert_eq!(share_out(&[(0, 100), (1, 10), (2, 20), (11, 30), (21, 40)]), [0, 1, 2, 1, 2]);
        let crowd: Vec<_> = (0..200).map(|thread| (thread, 1000 + thread)).collect();
        let workers = share_out(&crowd);
        assert_eq!(workers.iter().max(), Some(&63));
        assert_eq!(workers[64], 0, "the one that is free first");
    }

    #[test]
    fn foreign_frees_are_counted() {
        let mut watch = Watch::default();
        let (new, old) = (Kind::Allocate, Kind::Free);
        for (number, (thread, slot, kind)) in
            [(0, 0, new), (1, 1, new), (1, 0, old), (1, 1, old), (0, 0, new)].into_iter().enumerate()
        {
            let step = Step { slot, kind, request: Request::of_size(1), worker: 0 };
            watch.note(number as u64, thread, &step);
        }
        let threads = watch.finish();
        assert_eq!((threads.foreign, threads.at_once), (1, 2));
    }
}
