//! Plans what each thread of a replay does in a stretch of the trace, and which of its steps wait for a step of another
//! thread.
//!
//! The slots of a trace are reused by whichever thread allocates next, which would make threads wait for each other
//! although the program had no reason to. During the replay, a block is therefore in a *place*, and a place that a
//! thread has vacated goes to another thread only in a later stretch.

use crate::trace::{Kind, Request, Step};

/// Max number of events in a stretch. Long enough that the cost of starting and stopping threads is small in
/// comparison.
const LONGEST: usize = 1 << 16;
/// Min number of events in a stretch.
const SHORTEST: usize = 1 << 13;
/// Max number of calls on another thread's block in a stretch, on average, unless the stretch has the min length. A
/// thread that allocates for another runs ahead of it by at most this many blocks.
const FOREIGN: u64 = 1 << 12;
/// Number of vacant places that a thread keeps for the next stretch, and that it gets when it has none.
const GROUP: usize = 64;
/// The end of a list of places.
const NONE: u32 = u32::MAX;

/// Returns the length of a stretch, in a trace with this many events, of which `foreign` concern another thread's
/// block.
pub(crate) fn stretch(events: u64, foreign: u64) -> usize {
    let length = events.saturating_mul(FOREIGN) / foreign.max(1);
    length.clamp(SHORTEST as u64, LONGEST as u64) as usize
}

/// A step, and its dependencies on other threads.
#[derive(Clone, Copy)]
pub(super) struct Planned {
    /// The operation; its slot is a place.
    pub(super) step: Step,
    /// The thread whose step must come first,
    pub(super) worker: u16,
    /// Whether a step of another thread waits for this one.
    pub(super) is_awaited: bool,
    /// and the number of steps that the thread has done in this stretch by then; 0 if this step does not wait.
    pub(super) count: u32,
}

/// Plans one stretch after another. Allocates only in the constructor, so that only the replay uses the heap.
pub(super) struct Planner {
    slots: Vec<Last>,
    places: Places,
    /// The number of the stretch.
    stretch: u32,
    /// The steps of all workers, those of one worker side by side.
    plan: Vec<Planned>,
    /// Where in the plan the steps of each worker start and end.
    ranges: Vec<(u32, u32)>,
}

/// Where the block of a slot of the trace is, and which step used it last.
#[derive(Clone, Copy)]
struct Last {
    place: u32,
    stretch: u32,
    /// Where that step is in the plan,
    at: u32,
    /// and its worker.
    worker: u16,
}

impl Planner {
    /// Creates the planner for a trace with this many slots and threads, and stretches of at most `length` events.
    pub(super) fn new(slots: u32, workers: u16, length: usize) -> Self {
        let (last, planned) = std::hint::black_box((
            Last { place: 0, stretch: 0, at: 0, worker: 0 },
            Planned {
                step: Step { request: Request::of_size(1), slot: 0, kind: Kind::Free, worker: 0 },
                worker: 0,
                is_awaited: false,
                count: 0,
            },
        ));
        Self {
            slots: (0..slots).map(|_| last).collect(),
            places: Places::new(Self::places(slots, workers, length), workers),
            stretch: 0,
            plan: (0..length).map(|_| planned).collect(),
            ranges: vec![(0, 0); workers as usize],
        }
    }

    /// Returns the max number of places needed: one for each live block, for those vacated in a stretch, and for those
    /// that workers keep or have just received.
    pub(super) fn places(slots: u32, workers: u16, length: usize) -> u32 {
        slots + (length + workers as usize * 2 * GROUP) as u32
    }

    /// Plans the next stretch from these steps, of which there are at most as many as announced.
    pub(super) fn plan(&mut self, steps: &[Step]) {
        self.stretch = self.stretch.wrapping_add(1);
        self.places.settle();
        self.ranges.fill((0, 0));
        let last = self.ranges.len() - 1;
        for step in steps {
            self.ranges[(step.worker as usize).min(last)].1 += 1;
        }
        let mut begin = 0;
        for range in &mut self.ranges {
            let length = range.1;
            *range = (begin, begin);
            begin += length;
        }
        for &step in steps {
            self.add(step);
        }
    }

