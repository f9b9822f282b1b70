//! The units that a process takes when it cannot make files or system calls any more. They are mapped before the first
//! event; `millpond` allocates them on the disk ahead of use.

use core::{
    ptr::null_mut,
    sync::atomic::{AtomicPtr, AtomicU32, Ordering::*},
};

#[cfg(target_arch = "x86_64")]
use millpond_trace::raw::MEMORY_FOLLOWS;
use millpond_trace::raw::{Control, LIMIT, OVER, SANDBOX, UNIT, Window};

use super::{
    control::control,
    inherit::{self, Held},
    path::Path,
    sys,
};

/// Where the file is mapped; null if it is not. Like all statics, and like the mapping, kept by `fork`.
static START: AtomicPtr<u8> = AtomicPtr::new(null_mut());
/// Number of units in the mapping.
static UNITS: AtomicU32 = AtomicU32::new(0);

/// Max bytes to map: address space, not memory.
const MOST: u64 = 1 << 34;
/// Where the address space is limited, the share of the mapping in it is one part in this many.
const SHARE: u64 = 64;
/// Number of looks at the clock of `millpond`, without a change in it, after which `millpond` counts as ended.
const PATIENCE: u32 = 1 << 26;

/// Maps the file. If that fails, recording stops when this process would need a unit.
pub(crate) fn map(control: &Control, calls: bool) {
    let bytes = match sys::limit_of_addresses(calls) {
        u64::MAX => MOST,
        limited => limited / SHARE,
    };
    let units = bytes.min(control.limit.load(Relaxed)) / UNIT as u64;
    let map = |units: u64| {
        inherit::map(Held::Reserve, &Path::reserve(), units as usize * UNIT, UNIT, calls)
            .map(|start| (units, start))
    };
    // In a sandbox, the limit is not known.
    let mapped = if units == 0 { Err(0) } else { map(units).or_else(|_| map(units.div_ceil(SHARE))) };
    if let Ok((units, start)) = mapped {
        UNITS.store(units as u32, Relaxed);
        START.store(start, Release);
    }
}

/// Takes a unit for a process image. Waits until `millpond` has allocated it, by system calls if `calls` is true.
pub(crate) fn take(image: u32, calls: bool) -> Result<*mut Window, u32> {
    take_many(image, 1, calls)
}

/// Takes memory for a process image, which is inherited by its children; all zeros.
#[cfg(target_arch = "x86_64")]
pub(crate) fn memory(image: u32, bytes: usize, calls: bool) -> Result<*mut u8, u32> {
    let units = (size_of::<Window>() + bytes).div_ceil(UNIT) as u32;
    let head = take_many(image, units, calls)?;
    // SAFETY: the units are all zeros, belong to the caller alone, and have room for the head and for that many bytes.
    unsafe {
        (*head).used.store(units, Relaxed);
        (*head).valid.store(MEMORY_FOLLOWS, Release);
        Ok(head.add(1).cast())
    }
}

/// Takes units that follow each other; returns the first.
fn take_many(image: u32, units: u32, calls: bool) -> Result<*mut Window, u32> {
    let (control, start) = (control(), START.load(Acquire));
    if start.is_null() {
        return Err(SANDBOX);
    }
    if control.stop.load(Relaxed) != 0 {
        return Err(OVER);
    }
    let bytes = u64::from(units) * UNIT as u64;
    if control.written.fetch_add(bytes, Relaxed) + bytes > control.limit.load(Relaxed) {
        return Err(LIMIT);
    }
    control.urgent.store(1, Relaxed);
    let unit = control.taken.fetch_add(units, Relaxed);
    let last = unit.saturating_add(units - 1);
    if last >= UNITS.load(Relaxed) {
        return Err(LIMIT);
    }
    wait_for(control, last, calls)?;
    // SAFETY: the mapping has more units than these.
    let window = unsafe { start.add(unit as usize * UNIT).cast::<Window>() };
    // SAFETY: the units are mapped, have room on the disk, and belong to the caller alone.
    unsafe { (*window).image.store(image, Relaxed) };
    Ok(window)
}

/// Waits until a unit can be used, as long as `millpond` keeps its clock.
fn wait_for(control: &Control, unit: u32, calls: bool) -> Result<(), u32> {
    let (mut clock, mut patience) = (0, PATIENCE);
    while control.ready.load(Acquire) <= unit {
        match control.refused.load(Relaxed) {
            0 if control.stop.load(Relaxed) == 0 => {}
            0 => return Err(OVER),
            reason => return Err(reason),
        }
        let now = control.clock.load(Relaxed);
        if now != clock {
            (clock, patience) = (now, PATIENCE);
        }
        if patience == 0 {
            return Err(OVER);
        }
        // A system call takes longer than a look.
        patience = patience.saturating_sub(if calls { 16 } else { 1 });
        sys::wait_a_little(calls);
    }
    Ok(())
}
