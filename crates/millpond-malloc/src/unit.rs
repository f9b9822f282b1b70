//! Units of the region: which are in use, and for what; free runs, merged with their neighbours.
//!
//! Free runs of up to 63 units are in a list for each length; longer ones are in one list. The first and the last record
//! of a run describe it, so that a run that becomes free finds its neighbours (boundary tags, Knuth 1968, beside the
//! memory instead of in it).

use core::sync::atomic::{AtomicU32, Ordering::*};

use lock_api::MutexGuard;
use millpond::lock::SpinLock;

use crate::{
    guard, os,
    record::{Family, Record, Use},
    region::{self, UNIT, UNIT_SHIFT},
    settings,
    shared::Shared,
};

/// Number of lists: for runs of 1 to 63 units, and, at index 0, for longer ones.
const LISTS: usize = 64;
/// Dirty units that may be free before they are purged: 32 MiB, or an eighth of what is in use.
const DIRTY_LIMIT: usize = (32 << 20) >> UNIT_SHIFT;
/// Calls between two looks at the clock.
const CALLS_PER_LOOK: u32 = 16;
/// Runs that are purged before the lock is released for a moment.
const PURGE_BATCH: usize = 16;

/// The free runs.
pub(crate) struct Units {
    lists: [u32; LISTS],
    /// Which lists of exact lengths have runs.
    filled: u64,
    /// The first unit that was never used.
    top: usize,
    /// Units in free runs that are dirty, and units in use.
    dirty: usize,
    used: usize,
    /// The least number of dirty units since `epoch`: as many were not needed in that time.
    idle: usize,
    /// When the current period began, in milliseconds.
    epoch: u64,
    /// Calls until the next look at the clock.
    calls: u32,
}

/// Acquired after the lock of a depot, if both are needed.
pub(crate) static UNITS: Shared<Units> = {
    let units = Units {
        lists: [0; LISTS],
        filled: 0,
        top: 1,
        dirty: 0,
        used: 0,
        idle: 0,
        epoch: 0,
        calls: CALLS_PER_LOOK,
    };
    // SAFETY: the records of units that are not taken are changed only under this lock.
    unsafe { Shared::new(units) }
};

/// Number of periods so far, each at least as long as memory may stay unused (`settings::decay`).
static PERIODS: AtomicU32 = AtomicU32::new(0);

/// Returns the number of the present period. A new one begins when the heap is used after the one before is over.
pub(crate) fn period() -> u32 {
    PERIODS.load(Relaxed)
}

/// A run of units that was taken.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) first: usize,
    pub(crate) length: usize,
    /// Whether its contents are zeros.
    pub(crate) zero: bool,
    /// Number of units that have memory, as far as is known.
    dirty: usize,
    /// Whether it was never used.
    fresh: bool,
}

impl Run {
    const NONE: Self = Self { first: 0, length: 0, zero: false, dirty: 0, fresh: false };

    /// Cuts the run after `length` units; returns the rest. Which units have memory is not known: those of the first part.
    fn cut(&mut self, length: usize) -> Self {
        let dirty = self.dirty.min(length);
        let rest = Self {
            first: self.first + length,
            length: self.length - length,
            dirty: self.dirty - dirty,
            ..*self
        };
        (self.length, self.dirty) = (length, dirty);
        rest
    }

    /// Returns this run and the one behind it as one.
    fn and(self, next: Self) -> Self {
        debug_assert!(self.first + self.length == next.first);
        Self {
            first: self.first,
            length: self.length + next.length,
            zero: self.zero && next.zero,
            dirty: self.dirty + next.dirty,
            fresh: false,
        }
    }
}

/// Returns the record of a unit.
///
/// # Safety
///
/// The unit must be committed, and the caller must hold the lock that protects its record: that of units for free runs
/// and large blocks, that of its class's depot for a span.
#[inline(always)]
pub(crate) unsafe fn record<'a>(unit: usize) -> &'a mut Record {
    debug_assert!(unit < region::units());
    // SAFETY: all zeros is a valid record, and the caller has exclusive access to it.
    unsafe { &mut *region::record(unit) }
}

/// Takes a run of `length` units whose address is a multiple of `align` bytes, for the blocks of a class or, if the
/// class is 0, for one large block; returns `None` if there is no memory.
pub(crate) fn take(length: usize, align: usize, class: usize) -> Option<Run> {
    let run = take_as_is(length, align, class)?;
    if settings::hardened() && !run.fresh {
        // SAFETY: the run was taken, and nothing uses it yet.
        unsafe { guard::remove(region::address_of(run.first), run.length << UNIT_SHIFT) };
    }
    Some(run)
}

