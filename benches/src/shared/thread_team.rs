//! Threads that wait for turns, and begin each together.

use std::{
    hint::spin_loop,
    mem,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use super::{Job, Tails};

/// What a thread does in a turn.
struct Turn {
    job: Job,
    pairs: usize,
    timed: bool,
}

/// When a thread began and ended its part, and what its operations took.
pub struct Done {
    pub start: Instant,
    pub end: Instant,
    pub tails: Tails,
}

/// Threads that wait for turns.
pub struct ThreadTeam {
    orders: Vec<mpsc::Sender<Turn>>,
    done: mpsc::Receiver<Done>,
}

impl ThreadTeam {
    pub fn of(threads: usize) -> Self {
        let (report, done) = mpsc::channel();
        let (here, arrivals) = (Arc::new(Barrier::new(threads)), Arc::new(AtomicUsize::new(0)));
        let orders = (0..threads).map(|thread| {
            let (order, turns) = mpsc::channel::<Turn>();
            let (report, here, arrivals) = (report.clone(), here.clone(), arrivals.clone());
            thread::spawn(move || {
                for turn in turns {
                    let mut tails = Vec::with_capacity(if turn.timed { 2 * turn.pairs } else { 0 });
                    here.wait();
                    // They wake up one after the other: begin together.
                    arrivals.fetch_add(1, Ordering::AcqRel);
                    while !arrivals.load(Ordering::Acquire).is_multiple_of(threads) {
                        if threads > 2 { thread::yield_now() } else { spin_loop() }
                    }
                    let start = Instant::now();
                    (turn.job)(thread, turn.pairs, turn.timed.then_some(&mut tails));
                    let end = Instant::now();
                    here.wait();
                    let _ = report.send(Done { start, end, tails: mem::take(&mut tails) });
                }
            });
            order
        });
        Self { orders: orders.collect(), done }
    }

    /// Lets every thread do its part.
    pub fn turn(&self, job: &Job, pairs: usize, timed: bool) -> Vec<Done> {
        for order in &self.orders {
            order.send(Turn { job: job.clone(), pairs, timed }).expect("the threads wait for turns");
        }
        self.orders.iter().map(|_| self.done.recv().expect("the threads report each turn")).collect()
    }

    pub fn time(&self, job: &Job, pairs: usize) -> Duration {
        let done = self.turn(job, pairs, false);
        let start = done.iter().map(|done| done.start).min().expect("there are threads");
        let end = done.iter().map(|done| done.end).max().expect("there are threads");
        end - start
    }
}
