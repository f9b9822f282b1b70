//! The measured replay of a program with several threads. It uses as many threads as were active at once, and each of
//! them does what the recorded thread did.
//!
//! The order of the trace is kept as follows. Each thread performs its steps in order. A step on a block that another
//! thread has allocated or resized comes after that step. No thread starts a *stretch* of the trace before all have
//! ended the previous one. Within a stretch, threads are otherwise independent. The cost of waiting, and everything
//! between stretches, is not counted.

use std::{
    cell::UnsafeCell,
    hint,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::*},
    },
    thread::{self, Scope, Thread},
};

use anyhow::Result;

use super::{
    Batches, Reply, Slot, Task, Written, dead,
    plan::{Planned, Planner},
    process,
    timed::{self, Player, no_memory},
    touch,
};
use crate::{
    replay::contender::Contender,
    trace::{Request, Step},
};

/// How often a thread checks whether another thread's step is done before it sleeps.
const PATIENCE: u32 = 100;

/// A place for a block; threads share places.
struct Place(UnsafeCell<Slot>);

// SAFETY: a place is used by one thread at a time: within a stretch by the thread whose step has the block, which
// starts after the previous step on the same block, and between stretches by the dispatcher. A block may be used by
// several threads in turn, because its contender is `Sync`.
unsafe impl Sync for Place {}

/// The plan of a stretch.
struct Plan(UnsafeCell<Planner>);

// SAFETY: during a stretch, all threads only read the plan; between stretches only the dispatcher uses it. It is handed
// over by `Worker::begun` and handed back by `ThreadTeam::busy`.
unsafe impl Sync for Plan {}

/// One thread of the replay, on its own cache lines.
#[repr(align(128))]
#[derive(Default)]
struct Worker {
    thread: OnceLock<Thread>,
    /// Number of stretches that it may start.
    begun: AtomicU64,
    /// Number of steps of this stretch that are done, as far as others wait for them.
    done: AtomicU32,
    /// The workers that wait for it, one bit each,
    waiting: AtomicU64,
    /// and the number of steps of another worker for which this one waits.
    wanted: AtomicU32,
}

/// The state that the threads share.
struct ThreadTeam<'a, C> {
    contender: &'a C,
    written: Written,
    /// Max number of steps in a stretch.
    stretch: usize,
    places: Vec<Place>,
    plan: Plan,
    workers: Vec<Worker>,
    dispatcher: Thread,
    /// Number of threads that have not ended the stretch.
    busy: AtomicU32,
    is_over: AtomicBool,
    nanoseconds: AtomicU64,
    /// The request that could not be served, if there is one.
    missing: OnceLock<Request>,
}

/// Replays all batches with several threads.
pub(super) fn run<C: Contender + Sync>(
    contender: &C,
    task: &Task,
    batches: Batches<'_, '_>,
) -> Result<Reply> {
    let team = ThreadTeam::new(contender, task);
    thread::scope(|scope| {
        let mut dispatcher = Dispatcher::start(&team, scope);
        timed::replay(contender, task, batches, &mut dispatcher)
    })
}

/// Distributes steps to threads, stretch by stretch, and ends the threads when it is dropped.
struct Dispatcher<'a, 'b, C>(&'b ThreadTeam<'a, C>);

impl<'b, 'a: 'b, C: Contender + Sync> Dispatcher<'a, 'b, C> {
    /// Starts the threads.
    fn start<'scope>(team: &'b ThreadTeam<'a, C>, scope: &'scope Scope<'scope, '_>) -> Self
    where
        'b: 'scope,
    {
        for (number, worker) in team.workers.iter().enumerate() {
            let thread = scope.spawn(move || team.work(number));
            worker.thread.get_or_init(|| thread.thread().clone());
        }
        Self(team)
    }
}

impl<C: Contender + Sync> Player for Dispatcher<'_, '_, C> {
    fn play(&mut self, steps: &[Step]) -> Result<()> {
        steps.chunks(self.0.stretch).try_for_each(|steps| self.0.stretch(steps))
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        // SAFETY: between stretches, only the dispatcher uses the places, and it does not change them here.
        self.0.places.iter().map(|place| unsafe { &*place.0.get() })
    }

    fn block(&self, slot: u32) -> &Slot {
        // SAFETY: between stretches, only the dispatcher uses the plan and the places, and it does not change them here.
        unsafe { &*self.0.places[(*self.0.plan.0.get()).place(slot) as usize].0.get() }
    }

    fn nanoseconds(&self) -> u64 {
        self.0.nanoseconds.load(Relaxed)
    }
}

impl<C> Drop for Dispatcher<'_, '_, C> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Relaxed);
        self.0.workers.iter().for_each(Worker::begin);
    }
}

