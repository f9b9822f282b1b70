//! The replay that is measured, of a program with several threads: as many threads as were at work at once, each of which
//! does what the recorded one did.
//!
//! Threads keep step by the time at which things happened: in each stretch of [`STRETCH`] events they run as they like, and
//! none begins the next stretch before all have ended this one. Within a stretch, what happens to one block, and to those
//! that have its slot after it, happens in the order of the trace: each slot has a turn, and a step waits for its own. What
//! waiting costs is not counted, nor is what happens between stretches.

use std::{
    cell::UnsafeCell,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*},
    },
    thread,
};

use anyhow::{Result, bail};

use super::{Batches, Measurement, Meter, Slot, Task, Written, hand, process, take_stock, walk};
use crate::{
    replay::contender::Contender,
    trace::{Kind, Request, Step},
};

/// Events in which threads need not keep step. Long enough that waking threads is little beside it, short enough that
/// none runs far ahead of the others.
const STRETCH: usize = 8192;

/// A slot that threads share.
struct Shared {
    /// Whose turn it is: steps so far.
    turn: AtomicU32,
    slot: UnsafeCell<Slot>,
}

/// A step, and which turn of its slot it has.
#[derive(Clone, Copy)]
struct Planned {
    step: Step,
    turn: u32,
}

/// What one thread has to do in a stretch.
struct Lane {
    plan: UnsafeCell<Vec<Planned>>,
}

/// What the threads share.
struct Crew<'a, C> {
    contender: &'a C,
    written: Written,
    slots: Vec<Shared>,
    lanes: Vec<Lane>,
    /// The number of the stretch; 0 before the first.
    stretch: Mutex<Stretch>,
    begins: Condvar,
    ends: Condvar,
    nanoseconds: AtomicU64,
    failed: AtomicBool,
    /// The size that could not be had.
    missing: AtomicU64,
}

#[derive(Clone, Copy, Default)]
struct Stretch {
    number: u64,
    /// Threads that have not ended it.
    busy: usize,
    is_last: bool,
}

// SAFETY: a plan is used by one thread at a time: its lane's own during a stretch and the dispatcher between stretches,
// handed over under the lock of `stretch`.
unsafe impl Sync for Lane {}

// SAFETY: a slot is used by one thread at a time: the one whose step has the turn, handed on by a release of `turn` that
// the next one acquires; between stretches it is the dispatcher's. A block goes from thread to thread as its contender,
// which is `Sync`, allows.
unsafe impl Sync for Shared {}

/// Replays all batches with so many threads and says what that took.
pub(super) fn run<C: Contender + Sync>(
    contender: &C,
    task: &Task,
    mut batches: Batches<'_, '_>,
) -> Result<Measurement> {
    let crew = Crew::new(contender, task);
    thread::scope(|scope| {
        for lane in &crew.lanes {
            let crew = &crew;
            scope.spawn(move || crew.work(lane));
        }
        let result = Dispatcher::new(&crew).direct(task, &mut batches);
        crew.begin(true);
        result
    })
}

/// Gives steps to threads, stretch by stretch.
struct Dispatcher<'a, 'b, C> {
    crew: &'b Crew<'a, C>,
    /// The turn of the next step of each slot.
    turns: Vec<u32>,
}

impl<'a, 'b, C: Contender + Sync> Dispatcher<'a, 'b, C> {
    fn new(crew: &'b Crew<'a, C>) -> Self {
        // Not fresh zero pages, which would become resident while the meter runs.
        let turns = crew.slots.iter().map(|slot| slot.turn.load(Relaxed)).collect();
        Self { crew, turns }
    }

