//! The block in which an address lies: for functions that access memory on behalf of the program.

use core::sync::atomic::{AtomicU8, Ordering::*};

use crate::{
    canary,
    classes::{SIZES, ZERO},
    hardened,
    misuse::{Kind, end_program},
    record::Use,
    region::{self, UNIT_SHIFT},
    settings::{self, Mode},
    span,
    unit::UNITS,
};

/// Units of a large block in front of an address that are looked at for its start.
const SEARCHED: usize = 4096;

/// Returns the number of bytes from an address to the end of its block, or `None` if it lies in no block of this heap,
/// or too far behind its start. Ends the program if the address lies in the heap but in no live block.
pub(crate) fn size(call: &str, address: *const u8) -> Option<usize> {
    if !region::contains(address) {
        return None;
    }
    let unit = region::unit_of(address);
    if !region::is_committed(unit) {
        end_program(call, address, Kind::NoBlock, 0);
    }
    // SAFETY: the unit is committed; a span does not cease to be one while it has a live block.
    let usage = unsafe { (*region::record(unit)).usage };
    let size = if usage == Use::Span { in_span(address) } else { in_large(address) };
    match size {
        Found::Bytes(bytes) => Some(bytes),
        Found::Unknown => None,
        Found::NotLive => end_program(call, address, Kind::NoBlock, 0),
    }
}

/// Ends the program if `bytes` bytes from an address on do not lie in one live block.
pub(crate) fn check(call: &str, address: *const u8, bytes: usize) {
    if let Some(size) = size(call, address).filter(|&size| size < bytes) {
        end_program(call, address, Kind::OutOfBounds(bytes), size);
    }
}

/// What is known of the block in which an address lies.
enum Found {
    /// Bytes from the address to its end.
    Bytes(usize),
    NotLive,
    Unknown,
}

fn in_span(address: *const u8) -> Found {
    // SAFETY: the address lies in a span.
    let place = unsafe { span::place_of(address) };
    let block = address.wrapping_sub(place.inside).cast_mut();
    // SAFETY: the block lies in the region, so it has a live byte and a class.
    let (state, class) = unsafe {
        let state = AtomicU8::from_ptr(region::live_byte(block)).load(Relaxed);
        (state, usize::from(*region::unit_class(place.span)))
    };
    let usable = match settings::mode() {
        Mode::Fast => SIZES[class] as usize,
        _ if state == 0 || hardened::class(state) != class => return Found::NotLive,
        Mode::Light | Mode::Full if class == ZERO => 0,
        // SAFETY: the block is live and has this size. What a wrong canary means is reported when the block is freed.
        Mode::Full => unsafe { canary::requested(block, SIZES[class] as usize) }.unwrap_or(0),
        Mode::Checked | Mode::Light => SIZES[class] as usize,
    };
    Found::Bytes(usable.saturating_sub(place.inside))
}

fn in_large(address: *const u8) -> Found {
    let unit = region::unit_of(address);
    let _units = UNITS.lock();
    for first in (unit.saturating_sub(SEARCHED)..=unit).rev() {
        // SAFETY: the units in front of a committed one are committed; the lock of units is held.
        let record = unsafe { region::record(first).read() };
        let (start, size) = match record.usage {
            Use::Inner => continue,
            Use::Large => (region::address_of(first), (record.length as usize) << UNIT_SHIFT),
            Use::Guarded => {
                let run = region::address_of(record.first as usize);
                (run.wrapping_add(record.offset as usize), record.size())
            }
            Use::Dirty | Use::Zero | Use::Span => return Found::NotLive,
        };
        let inside = (address as usize).wrapping_sub(start as usize);
        return if inside <= size { Found::Bytes(size - inside) } else { Found::NotLive };
    }
    Found::Unknown
}
