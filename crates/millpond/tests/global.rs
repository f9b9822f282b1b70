//! A pool of Millpond is this program's global allocator, with a cache for each thread, and all threads use it at once.

use std::{sync::Barrier, thread};

use millpond::{Cached, Classes, Inspect, Pages, interop::Global, lock::ParkingLock, shell::CacheOptions};

/// The lock of its depot puts waiting threads to sleep: neither that nor getting a thread index may allocate.
type Memory = Cached<Classes, Pages, CacheOptions<ParkingLock>>;

#[global_allocator]
static GLOBAL: Global<Memory> = Global(Memory::of_classes(Classes::new(), Pages));

const THREADS: usize = 8;

/// Threads that start together get their indices together, and fill the depot's lock with waiters.
#[test]
fn threads_use_the_global_allocator() {
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