    fn direct(&mut self, task: &Task, batches: &mut Batches<'_, '_>) -> Result<Measurement> {
        let crew = self.crew;
        crew.begin(false);
        crew.wait();
        let meter = Meter::start();
        let mut measurement = Measurement::default();
        let mut done = 0;
        loop {
            let steps = batches.next()?;
            if steps.is_empty() {
                break;
            }
            let mut rest = steps;
            while !rest.is_empty() {
                let until_peak = task.peak.saturating_sub(done) as usize;
                let length = STRETCH.min(rest.len()).min(if until_peak > 0 { until_peak } else { STRETCH });
                let (now, later) = rest.split_at(length);
                self.stretch(now)?;
                (rest, done) = (later, done + length as u64);
                if done == task.peak {
                    measurement.stock = take_stock(crew.contender, crew.all(), crew.written);
                    if task.walk {
                        measurement.walk = walk(crew.all(), |size| crew.written.is_written(size));
                    }
                }
            }
        }
        measurement.nanoseconds = crew.nanoseconds.load(Relaxed);
        meter.stop(&mut measurement);
        Ok(measurement)
    }

    /// Has these steps done.
    fn stretch(&mut self, steps: &[Step]) -> Result<()> {
        let crew = self.crew;
        for &step in steps {
            let turn = &mut self.turns[step.slot as usize];
            let lane = &crew.lanes[step.lane as usize % crew.lanes.len()];
            // SAFETY: between stretches, plans are the dispatcher's.
            unsafe { (*lane.plan.get()).push(Planned { step, turn: *turn }) };
            *turn = turn.wrapping_add(1);
        }
        crew.begin(false);
        crew.wait();
        if crew.failed.load(Relaxed) {
            bail!("there is no memory for a block of {} bytes", crew.missing.load(Relaxed));
        }
        Ok(())
    }
}

