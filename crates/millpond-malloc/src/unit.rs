//! Units of the region: which are in use, and for what; free runs, merged with their neighbours.
//!
//! Free runs of up to 63 units are in a list for each length; longer ones are in one list. The first and the last record
//! of a run describe it, so that a run that becomes free finds its neighbours (boundary tags, Knuth 1968, beside the
//! memory instead of in it).

use lock_api::{Mutex, RawMutex as _};
use millpond::lock::SpinLock;

use crate::{
    os,
    record::{Record, Use},
    region::{self, UNIT, UNIT_SHIFT},
};

/// Number of lists: for runs of 1 to 63 units, and, at index 0, for longer ones.
const LISTS: usize = 64;
/// Dirty units that may be free before they are purged: 32 MiB, or an eighth of what is in use.
const DIRTY_LIMIT: usize = (32 << 20) >> UNIT_SHIFT;
/// How long memory stays free before it is purged: see [`Units::idle`].
const DECAY_MILLISECONDS: u64 = 500;
/// Calls between two looks at the clock.
const CALLS_PER_LOOK: u32 = 16;
/// Runs that are purged before the lock is released for a moment.
const PURGE_BATCH: usize = 16;

/// The free runs.
struct Units {
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
static UNITS: Mutex<SpinLock, Units> = Mutex::const_new(
    SpinLock::INIT,
    Units {
        lists: [0; LISTS],
        filled: 0,
        top: 1,
        dirty: 0,
        used: 0,
        idle: 0,
        epoch: 0,
        calls: CALLS_PER_LOOK,
    },
);

/// A run of units that was taken.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) first: usize,
    pub(crate) length: usize,
    /// Whether its contents are zeros.
    pub(crate) zero: bool,
}

/// Returns the record of a unit.
///
/// # Safety
///
/// The unit must be committed, and the caller must hold the lock that protects its record: the lock of units for free
/// runs and while a run changes hands, that of its class's depot for a span. A large block is its owner's.
#[inline(always)]
pub(crate) unsafe fn record<'a>(unit: usize) -> &'a mut Record {
    debug_assert!(unit < region::units());
    // SAFETY: all zeros is a valid record, and the caller has exclusive access to it.
    unsafe { &mut *region::record(unit) }
}

/// Takes a run of `length` units that begins at a multiple of `align` units; returns `None` if there is no memory.
pub(crate) fn take(length: usize, align: usize) -> Option<Run> {
    let mut units = UNITS.lock();
    // SAFETY: the lock of units is held.
    unsafe {
        let run = units.take(length.checked_add(align - 1)?)?;
        let skipped = run.first.next_multiple_of(align) - run.first;
        if skipped != 0 {
            units.insert(Run { length: skipped, ..run });
        }
        let rest = run.length - skipped - length;
        if rest != 0 {
            units.insert(Run { first: run.first + skipped + length, length: rest, ..run });
        }
        units.used += length;
        units.idle = units.idle.min(units.dirty);
        Some(Run { first: run.first + skipped, length, zero: run.zero })
    }
}

/// Returns a run, whose records have the use [`Use::Inner`].
///
/// # Safety
///
/// The run was taken, and nothing uses it.
pub(crate) unsafe fn give_back(run: Run) {
    let mut units = UNITS.lock();
    units.used -= run.length;
    // SAFETY: the lock of units is held, and the run belongs to the caller.
    unsafe { units.insert(run) };
    let excess = units.excess();
    drop(units);
    if excess != 0 {
        purge(excess);
    }
}

/// Extends a run in use by the free units that follow it, if there are `more` of them; returns whether there were.
///
/// # Safety
///
/// The run `first..first + length` is in use by the caller.
pub(crate) unsafe fn extend(first: usize, length: usize, more: usize) -> bool {
    let mut units = UNITS.lock();
    let next = first + length;
    // SAFETY: the lock of units is held.
    unsafe {
        if next >= units.top || !record(next).usage.is_free() || (record(next).length as usize) < more {
            return false;
        }
        let run = units.remove(next);
        if run.length > more {
            units.insert(Run { first: next + more, length: run.length - more, ..run });
        }
    }
    units.used += more;
    true
}

