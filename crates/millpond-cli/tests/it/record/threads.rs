//! Threads: many, short, ending, and handing blocks to each other.

use super::{Workshop, told};

#[test]
fn ending_threads_lose_no_events() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("threads", &[]) else { return };
    told(&workshop.record(&program, &["3"]));
    let trace = workshop.trace();
    let threads = 3 * 8;
    assert_eq!(trace.summary.threads, threads as u32 + 1);
    for size in [330, 331, 332] {
        assert_eq!((trace.made(size), trace.freed(size)), (threads, threads), "{size}");
    }
    assert_eq!((trace.made(333), trace.freed(333)), (3 * threads, 3 * threads), "while they end");
    trace.assert_exact();
}

#[test]
fn thousands_of_short_threads_need_little_memory() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("threads", &[]) else { return };
    // A hundred kilobytes of address space for each of 4000 threads would be too much here.
    let mut command = workshop.recorder();
    command.env("GLIBC_TUNABLES", "glibc.malloc.arena_max=1");
    command.args(["--", "sh", "-c", "ulimit -s 256; ulimit -v 150000; exec \"$0\" 500"]).arg(program);
    told(&command.output().unwrap());
    let trace = workshop.trace();
    assert_eq!((trace.summary.threads, trace.made(330), trace.freed(333)), (4001, 4000, 12_000));
    trace.assert_exact();
}

#[test]
fn no_block_is_allocated_twice_before_its_free() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("handover", &[]) else { return };
    // One arena and no cache per thread: blocks move between threads as quickly as possible.
    let tunables = "glibc.malloc.arena_max=1:glibc.malloc.tcache_count=0";
    let output =
        workshop.recorder().env("GLIBC_TUNABLES", tunables).arg("--").arg(&program).output().unwrap();
    told(&output);
    let trace = workshop.trace();
    trace.assert_exact();
    let made: usize = (1500..1564).map(|size| trace.made(size)).sum();
    let freed: usize = (1500..1564).map(|size| trace.freed(size)).sum();
    assert_eq!((made, freed), (400_000, 400_000));
}
