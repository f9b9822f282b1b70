//! Memory is bounded, whatever the length of the trace and the claims of a file.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io::{self, Cursor},
};

use millpond_trace::{At, Outcome, Reader, Start, Writer};

use crate::{
    forged::{File, section_claiming},
    support::verdict,
};

/// The system's allocator, with a count of the live bytes of each thread. zstd allocates in C and is not counted: it
/// decompresses directly into the buffers, and its own state has a constant size.
pub(crate) struct Meter;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

impl Meter {
    fn count(change: isize) {
        // The cells have no destructor, so they can always be reached.
        let live = LIVE.get() + change;
        LIVE.set(live);
        PEAK.set(PEAK.get().max(live));
    }
}

// SAFETY: every call is forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size() as isize);
        // SAFETY: the caller upholds the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        Self::count(-(layout.size() as isize));
        // SAFETY: the caller upholds the contract of `GlobalAlloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Returns the max memory that this thread has live during `work`, beyond what it had before.
fn peak_of(work: impl FnOnce()) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    work();
    (PEAK.get() - before) as usize
}

/// Writes `blocks` blocks of events in which at most 1,000 blocks of memory are live.
fn write_long(out: impl io::Write, blocks: u64) {
    let mut writer = Writer::new(out, &Start::default()).unwrap();
    for time in 0..blocks * 65_536 / 2 {
        let (at, slot) = (At { time, ..At::default() }, (time % 1_000) as u32);
        if time >= 1_000 {
            writer.free(at, slot).unwrap();
        }
        assert_eq!(writer.allocate(at, time % 500, 0, false).unwrap(), slot);
    }
    writer.finish(Outcome::default()).unwrap();
}

#[test]
fn long_traces_take_no_more_than_short_ones() {
    let files = [4, 12].map(|blocks| {
        let mut file = Vec::new();
        write_long(&mut file, blocks);
        file
    });
    let writing = [4, 12].map(|blocks| peak_of(|| write_long(io::sink(), blocks)));
    assert!(writing[1] <= writing[0] + 4_096, "{writing:?}");
    let reading = files.map(|file| {
        let input = Cursor::new(file);
        peak_of(|| {
            let (mut reader, mut events, mut count) = (Reader::new(input).unwrap(), Vec::new(), 0);
            while reader.read(&mut events).unwrap() {
                count += events.len() as u64;
            }
            assert_eq!(count, reader.summary().events);
        })
    });
    assert!(reading[1] <= reading[0] + 4_096, "{reading:?}");
    assert!(reading[1] < 6 << 20, "{reading:?}");
}

#[test]
fn small_files_cannot_ask_for_much() {
    let mut files = Vec::new();
    for kind in 1..=3 {
        for (events, length, plain, packed) in [
            (65_536, u32::MAX, 0, 0),
            (u32::MAX, 100, 0, 0),
            (65_536, 8, u32::MAX, 0),
            (65_536, 8, 655_360, 0),
            (65_536, 8, 8 << 20, u32::MAX),
            (65_536, 8, 8 << 20, 0),
        ] {
            let section = section_claiming(kind, events, length, &[plain, packed]);
            let mut file = File::example();
            match kind {
                1 => file.start = section,
                2 => file.blocks = vec![section],
                _ => file.summary = section,
            }
            files.push(file.bytes());
        }
    }
    for (number, file) in files.into_iter().enumerate() {
        let mut error = None;
        let peak = peak_of(|| error = verdict(file).err());
        assert!(error.is_some(), "file {number} was taken as good");
        assert!(peak < 9 << 20, "file {number} took {peak} bytes");
    }
}
