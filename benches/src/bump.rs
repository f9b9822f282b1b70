//! Arenas that threads share: `AtomicLinear`, compared with a hand-written atomic addition and with arenas behind a
//! lock.
//!
//! Blocks of 64 bytes, to which nothing is written, so that the benchmark measures how threads share the cursor, and
//! not memory. The last thread to finish resets the arena, outside of the timing of single operations.

use std::{
    alloc::Layout,
    cell::UnsafeCell,
    hint::black_box,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bumpalo::Bump;
use millpond::{Allocator, Linear, Locked, Reclaim, shell::AtomicLinear, source::DefaultParent};

use crate::{
    contenders::LAYOUT,
    report::Mix,
    shared::{Clock, Entrant, Tails, Untimed, compare},
};

pub const MIXES: &[Mix] = &[Mix {
    name: "bump",
    what: "allocate a block of 64 bytes from an arena that threads share",
    run: || vec![compare(contenders::<1>, 1), compare(contenders::<2>, 2)],
}];

fn contenders<const THREADS: usize>() -> Vec<Entrant> {
    vec![
        job::<THREADS, _>("hand-written addition", HandWritten::new()),
        job::<THREADS, _>("AtomicLinear", AtomicLinear::new().with_capacity(ROOM)),
        job::<THREADS, _>("Locked<Linear>", Locked::<_>::new(Linear::with_capacity(ROOM))),
        job::<THREADS, _>("bumpalo behind a Mutex", Mutex::new(Bump::with_capacity(ROOM))),
    ]
}

/// Enough bytes for a turn: only addresses, because nothing is written to them.
const ROOM: usize = 1 << 30;

/// An arena whose cursor threads share.
trait Arena: Sync {
    fn take(&self) -> *mut u8;
    fn reset(&mut self);
}

/// An arena, and the number of threads that have finished their part of a turn.
struct Shared<A> {
    arena: UnsafeCell<A>,
    done: AtomicUsize,
}

// SAFETY: threads share the arena only through its shared methods, and the last of them to finish resets it.
unsafe impl<A: Sync> Sync for Shared<A> {}
// SAFETY: the arena is created on one thread and dropped on another, while no thread uses it.
unsafe impl<A> Send for Shared<A> {}

impl<A: Arena> Shared<A> {
    fn run(&self, threads: usize, blocks: usize, mut clock: impl Clock) {
        // SAFETY: the arena is not reset before this thread has finished.
        let arena = unsafe { &*self.arena.get() };
        for _ in 0..blocks {
            black_box(clock.time(|| arena.take()));
        }
        if self.done.fetch_add(1, Ordering::AcqRel) + 1 == threads {
            self.done.store(0, Ordering::Relaxed);
            // SAFETY: all other threads have finished, and wait for this one before the next turn.
            unsafe { &mut *self.arena.get() }.reset();
        }
    }
}

fn job<const THREADS: usize, A: Arena + 'static>(name: &'static str, arena: A) -> Entrant {
    let shared = Shared { arena: UnsafeCell::new(arena), done: AtomicUsize::new(0) };
    let run = move |_, blocks, tails: Option<&mut Tails>| match tails {
        None => shared.run(THREADS, blocks, Untimed),
        Some(tails) => shared.run(THREADS, blocks, tails),
    };
    (name, Arc::new(run))
}

/// The lower bound: one addition and one comparison.
struct HandWritten {
    start: usize,
    cursor: AtomicUsize,
}

impl HandWritten {
    fn new() -> Self {
        let memory = AtomicLinear::new().with_capacity(ROOM);
        let layout = Layout::from_size_align(ROOM, 64).expect("a size that is no problem");
        let start = memory.allocate(layout).expect("addresses enough").addr().get();
        std::mem::forget(memory);
        Self { start, cursor: AtomicUsize::new(0) }
    }
}

impl Arena for HandWritten {
    #[inline(always)]
    fn take(&self) -> *mut u8 {
        let at = self.cursor.fetch_add(LAYOUT.size(), Ordering::Relaxed);
        assert!(at < ROOM, "a turn is shorter");
        std::ptr::with_exposed_provenance_mut(self.start + at)
    }

    fn reset(&mut self) {
        *self.cursor.get_mut() = 0;
    }
}

impl Arena for AtomicLinear<DefaultParent> {
    #[inline(always)]
    fn take(&self) -> *mut u8 {
        self.allocate(LAYOUT).expect("room enough").as_ptr().cast()
    }

    fn reset(&mut self) {
        Reclaim::reset(self);
    }
}

impl Arena for Locked<Linear> {
    #[inline(always)]
    fn take(&self) -> *mut u8 {
        self.allocate(LAYOUT).expect("room enough").as_ptr().cast()
    }

    fn reset(&mut self) {
        Reclaim::reset(self);
    }
}

impl Arena for Mutex<Bump> {
    #[inline(always)]
    fn take(&self) -> *mut u8 {
        self.lock().expect("no thread panics here").alloc_layout(LAYOUT).as_ptr()
    }

    fn reset(&mut self) {
        self.get_mut().expect("no thread panics here").reset();
    }
}
