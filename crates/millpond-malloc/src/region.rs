//! The region: one reservation of address space that holds every block, and tables beside it that describe it.
//!
//! ```text
//! region        | unit | unit | unit | …         16 KiB each: spans of small blocks, or large blocks
//! unit classes  1 byte per unit                  the class of the span in it; 0: none
//! live bytes    1 byte per 16 bytes              at the start of a live small block its class; 0: none (not in mode
//!                                                `fast`); in the hardened modes also its family
//! records       1 record per unit                see `record`
//! free bits     1 bit per 16 bytes               for each block of a span whether it is free
//! ```
//!
//! Everything that describes blocks lies outside of them, so that a write past the end of a block cannot change it. The
//! tables are as large as the region needs them. Region and tables are reserved at once and committed as they grow, and
//! get memory where they are touched.

use core::{
    ptr::{null_mut, with_exposed_provenance_mut},
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*},
};

use crate::{
    classes::GRAIN,
    os, random,
    record::Record,
    settings::{self, Mode},
};

/// Bytes in a unit.
pub(crate) const UNIT: usize = 1 << UNIT_SHIFT;
pub(crate) const UNIT_SHIFT: u32 = 14;
/// Free bits per unit, in words.
pub(crate) const BIT_WORDS: usize = UNIT / GRAIN / 64;

/// Address space that is asked for first; if there is less, half of it, and so on.
const LARGEST: usize = 256 << 30;
const SMALLEST: usize = 1 << 20;
/// The alignment of the region: that of a huge page.
const HUGE: usize = 2 << 20;
/// Bytes at the start of the region that have ordinary pages: small programs do not pay for huge ones.
const ORDINARY: usize = 4 << 20;
/// Bytes that are committed at once, or an eighth of what is committed already.
const COMMIT_STEP: usize = 4 << 20;
/// Those in the hardened modes, so that the program can access little that it does not use.
const HARDENED_COMMIT_STEP: usize = 256 << 10;
/// Bytes in front of the region, and between the tables, that cannot be accessed: in the hardened modes.
const GAP: usize = HUGE;
/// Number of places at which the region may begin in the hardened modes.
const PLACES: usize = 4096;

static BASE: AtomicUsize = AtomicUsize::new(0);
static LENGTH: AtomicUsize = AtomicUsize::new(0);
/// Bytes of the region that are committed; the rest cannot be accessed.
static COMMITTED: AtomicUsize = AtomicUsize::new(0);
/// Bytes in which the hot path of [`Mode::Fast`] finds the class of a block; 0 in other modes.
static FAST_LENGTH: AtomicUsize = AtomicUsize::new(0);
/// Number of live bytes that the hot path of [`Mode::Checked`] may access; 0 in other modes.
static GRAINS: AtomicUsize = AtomicUsize::new(0);
static UNIT_CLASSES: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static LIVE: AtomicPtr<u8> = AtomicPtr::new(null_mut());
/// Where the live byte of address 0 would be.
static LIVE_OF_NULL: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static RECORDS: AtomicPtr<Record> = AtomicPtr::new(null_mut());
static FREE_BITS: AtomicPtr<u64> = AtomicPtr::new(null_mut());

/// The start of the region; 0 before [`reserve`].
#[inline(always)]
pub(crate) fn base() -> usize {
    BASE.load(Relaxed)
}

/// Number of units in the region.
pub(crate) fn units() -> usize {
    LENGTH.load(Relaxed) >> UNIT_SHIFT
}

/// Returns whether a unit can be used, and so have its entries in the tables.
pub(crate) fn is_committed(unit: usize) -> bool {
    unit < COMMITTED.load(Relaxed) >> UNIT_SHIFT
}

/// An address, relative to the region.
#[derive(Clone, Copy)]
pub(crate) struct Offset(usize);

