//! Pools that threads share: two threads (or more) at once on one allocator, beside a magazine per thread written by hand
//! and beside the peers.
//!
//! The threads live as long as the contenders do, so that everyone's caches are warm; each turn begins when all of them are
//! there, and ends when the last is done. A nanosecond here is one of a thread: with two threads that do `n` pairs each in
//! `t`, a pair takes `t / n`.

use std::{
    cell::UnsafeCell,
    hint::{black_box, spin_loop},
    mem,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicPtr, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use millpond::{Blocks, Cached, Classes, Fail, Fixed, Heap, Locked, Spin};

use crate::{
    classes::tcmalloc,
    contenders::{Contender, Glibc, Mimalloc, Ours, SIZE},
    harness::median,
    variable::Malloc,
};

/// What each of several threads does, `n` times or about; says how often.
pub struct Mix {
    pub name: &'static str,
    pub what: &'static str,
    pub contenders: fn() -> Vec<(&'static str, Job)>,
}

/// A thread's part of a turn: its number, and how many pairs. With `tails`, each operation is timed.
pub type Job = Arc<dyn Fn(usize, usize, Option<&mut Tails>) + Send + Sync>;

/// The time of each operation, in ticks of the processor's clock.
pub type Tails = Vec<u32>;

pub const MIXES: &[Mix] = &[
    Mix {
        name: "shared-pairs",
        what: "both threads allocate one block and free it, again",
        contenders: || everyone::<Pairs>(),
    },
    Mix {
        name: "shared-handoff",
        what: "one thread allocates, the other frees, a ring between them",
        contenders: || everyone::<Handoff<false>>(),
    },
    Mix {
        name: "shared-handoff-read",
        what: "the same; the first writes to the block, the second reads it before freeing it",
        contenders: || everyone::<Handoff<true>>(),
    },
    Mix {
        name: "shared-replace",
        what: "both threads replace a random one of 4,096 blocks in a shared array",
        contenders: || everyone::<Replace>(),
    },
    Mix {
        name: "shared-bursts",
        what: "both threads allocate 1 to 64 blocks and free them, first first",
        contenders: || everyone::<Bursts<64>>(),
    },
    Mix {
        name: "shared-depot",
        what: "both threads allocate 1,000 blocks and free them, first first: what do visits to the depot cost?",
        contenders: || {
            vec![cached::<128>("126 in a magazine"), cached::<32>("30"), cached::<8>("6"), cached::<4>("2")]
        },
    },
];

/// A pool with magazines of so many places, under load that goes past them.
fn cached<const PLACES: usize>(name: &'static str) -> (&'static str, Job) {
    let pool = Cached::<_, Heap, Spin, _, PLACES>::with_policy(Blocks::<Fixed<SIZE>>::new(), Heap, Fail);
    job::<Bursts<1000>, _>(name, Ours::<_, true>::new(pool))
}

/// Pairs and bursts of more threads than there are cores: how contended is the depot?
pub fn crowd() {
    for threads in [8, 14] {
        MIXES
            .iter()
            .filter(|mix| ["shared-pairs", "shared-bursts", "shared-depot"].contains(&mix.name))
            .for_each(|mix| compare(mix, threads));
    }
}

/// What threads do with a contender that they share.
pub trait Way: Send + Sync + 'static {
    fn new<C: Sharer>(contender: C) -> Self;
    /// `thread` does `pairs` operations; `time` is told of each.
    fn run<C: Sharer>(&self, contender: C, thread: usize, pairs: usize, time: impl Clock);
}

/// A contender that each thread has a copy of.
pub trait Sharer: Contender<Block = *mut u8> + Copy + Send + Sync + 'static {}
impl<C: Contender<Block = *mut u8> + Copy + Send + Sync + 'static> Sharer for C {}

/// Times operations, or does not.
pub trait Clock {
    fn time<R>(&mut self, operation: impl FnOnce() -> R) -> R;
}

struct Untimed;

impl Clock for Untimed {
    #[inline(always)]
    fn time<R>(&mut self, operation: impl FnOnce() -> R) -> R {
        operation()
    }
}

impl Clock for &mut Tails {
    #[inline(always)]
    fn time<R>(&mut self, operation: impl FnOnce() -> R) -> R {
        let start = ticks();
        let result = operation();
        self.push((ticks() - start).min(u64::from(u32::MAX)) as u32);
        result
    }
}

#[cfg(target_arch = "x86_64")]
fn ticks() -> u64 {
    // SAFETY: every x86-64 has the counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn ticks() -> u64 {
    use std::sync::OnceLock;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

pub fn job<W: Way, C: Sharer>(name: &'static str, contender: C) -> (&'static str, Job) {
    let way = W::new(contender);
    let job = move |thread, pairs, tails: Option<&mut Tails>| match tails {
        None => way.run(contender, thread, pairs, Untimed),
        Some(tails) => way.run(contender, thread, pairs, tails),
    };
    (name, Arc::new(job))
}

fn everyone<W: Way>() -> Vec<(&'static str, Job)> {
    let mut jobs = vec![
        job::<W, _>("magazine by hand (lb)", ByHand),
        job::<W, _>(
            "Cached<Blocks<Fixed<64>>>",
            Ours::<_, true>::new(Cached::new(Blocks::<Fixed<SIZE>>::new())),
        ),
        job::<W, _>("Cached<Classes>, run-time layout", Ours::<_, false>::new(Cached::new(Classes::new()))),
        job::<W, _>(
            "Locked<Blocks<Fixed<64>>>",
            Ours::<_, true>::new(Locked::<_>::new(Blocks::<Fixed<SIZE>>::new())),
        ),
        job::<W, _>("glibc", Glibc),
        job::<W, _>("mimalloc", Mimalloc),
        job::<W, _>("jemalloc", Malloc { malloc: tikv_jemalloc_sys::malloc, free: tikv_jemalloc_sys::free }),
        job::<W, _>("snmalloc", Malloc { malloc: snmalloc_sys::sn_malloc, free: snmalloc_sys::sn_free }),
    ];
    match tcmalloc() {
        Some(tcmalloc) => jobs.push(job::<W, _>("tcmalloc", tcmalloc)),
        None => eprintln!("skipped: tcmalloc, because libtcmalloc_minimal.so.4 is not installed"),
    }
    jobs
}

impl Contender for Malloc {
    type Block = *mut u8;

    #[inline(always)]
    fn take(&mut self) -> *mut u8 {
        // SAFETY: any size will do.
        unsafe { (self.malloc)(SIZE).cast() }
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { (self.free)(block.cast()) }
    }
}

/// The bound: an array of free blocks per thread, written by hand; a full one gives half to a list under a mutex, an
/// empty one takes half from there. No growth but from the heap, no handing on at the thread's end.
#[derive(Clone, Copy)]
struct ByHand;

const PLACES: usize = 64;

struct Array {
    count: usize,
    places: [*mut u8; PLACES],
}

thread_local! {
    static ARRAY: UnsafeCell<Array> = const { UnsafeCell::new(Array { count: 0, places: [std::ptr::null_mut(); PLACES] }) };
}

static SHARED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

impl Array {
    #[cold]
    #[inline(never)]
    fn refill(&mut self) {
        let mut shared = SHARED.lock().expect("nobody panics here");
        if shared.len() < PLACES / 2 {
            let memory = Vec::leak(vec![[0u64; SIZE / 8]; 1024]);
            shared.extend(memory.iter_mut().rev().map(|block| std::ptr::from_mut(block).expose_provenance()));
        }
        let rest = shared.len() - PLACES / 2;
        for (place, block) in self.places.iter_mut().zip(shared.drain(rest..)) {
            *place = std::ptr::with_exposed_provenance_mut(block);
        }
        self.count = PLACES / 2;
    }

    #[cold]
    #[inline(never)]
    fn spill(&mut self) {
        let half = self.places[..PLACES / 2].iter().map(|block| block.expose_provenance());
        SHARED.lock().expect("nobody panics here").extend(half);
        self.places.copy_within(PLACES / 2.., 0);
        self.count = PLACES / 2;
    }
}

impl Contender for ByHand {
    type Block = *mut u8;

    #[inline(always)]
    fn take(&mut self) -> *mut u8 {
        ARRAY.with(|array| {
            // SAFETY: the array is this thread's, and the reference ends here.
            let array = unsafe { &mut *array.get() };
            if array.count == 0 {
                array.refill();
            }
            array.count -= 1;
            // SAFETY: the count is never above the number of places.
            unsafe { *array.places.get_unchecked(array.count) }
        })
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8) {
        ARRAY.with(|array| {
            // SAFETY: as above.
            let array = unsafe { &mut *array.get() };
            if array.count == PLACES {
                array.spill();
            }
            // SAFETY: there is a place.
            unsafe { *array.places.get_unchecked_mut(array.count) = block };
            array.count += 1;
        });
    }
}

pub struct Pairs;

impl Way for Pairs {
    fn new<C: Sharer>(_: C) -> Self {
        Self
    }

    #[inline(never)]
    fn run<C: Sharer>(&self, mut contender: C, _: usize, pairs: usize, mut clock: impl Clock) {
        for _ in 0..pairs {
            let block = clock.time(|| black_box(contender.take()));
            // SAFETY: the block was just taken.
            clock.time(|| unsafe { contender.give(block) });
        }
    }
}

/// A ring of a power of two of places, for one that puts and one that takes.
struct Ring {
    places: Vec<AtomicPtr<u8>>,
}

/// How many blocks are on their way at most.
const ON_THE_WAY: usize = 1024;

impl Ring {
    fn new() -> Self {
        Self { places: (0..ON_THE_WAY).map(|_| AtomicPtr::default()).collect() }
    }

    /// Waits for the place with this number to be free, and fills it.
    #[inline(always)]
    fn put(&self, number: usize, block: *mut u8) {
        let place = &self.places[number % ON_THE_WAY];
        while !place.load(Ordering::Acquire).is_null() {
            spin_loop();
        }
        place.store(block, Ordering::Release);
    }

    /// Waits for the place with this number to be filled, and empties it.
    #[inline(always)]
    fn take(&self, number: usize) -> *mut u8 {
        let place = &self.places[number % ON_THE_WAY];
        loop {
            let block = place.load(Ordering::Acquire);
            if !block.is_null() {
                place.store(std::ptr::null_mut(), Ordering::Release);
                return block;
            }
            spin_loop();
        }
    }
}

/// From every even thread to the next.
struct Handoff<const READ: bool>(Vec<Ring>);

impl<const READ: bool> Way for Handoff<READ> {
    fn new<C: Sharer>(_: C) -> Self {
        Self((0..8).map(|_| Ring::new()).collect())
    }

    #[inline(never)]
    fn run<C: Sharer>(&self, mut contender: C, thread: usize, pairs: usize, mut clock: impl Clock) {
        let ring = &self.0[thread / 2];
        if thread.is_multiple_of(2) {
            for number in 0..pairs {
                let block = clock.time(|| contender.take());
                if READ {
                    // SAFETY: the block is longer than a word, and ours.
                    unsafe { block.cast::<usize>().write(number) };
                }
                ring.put(number, block);
            }
        } else {
            for number in 0..pairs {
                let block = ring.take(number);
                if READ {
                    // SAFETY: the block is longer than a word, and ours now.
                    assert_eq!(
                        unsafe { block.cast::<usize>().read() },
                        number,
                        "somebody else has the block"
                    );
                }
                // SAFETY: the block was taken by the other thread, and is given back once.
                clock.time(|| unsafe { contender.give(block) });
            }
        }
    }
}

const ARRAY_LENGTH: usize = 4096;

struct Replace(Vec<AtomicPtr<u8>>);

impl Way for Replace {
    fn new<C: Sharer>(mut contender: C) -> Self {
        Self((0..ARRAY_LENGTH).map(|_| AtomicPtr::new(contender.take())).collect())
    }

    #[inline(never)]
    fn run<C: Sharer>(&self, mut contender: C, thread: usize, pairs: usize, mut clock: impl Clock) {
        let mut random = Random::of(thread);
        for _ in 0..pairs {
            let fresh = clock.time(|| contender.take());
            let old = self.0[random.below(ARRAY_LENGTH)].swap(fresh, Ordering::AcqRel);
            // SAFETY: the block was in the array, where nobody else finds it any more.
            clock.time(|| unsafe { contender.give(old) });
        }
    }
}

/// Up to 64 blocks at a time; above that, always as many as said.
struct Bursts<const MOST: usize>;

impl<const MOST: usize> Way for Bursts<MOST> {
    fn new<C: Sharer>(_: C) -> Self {
        Self
    }

    #[inline(never)]
    fn run<C: Sharer>(&self, mut contender: C, thread: usize, pairs: usize, mut clock: impl Clock) {
        let mut random = Random::of(thread);
        let mut bucket = [std::ptr::null_mut(); MOST];
        let mut done = 0;
        while done < pairs {
            let burst = if MOST > 64 { MOST } else { 1 + random.below(MOST) }.min(pairs - done);
            for place in &mut bucket[..burst] {
                *place = clock.time(|| contender.take());
            }
            for &block in &bucket[..burst] {
                // SAFETY: the block was taken above and is given back once.
                clock.time(|| unsafe { contender.give(block) });
            }
            done += burst;
        }
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn of(thread: usize) -> Self {
        Self(0x9E37_79B9_7F4A_7C15 ^ (thread as u64 + 1))
    }

    #[inline(always)]
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as usize * bound) >> 32
    }
}

/// What a thread is told to do.
struct Turn {
    job: Job,
    pairs: usize,
    timed: bool,
}

/// When a thread began and ended its part, and what its operations took.
struct Done {
    start: Instant,
    end: Instant,
    tails: Tails,
}

/// Threads that wait for turns.
struct Crew {
    orders: Vec<mpsc::Sender<Turn>>,
    done: mpsc::Receiver<Done>,
}

impl Crew {
    fn of(threads: usize) -> Self {
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
    fn turn(&self, job: &Job, pairs: usize, timed: bool) -> Vec<Done> {
        for order in &self.orders {
            order.send(Turn { job: job.clone(), pairs, timed }).expect("the threads wait for turns");
        }
        self.orders.iter().map(|_| self.done.recv().expect("the threads report each turn")).collect()
    }

    fn time(&self, job: &Job, pairs: usize) -> Duration {
        let done = self.turn(job, pairs, false);
        let start = done.iter().map(|done| done.start).min().expect("there are threads");
        let end = done.iter().map(|done| done.end).max().expect("there are threads");
        end - start
    }
}

const MAKINGS: usize = 5;
const ROUNDS: usize = 9;
const SLICE: Duration = Duration::from_millis(8);
/// How many operations of each thread are timed, in each of the makings.
const TIMED: usize = 200_000;

/// Runs a mix and prints a table: median ns per pair, the median ratio to each of the first two, and tails.
pub fn compare(mix: &Mix, threads: usize) {
    let names: Vec<&str> = (mix.contenders)().iter().map(|(name, _)| *name).collect();
    let mut times = vec![Vec::new(); names.len()];
    let mut tails = vec![Tails::new(); names.len()];
    let ticks = ticks_per_nanosecond();
    for _ in 0..MAKINGS {
        let crew = Crew::of(threads);
        let jobs = (mix.contenders)();
        let counts: Vec<usize> = jobs.iter().map(|(_, job)| warm_up(&crew, job)).collect();
        for round in 0..ROUNDS {
            for turn in 0..jobs.len() {
                let index = (turn + round) % jobs.len();
                let took = crew.time(&jobs[index].1, counts[index]);
                times[index].push(took.as_nanos() as f64 / counts[index] as f64);
            }
        }
        for (index, (_, job)) in jobs.iter().enumerate() {
            for done in crew.turn(job, TIMED, true) {
                tails[index].extend(done.tails);
            }
        }
    }
    println!("\n{}: {} ({threads} threads)", mix.name, mix.what);
    println!("  {:<34}{:>8}{:>8}{:>8}{:>10}{:>10}", "", "ns", "x 1st", "x 2nd", "p99.9", "max");
    for (index, name) in names.iter().enumerate() {
        let mine = &times[index];
        let ratio = |base: &[f64]| median(mine.iter().zip(base).map(|(mine, base)| mine / base).collect());
        let tails = &mut tails[index];
        tails.sort_unstable();
        let nanoseconds = |index: usize| f64::from(tails[index]) / ticks;
        println!(
            "  {:<34}{:>8.2}{:>8.2}{:>8.2}{:>10.0}{:>10.0}",
            name,
            median(mine.clone()),
            ratio(&times[0]),
            ratio(&times[1]),
            nanoseconds(tails.len() - tails.len() / 1000 - 1),
            nanoseconds(tails.len() - 1),
        );
    }
}

/// Finds how many pairs take about a slice of time.
fn warm_up(crew: &Crew, job: &Job) -> usize {
    let mut count = 1000;
    while crew.time(job, count) < SLICE {
        count *= 2;
    }
    count
}

fn ticks_per_nanosecond() -> f64 {
    let (start, first) = (Instant::now(), ticks());
    while start.elapsed() < Duration::from_millis(20) {}
    (ticks() - first) as f64 / start.elapsed().as_nanos() as f64
}
