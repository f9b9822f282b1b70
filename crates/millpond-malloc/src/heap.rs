//! The heap: allocation and deallocation of blocks of any size, hot paths first.
//!
//! The hot path of [`Mode::Fast`] comes first in each function. In [`Mode::Checked`] its first comparison fails,
//! because its bound is 0, and the path for that mode follows: so neither mode tests which one it is. The hardened modes
//! share its path as far as it serves them. Where it does not, their bounds are 0, or their magazines vacant, so that
//! every call takes the cold path.

use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::*};

use crate::{
    cache::{pop, push, put, take},
    call::{FREE, Function, Given, REALLOC},
    canary,
    classes::{self, GRAIN, LARGEST_HOT, SIZES},
    depot, full, guard, guarded,
    hardened::{self, Resized},
    large,
    os::{self, keeping_errno},
    pointer::invalid_pointer,
    record::Family,
    region::{self, Offset, UNIT},
    settings::{self, Mode},
    thread, unit,
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
#[inline]
fn exists() -> bool {
    STATE.load(Acquire) == READY || create()
}

#[cold]
fn create() -> bool {
    loop {
        match STATE.load(Acquire) {
            READY => return true,
            FAILED => return false,
            NEW if STATE.compare_exchange(NEW, STARTING, Acquire, Relaxed).is_ok() => {
                settings::read();
                let reserved = region::reserve();
                if reserved {
                    thread::initialize();
                    if settings::hardened() {
                        keeping_errno(harden);
                    }
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

/// Prepares what only the hardened modes have.
fn harden() {
    canary::initialize();
    if region::commit(1) {
        // SAFETY: the first unit is never used.
        unsafe { guard::initialize(region::address_of(0), UNIT) };
    }
}

/// Allocates a block of at least `size` bytes, aligned to 16; returns null and sets `errno` if there is no memory.
#[inline(always)]
pub(crate) fn allocate(size: usize) -> *mut u8 {
    if size < FAST_BOUND.load(Relaxed) {
        let class = classes::of_small(size);
        return match pop(class) {
            Some(block) => block,
            None => refill(size, GRAIN, class),
        };
    }
    allocate_checked(size)
}

#[inline]
fn allocate_checked(size: usize) -> *mut u8 {
    if size > LARGEST_HOT {
        return allocate_medium(size);
    }
    allocate_class_checked(classes::of_small(size), size, GRAIN)
}

/// Allocates a block of a class in [`Mode::Checked`] or [`Mode::Light`].
#[inline(always)]
fn allocate_class_checked(class: usize, size: usize, align: usize) -> *mut u8 {
    match pop(class) {
        Some(block) => {
            set_live(block, class);
            block
        }
        None => refill(size, align, class),
    }
}

/// Allocates a block of a class, for a size and alignment, in any mode.
#[inline]
fn allocate_class(class: usize, size: usize, align: usize) -> *mut u8 {
    match settings::mode() {
        Mode::Fast => pop(class).unwrap_or_else(|| refill(size, align, class)),
        Mode::Checked | Mode::Light => allocate_class_checked(class, size, align),
        Mode::Full => allocate_full(size, align),
    }
}

#[inline(never)]
fn allocate_medium(size: usize) -> *mut u8 {
    match classes::of(size) {
        Some(class) => allocate_class(class, size, GRAIN),
        None => allocate_large(size, GRAIN).0,
    }
}

/// Allocates a block in [`Mode::Full`].
fn allocate_full(size: usize, align: usize) -> *mut u8 {
    match hardened::class_of(size, align) {
        Some(class) => full::allocate(class, size),
        None => allocate_large(size, align).0,
    }
}

/// Allocates a large block; returns it and whether it is zeroed.
fn allocate_large(size: usize, align: usize) -> (*mut u8, bool) {
    if !exists() {
        return (os::no_memory(), false);
    }
    if guarded::serves(size, align) {
        return (guarded::allocate(size, align).unwrap_or_else(os::no_memory), true);
    }
    let Some((block, mut zero)) = large::allocate(size, align.max(UNIT)) else {
        return (os::no_memory(), false);
    };
    if settings::full() && !zero {
        // SAFETY: the block is as long.
        unsafe { block.write_bytes(0, size) };
        zero = true;
    }
    (block, zero)
}

/// Allocates a block of at least `size` bytes that are zero.
#[inline]
pub(crate) fn allocate_zeroed(size: usize) -> *mut u8 {
    if size > classes::LARGEST {
        let (block, zero) = allocate_large(size, GRAIN);
        if !block.is_null() && !zero {
            // SAFETY: the block is as long.
            unsafe { block.write_bytes(0, size) };
        }
        return block;
    }
    let block = allocate(size);
    // In the mode `full`, all that is handed out is zeroed.
    if !block.is_null() && !settings::full() {
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
        Some(class) if align <= UNIT => allocate_class(class, size, align),
        _ => allocate_large(size, align).0,
    }
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
fn refill(size: usize, align: usize, class: usize) -> *mut u8 {
    // The first call reads the settings.
    let exists = exists();
    if settings::full() {
        return allocate_full(size, align);
    }
    let block = if exists { take(class) } else { 0 };
    if block == 0 {
        return os::no_memory();
    }
    let block = core::ptr::with_exposed_provenance_mut(block);
    if settings::mode() != Mode::Fast {
        set_live(block, class);
    }
    block
}

/// Frees a block.
///
/// # Safety
///
/// The pointer must be null or that of a live block. In other modes than [`Mode::Fast`] it may be anything: what is not
/// a live block ends the program.
#[inline(always)]
pub(crate) unsafe fn deallocate(block: *mut u8) {
    // SAFETY: the caller upholds the contract.
    unsafe { deallocate_as(block, &FREE, Given::NOTHING) };
}

/// Frees a block by a function, to which the program passed more than the block. The hardened modes check both.
///
/// # Safety
///
/// As for [`deallocate`].
#[inline(always)]
pub(crate) unsafe fn deallocate_as(block: *mut u8, function: &'static Function, given: Given) {
    let offset = Offset::of(block);
    if let Some(unit) = offset.fast_unit() {
        // SAFETY: every unit of the region has a class.
        let class = usize::from(unsafe { *region::unit_class(unit) });
        if !push(class, block) {
            deallocate_cold(block, class, function, given);
        }
        return;
    }
    let Some(grain) = offset.checked_grain() else {
        return deallocate_cold(block, 0, function, given);
    };
    // SAFETY: every grain of the region has a live byte.
    let live = unsafe { AtomicU8::from_ptr(region::live_byte_at(grain)) };
    let class = usize::from(live.load(Relaxed));
    if push(class, block) {
        live.store(0, Relaxed);
    } else {
        deallocate_cold(block, class, function, given);
    }
}

/// Frees a block whose class has a full magazine, or, if the class is 0, anything else.
#[cold]
#[inline(never)]
fn deallocate_cold(block: *mut u8, class: usize, function: &'static Function, given: Given) {
    match settings::mode() {
        Mode::Light => hardened::deallocate_light(block, function, given),
        Mode::Full => hardened::deallocate_full(block, function, given),
        Mode::Fast | Mode::Checked => deallocate_slow(block, class, function, given),
    }
}

#[inline(never)]
fn deallocate_slow(block: *mut u8, class: usize, function: &'static Function, given: Given) {
    if block.is_null() {
        return;
    }
    keeping_errno(|| {
        if class == 0 {
            // The first call reads the settings.
            if exists() && settings::hardened() {
                return deallocate_cold(block, class, function, given);
            }
            deallocate_other(block, function);
        } else {
            if settings::mode() == Mode::Checked {
                set_live(block, 0);
            }
            // SAFETY: the block was live, and its class is that of its span.
            unsafe { put(class, block) };
        }
    });
}

/// Frees a block that has no class: a large one, or one of another heap.
fn deallocate_other(block: *mut u8, function: &Function) {
    if !region::contains(block) {
        // SAFETY: the program passes a block of another heap.
        return unsafe { crate::foreign::deallocate(block) };
    }
    if !unit::give_back_large(block) {
        invalid_pointer(function.name, block);
    }
}

/// Notes which functions have allocated a block, in the hardened modes.
pub(crate) fn set_family(block: *mut u8, family: Family) {
    if settings::hardened() && family != Family::Malloc && !block.is_null() {
        hardened::set_family(block, family);
    }
}

/// What a pointer of the program points to.
enum Block {
    Small(usize),
    Large(usize),
    Foreign,
}

/// Returns what a live block is; ends the program if it is none, as far as the mode checks that.
fn inspect(call: &str, block: *mut u8) -> Block {
    if !region::contains(block) {
        return Block::Foreign;
    }
    let class = match (settings::mode(), Offset::of(block).checked_grain()) {
        // SAFETY: every committed unit has a class.
        (Mode::Fast, _) if region::is_committed(region::unit_of(block)) => unsafe {
            *region::unit_class(region::unit_of(block))
        },
        (Mode::Fast, _) => 0,
        (_, None) => 0,
        // SAFETY: every grain of the region has a live byte.
        (_, Some(grain)) => unsafe { *region::live_byte_at(grain) },
    };
    match (class, large::size_of(block)) {
        (0, Some(size)) => Block::Large(size),
        (0, None) => invalid_pointer(call, block),
        (class, _) => Block::Small(usize::from(class)),
    }
}

/// Returns the number of bytes of a block that the program may use.
pub(crate) fn usable_size(block: *mut u8) -> usize {
    if exists() && settings::hardened() {
        return hardened::usable_size(block);
    }
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
    if exists() && settings::hardened() {
        return match hardened::resize(block, size) {
            Resized::InPlace => block,
            // SAFETY: the block is live and has `old` bytes.
            Resized::MustMove { old } => unsafe { move_block(block, old, size) },
        };
    }
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
    // SAFETY: the block is live and has `old` bytes.
    unsafe { move_block(block, old, size) }
}

/// Allocates a block, moves the contents of another one of `old` bytes there, and frees that.
///
/// # Safety
///
/// As for [`deallocate`]; the block must have `old` bytes.
unsafe fn move_block(block: *mut u8, old: usize, size: usize) -> *mut u8 {
    let moved = allocate(size);
    if !moved.is_null() {
        // SAFETY: both blocks are live, distinct, and at least as long as what is copied.
        unsafe {
            core::ptr::copy_nonoverlapping(block, moved, old.min(size));
            deallocate_as(block, &REALLOC, Given::NOTHING);
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
    guarded::release_delayed();
    unit::purge(usize::MAX)
}