impl Offset {
    #[inline(always)]
    pub(crate) fn of(address: *const u8) -> Self {
        let mut offset = address as usize;
        // SAFETY: this is `offset - base()`, in one instruction; the compiler loads an atomic apart.
        unsafe {
            core::arch::asm!(
                "sub {offset}, qword ptr [rip + {base}]",
                offset = inout(reg) offset,
                base = sym BASE,
                options(pure, readonly, nostack),
            );
        }
        Self(offset)
    }

    /// Returns the unit if the address lies in the region and the mode is [`Mode::Fast`].
    #[inline(always)]
    pub(crate) fn fast_unit(self) -> Option<usize> {
        (self.0 < FAST_LENGTH.load(Relaxed)).then_some(self.0 >> UNIT_SHIFT)
    }

    /// Returns the grain that begins at the address, if there is one and the mode is [`Mode::Checked`]. A grain is 16
    /// bytes of the region. One comparison tests both that the address is aligned and that it lies in the region: the
    /// rotation moves the low bits to the top.
    #[inline(always)]
    pub(crate) fn checked_grain(self) -> Option<usize> {
        let grain = self.0.rotate_right(GRAIN.trailing_zeros());
        (grain < GRAINS.load(Relaxed)).then_some(grain)
    }
}

impl Offset {
    /// Returns the grain that begins at the address, in any mode, if its live byte can be accessed.
    #[inline(always)]
    pub(crate) fn grain(self) -> Option<usize> {
        let grain = self.0.rotate_right(GRAIN.trailing_zeros());
        (grain < COMMITTED.load(Relaxed) / GRAIN).then_some(grain)
    }
}

/// Returns whether an address lies in the region.
#[inline]
pub(crate) fn contains(address: *const u8) -> bool {
    (address as usize).wrapping_sub(base()) < LENGTH.load(Relaxed)
}

/// Returns the unit in which an address of the region lies.
#[inline(always)]
pub(crate) fn unit_of(address: *const u8) -> usize {
    (address as usize).wrapping_sub(base()) >> UNIT_SHIFT
}

/// Returns the address of a unit.
#[inline(always)]
pub(crate) fn address_of(unit: usize) -> *mut u8 {
    with_exposed_provenance_mut(base() + (unit << UNIT_SHIFT))
}

/// Returns the place of a unit's class. Valid for units below [`units`], once they are committed.
#[inline(always)]
pub(crate) fn unit_class(unit: usize) -> *mut u8 {
    UNIT_CLASSES.load(Relaxed).wrapping_add(unit)
}

/// Returns the place of the live byte of an address of the region.
#[inline(always)]
pub(crate) fn live_byte(address: *const u8) -> *mut u8 {
    LIVE_OF_NULL.load(Relaxed).wrapping_add(address as usize / GRAIN)
}

/// Returns the place of the live byte of a grain: an index of 16 bytes of the region.
#[inline(always)]
pub(crate) fn live_byte_at(grain: usize) -> *mut u8 {
    LIVE.load(Relaxed).wrapping_add(grain)
}

/// Returns the record of a unit.
#[inline(always)]
pub(crate) fn record(unit: usize) -> *mut Record {
    RECORDS.load(Relaxed).wrapping_add(unit)
}

/// Returns the first word of the free bits of the span that begins in this unit.
#[inline(always)]
pub(crate) fn free_bits(unit: usize) -> *mut u64 {
    FREE_BITS.load(Relaxed).wrapping_add(unit * BIT_WORDS)
}

/// Bytes of each table per unit.
const PER_UNIT: [usize; 4] = [1, UNIT / GRAIN, size_of::<Record>(), BIT_WORDS * 8];

