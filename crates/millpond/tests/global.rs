//! A pool of Millpond is this program's own allocator, with a cache for each thread, and all threads ask it at once.

use std::{sync::Barrier, thread};

use millpond::{Cached, Classes, Inspect, Pages, interop::Global, lock::ParkingLock};

/// Its depot is behind a lock whose waiters sleep: neither that, nor to number a thread, may ask for memory.
type Memory = Cached<Classes, Pages, ParkingLock>;

#[global_allocator]
static GLOBAL: Global<Memory> = Global(Memory::of_classes(Classes::new(), Pages));

const THREADS: usize = 8;

/// Threads that begin together ask for their numbers together, and fill the depot's lock with waiters.
#[test]
fn threads_allocate_from_the_allocator_that_numbers_them() {
    for round in 0..20 {
        let start = Barrier::new(THREADS);
        let total: usize = thread::scope(|scope| {
            let threads = [(); THREADS].map(|()| {
                scope.spawn(|| {
                    start.wait();
                    let texts: Vec<String> = (0..2_000).map(|number| "x".repeat(number % 300)).collect();
                    texts.iter().map(String::len).sum::<usize>()
                })
            });
            threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
        });
        assert_eq!(total, THREADS * (0..2_000).map(|number| number % 300).sum::<usize>(), "round {round}");
    }
    let text = String::from("in the pool");
    assert!(GLOBAL.0.owns(text.as_ptr()));
    GLOBAL.0.check().expect("sound");
}
