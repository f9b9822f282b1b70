//! What a million live values cost in resident memory: bytes per value of 64.

use std::hint::black_box;

use super::holders::{Holder, Infinity, Objects, Plural, Pooled, Slabs, SlotMaps, Slots, Thin, TypedArena};
use crate::{
    fork::{in_copies, resident_of_its_own},
    memory::MILLION,
    report::{Case, Measure, Mix, measures},
};

pub const MIXES: &[Mix] = &[Mix {
    name: "typed-resident",
    what: "resident memory of a million live values of 64 bytes",
    run: resident_at_a_million,
}];

/// Puts a million values in. Handles and keys are not counted: their places are resident before.
fn fill<H: Holder>(mut holder: H) -> [f64; 1] {
    let mut handles: Vec<Option<H::Handle>> = (0..MILLION).map(|_| None).collect();
    black_box(&mut handles);
    // Writing nothing into a place may be left out by the compiler, or leave it untouched.
    let bytes = handles.as_mut_ptr().cast::<u8>();
    for page in (0..size_of_val(&*handles)).step_by(4096) {
        // SAFETY: the byte is one of the vector's, and is written as it was read.
        unsafe { bytes.add(page).write_volatile(bytes.add(page).read_volatile()) };
    }
    let before = resident_of_its_own().unwrap_or(f64::NAN);
    for (place, number) in handles.iter_mut().zip(0..) {
        *place = Some(holder.put([number; 8]));
    }
    let used = resident_of_its_own().unwrap_or(f64::NAN) - before;
    black_box(&handles);
    [used / MILLION as f64]
}

type Row = (&'static str, fn() -> [f64; 1]);

const ROWS: &[Row] = &[
    ("Pool, PoolBox", || fill(Pooled::new())),
    ("ThinPool, ThinBox", || fill(Thin::new())),
    ("Slots", || fill(Slots::new())),
    ("slab", || fill(Slabs::new())),
    ("slotmap", || fill(SlotMaps::new())),
    ("plurality, Box", || fill(Plural::new())),
    ("infinity_pool, RawPinnedPool", || fill(Infinity::new())),
    ("typed-arena", || fill(TypedArena::new())),
    ("opool, LocalPool, never filled", || fill(Objects::new(0))),
];

/// Resident bytes per value, each contender on its default parent.
fn resident_at_a_million() -> Vec<Case> {
    const MEASURES: &[Measure] = &measures("bytes per value", ["live"]);
    if resident_of_its_own().is_none() {
        eprintln!("skipped: /proc/self/smaps_rollup cannot be read here");
        return Vec::new();
    }
    vec![in_copies(MEASURES, ROWS.iter().copied())]
}