/// Takes a run of which pages may be guards.
fn take_as_is(length: usize, align: usize, class: usize) -> Option<Run> {
    let mut units = UNITS.lock();
    // SAFETY: the lock of units is held.
    unsafe {
        let mut run = units.take(length.checked_add(align.div_ceil(UNIT) - 1)?)?;
        let start = region::address_of(run.first) as usize;
        let skipped = (start.next_multiple_of(align) - start) >> UNIT_SHIFT;
        if skipped != 0 {
            let aligned = run.cut(skipped);
            units.insert(core::mem::replace(&mut run, aligned));
        }
        if run.length > length {
            units.insert(run.cut(length));
        }
        units.count_taken(length);
        mark(run, class);
        Some(run)
    }
}

/// Describes a run that was taken.
///
/// # Safety
///
/// The lock of units must be held, and the run must belong to the caller.
unsafe fn mark(run: Run, class: usize) {
    let (usage, marked) = if class == 0 { (Use::Large, 1) } else { (Use::Span, run.length) };
    let (first, length) = (run.first as u32, run.length as u32);
    for unit in run.first..run.first + marked {
        // SAFETY: the caller guarantees that the lock is held.
        unsafe { *record(unit) = Record { first, length, class: class as u8, usage, ..Record::INNER } };
    }
}

/// Returns the run of a span.
///
/// # Safety
///
/// `first` must be the first unit of a span, which nothing uses any more.
pub(crate) unsafe fn give_back_span(first: usize) {
    let mut units = UNITS.lock();
    // SAFETY: the lock of units is held, and the span belongs to the caller.
    unsafe {
        let length = record(first).length as usize;
        (first..first + length).for_each(|unit| *record(unit) = Record::INNER);
        units.give_back(first, length);
    }
    purge_excess(units);
}

/// Returns the run of the large block that begins at an address of the region; returns whether there was one.
pub(crate) fn give_back_large(block: *mut u8) -> bool {
    let first = region::unit_of(block);
    let mut units = UNITS.lock();
    let Some(length) = large_length(block) else { return false };
    // SAFETY: the lock of units is held, and the block is large and live: it is freed here, once.
    unsafe {
        *record(first) = Record::INNER;
        units.give_back(first, length);
    }
    purge_excess(units);
    true
}

/// Counts units that were in use as no longer so, before they are returned.
pub(crate) fn count_freed(length: usize) {
    UNITS.lock().used -= length;
}

/// Returns a run of zeros that is not counted as in use any more.
///
/// # Safety
///
/// The run must have been taken, and nothing must use it any more.
pub(crate) unsafe fn give_back_zeros(first: usize, length: usize) {
    let mut units = UNITS.lock();
    // SAFETY: the lock of units is held, and the run belongs to the caller.
    unsafe { units.insert(Run { first, length, zero: true, dirty: 0, fresh: false }) };
}

/// Returns a run that is in use.
///
/// # Safety
///
/// The run must be in use, and nothing must use it any more.
pub(crate) unsafe fn give_back(first: usize, length: usize) {
    let mut units = UNITS.lock();
    // SAFETY: the lock of units is held, and the run belongs to the caller.
    unsafe { units.give_back(first, length) };
    purge_excess(units);
}

/// Returns the family of the large block that begins at an address of the region, or `None` if there is none.
pub(crate) fn large_family(block: *mut u8) -> Option<Family> {
    large_length(block)?;
    // SAFETY: the record is only read, and does not change while the block is live.
    Some(unsafe { region::record(region::unit_of(block)).read() }.family)
}

/// Sets the family of a large or guarded block.
pub(crate) fn set_family(block: *mut u8, family: Family) {
    let _units = UNITS.lock();
    // SAFETY: the lock of units is held.
    unsafe { record(region::unit_of(block)).family = family };
}

/// Returns the number of units of the large block that begins at an address of the region, or `None` if there is none.
pub(crate) fn large_length(block: *mut u8) -> Option<usize> {
    let unit = region::unit_of(block);
    if !region::is_committed(unit) || region::address_of(unit) != block {
        return None;
    }
    // SAFETY: the record is only read, and does not change while the block is live.
    let record = unsafe { region::record(unit).read() };
    (record.usage == Use::Large).then_some(record.length as usize)
}