    fn add(&mut self, step: Step) {
        let worker = (step.worker as usize).min(self.ranges.len() - 1);
        let last = &mut self.slots[step.slot as usize];
        let (mut other, mut count) = (0, 0);
        match step.kind {
            Kind::Allocate | Kind::Zeroed | Kind::Aligned => last.place = self.places.take(worker),
            Kind::Resize | Kind::Free => {
                if last.stretch == self.stretch && last.worker as usize != worker {
                    (other, count) = (last.worker, last.at - self.ranges[last.worker as usize].0 + 1);
                    self.plan[last.at as usize].is_awaited = true;
                }
                if step.kind == Kind::Free {
                    self.places.give(worker, last.place);
                }
            }
        }
        let at = self.ranges[worker].1;
        self.ranges[worker].1 += 1;
        let step = Step { slot: last.place, ..step };
        self.plan[at as usize] = Planned { step, worker: other, is_awaited: false, count };
        *last = Last { stretch: self.stretch, at, worker: worker as u16, ..*last };
    }

    /// Returns the place of the block in a slot of the trace, if it has a live block, and otherwise any place.
    pub(super) fn place(&self, slot: u32) -> u32 {
        self.slots[slot as usize].place
    }

    /// Returns what a worker does in this stretch.
    pub(super) fn of(&self, worker: usize) -> &[Planned] {
        let (begin, end) = self.ranges[worker];
        &self.plan[begin as usize..end as usize]
    }
}

/// Vacant places: those of each worker, and those of no worker.
struct Places {
    /// The next place in the list, for each place.
    next: Vec<u32>,
    /// The first place of each list, and its length; the last list is that of no worker.
    lists: Vec<(u32, usize)>,
}

impl Places {
    /// Creates the lists with all places in that of no worker.
    fn new(count: u32, workers: u16) -> Self {
        let next = (1..count).chain([NONE]).collect();
        let mut lists = vec![(NONE, 0); workers as usize + 1];
        lists[workers as usize] = (0, count as usize);
        Self { next, lists }
    }

    fn pop(&mut self, list: usize) -> Option<u32> {
        let (first, count) = &mut self.lists[list];
        let place = *first;
        *first = *self.next.get(place as usize)?;
        *count -= 1;
        Some(place)
    }

    fn give(&mut self, list: usize, place: u32) {
        let (first, count) = &mut self.lists[list];
        self.next[place as usize] = *first;
        *first = place;
        *count += 1;
    }

    /// Moves places from the first list to the second until the first has at most `left`.
    fn pass(&mut self, from: usize, to: usize, left: usize) {
        while self.lists[from].1 > left
            && let Some(place) = self.pop(from)
        {
            self.give(to, place);
        }
    }

    /// Takes a place for a worker: one that the worker vacated, or one that was vacant when the stretch started.
    fn take(&mut self, worker: usize) -> u32 {
        let common = self.lists.len() - 1;
        if self.lists[worker].1 == 0 {
            self.pass(common, worker, self.lists[common].1.saturating_sub(GROUP));
        }
        self.pop(worker).expect("there are places for all blocks and for all that workers keep")
    }

