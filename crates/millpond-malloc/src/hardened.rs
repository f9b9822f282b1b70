//! The modes [`Light`](Mode::Light) and [`Full`](Mode::Full): what frees check in both.

use core::sync::atomic::{AtomicU8, Ordering::*};

use crate::{
    cache,
    call::{Function, Given, REALLOC, USABLE_SIZE},
    canary,
    classes::{self, GRAIN, SIZES, ZERO},
    full, guarded, large,
    misuse::{Kind, end_program},
    os::keeping_errno,
    pointer::invalid_pointer,
    record::Family,
    region::{self, Offset, UNIT, UNIT_SHIFT},
    settings, unit,
};

/// The state of a block is its live byte: the class, and above it the family.
const FAMILY_SHIFT: u32 = 6;
const CLASS_MASK: u8 = (1 << FAMILY_SHIFT) - 1;

const _: () = assert!(classes::COUNT <= 1 << FAMILY_SHIFT);

/// Returns the class of a block with this state.
#[inline]
pub(crate) fn class(state: u8) -> usize {
    usize::from(state & CLASS_MASK)
}

/// Returns the class for a size and alignment, or `None` if there is none.
pub(crate) fn class_of(size: usize, align: usize) -> Option<usize> {
    let bytes = if settings::full() && size != 0 { size.checked_add(canary::BYTES)? } else { size };
    if align <= GRAIN {
        classes::of(bytes)
    } else if align <= UNIT {
        classes::of_aligned(bytes.max(1), align)
    } else {
        None
    }
}

/// Returns the state of a block, or `None` if no small block that is live begins there.
#[inline]
fn state_of(block: *mut u8) -> Option<(&'static AtomicU8, u8)> {
    let grain = Offset::of(block).grain()?;
    // SAFETY: every grain of the region has a live byte, and the region is never unmapped.
    let live = unsafe { AtomicU8::from_ptr(region::live_byte_at(grain)) };
    let state = live.load(Relaxed);
    (state != 0).then_some((live, state))
}

/// Ends the program if a block of this family is not for this function.
fn check_family(function: &Function, block: *mut u8, family: u8, size: usize) {
    if family != function.family as u8 {
        let family = [Family::Malloc, Family::New, Family::NewArray]
            .into_iter()
            .find(|&other| other as u8 == family)
            .unwrap_or(Family::Malloc);
        end_program(function.name, block, Kind::WrongFamily(family), size);
    }
}

/// Frees a block in [`Mode::Light`]; ends the program if it is not one, or not one for this function, size and
/// alignment.
#[inline(never)]
pub(crate) fn deallocate_light(block: *mut u8, function: &'static Function, given: Given) {
    let Some((live, state)) = state_of(block) else {
        return deallocate_large(block, function, given);
    };
    let class = class(state);
    let fits = match given.size() {
        None => true,
        Some(size) if size <= classes::LARGEST_HOT && given.align <= GRAIN => {
            classes::of_small(size) == class
        }
        Some(_) => return deallocate_light_unusual(block, function, given),
    };
    if !fits || state >> FAMILY_SHIFT != function.family as u8 {
        end_program_at(block, state, function, given);
    }
    live.store(0, Relaxed);
    if !cache::push_below(class, block) && !cache::push(class, block) {
        put(class, block);
    }
}

/// Frees a small block as [`deallocate_light`], with a size or alignment whose class is not found in a table.
#[inline(never)]
fn deallocate_light_unusual(block: *mut u8, function: &'static Function, given: Given) {
    let Some((_, state)) = state_of(block) else {
        return deallocate_large(block, function, given);
    };
    if given.size().is_some_and(|size| class_of(size, given.align) != Some(class(state))) {
        end_program_at(block, state, function, given);
    }
    deallocate_light(block, function, Given::NOTHING);
}

/// Frees a block in [`Mode::Full`]; ends the program as [`deallocate_light`].
#[inline(never)]
pub(crate) fn deallocate_full(block: *mut u8, function: &'static Function, given: Given) {
    let Some((live, state)) = state_of(block) else {
        return deallocate_large(block, function, given);
    };
    full::claim(block, live, state, function);
    if state >> FAMILY_SHIFT != function.family as u8 {
        end_program_at(block, state, function, given);
    }
    full::deallocate(block, live, class(state), function, given);
}

