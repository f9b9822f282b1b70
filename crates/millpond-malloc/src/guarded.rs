//! Large blocks between guard pages, in the hardened modes.
//!
//! ```text
//! | guard pages | zeros | block, up to a multiple of 16 | zeros | guard page |
//! ```
//!
//! A block ends at the guard page if its size and alignment permit, so that a write past its end ends the program at
//! once. The zeros, less than a page on each side, are checked when the block is freed. Then its memory goes back to the
//! system, all of its pages become guards, and the run is reused only after 64 others were freed.

use crate::{
    call::Function,
    classes::GRAIN,
    guard::{self, PAGE},
    misuse::{Kind, end_program},
    os,
    record::{Record, Use},
    region::{self, UNIT, UNIT_SHIFT},
    settings::{self, Mode},
    shared::Shared,
    unit::{self, UNITS, record},
    zeros,
};

/// In the mode `light` smaller blocks are not guarded: that costs several system calls for each.
const LEAST_LIGHT: usize = 128 << 10;
/// Freed runs that are not reused yet.
const DELAYED_RUNS: usize = 64;

/// Freed runs, the oldest at `next`; those of length 0 are none.
pub(crate) struct Delayed {
    runs: [(u32, u32); DELAYED_RUNS],
    next: usize,
}

pub(crate) static DELAYED: Shared<Delayed> =
    // SAFETY: the runs are reached only from here.
    unsafe { Shared::new(Delayed { runs: [(0, 0); DELAYED_RUNS], next: 0 }) };

/// Returns whether a block of this size and alignment is guarded.
pub(crate) fn serves(size: usize, align: usize) -> bool {
    align <= PAGE
        && match settings::mode() {
            Mode::Fast | Mode::Checked => false,
            Mode::Light => size >= LEAST_LIGHT,
            Mode::Full => true,
        }
}

/// Allocates a block of zeros.
pub(crate) fn allocate(size: usize, align: usize) -> Option<*mut u8> {
    let align = align.max(GRAIN);
    // Room for the block, for its alignment and for a page on both sides.
    let bytes = size.checked_add(2 * PAGE + align)?;
    if bytes > isize::MAX as usize {
        return None;
    }
    let length = bytes.div_ceil(UNIT);
    let run = unit::take(length, UNIT, 0).or_else(|| {
        release_delayed();
        unit::take(length, UNIT, 0)
    })?;
    let start = region::address_of(run.first);
    let end = start.wrapping_add((length << UNIT_SHIFT) - PAGE);
    let block = end.wrapping_sub(size).map_addr(|address| address & !(align - 1));
    let front = (block.addr() - start.addr()) & !(PAGE - 1);
    // SAFETY: the run was taken, and nothing uses it yet.
    let mapping = os::keeping_errno(|| unsafe {
        if !run.zero && !os::purge(start, length << UNIT_SHIFT) {
            start.write_bytes(0, length << UNIT_SHIFT);
        }
        guard::install(start, front);
        guard::protect(end, PAGE)
    });
    let _units = UNITS.lock();
    // SAFETY: the lock of units is held, and the run is this call's. The first record may be the block's.
    unsafe {
        *record(run.first) = Record::INNER;
        *record(region::unit_of(block)) = Record {
            first: run.first as u32,
            length: length as u32,
            offset: (block.addr() - start.addr()) as u32,
            slack: (end.addr() - block.addr() - size) as u16,
            mapping,
            usage: Use::Guarded,
            ..Record::INNER
        };
    }
    Some(block)
}

impl Record {
    /// Returns the size in bytes of a guarded block.
    pub(crate) fn size(&self) -> usize {
        ((self.length as usize) << UNIT_SHIFT) - PAGE - self.offset as usize - usize::from(self.slack)
    }
}

/// Returns the record of the guarded block that begins at an address of the region, or `None` if there is none.
pub(crate) fn find(block: *mut u8) -> Option<Record> {
    let unit = region::unit_of(block);
    if !region::is_committed(unit) {
        return None;
    }
    let _units = UNITS.lock();
    // SAFETY: the unit is committed; the record is read under the lock of units.
    let record = unsafe { region::record(unit).read() };
    let start = region::address_of(record.first as usize).wrapping_add(record.offset as usize);
    (record.usage == Use::Guarded && start == block).then_some(record)
}

/// Takes the guarded block that begins at an address of the region from the program, or returns `None` if there is none.
pub(crate) fn take_out(block: *mut u8) -> Option<Record> {
    find(block)?;
    let _units = UNITS.lock();
    // SAFETY: the lock of units is held.
    let record = unsafe { record(region::unit_of(block)) };
    // Another thread may have freed it meanwhile.
    (record.usage == Use::Guarded).then(|| core::mem::replace(record, Record::INNER))
}

/// Frees a block that was taken out; ends the program if bytes beside it were written to.
pub(crate) fn deallocate(block: *mut u8, found: &Record, function: &Function) {
    let (first, length) = (found.first as usize, found.length as usize);
    let (start, bytes) = (region::address_of(first), length << UNIT_SHIFT);
    let before = block.addr() % PAGE;
    // SAFETY: the block was taken out, so its run belongs to this call.
    let zero = unsafe {
        if !zeros::all_bytes_zero(block.sub(before), before) {
            end_program(function.name, block, Kind::Underflow, found.size());
        }
        if !zeros::all_bytes_zero(block.add(found.size()), found.slack.into()) {
            end_program(function.name, block, Kind::Overflow, found.size());
        }
        if found.mapping {
            guard::unprotect(start.add(bytes - PAGE), PAGE);
        }
        guard::install(start, bytes) || os::purge(start, bytes)
    };
    // SAFETY: as above.
    unsafe {
        if !zero {
            return unit::give_back(first, length);
        }
        unit::count_freed(length);
        if length > region::units() / (8 * DELAYED_RUNS) {
            unit::give_back_zeros(first, length);
        } else {
            delay(first, length);
        }
    }
}

/// Keeps a run of zeros from reuse, and gives back the oldest one.
fn delay(first: usize, length: usize) {
    let mut delayed = DELAYED.lock();
    let next = delayed.next;
    delayed.next = (next + 1) % DELAYED_RUNS;
    let (first, length) = core::mem::replace(&mut delayed.runs[next], (first as u32, length as u32));
    drop(delayed);
    if length != 0 {
        // SAFETY: the run was freed, and is reached from nowhere else.
        unsafe { unit::give_back_zeros(first as usize, length as usize) };
    }
}

/// Gives back all freed runs that are kept from reuse.
pub(crate) fn release_delayed() {
    let mut delayed = DELAYED.lock();
    let runs = core::mem::replace(&mut delayed.runs, [(0, 0); DELAYED_RUNS]);
    drop(delayed);
    for (first, length) in runs.into_iter().filter(|&(_, length)| length != 0) {
        // SAFETY: the run was freed, and is reached from nowhere else.
        unsafe { unit::give_back_zeros(first as usize, length as usize) };
    }
}
