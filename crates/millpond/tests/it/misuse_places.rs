//! Misuse is reported with the places in the program where blocks were allocated and freed.

use std::{panic::Location, ptr::NonNull};

use millpond::{Allocator, Classes, Heap, Local, Tlsf, guard::Tracked};

use crate::misuse::{HERE, free, heard, layout};

/// Allocates at a location that is returned.
#[track_caller]
fn place() -> &'static Location<'static> {
    Location::caller()
}

#[test]
fn double_free_is_reported_with_all_three_places() {
    let pool = Tracked::new(Local::new(Classes::new())).reporting(HERE);
    let allocated = place();
    let block = pool.allocate(layout(64)).expect("the heap has room").cast();
    // SAFETY: the block is live, and has this layout.
    unsafe { pool.deallocate(block, layout(64)) };
    let between = place();
    // SAFETY: prevented by the guard.
    unsafe { pool.deallocate(block, layout(64)) };
    let told = heard();
    let sites = told[0].sites;
    let line = |site: Option<&Location<'_>>| site.map(|site| (site.file().to_owned(), site.line()));
    let expect = |line: u32| Some((file!().to_owned(), line));
    assert_eq!(line(sites.allocated), expect(allocated.line() + 1));
    assert_eq!(line(sites.freed), expect(between.line() - 1));
    assert_eq!(line(sites.misused), expect(between.line() + 2));
    let text = told[0].to_string();
    assert!(text.starts_with("pool \"tested\": block 0x") && text.contains("was freed twice"), "{text}");
    assert!(text.contains(&format!("allocated at {}:{}:", file!(), allocated.line() + 1)), "{text}");
}

#[test]
fn places_know_their_live_and_peak_bytes() {
    let pool = Tracked::new(Heap).reporting(HERE);
    let small: Vec<_> = (0..3).map(|_| take_here(&pool, 10)).collect();
    let large = pool.allocate(layout(1000)).expect("the heap has room").cast();
    for block in small {
        free(&pool, block, 10);
    }
    let last = take_here(&pool, 10);
    // SAFETY: the block is live, and grows where it was allocated.
    let large: NonNull<u8> = unsafe { pool.grow(large, layout(1000), layout(1010)) }.expect("room").cast();
    let sites = pool.sites();
    let metrics = |number: usize| {
        let line = &sites.sites()[number];
        (line.live.bytes, line.at_peak.bytes, line.total.blocks)
    };
    // While it grew, the old and the new block were both live: that was the peak.
    let (live, peak) = (sites.live().bytes, sites.peak().bytes);
    assert_eq!(live, 1020);
    assert!(peak >= 1030, "{sites}");
    assert_eq!(sites.sites().iter().map(|line| line.at_peak.bytes).sum::<usize>(), peak, "{sites}");
    assert_eq!(sites.sites().iter().map(|line| line.live.bytes).sum::<usize>(), live, "{sites}");
    let few = (0..sites.sites().len()).find(|&number| metrics(number).2 == 4).expect("four small ones");
    assert_eq!(metrics(few).0, 10);
    assert!(sites.to_string().contains(&format!("{}:", file!())), "{sites}");
    free(&pool, large, 1010);
    free(&pool, last, 10);
    assert_eq!(pool.sites().live().blocks, 0);
}

#[test]
fn shrinking_in_place_is_accounted_to_the_place() {
    let pool = Tracked::new(Local::new(Tlsf::new())).reporting(HERE);
    let block = take_here(&pool, 1000);
    // SAFETY: the block is live, and this is its layout.
    let shrunk = unsafe { pool.shrink_in_place(block, layout(1000), layout(10)) };
    assert!(shrunk.is_ok());
    let sites = pool.sites();
    assert_eq!((sites.live().bytes, sites.sites()[0].live.bytes, sites.peak().bytes), (10, 10, 1000));
    free(&pool, block, 10);
}

/// Allocates at one place in the program.
fn take_here(pool: &impl Allocator, size: usize) -> NonNull<u8> {
    pool.allocate(layout(size)).expect("the heap has room").cast()
}