impl<'a, C: Contender + Sync> Crew<'a, C> {
    fn new(contender: &'a C, task: &Task) -> Self {
        let dead = Slot { block: std::ptr::null_mut(), request: Request::of_size(1) };
        let slot = || Shared { turn: AtomicU32::new(0), slot: UnsafeCell::new(std::hint::black_box(dead)) };
        let filler = Planned {
            step: Step { request: Request::of_size(1), slot: 0, kind: Kind::Free, lane: 0 },
            turn: 0,
        };
        let lane = || {
            let mut plan = std::hint::black_box(vec![filler; STRETCH]);
            plan.clear();
            Lane { plan: UnsafeCell::new(plan) }
        };
        Self {
            contender,
            written: task.written,
            slots: (0..task.slots).map(|_| slot()).collect(),
            lanes: (0..task.lanes.max(1)).map(|_| lane()).collect(),
            stretch: Mutex::default(),
            begins: Condvar::new(),
            ends: Condvar::new(),
            nanoseconds: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            missing: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stretch> {
        self.stretch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets all threads go.
    fn begin(&self, is_last: bool) {
        let mut stretch = self.lock();
        *stretch = Stretch { number: stretch.number + 1, busy: self.lanes.len(), is_last };
        self.begins.notify_all();
    }

    /// Waits until they are done.
    fn wait(&self) {
        let mut stretch = self.lock();
        while stretch.busy > 0 {
            stretch = self.ends.wait(stretch).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A thread's life.
    fn work(&self, lane: &Lane) {
        let mut seen = 0;
        loop {
            let mut stretch = self.lock();
            while stretch.number == seen {
                stretch = self.begins.wait(stretch).unwrap_or_else(PoisonError::into_inner);
            }
            seen = stretch.number;
            if stretch.is_last {
                return;
            }
            drop(stretch);
            // SAFETY: during a stretch, the plan is this thread's.
            let plan = unsafe { &mut *lane.plan.get() };
            self.play(plan);
            plan.clear();
            let mut stretch = self.lock();
            stretch.busy -= 1;
            if stretch.busy == 0 {
                self.ends.notify_one();
            }
        }
    }

    /// Takes the steps, on the clock.
    fn play(&self, plan: &[Planned]) {
        if plan.is_empty() {
            return;
        }
        let start = process::cpu_time();
        let result = match self.written {
            Written::Below(_) => self.take::<false>(plan),
            Written::All => self.take::<true>(plan),
        };
        let took = process::cpu_time() - start;
        match result {
            Ok(waited) => {
                self.nanoseconds.fetch_add(took.saturating_sub(waited), Relaxed);
            }
            Err(request) => {
                // The first: others fail because they wait for it.
                if !self.failed.swap(true, Relaxed) {
                    self.missing.store(request.size() as u64, Relaxed);
                }
            }
        }
    }

    /// The loop: gives the CPU time that went into waiting. On failure, what could not be had.
    #[inline(never)]
    fn take<const ALL: bool>(&self, plan: &[Planned]) -> Result<u64, Request> {
        let mut waited = 0;
        for Planned { step, turn } in plan {
            let shared = &self.slots[step.slot as usize];
            if shared.turn.load(Acquire) != *turn {
                waited += self.await_turn(shared, *turn).ok_or(step.request)?;
            }
            // SAFETY: it is this step's turn, so the slot is this thread's. A trace frees and resizes live blocks only, and
            // all blocks are of this contender.
            unsafe { hand::take::<C, ALL>(self.contender, &mut *shared.slot.get(), step, self.written)? };
            shared.turn.store(turn.wrapping_add(1), Release);
        }
        Ok(waited)
    }

    /// Waits for the turn of a slot, which another thread has. Gives the CPU time that this took, or nothing if another
    /// thread has failed, whose turns never come.
    #[cold]
    #[inline(never)]
    fn await_turn(&self, shared: &Shared, turn: u32) -> Option<u64> {
        let start = process::cpu_time();
        while shared.turn.load(Acquire) != turn {
            if self.failed.load(Relaxed) {
                return None;
            }
            thread::yield_now();
        }
        Some(process::cpu_time() - start)
    }

    /// All slots, between stretches.
    fn all(&self) -> impl Iterator<Item = &Slot> {
        // SAFETY: between stretches, slots are the dispatcher's, which does not change them.
        self.slots.iter().map(|shared| unsafe { &*shared.slot.get() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::contender::Glibc;

    fn task(lanes: u16) -> Task {
        Task { slots: 4, lanes, peak: 2, written: Written::All, walk: true, ..Task::default() }
    }

    fn step(kind: Kind, slot: u32, size: u64, lane: u16) -> Step {
        Step { kind, slot, request: Request::of_size(size), lane }
    }

    /// Has a crew take these steps over and over, as one stretch each time.
    fn play(lanes: u16, steps: &[Step], times: usize) -> Result<u64> {
        let task = task(lanes);
        let crew = Crew::new(&Glibc, &task);
        thread::scope(|scope| {
            for lane in &crew.lanes {
                let crew = &crew;
                scope.spawn(move || crew.work(lane));
            }
            let mut dispatcher = Dispatcher::new(&crew);
            let result = (0..times).try_for_each(|_| dispatcher.stretch(steps));
            crew.begin(true);
            result
        })?;
        assert!(crew.all().all(|slot| slot.block.is_null()), "every block is freed");
        Ok(crew.nanoseconds.into_inner())
    }

    #[test]
    fn blocks_go_from_thread_to_thread_in_the_order_of_the_trace() {
        let steps = [
            step(Kind::Allocate, 0, 100, 0),
            step(Kind::Resize, 0, 5000, 1),
            step(Kind::Free, 0, 0, 2),
            step(Kind::Zeroed, 0, 24, 1),
            step(Kind::Allocate, 1, 10, 2),
            step(Kind::Free, 1, 0, 0),
            step(Kind::Free, 0, 0, 0),
        ];
        assert!(play(3, &steps, 200).unwrap() > 0);
        assert!(play(1, &steps, 200).unwrap() > 0);
    }

    #[test]
    fn a_failure_of_one_ends_all() {
        let steps =
            [step(Kind::Allocate, 0, 1 << 47, 0), step(Kind::Free, 0, 0, 1), step(Kind::Allocate, 1, 9, 1)];
        let error = play(2, &steps, 1).unwrap_err().to_string();
        assert_eq!(error, "there is no memory for a block of 140737488355328 bytes");
    }
}