/// Reserves the region and its tables, as large as the system permits. Returns whether that succeeded.
pub(crate) fn reserve() -> bool {
    let lengths = core::iter::successors(Some(LARGEST), |length| Some(length / 2));
    for length in lengths.take_while(|&length| length >= SMALLEST) {
        let tables = PER_UNIT.iter().map(|bytes| (length >> UNIT_SHIFT) * bytes).sum::<usize>();
        let (front, gaps) = if settings::hardened() { (front(length), GAP * PER_UNIT.len()) } else { (0, 0) };
        if let Some(start) = os::reserve(front + length + tables + gaps + HUGE) {
            publish(start.as_ptr().map_addr(|address| (address + front).next_multiple_of(HUGE)), length);
            return true;
        }
    }
    false
}

/// Returns how many bytes in front of a region of this length stay unused: at least a gap, at random up to an eighth of
/// the length.
fn front(length: usize) -> usize {
    let mut number = [0];
    random::fill(&mut number);
    GAP + number[0] as usize % PLACES.min(length / 8 / GAP).max(1) * GAP
}

/// Sets the places of the region, which begins at `start`, and of the tables behind it.
fn publish(start: *mut u8, length: usize) {
    let units = length >> UNIT_SHIFT;
    let mut table = start.wrapping_add(length);
    let gap = if settings::hardened() { GAP } else { 0 };
    let mut next = |bytes: usize| {
        let this = table.wrapping_add(gap);
        table = this.wrapping_add(units * bytes);
        this
    };
    UNIT_CLASSES.store(next(PER_UNIT[0]), Relaxed);
    let live = next(PER_UNIT[1]);
    LIVE.store(live, Relaxed);
    LIVE_OF_NULL.store(live.wrapping_sub(start.addr() / GRAIN), Relaxed);
    RECORDS.store(next(PER_UNIT[2]).cast(), Relaxed);
    FREE_BITS.store(next(PER_UNIT[3]).cast(), Relaxed);
    if length > ORDINARY && settings::huge_pages() {
        // SAFETY: the range is part of the new reservation.
        unsafe { os::allow_huge_pages(start.add(ORDINARY), length - ORDINARY) };
    }
    LENGTH.store(length, Relaxed);
    BASE.store(start.expose_provenance(), Release);
}

/// Makes the first `units` units usable; returns whether that succeeded. One thread at a time calls this.
pub(crate) fn commit(units: usize) -> bool {
    let (before, needed) = (COMMITTED.load(Relaxed), units << UNIT_SHIFT);
    if needed <= before {
        return true;
    }
    let least = if settings::hardened() { HARDENED_COMMIT_STEP } else { COMMIT_STEP };
    let step = least.max(before / 8);
    let after = needed.max(before + step).next_multiple_of(least).min(LENGTH.load(Relaxed));
    let (first, count) = (before >> UNIT_SHIFT, (after - before) >> UNIT_SHIFT);
    let tables = [
        (unit_class(0), PER_UNIT[0]),
        (live_byte_at(0), PER_UNIT[1]),
        (record(0).cast(), PER_UNIT[2]),
        (free_bits(0).cast(), PER_UNIT[3]),
    ];
    let committed = commit_pages(address_of(first), count << UNIT_SHIFT)
        && tables.iter().all(|(table, bytes)| commit_pages(table.wrapping_add(first * bytes), count * bytes));
    if committed {
        COMMITTED.store(after, Relaxed);
        match settings::mode() {
            Mode::Fast => FAST_LENGTH.store(after, Relaxed),
            Mode::Checked => GRAINS.store(after / GRAIN, Relaxed),
            // Every free takes the cold path.
            Mode::Light | Mode::Full => {}
        }
    }
    committed
}

/// Commits the pages in which a range lies.
fn commit_pages(start: *mut u8, bytes: usize) -> bool {
    const PAGE: usize = 4096;
    let first = start.map_addr(|address| address & !(PAGE - 1));
    let bytes = (start.addr() - first.addr() + bytes).next_multiple_of(PAGE);
    // SAFETY: the range is part of the reservation, whose end is a page boundary.
    unsafe { os::commit(first, bytes) }
}