/// Returns the memory of free runs to the system, until it was that of `most` units; returns the number of bytes. The
/// mapping stays in one piece.
pub(crate) fn purge(most: usize) -> usize {
    let mut purged = 0;
    loop {
        let mut batch = [Run { first: 0, length: 0, zero: false }; PURGE_BATCH];
        let mut units = UNITS.lock();
        // SAFETY: the lock of units is held.
        let count = unsafe { units.take_dirty(&mut batch) };
        drop(units);
        for run in &mut batch[..count] {
            // SAFETY: the runs were taken from the free ones: nothing uses them.
            run.zero = unsafe { os::purge(region::address_of(run.first), run.length << UNIT_SHIFT) };
        }
        let mut units = UNITS.lock();
        for run in &batch[..count] {
            // SAFETY: the lock of units is held, and the runs are this function's.
            unsafe { units.insert(*run) };
            purged += run.length << UNIT_SHIFT;
        }
        if count < PURGE_BATCH || purged >> UNIT_SHIFT >= most {
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

/// Acquires the lock of units for the time of a `fork`.
pub(crate) fn lock_for_fork() {
    core::mem::forget(UNITS.lock());
}

/// Releases the lock that [`lock_for_fork`] acquired.
///
/// # Safety
///
/// This thread, or the parent of this process, has called [`lock_for_fork`].
pub(crate) unsafe fn unlock_after_fork() {
    // SAFETY: the caller guarantees that the lock is held.
    unsafe { UNITS.force_unlock() };
}

/// The list for runs of this length.
fn list_for(length: usize) -> usize {
    if length < LISTS { length } else { 0 }
}

/// # Safety
///
/// All methods: the lock of units is held.
impl Units {
    /// Returns how many dirty units are too many: those beyond the limit, and, at the end of a period, those that were
    /// not needed in it.
    fn excess(&mut self) -> usize {
        let excess = self.dirty.saturating_sub(DIRTY_LIMIT.max(self.used / 8));
        self.calls -= 1;
        if self.calls != 0 {
            return excess;
        }
        self.calls = CALLS_PER_LOOK;
        let now = os::milliseconds();
        if now < self.epoch + DECAY_MILLISECONDS {
            return excess;
        }
        self.epoch = now;
        excess.max(core::mem::replace(&mut self.idle, self.dirty))
    }

    /// Takes a run of at least `length` units.
    unsafe fn take(&mut self, length: usize) -> Option<Run> {
        // SAFETY: the caller guarantees that the lock is held.
        unsafe {
            if let Some(first) = self.find(length) {
                let run = self.remove(first);
                if run.length > length {
                    self.insert(Run { first: first + length, length: run.length - length, ..run });
                }
                return Some(Run { length, ..run });
            }
        }
        let (first, end) = (self.top, self.top.checked_add(length)?);
        if end > region::units() || !region::commit(end) {
            return None;
        }
        self.top = end;
        Some(Run { first, length, zero: true })
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
            let run = Run { first, length: head.length as usize, zero: head.usage == Use::Zero };
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
            if !run.zero {
                self.dirty -= run.length;
            }
            run
        }
    }

    /// Inserts a free run, merged with its neighbours if they are free and in the same state.
    unsafe fn insert(&mut self, mut run: Run) {
        // SAFETY: the caller guarantees that the lock is held.
        unsafe {
            let usage = if run.zero { Use::Zero } else { Use::Dirty };
            if record(run.first - 1).usage == usage {
                let before = self.remove(record(run.first - 1).first as usize);
                run = Run { first: before.first, length: before.length + run.length, ..run };
            }
            let end = run.first + run.length;
            if end < self.top && record(end).usage == usage {
                run.length += self.remove(end).length;
            }
            if !run.zero {
                self.dirty += run.length;
            }
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
            *record(run.first) =
                Record { first: run.first as u32, length: run.length as u32, next, usage, ..Record::INNER };
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
