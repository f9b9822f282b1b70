//! [`Mode::Full`](crate::settings::Mode::Full): small blocks.
//!
//! Free blocks consist of zeros. A block that is handed out is checked for them, so a write after free is found then. A
//! freed block is erased after its canary was checked, and so were the bytes beside it: those of free neighbours must be
//! zeros, and the canary of a live one in front must be whole.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering::*, fence};

use crate::{
    cache,
    call::{Function, Given},
    canary,
    classes::{SIZES, ZERO},
    misuse::{Kind, end_program},
    os,
    pointer::invalid_pointer,
    region, span, thread,
    thread::Tops,
    zeros,
};

/// The state of a block that a thread is allocating or freeing.
const BUSY: u8 = 0xFF;
/// Bytes on both sides of a block that are checked when it is freed: those of one neighbour, or of two of 16 bytes.
const BESIDE: usize = 32;
/// How often bytes beside a block must be found wrong: other threads change them.
const ATTEMPTS: usize = 16;

fn live_byte(block: *const u8) -> &'static AtomicU8 {
    // SAFETY: the block lies in the region, so it has a live byte; the region is never unmapped.
    unsafe { AtomicU8::from_ptr(region::live_byte(block)) }
}

/// Allocates a block of a class for `size` bytes, all zeros.
#[inline(never)]
pub(crate) fn allocate(class: usize, size: usize) -> *mut u8 {
    let block = match cache::pop(Tops::index(class)) {
        Some(block) => block,
        None => match cache::take(class) {
            0 => return os::no_memory(),
            block => core::ptr::with_exposed_provenance_mut(block),
        },
    };
    let (live, bytes) = (live_byte(block), SIZES[class] as usize);
    if class != ZERO {
        live.store(BUSY, Relaxed);
        fence(Release);
        // SAFETY: the block was free and is this call's.
        unsafe {
            if !zeros::all_zero(block, bytes) {
                end_program("malloc", block, Kind::WriteAfterFree, bytes);
            }
            canary::write(block, bytes, size);
        }
    }
    live.store(class as u8, Release);
    block
}

/// Takes a live block from the program; ends it if another thread has freed the block meanwhile.
pub(crate) fn claim(block: *mut u8, live: &AtomicU8, state: u8, function: &Function) {
    if state == BUSY || live.compare_exchange(state, BUSY, Acquire, Relaxed).is_err() {
        invalid_pointer(function.name, block);
    }
}

/// Returns the bytes that were requested for a block; ends the program if those behind them were written to.
pub(crate) fn requested(block: *mut u8, class: usize, function: &Function) -> usize {
    let size = SIZES[class] as usize;
    // SAFETY: the block is live, and the bytes behind those that were requested are only read here.
    unsafe {
        let requested =
            canary::requested(block, size).filter(|&bytes| canary::slack_is_zero(block, size, bytes));
        requested.unwrap_or_else(|| end_program(function.name, block, Kind::Overflow, size))
    }
}

/// Frees a block that was claimed.
pub(crate) fn deallocate(
    block: *mut u8,
    live: &AtomicU8,
    class: usize,
    function: &'static Function,
    given: Given,
) {
    let requested = if class == ZERO { 0 } else { requested(block, class, function) };
    let aligned = block.addr().is_multiple_of(given.align.max(1));
    if let Some(size) = given.size().filter(|&size| size != requested || !aligned) {
        end_program(function.name, block, Kind::WrongSize(size), requested);
    }
    if class != ZERO {
        check_beside(block, class, requested, function);
        // SAFETY: the block was claimed.
        unsafe { zeros::erase(block, SIZES[class] as usize) };
    }
    live.store(0, Release);
    let block = block.expose_provenance();
    // A thread's first call may allocate.
    let leaving = thread::side().map_or(block, |side| side.quarantine.exchange(class, block, &side.random));
    if leaving != 0 {
        let leaving = core::ptr::with_exposed_provenance_mut(leaving);
        if !cache::push(Tops::index(class), leaving) {
            // SAFETY: the block was freed, and its class is that of its span.
            os::keeping_errno(|| unsafe { cache::put(class, leaving) });
        }
    }
}

/// Changes the size of a block that was claimed, within its class.
pub(crate) fn resize(block: *mut u8, class: usize, old: usize, new: usize) {
    // SAFETY: the block was claimed; both sizes fit into its class.
    unsafe {
        if new < old {
            block.add(new).write_bytes(0, old - new);
        }
        canary::write(block, SIZES[class] as usize, new);
    }
}

/// Ends the program if bytes beside a block are not what the heap left there.
#[inline]
fn check_beside(block: *mut u8, class: usize, requested: usize, function: &Function) {
    let size = SIZES[class] as usize;
    // SAFETY: the block is claimed, so its span stays one.
    let place = unsafe { span::place_of(block) };
    let bytes = size.min(BESIDE);
    for distance in 1..=BESIDE / bytes {
        if place.index >= distance {
            let neighbour = block.wrapping_sub(distance * size);
            // The canary of the block in front is the first that an underflow changes.
            let canary = (distance == 1).then_some(size);
            if !is_whole(neighbour, neighbour.wrapping_add(size - bytes), bytes, canary) {
                end_program(function.name, block, Kind::Underflow, requested);
            }
        }
        if place.index + distance < span::capacity(class) {
            let neighbour = block.wrapping_add(distance * size);
            if !is_whole(neighbour, neighbour, bytes, None) {
                end_program(function.name, block, Kind::Overflow, requested);
            }
        }
    }
}

/// Returns whether these bytes of a neighbour, 16 or 32, are zeros if it is free, and, if its size is passed, whether its
/// canary is whole if it is live.
#[inline(always)]
fn is_whole(neighbour: *mut u8, start: *mut u8, bytes: usize, size: Option<usize>) -> bool {
    seems_whole(live_byte(neighbour).load(Acquire), neighbour, start, bytes, size)
        || is_whole_at_last(neighbour, start, bytes, size)
}

/// Repeats the check. Another thread may allocate or free the neighbour meanwhile: what is found counts only if its state
/// stays the same, several times in succession.
#[cold]
#[inline(never)]
fn is_whole_at_last(neighbour: *mut u8, start: *mut u8, bytes: usize, size: Option<usize>) -> bool {
    let live = live_byte(neighbour);
    (0..ATTEMPTS).any(|_| {
        core::hint::spin_loop();
        let state = live.load(Acquire);
        let whole = seems_whole(state, neighbour, start, bytes, size);
        fence(Acquire);
        whole || live.load(Relaxed) != state
    })
}

#[inline(always)]
fn seems_whole(state: u8, neighbour: *mut u8, start: *mut u8, bytes: usize, size: Option<usize>) -> bool {
    match (state, size) {
        // The first and the last 16 bytes: all of them.
        (0, _) => [0, 8, bytes - 16, bytes - 8].into_iter().fold(0, |all, at| all | word_at(start, at)) == 0,
        (BUSY, _) => true,
        // SAFETY: the neighbour lies in the span, and has this size.
        (_, Some(size)) => unsafe { canary::requested(neighbour, size) }.is_some(),
        (_, None) => true,
    }
}

/// Returns a word of a block that other threads may change.
#[inline(always)]
fn word_at(block: *mut u8, at: usize) -> u64 {
    // SAFETY: the word lies in a block of a span, which is mapped, at a multiple of 8.
    unsafe { AtomicU64::from_ptr(block.add(at).cast()) }.load(Relaxed)
}