/// Reports a small block that is not one for a function, size and alignment.
#[cold]
#[inline(never)]
fn end_program_at(block: *mut u8, state: u8, function: &Function, given: Given) -> ! {
    let size = SIZES[class(state)] as usize;
    check_family(function, block, state >> FAMILY_SHIFT, size);
    end_program(function.name, block, Kind::WrongSize(given.size().unwrap_or(size)), size);
}

/// Puts a block into the next magazine.
#[cold]
#[inline(never)]
fn put(class: usize, block: *mut u8) {
    // SAFETY: the block was live, and its class is that of its span.
    keeping_errno(|| unsafe { cache::put(class, block) });
}

/// Frees what is not a small block.
#[cold]
#[inline(never)]
fn deallocate_large(block: *mut u8, function: &'static Function, given: Given) {
    if !block.is_null() {
        keeping_errno(|| deallocate_checked_large(block, function, given));
    }
}

fn deallocate_checked_large(block: *mut u8, function: &'static Function, given: Given) {
    if !region::contains(block) {
        end_program(function.name, block, Kind::Foreign, 0);
    }
    if let Some(found) = guarded::take_out(block) {
        check_family(function, block, found.family as u8, found.size());
        if let Some(size) = given.size().filter(|&size| size != found.size()) {
            end_program(function.name, block, Kind::WrongSize(size), found.size());
        }
        return guarded::deallocate(block, &found, function);
    }
    let Some((family, size)) = unit::large_family(block).zip(large::size_of(block)) else {
        invalid_pointer(function.name, block);
    };
    check_family(function, block, family as u8, size);
    if let Some(given) = given.size().filter(|given| given.div_ceil(UNIT).max(1) << UNIT_SHIFT != size) {
        end_program(function.name, block, Kind::WrongSize(given), size);
    }
    if !unit::give_back_large(block) {
        invalid_pointer(function.name, block);
    }
}

/// Notes which functions have allocated a new block.
pub(crate) fn set_family(block: *mut u8, family: Family) {
    match state_of(block) {
        Some((live, state)) => live.store(state | (family as u8) << FAMILY_SHIFT, Relaxed),
        None => unit::set_family(block, family),
    }
}

/// Returns the number of bytes of a block that the program may use; ends the program if it is not a block.
pub(crate) fn usable_size(block: *mut u8) -> usize {
    let function = &USABLE_SIZE;
    match state_of(block) {
        Some((_, state)) => small_size(block, class(state), function),
        None => large_size(block, function),
    }
}

fn small_size(block: *mut u8, class: usize, function: &Function) -> usize {
    match class {
        ZERO => 0,
        _ if settings::full() => full::requested(block, class, function),
        _ => SIZES[class] as usize,
    }
}

fn large_size(block: *mut u8, function: &Function) -> usize {
    if !region::contains(block) {
        end_program(function.name, block, Kind::Foreign, 0);
    }
    match guarded::find(block).map(|found| found.size()).or_else(|| large::size_of(block)) {
        Some(size) => size,
        None => invalid_pointer(function.name, block),
    }
}

/// How a block was resized.
pub(crate) enum Resized {
    InPlace,
    /// It was not; it has `old` bytes.
    MustMove {
        old: usize,
    },
}

/// Resizes a block in place if it stays in its class; ends the program if it is not a block of `malloc`.
pub(crate) fn resize(block: *mut u8, size: usize) -> Resized {
    let function = &REALLOC;
    let Some((live, state)) = state_of(block) else {
        let old = large_size(block, function);
        let stays =
            size > classes::LARGEST && large::size_of(block) == Some(size.div_ceil(UNIT) << UNIT_SHIFT);
        return if stays { Resized::InPlace } else { Resized::MustMove { old } };
    };
    let class = class(state);
    let old = small_size(block, class, function);
    check_family(function, block, state >> FAMILY_SHIFT, old);
    if class == ZERO || class_of(size, GRAIN) != Some(class) {
        return Resized::MustMove { old };
    }
    if settings::full() {
        full::claim(block, live, state, function);
        full::resize(block, class, old, size);
        live.store(state, Release);
    }
    Resized::InPlace
}