impl Worker {
    /// Lets the thread start a stretch.
    fn begin(&self) {
        self.begun.fetch_add(1, Release);
        self.wake();
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl<'a, C: Contender + Sync> ThreadTeam<'a, C> {
    fn new(contender: &'a C, task: &Task) -> Self {
        let (workers, stretch) = (task.workers.max(1), task.stretch.max(1));
        let places = dead(Planner::places(task.slots, workers, stretch));
        Self {
            contender,
            written: task.written,
            stretch,
            places: places.into_iter().map(|slot| Place(UnsafeCell::new(slot))).collect(),
            plan: Plan(UnsafeCell::new(Planner::new(task.slots, workers, stretch))),
            workers: (0..workers).map(|_| Worker::default()).collect(),
            dispatcher: thread::current(),
            busy: AtomicU32::new(0),
            is_over: AtomicBool::new(false),
            nanoseconds: AtomicU64::new(0),
            missing: OnceLock::new(),
        }
    }

    /// Has these steps performed. Called by the dispatcher.
    fn stretch(&self, steps: &[Step]) -> Result<()> {
        // SAFETY: between stretches, only the dispatcher uses the plan; after this, it is only read.
        let plan = unsafe {
            (*self.plan.0.get()).plan(steps);
            &*self.plan.0.get()
        };
        let has_work = |number: &usize| !plan.of(*number).is_empty();
        let numbers = || (0..self.workers.len()).filter(has_work);
        self.workers.iter().for_each(|worker| worker.done.store(0, Relaxed));
        self.busy.store(numbers().count() as u32, Relaxed);
        for number in numbers() {
            self.workers[number].begin();
        }
        while self.busy.load(Acquire) > 0 {
            thread::park();
        }
        match self.missing.get() {
            Some(&request) => Err(no_memory(request)),
            None => Ok(()),
        }
    }

    /// The main loop of a thread.
    fn work(&self, number: usize) {
        let worker = &self.workers[number];
        for stretch in 0.. {
            while worker.begun.load(Acquire) == stretch {
                thread::park();
            }
            if self.is_over.load(Relaxed) {
                return;
            }
            self.play(number);
            // Acquire as well: the last thread passes on the writes of all others.
            if self.busy.fetch_sub(1, AcqRel) == 1 {
                self.dispatcher.unpark();
            }
        }
    }

    /// Performs the steps of a worker, timed.
    fn play(&self, number: usize) {
        // SAFETY: during a stretch, the plan is only read.
        let plan = unsafe { (*self.plan.0.get()).of(number) };
        let start = process::cpu_time();
        let result = match self.written {
            Written::Below(_) => self.take::<false>(number, plan),
            Written::All => self.take::<true>(number, plan),
        };
        let took = process::cpu_time() - start;
        match result {
            Ok(waited) => {
                self.nanoseconds.fetch_add(took.saturating_sub(waited), Relaxed);
            }
            Err(request) => {
                // The first failure counts: others fail because they wait for it.
                self.missing.get_or_init(|| request);
                self.workers.iter().for_each(Worker::wake);
            }
        }
    }

    /// Performs the steps. Returns the CPU time that waiting took; on failure, the request that could not be served.
    #[inline(never)]
    fn take<const ALL: bool>(&self, number: usize, plan: &[Planned]) -> Result<u64, Request> {
        let mut waited = 0;
        for (at, planned) in plan.iter().enumerate() {
            let other = &self.workers[planned.worker as usize];
            if planned.count != 0 && other.done.load(Acquire) < planned.count {
                waited += self.wait_for(other, planned.count, number).ok_or(planned.step.request)?;
            }
            let place = &self.places[planned.step.slot as usize];
            // SAFETY: the previous step on the block, if any, is done, and no other block has this place. A trace frees
            // and resizes only live blocks, and all blocks come from this contender.
            unsafe {
                touch::take::<C, ALL>(self.contender, &mut *place.0.get(), &planned.step, self.written)?
            };
            if planned.is_awaited {
                waited += self.tell(&self.workers[number], at as u32 + 1);
            }
        }
        Ok(waited)
    }

    /// Waits until the other worker has done this many steps. Returns the CPU time that this took, or `None` if a thread
    /// has failed, whose steps would never be done.
    #[cold]
    #[inline(never)]
    fn wait_for(&self, other: &Worker, count: u32, number: usize) -> Option<u64> {
        let start = process::cpu_time();
        let mut patience = PATIENCE;
        while patience > 0 && other.done.load(Acquire) < count {
            hint::spin_loop();
            patience -= 1;
        }
        self.workers[number].wanted.store(count, Relaxed);
        other.waiting.fetch_or(1 << number, SeqCst);
        // Either this thread sees that the step is done, or the other thread sees that this one waits.
        while other.done.load(SeqCst) < count && self.missing.get().is_none() {
            thread::park();
        }
        other.waiting.fetch_and(!(1 << number), Relaxed);
        (other.done.load(Acquire) >= count).then(|| process::cpu_time() - start)
    }

    /// Records that a worker has done this many steps. Returns the CPU time of waking the workers that waited for them.
    #[inline(always)]
    fn tell(&self, worker: &Worker, count: u32) -> u64 {
        worker.done.store(count, SeqCst);
        match worker.waiting.load(SeqCst) {
            0 => 0,
            waiting => self.wake(waiting, count),
        }
    }

    #[cold]
    #[inline(never)]
    fn wake(&self, waiting: u64, count: u32) -> u64 {
        let start = process::cpu_time();
        let waits = |(number, worker): &(usize, &Worker)| {
            waiting >> number & 1 != 0 && worker.wanted.load(Relaxed) <= count
        };
        self.workers.iter().enumerate().filter(waits).for_each(|(_, worker)| worker.wake());
        process::cpu_time() - start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        replay::{
            contender::Malloc,
            worker::plan::tests::{Random, steps},
        },
        trace::Kind,
    };
    use std::{collections::HashSet, sync::Mutex, time::Duration};

    /// Has a team perform these steps this many times.
    fn play<C: Contender + Sync>(contender: &C, task: &Task, steps: &[Step], times: usize) -> Result<u64> {
        let team = ThreadTeam::new(contender, task);
        thread::scope(|scope| {
            let mut dispatcher = Dispatcher::start(&team, scope);
            (0..times).try_for_each(|_| dispatcher.play(steps))?;
            assert!(dispatcher.slots().all(|slot| slot.block.is_null()), "every block is freed");
            Ok(dispatcher.nanoseconds())
        })
    }

    fn task(slots: u32, workers: u16, stretch: usize) -> Task {
        Task { slots, workers, stretch, written: Written::All, ..Task::default() }
    }

    fn step(kind: Kind, slot: u32, size: u64, worker: u16) -> Step {
        Step { kind, slot, request: Request::of_size(size), worker }
    }

    #[test]
    fn blocks_change_threads_in_the_order_of_the_trace() {
        let steps = [
            step(Kind::Allocate, 0, 100, 0),
            step(Kind::Resize, 0, 5000, 1),
            step(Kind::Free, 0, 0, 2),
            step(Kind::Zeroed, 0, 24, 1),
            step(Kind::Allocate, 1, 10, 2),
            step(Kind::Free, 1, 0, 0),
            step(Kind::Free, 0, 0, 0),
        ];
        assert!(play(&Malloc, &task(4, 3, 7), &steps, 200).unwrap() > 0);
        assert!(play(&Malloc, &task(4, 1, 3), &steps, 200).unwrap() > 0);
    }

    #[test]
    fn one_failure_ends_all() {
        let steps =
            [step(Kind::Allocate, 0, 1 << 47, 0), step(Kind::Free, 0, 0, 1), step(Kind::Allocate, 1, 9, 1)];
        let error = play(&Malloc, &task(4, 2, 8), &steps, 1).unwrap_err().to_string();
        assert_eq!(error, "there is no memory for a block of 140737488355328 bytes");
    }

    /// glibc, with random pauses, and with a list of what is live.
    struct Slow {
        live: Mutex<HashSet<usize>>,
        random: Mutex<Random>,
        wrong: AtomicU32,
    }

    impl Slow {
        fn pause(&self) {
            let pause = self.random.lock().unwrap().below(64);
            match pause {
                0 => thread::sleep(Duration::from_micros(50)),
                1..16 => thread::yield_now(),
                _ => {}
            }
        }

        fn born(&self, block: *mut u8) -> *mut u8 {
            assert!(self.live.lock().unwrap().insert(block.addr()));
            self.pause();
            block
        }

        /// Returns whether the block was live, as it should be.
        fn dies(&self, block: *mut u8) -> bool {
            self.pause();
            let was_live = self.live.lock().unwrap().remove(&block.addr());
            self.wrong.fetch_add(u32::from(!was_live), Relaxed);
            was_live
        }
    }

    impl Contender for Slow {
        fn allocate(&self, request: Request) -> *mut u8 {
            self.pause();
            self.born(Malloc.allocate(request))
        }

        fn allocate_zeroed(&self, request: Request) -> *mut u8 {
            self.allocate(request)
        }

        fn allocate_aligned(&self, request: Request) -> *mut u8 {
            self.allocate(request)
        }

        unsafe fn resize(&self, block: *mut u8, old: Request, new: Request) -> *mut u8 {
            // SAFETY: the caller passes a live block and its request, as `free` requires.
            unsafe { self.free(block, old) };
            self.allocate(new)
        }

        unsafe fn free(&self, block: *mut u8, request: Request) {
            if self.dies(block) {
                // SAFETY: the block is live.
                unsafe { Malloc.free(block, request) }
            }
        }

        unsafe fn usable(&self, _: *mut u8, request: Request) -> usize {
            request.size()
        }
    }

    #[test]
    fn delays_do_not_reorder_allocate_and_free() {
        for seed in 1..=8 {
            let mut random = Random(seed * 0x9E37_79B9);
            let (workers, stretch) = (2 + random.below(5) as u16, 50 + random.below(500));
            let steps = steps(&mut random, 30, workers, 1500);
            let slow = Slow { live: Mutex::default(), random: Mutex::new(random), wrong: AtomicU32::new(0) };
            play(&slow, &task(30, workers, stretch), &steps, 1).unwrap();
            assert_eq!(slow.wrong.into_inner(), 0, "seed {seed}");
        }
    }
}