/// Shortens a large block to `length` units.
///
/// # Safety
///
/// `first` must be the first unit of a large block of the caller, which has more units.
pub(crate) unsafe fn shorten(first: usize, length: usize) {
    let mut units = UNITS.lock();
    // SAFETY: the lock of units is held, and the block belongs to the caller.
    unsafe {
        let before = core::mem::replace(&mut record(first).length, length as u32) as usize;
        units.give_back(first + length, before - length);
    }
    purge_excess(units);
}

/// Lengthens a large block to `length` units, if enough of those that follow it are free; returns whether they were.
///
/// # Safety
///
/// `first` must be the first unit of a large block of the caller, which has fewer units.
pub(crate) unsafe fn lengthen(first: usize, length: usize) -> bool {
    let mut units = UNITS.lock();
    // SAFETY: the lock of units is held, and the block belongs to the caller.
    unsafe {
        let next = first + record(first).length as usize;
        let more = first + length - next;
        if next >= units.top || !usage(next).is_free() || (record(next).length as usize) < more {
            return false;
        }
        let mut run = units.remove(next);
        if run.length > more {
            units.insert(run.cut(more));
        }
        record(first).length = length as u32;
        units.count_taken(more);
    }
    true
}

/// Returns memory to the system if too much is free.
fn purge_excess(mut units: MutexGuard<'_, SpinLock, Units>) {
    let excess = units.excess();
    drop(units);
    if excess != 0 {
        purge(excess);
    }
}

/// Returns the memory of free runs to the system, until it was that of `most` units or the system refuses; returns the
/// number of bytes. (It refuses if the program has locked its memory.) The mapping stays in one piece.
pub(crate) fn purge(most: usize) -> usize {
    let mut purged = 0;
    loop {
        let mut batch = [Run::NONE; PURGE_BATCH];
        let mut units = UNITS.lock();
        // SAFETY: the lock of units is held.
        let count = unsafe { units.take_dirty(&mut batch) };
        drop(units);
        for run in &mut batch[..count] {
            // SAFETY: the runs were taken from the free ones: nothing uses them.
            if unsafe { os::purge(region::address_of(run.first), run.length << UNIT_SHIFT) } {
                purged += run.dirty << UNIT_SHIFT;
                (run.zero, run.dirty) = (true, 0);
            }
        }
        let mut units = UNITS.lock();
        for run in &batch[..count] {
            // SAFETY: the lock of units is held, and the runs are this function's.
            unsafe { units.insert(*run) };
        }
        let refused = batch[..count].iter().any(|run| !run.zero);
        if refused || count < PURGE_BATCH || purged >> UNIT_SHIFT >= most {
            return purged;
        }
    }
}

/// Bytes in use, free but not returned to the system, and ever used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Footprint {
    pub(crate) used: usize,
    pub(crate) dirty: usize,
    pub(crate) mapped: usize,
}

/// Returns how many bytes of the region are used.
pub(crate) fn footprint() -> Footprint {
    let units = UNITS.lock();
    Footprint { used: units.used * UNIT, dirty: units.dirty * UNIT, mapped: units.top * UNIT }
}

/// Returns what the run is used for that begins, or ends, with a unit.
///
/// # Safety
///
/// The unit must be committed. If it is in a span, other threads may change other fields of its record meanwhile.
unsafe fn usage(unit: usize) -> Use {
    // SAFETY: only this field is read, which changes under the lock of units alone.
    unsafe { (*region::record(unit)).usage }
}

/// The list for runs of this length.
fn list_for(length: usize) -> usize {
    if length < LISTS { length } else { 0 }
}

/// # Safety
///
/// All methods: the lock of units is held.
impl Units {
    /// Counts units that were taken for a block or a span.
    fn count_taken(&mut self, length: usize) {
        self.used += length;
        self.idle = self.idle.min(self.dirty);
    }

    /// Inserts a run that was in use.
    unsafe fn give_back(&mut self, first: usize, length: usize) {
        self.used -= length;
        // SAFETY: the caller guarantees that the lock is held.
        unsafe { self.insert(Run { first, length, zero: false, dirty: length, fresh: false }) };
    }