    /// Called between stretches: makes surplus places of workers available to all.
    fn settle(&mut self) {
        let common = self.lists.len() - 1;
        (0..common).for_each(|worker| self.pass(worker, common, GROUP));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::HashMap;

    /// The generator of Marsaglia (xorshift).
    pub(in super::super) struct Random(pub(in super::super) u64);

    impl Random {
        pub(in super::super) fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % limit as u64) as usize
        }
    }

    /// Creates steps of several threads, in which every third step uses a block of another thread; at the end all
    /// blocks are freed. Each size is requested once, so that it identifies the block.
    pub(in super::super) fn steps(random: &mut Random, slots: u32, workers: u16, count: usize) -> Vec<Step> {
        let mut live: Vec<(u32, u16)> = Vec::new();
        let mut vacant: Vec<u32> = (0..slots).collect();
        let mut steps = Vec::new();
        while steps.len() < count || !live.is_empty() {
            let worker = random.below(workers as usize) as u16;
            let request = Request::of_size(steps.len() as u64 + 1);
            let grows = steps.len() < count && (live.is_empty() || random.below(2) == 0);
            let (slot, kind, worker) = match vacant.last().copied().filter(|_| grows) {
                Some(slot) => {
                    vacant.pop();
                    live.push((slot, worker));
                    (slot, Kind::Allocate, worker)
                }
                None => {
                    let at = random.below(live.len());
                    let worker = if random.below(3) == 0 { worker } else { live[at].1 };
                    live[at].1 = worker;
                    if random.below(4) == 0 {
                        (live[at].0, Kind::Resize, worker)
                    } else {
                        vacant.push(live[at].0);
                        (live.swap_remove(at).0, Kind::Free, worker)
                    }
                }
            };
            steps.push(Step { request, slot, kind, worker });
        }
        steps
    }

    /// Performs the steps of a plan in an order that it allows. Each step must find in its place what the trace says.
    fn play(planner: &Planner, workers: usize, random: &mut Random, places: &mut HashMap<u32, u64>) {
        let mut done = vec![0; workers];
        loop {
            let may = |&worker: &usize| {
                let next = planner.of(worker).get(done[worker]);
                next.is_some_and(|next| done[next.worker as usize] >= next.count as usize)
            };
            let able: Vec<_> = (0..workers).filter(may).collect();
            if able.is_empty() {
                break;
            }
            let worker = able[random.below(able.len())];
            let Planned { step, .. } = planner.of(worker)[done[worker]];
            let found = places.remove(&step.slot);
            match step.kind {
                Kind::Free | Kind::Resize => assert!(found.is_some(), "nothing is there yet"),
                _ => assert_eq!(found, None, "the place is taken"),
            }
            if step.kind != Kind::Free {
                places.insert(step.slot, step.request.size() as u64);
            }
            done[worker] += 1;
        }
        for (worker, done) in done.into_iter().enumerate() {
            assert_eq!(
                done,
                planner.of(worker).len(),
                "worker {worker} waits for a step that does not exist"
            );
        }
    }

    #[test]
    fn blocks_are_allocated_before_they_are_freed_in_any_order() {
        for seed in 1..=60 {
            let mut random = Random(seed * 0x9E37_79B9);
            let (slots, workers) = (1 + random.below(40) as u32, 1 + random.below(7) as u16);
            let length = 1 + random.below(300);
            let mut planner = Planner::new(slots, workers, length);
            let mut places = HashMap::new();
            for steps in steps(&mut random, slots, workers, 3000).chunks(length) {
                planner.plan(steps);
                play(&planner, workers as usize, &mut random, &mut places);
            }
            assert_eq!(places.len(), 0);
        }
    }

    #[test]
    fn independent_threads_do_not_wait_for_a_shared_slot() {
        let step = |kind, worker| Step { request: Request::of_size(8), slot: 0, kind, worker };
        let mut planner = Planner::new(1, 2, 4);
        planner.plan(&[
            step(Kind::Allocate, 0),
            step(Kind::Free, 0),
            step(Kind::Allocate, 1),
            step(Kind::Free, 1),
        ]);
        for worker in 0..2 {
            assert!(planner.of(worker).iter().all(|planned| planned.count == 0 && !planned.is_awaited));
        }
        planner.plan(&[step(Kind::Allocate, 0), step(Kind::Free, 1)]);
        assert!(planner.of(0)[0].is_awaited);
        assert_eq!((planner.of(1)[0].worker, planner.of(1)[0].count), (0, 1));
    }

    #[test]
    fn stretches_are_shorter_if_blocks_change_threads() {
        assert_eq!([stretch(1 << 30, 0), stretch(1 << 30, 1 << 20)], [LONGEST; 2]);
        assert_eq!(stretch(1 << 20, 1 << 17), 1 << 15);
        assert_eq!(stretch(1 << 20, 1 << 19), SHORTEST);
    }
}
