//! The heap: allocation and deallocation of blocks of any size, hot paths first.
//!
//! The hot path of [`Mode::Fast`] comes first in each function. In [`Mode::Checked`] its first comparison fails,
//! because its bound is 0, and the path for that mode follows: so neither mode tests which one it is.

use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::*};

use crate::{
    classes::{self, GRAIN, LARGEST_HOT, SIZES},
    depot, large,
    magazine::{BYTES, Magazine},
    misuse::{self, Kind},
    os::{self, keeping_errno},
    record::Use,
    region::{self, Offset, UNIT},
    settings::{self, Mode},
    span,
    thread::{self, Side, Tops},
    unit,
};

/// Sizes below this are allocated by the hot path of [`Mode::Fast`]; 0 in other modes.
static FAST_BOUND: AtomicUsize = AtomicUsize::new(0);

/// Whether the heap exists: values of `STATE`.
const NEW: u8 = 0;
const STARTING: u8 = 1;
const READY: u8 = 2;
const FAILED: u8 = 3;

static STATE: AtomicU8 = AtomicU8::new(NEW);

/// Creates the heap if it does not exist; returns whether it does.
fn exists() -> bool {
    loop {
        match STATE.load(Acquire) {
            READY => return true,
            FAILED => return false,
            NEW if STATE.compare_exchange(NEW, STARTING, Acquire, Relaxed).is_ok() => {
                settings::read();
                let reserved = region::reserve();
                if reserved {
                    thread::initialize();
                    if settings::mode() == Mode::Fast {
                        FAST_BOUND.store(LARGEST_HOT + 1, Relaxed);
                    }
                }
                STATE.store(if reserved { READY } else { FAILED }, Release);
            }
            _ => core::hint::spin_loop(),
        }
    }
}

/// Allocates a block of at least `size` bytes, aligned to 16; returns null and sets `errno` if there is no memory.
#[inline(always)]
pub(crate) fn allocate(size: usize) -> *mut u8 {
    if size < FAST_BOUND.load(Relaxed) {
        let class = classes::of_small(size);
        return match pop(class) {
            Some(block) => block,
            None => refill(class),
        };
    }
    allocate_checked(size)
}

#[inline]
fn allocate_checked(size: usize) -> *mut u8 {
    if size > LARGEST_HOT {
        return allocate_medium(size);
    }
    allocate_class_checked(classes::of_small(size))
}

/// Allocates a block of a class in [`Mode::Checked`].
#[inline(always)]
fn allocate_class_checked(class: usize) -> *mut u8 {
    match pop(class) {
        Some(block) => {
            set_live(block, class);
            block
        }
        None => refill(class),
    }
}

/// Allocates a block of a class in any mode.
#[inline]
fn allocate_class(class: usize) -> *mut u8 {
    match settings::mode() {
        Mode::Fast => pop(class).unwrap_or_else(|| refill(class)),
        Mode::Checked => allocate_class_checked(class),
    }
}

#[inline(never)]
fn allocate_medium(size: usize) -> *mut u8 {
    match classes::of(size) {
        Some(class) => allocate_class(class),
        None => allocate_large(size, UNIT).0,
    }
}

/// Allocates a large block; returns it and whether it is zeroed.
fn allocate_large(size: usize, align: usize) -> (*mut u8, bool) {
    match exists().then(|| large::allocate(size, align)).flatten() {
        Some(block) => block,
        None => (os::no_memory(), false),
    }
}

/// Allocates a block of at least `size` bytes that are zero.
#[inline]
pub(crate) fn allocate_zeroed(size: usize) -> *mut u8 {
    if size > classes::LARGEST {
        let (block, zero) = allocate_large(size, UNIT);
        if !block.is_null() && !zero {
            // SAFETY: the block is as long.
            unsafe { block.write_bytes(0, size) };
        }
        return block;
    }
    let block = allocate(size);
    if !block.is_null() {
        // SAFETY: the block is as long.
        unsafe { block.write_bytes(0, size) };
    }
    block
}

/// Allocates a block whose address is a multiple of `align`, a power of two.
#[inline]
pub(crate) fn allocate_aligned(align: usize, size: usize) -> *mut u8 {
    debug_assert!(align.is_power_of_two());
    if align <= GRAIN {
        return allocate(size);
    }
    match classes::of_aligned(size.max(1), align) {
        Some(class) if align <= UNIT => allocate_class(class),
        _ => allocate_large(size, align.max(UNIT)).0,
    }
}

/// Takes the last block of the thread's magazine of a class, unless it is empty.
#[inline(always)]
fn pop(class: usize) -> Option<*mut u8> {
    let tops = Tops::of_thread();
    let top = tops.get(class);
    // SAFETY: a top points into the thread's magazine, or the vacant one.
    let block = unsafe { top.read() };
    if block == 0 {
        return None;
    }
    tops.set(class, top.wrapping_sub(1));
    Some(core::ptr::with_exposed_provenance_mut(block))
}

