//! Spans: runs of units that hold blocks of one class, and which of these blocks are free.
//!
//! A span has at least eight blocks. Blocks are carved in order of addresses; a block that comes back sets its free bit.

use crate::{
    classes::{COUNT, GRAIN, RECIPROCALS, SIZES, ZERO},
    guard::{self, PAGE},
    os,
    region::{self, BIT_WORDS, UNIT, UNIT_SHIFT},
    settings,
    unit::{self, record},
};

/// Blocks that a span has at least.
const LEAST_BLOCKS: usize = 8;

/// Number of units in a span of this class. Those of blocks of 0 bytes are long, because each is guarded as a whole.
const fn units(class: usize) -> usize {
    if class == ZERO { 32 } else { (SIZES[class] as usize * LEAST_BLOCKS).div_ceil(UNIT) }
}

/// Number of bytes in a span of this class.
pub(crate) const fn bytes(class: usize) -> usize {
    units(class) << UNIT_SHIFT
}

/// Number of blocks in a span of each class, with a guard page of some bytes behind them.
const fn capacities(guard: usize) -> [u16; COUNT] {
    let mut capacities = [0; COUNT];
    let mut class = 1;
    while class < COUNT {
        let guard = if class == ZERO { 0 } else { guard };
        capacities[class] = ((bytes(class) - guard) / SIZES[class] as usize) as u16;
        class += 1;
    }
    capacities
}

static CAPACITIES: [u16; COUNT] = capacities(0);
static GUARDED_CAPACITIES: [u16; COUNT] = capacities(PAGE);

/// Number of blocks in a span of this class. In [`Mode::Full`](settings::Mode::Full) a guard page lies behind them.
#[inline]
pub(crate) fn capacity(class: usize) -> usize {
    usize::from(if settings::full() { &GUARDED_CAPACITIES } else { &CAPACITIES }[class])
}

/// Where a block lies.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// The first unit of the span.
    pub(crate) span: usize,
    /// The index of the block in the span.
    pub(crate) index: usize,
    /// Bytes between the start of the block and the address.
    pub(crate) inside: usize,
}

/// Returns the block in which an address within a span lies.
///
/// # Safety
///
/// The address must lie in a span, which cannot cease to be one meanwhile.
#[inline]
pub(crate) unsafe fn place_of(address: *const u8) -> Place {
    // SAFETY: the fields `first` and `class` of a span's records do not change while it is one.
    let (span, class) = unsafe {
        let record = region::record(region::unit_of(address));
        ((*record).first as usize, usize::from((*record).class))
    };
    let offset = address as usize - region::address_of(span) as usize;
    let index = ((offset as u64 * u64::from(RECIPROCALS[class])) >> 32) as usize;
    Place { span, index, inside: offset - index * SIZES[class] as usize }
}

/// Creates a span; returns its first unit, or `None` if there is no memory.
pub(crate) fn create(class: usize) -> Option<usize> {
    let run = unit::take(units(class), UNIT, class)?;
    if settings::hardened() {
        // SAFETY: the run was taken, and nothing else uses it yet.
        unsafe { protect(run, class) };
    }
    // SAFETY: the run was taken, and nothing else uses it yet.
    unsafe { region::unit_class(run.first).write_bytes(class as u8, run.length) };
    Some(run.first)
}

/// Erases a new span and installs its guards, as the mode demands.
///
/// # Safety
///
/// The run must belong to the caller.
unsafe fn protect(run: unit::Run, class: usize) {
    let (start, bytes) = (region::address_of(run.first), bytes(class));
    // SAFETY: the caller owns the run. If there are no guards, what they would find is not found.
    os::keeping_errno(|| unsafe {
        if class == ZERO {
            record(run.first).mapping = guard::protect(start, bytes);
        } else if settings::full() {
            if !run.zero {
                start.write_bytes(0, bytes);
            }
            guard::install(start.add(bytes - PAGE), PAGE);
        }
    });
}

/// Returns a span without live blocks to the free units.
///
/// # Safety
///
/// The span must have no live blocks and be in no list, and the lock of its class must be held.
pub(crate) unsafe fn destroy(span: usize) {
    // SAFETY: the caller guarantees that nothing uses the span.
    unsafe {
        let length = record(span).length as usize;
        if record(span).mapping {
            guard::unprotect(region::address_of(span), length << UNIT_SHIFT);
        }
        region::unit_class(span).write_bytes(0, length);
        region::free_bits(span).write_bytes(0, BIT_WORDS * length);
        unit::give_back_span(span);
    }
}

/// Takes up to `blocks.len()` blocks of a span, in order of addresses; returns how many there were.
///
/// # Safety
///
/// `span` must be a span of this class, and the lock of the class must be held.
pub(crate) unsafe fn take(span: usize, class: usize, blocks: &mut [usize]) -> usize {
    // SAFETY: the caller guarantees that the lock is held.
    let record = unsafe { record(span) };
    let (start, size) = (region::address_of(span) as usize, SIZES[class] as usize);
    let mut count = 0;
    let mut word = 0;
    while record.free != 0 && count < blocks.len() {
        // SAFETY: a span with free blocks has set bits in its words.
        let bits = unsafe { &mut *region::free_bits(span).add(word) };
        while *bits != 0 && count < blocks.len() {
            blocks[count] = start + (word * 64 + bits.trailing_zeros() as usize) * size;
            *bits &= *bits - 1;
            record.free -= 1;
            count += 1;
        }
        word += 1;
    }
    let carved = (capacity(class) - usize::from(record.carved)).min(blocks.len() - count);
    for block in &mut blocks[count..count + carved] {
        *block = start + usize::from(record.carved) * size;
        record.carved += 1;
    }
    count + carved
}

/// Sets the free bit of a block; returns the first unit of its span.
///
/// # Safety
///
/// The block must be one that was taken from a span and not put back, and the lock of its class must be held.
pub(crate) unsafe fn put_back(block: *mut u8) -> usize {
    // SAFETY: the block lies in a span, which has a live block and so cannot be destroyed.
    unsafe {
        let Place { span, index, inside } = place_of(block);
        debug_assert_eq!(inside, 0);
        *region::free_bits(span).add(index / 64) |= 1 << (index % 64);
        record(span).free += 1;
        span
    }
}

/// Returns whether no block of a span is live or in a magazine.
///
/// # Safety
///
/// `span` must be a span, and the lock of its class must be held.
pub(crate) unsafe fn is_empty(span: usize) -> bool {
    // SAFETY: the caller guarantees that the lock is held.
    let record = unsafe { record(span) };
    record.free == record.carved
}

/// Returns the number of blocks that can be taken from a span.
///
/// # Safety
///
/// As for [`is_empty`].
pub(crate) unsafe fn free_blocks(span: usize) -> usize {
    // SAFETY: the caller guarantees that the lock is held.
    let record = unsafe { record(span) };
    usize::from(record.free) + capacity(usize::from(record.class)) - usize::from(record.carved)
}

const _: () = assert!(GRAIN * 64 * BIT_WORDS == UNIT);