    /// Returns how many dirty units are too many: at the end of a period, those beyond the limit or not needed in it;
    /// before, those beyond four times the limit.
    fn excess(&mut self) -> usize {
        let limit = DIRTY_LIMIT.max(self.used / 8);
        let far_beyond = self.dirty.saturating_sub(4 * limit);
        self.calls -= 1;
        if self.calls != 0 {
            return far_beyond;
        }
        self.calls = CALLS_PER_LOOK;
        let now = os::milliseconds();
        if now < self.epoch + settings::decay() {
            return far_beyond;
        }
        self.epoch = now;
        PERIODS.fetch_add(1, Relaxed);
        let beyond = self.dirty.saturating_sub(limit);
        beyond.max(core::mem::replace(&mut self.idle, self.dirty))
    }

    /// Takes a run of at least `length` units.
    unsafe fn take(&mut self, length: usize) -> Option<Run> {
        // SAFETY: the caller guarantees that the lock is held.
        unsafe {
            if let Some(first) = self.find(length) {
                let mut run = self.remove(first);
                if run.length > length {
                    self.insert(run.cut(length));
                }
                return Some(run);
            }
        }
        let (first, end) = (self.top, self.top.checked_add(length)?);
        if end > region::units() || !region::commit(end) {
            return None;
        }
        self.top = end;
        Some(Run { first, length, zero: true, dirty: 0, fresh: true })
    }

    /// Returns the first unit of a free run of at least `length` units: the shortest of those up to 63, else the first
    /// that suffices.
    unsafe fn find(&self, length: usize) -> Option<usize> {
        if length < LISTS {
            let lists = self.filled & !0 << length;
            if lists != 0 {
                return Some(self.lists[lists.trailing_zeros() as usize] as usize);
            }
        }
        let mut unit = self.lists[0] as usize;
        while unit != 0 {
            // SAFETY: the caller guarantees that the lock is held.
            let record = unsafe { record(unit) };
            if record.length as usize >= length {
                return Some(unit);
            }
            unit = record.next as usize;
        }
        None
    }

    /// Removes a free run from its list.
    unsafe fn remove(&mut self, first: usize) -> Run {
        // SAFETY: the caller guarantees that the lock is held.
        unsafe {
            let head = record(first);
            let run = Run {
                first,
                length: head.length as usize,
                zero: head.usage == Use::Zero,
                dirty: head.dirty as usize,
                fresh: false,
            };
            let (previous, next) = (head.previous, head.next);
            head.usage = Use::Inner;
            record(first + run.length - 1).usage = Use::Inner;
            let list = list_for(run.length);
            if previous == 0 {
                self.lists[list] = next;
            } else {
                record(previous as usize).next = next;
            }
            if next != 0 {
                record(next as usize).previous = previous;
            }
            if list != 0 && self.lists[list] == 0 {
                self.filled &= !(1 << list);
            }
            self.dirty -= run.dirty;
            run
        }
    }

    /// Inserts a free run, merged with its neighbours if they are free.
    unsafe fn insert(&mut self, mut run: Run) {
        // SAFETY: the caller guarantees that the lock is held.
        unsafe {
            if self::usage(run.first - 1).is_free() {
                run = self.remove(record(run.first - 1).first as usize).and(run);
            }
            let end = run.first + run.length;
            if end < self.top && self::usage(end).is_free() {
                run = run.and(self.remove(end));
            }
            self.dirty += run.dirty;
            let usage = if run.zero { Use::Zero } else { Use::Dirty };
            let list = list_for(run.length);
            let next = self.lists[list];
            if next != 0 {
                record(next as usize).previous = run.first as u32;
            }
            self.lists[list] = run.first as u32;
            if list != 0 {
                self.filled |= 1 << list;
            }
            *record(run.first + run.length - 1) = Record { first: run.first as u32, usage, ..Record::INNER };
            *record(run.first) = Record {
                first: run.first as u32,
                length: run.length as u32,
                next,
                dirty: run.dirty as u32,
                usage,
                ..Record::INNER
            };
        }
    }

    /// Takes as many dirty runs as there is room for; returns their number.
    unsafe fn take_dirty(&mut self, batch: &mut [Run; PURGE_BATCH]) -> usize {
        let mut count = 0;
        for list in 0..LISTS {
            let mut unit = self.lists[list] as usize;
            while unit != 0 && count < PURGE_BATCH {
                // SAFETY: the caller guarantees that the lock is held.
                unsafe {
                    let (next, usage) = (record(unit).next as usize, record(unit).usage);
                    if usage == Use::Dirty {
                        batch[count] = self.remove(unit);
                        count += 1;
                    }
                    unit = next;
                }
            }
        }
        count
    }
}