/// Puts a block into the thread's magazine of a class, unless it is full; returns whether it did.
#[inline(always)]
fn push(class: usize, block: *mut u8) -> bool {
    let tops = Tops::of_thread();
    let top = tops.get(class).wrapping_add(1);
    if top.addr().is_multiple_of(BYTES) {
        return false;
    }
    // SAFETY: the magazine is not full, so the word above its top is a place for a block.
    unsafe { top.write(block.expose_provenance()) };
    tops.set(class, top);
    true
}

/// Marks a small block as live, or, with the class 0, as free.
#[inline(always)]
fn set_live(block: *mut u8, class: usize) {
    // SAFETY: the block lies in the region, so it has a live byte.
    unsafe { AtomicU8::from_ptr(region::live_byte(block)) }.store(class as u8, Relaxed);
}

/// Allocates a block of a class after the magazine was found empty.
#[cold]
#[inline(never)]
fn refill(class: usize) -> *mut u8 {
    let block = if exists() { take_block(class) } else { 0 };
    if block == 0 {
        return os::no_memory();
    }
    let block = core::ptr::with_exposed_provenance_mut(block);
    if settings::mode() == Mode::Checked {
        set_live(block, class);
    }
    block
}

/// Returns a block of a class, or 0 if there is no memory; fills the thread's magazine.
fn take_block(class: usize) -> usize {
    let side = thread::side();
    // The first call of a thread for its record may allocate, and thereby fill a magazine here.
    if let Some(block) = pop(class) {
        return block.expose_provenance();
    }
    match side.and_then(|side| fill(side, class)) {
        Some(block) => block,
        // The thread is ending, or there is no memory for magazines.
        None => {
            let mut block = [0];
            depot::lock(class).take(&mut block);
            block[0]
        }
    }
}

/// Fills the thread's magazine and returns one more block; returns `None` if there is no memory.
fn fill(side: &Side, class: usize) -> Option<usize> {
    let tops = Tops::of_thread();
    let current = Magazine::of(tops.get(class));
    let spare = side.spares[class].take();
    let full = if spare.is_none() { depot::lock(class).take_full() } else { Some(spare) };
    // SAFETY: all these magazines belong to this thread.
    unsafe {
        if let Some(full) = full {
            if let Some(current) = current {
                side.keep_empty(current);
            }
            tops.set(class, full.full_top());
            return pop(class).map(|block| block.expose_provenance());
        }
        let magazine = current.or_else(|| side.take_empty())?;
        let limit = side.next_limit(class);
        let bottom = magazine.clear(limit);
        let blocks = magazine.blocks(magazine.full_top());
        let count = depot::lock(class).take(blocks);
        if count == 0 {
            tops.set(class, bottom);
            return None;
        }
        // The blocks came in order of addresses; the first is to be handed out first.
        blocks[..count].reverse();
        if count < limit {
            magazine.shrink(count);
        }
        tops.set(class, magazine.full_top());
        pop(class).map(|block| block.expose_provenance())
    }
}

/// Frees a block.
///
/// # Safety
///
/// The pointer must be null or that of a live block. In [`Mode::Checked`] it may be anything: what is not a live block
/// ends the program.
#[inline(always)]
pub(crate) unsafe fn deallocate(block: *mut u8) {
    let offset = Offset::of(block);
    if let Some(unit) = offset.fast_unit() {
        // SAFETY: every unit of the region has a class.
        let class = usize::from(unsafe { *region::unit_class(unit) });
        if !push(class, block) {
            deallocate_cold(block, class);
        }
        return;
    }
    deallocate_checked(block, offset);
}

#[inline(always)]
fn deallocate_checked(block: *mut u8, offset: Offset) {
    let Some(grain) = offset.checked_grain() else {
        return deallocate_cold(block, 0);
    };
    // SAFETY: every grain of the region has a live byte.
    let live = unsafe { AtomicU8::from_ptr(region::live_byte_at(grain)) };
    let class = usize::from(live.load(Relaxed));
    if push(class, block) {
        live.store(0, Relaxed);
    } else {
        deallocate_cold(block, class);
    }
}

/// Frees a block whose class has a full magazine, or, if the class is 0, anything else.
#[cold]
#[inline(never)]
fn deallocate_cold(block: *mut u8, class: usize) {
    if block.is_null() {
        return;
    }
    keeping_errno(|| {
        if class == 0 {
            deallocate_other(block);
        } else {
            if settings::mode() == Mode::Checked {
                set_live(block, 0);
            }
            // SAFETY: the block was live, and its class is that of its span.
            unsafe { put_block(class, block) };
        }
    });
}

/// Frees a block that has no class: a large one, or one of another heap.
fn deallocate_other(block: *mut u8) {
    if !region::contains(block) {
        // SAFETY: the program passes a block of another heap.
        return unsafe { crate::foreign::deallocate(block) };
    }
    if !unit::give_back_large(block) {
        end_program("free", block);
    }
}

