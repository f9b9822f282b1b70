//! Events that are logged (with `--features log`).

use std::sync::Mutex;

use log::{LevelFilter, Log, Metadata, Record};
use millpond::{
    Blocks, Fixed, Linear, Local,
    guard::Limit,
    observe::Reporter,
    pool::{Lifo, Validated},
};

use crate::misuse::{free, layout, take};

/// Records events about chunks of a size that no other test has, and about pools without memory.
struct Book(Mutex<Vec<String>>);

impl Log for Book {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = format!("{} {} {}", record.level(), record.target(), record.args());
        self.0.lock().expect("no test panics while it writes").push(line);
    }

    fn flush(&self) {}
}

static BOOK: Book = Book(Mutex::new(Vec::new()));

#[test]
fn growth_exhaustion_trim_and_misuse_are_logged() {
    log::set_logger(&BOOK).expect("this is the only logger");
    log::set_max_level(LevelFilter::Debug);
    let blocks = Blocks::<(Fixed<64>, Validated<Lifo>)>::new().with_blocks_per_chunk(77);
    let blocks = blocks.reporting(Reporter::named("told").with_hook(|_| {}));
    // 77 blocks and two words of bits, and only one chunk.
    let pool = Local::new_in(blocks, Limit::bytes(Local::new(Linear::new()), 77 * 64 + 16));
    let block = take(&pool, 64);
    free(&pool, block, 64);
    free(&pool, block, 64);
    let impossible = layout(7_654_328);
    assert!(millpond::Allocator::allocate(&pool, impossible).is_err());
    assert_eq!(pool.trim(), 77 * 64 + 16);
    let told = BOOK.0.lock().expect("no test panics while it writes");
    for line in [
        "DEBUG millpond a pool grew, bytes 4944",
        "ERROR millpond a pool was misused, misuse pool \"told\": block 0x",
        "WARN millpond a pool had no memory, bytes 7654328, align 8, error this allocator never serves",
        "DEBUG millpond a pool was trimmed, bytes 4944",
    ] {
        assert!(told.iter().any(|told| told.starts_with(line)), "{line} is not among {told:#?}");
    }
}