/// Reports a pointer into the region that is not that of a live block, and ends the program.
#[cold]
fn end_program(call: &str, address: *mut u8) -> ! {
    let unit = region::unit_of(address);
    // SAFETY: a committed unit has a record, which is only read, for a report.
    let record = region::is_committed(unit).then(|| unsafe { region::record(unit).read() });
    let Some(record) = record.filter(|record| record.usage == Use::Span) else {
        misuse::end_program(call, address, Kind::NoBlock, 0);
    };
    let class = usize::from(record.class);
    let size = SIZES[class] as usize;
    // SAFETY: the address lies in a span.
    let (place, carved) = unsafe { (span::place_of(address), depot::lock(class).has_carved(address)) };
    let kind = match (place.inside, carved) {
        (_, false) => Kind::NoBlock,
        (0, true) => Kind::DoubleFree,
        _ => Kind::Interior,
    };
    misuse::end_program(call, address, kind, size);
}

/// Puts a block into the thread's next magazine, and a full magazine into the depot.
///
/// # Safety
///
/// The block must be one of this class that is not in use any more.
unsafe fn put_block(class: usize, block: *mut u8) {
    let side = thread::side();
    // The first call of a thread for its record may allocate, and thereby put a magazine here that has room.
    if push(class, block) {
        return;
    }
    let tops = Tops::of_thread();
    let empty = side.and_then(|side| Some((side, side.take_empty()?)));
    // SAFETY: the magazines belong to this thread, and the block to this call.
    unsafe {
        let Some((side, empty)) = empty else {
            return depot::lock(class).put_back(&[block.expose_provenance()]);
        };
        if let Some(full) = Magazine::of(tops.get(class)) {
            let spare = side.spares[class].replace(full);
            if !spare.is_none() {
                let poured = depot::lock(class).put_full(spare);
                if let Some(magazine) = poured {
                    side.keep_empty(magazine);
                }
            }
        }
        tops.set(class, empty.clear(side.next_limit(class)));
    }
    let pushed = push(class, block);
    debug_assert!(pushed);
}

/// What a pointer of the program points to.
pub(crate) enum Block {
    Small(usize),
    Large(usize),
    Foreign,
}

/// Returns what a live block is; ends the program if it is none, as far as the mode checks that.
pub(crate) fn inspect(call: &str, block: *mut u8) -> Block {
    if !region::contains(block) {
        return Block::Foreign;
    }
    let class = match (settings::mode(), Offset::of(block).checked_grain()) {
        // SAFETY: every committed unit has a class.
        (Mode::Fast, _) if region::is_committed(region::unit_of(block)) => unsafe {
            *region::unit_class(region::unit_of(block))
        },
        (Mode::Fast, _) => 0,
        (Mode::Checked, None) => 0,
        // SAFETY: every grain of the region has a live byte.
        (Mode::Checked, Some(grain)) => unsafe { *region::live_byte_at(grain) },
    };
    match (class, large::size_of(block)) {
        (0, Some(size)) => Block::Large(size),
        (0, None) => end_program(call, block),
        (class, _) => Block::Small(usize::from(class)),
    }
}

/// Returns the number of bytes of a block that the program may use.
pub(crate) fn usable_size(block: *mut u8) -> usize {
    match inspect("malloc_usable_size", block) {
        Block::Small(class) => SIZES[class] as usize,
        Block::Large(size) => size,
        // SAFETY: the program passes a block of another heap.
        Block::Foreign => unsafe { crate::foreign::usable_size(block) },
    }
}

/// Resizes a block; returns null and sets `errno` if there is no memory, and then the block stays as it is.
///
/// # Safety
///
/// As for [`deallocate`].
pub(crate) unsafe fn resize(block: *mut u8, size: usize) -> *mut u8 {
    let old = match inspect("realloc", block) {
        Block::Small(class) => {
            let old = SIZES[class] as usize;
            // A block may stay in its class, or in one up to twice as large as needed.
            if size <= old && size >= old / 2 {
                return block;
            }
            old
        }
        Block::Large(old) => {
            if size > classes::LARGEST {
                // SAFETY: the block is live, and both sizes are those of large blocks.
                if let Some(resized) = unsafe { large::resize(block, size) } {
                    return resized;
                }
            }
            old
        }
        // SAFETY: the program passes a block of another heap.
        Block::Foreign => unsafe { crate::foreign::usable_size(block) },
    };
    let moved = allocate(size);
    if !moved.is_null() {
        // SAFETY: both blocks are live, distinct, and at least as long as what is copied.
        unsafe {
            core::ptr::copy_nonoverlapping(block, moved, old.min(size));
            deallocate(block);
        }
    }
    moved
}

/// Returns free memory to the system: what the depots, the calling thread and the spare magazines of other threads keep,
/// and all free units. Returns the number of bytes.
pub(crate) fn trim() -> usize {
    if !exists() {
        return 0;
    }
    if let Some(side) = thread::side() {
        thread::flush(side);
    }
    thread::flush_spares();
    for class in 1..classes::COUNT {
        depot::lock(class).settle();
    }
    unit::purge(usize::MAX)
}
