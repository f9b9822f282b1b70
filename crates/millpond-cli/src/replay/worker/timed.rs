//! The replay that is measured.

use anyhow::{Result, bail};

use super::{Batches, Measurement, Slot, Stock, Task, Touch, dead, process};
use crate::{
    replay::contender::Contender,
    trace::{Kind, Request, Step},
};

/// A page, as far as touching goes.
const PAGE: usize = 4096;

/// Replays all batches and says what that took.
pub(super) fn run<C: Contender>(
    contender: &C,
    task: &Task,
    mut batches: Batches<'_, '_>,
) -> Result<Measurement> {
    process::pin();
    let mut player = Player { contender, slots: dead(task.slots), touch: task.touch, nanoseconds: 0 };
    let mut measurement = Measurement::default();
    let can_reset = process::reset_peak();
    let before = process::resident().filter(|_| can_reset);
    let mut done = 0;
    loop {
        let steps = batches.next()?;
        if steps.is_empty() {
            break;
        }
        let until_peak = task.peak.saturating_sub(done).min(steps.len() as u64) as usize;
        let (first, second) = steps.split_at(until_peak);
        player.play(first)?;
        done += steps.len() as u64;
        if until_peak > 0 && task.peak <= done {
            measurement.stock = player.take_stock();
        }
        player.play(second)?;
    }
    measurement.nanoseconds = player.nanoseconds;
    let after = process::resident();
    measurement.peak_resident =
        before.zip(after).map(|((before, _), (now, peak))| peak.max(now).saturating_sub(before));
    Ok(measurement)
}

/// A replay under way.
struct Player<'a, C> {
    contender: &'a C,
    slots: Vec<Slot>,
    touch: Touch,
    nanoseconds: u64,
}

impl<C: Contender> Player<'_, C> {
    /// Takes the steps, on the clock.
    fn play(&mut self, steps: &[Step]) -> Result<()> {
        let start = process::cpu_time();
        let result = match self.touch {
            Touch::Ends => self.take::<false>(steps),
            Touch::All => self.take::<true>(steps),
        };
        self.nanoseconds += process::cpu_time() - start;
        match result {
            Ok(()) => Ok(()),
            Err(request) => bail!("there is no memory for a block of {} bytes", request.size()),
        }
    }

    /// The loop. On failure, what could not be had.
    #[inline(never)]
    fn take<const ALL: bool>(&mut self, steps: &[Step]) -> Result<(), Request> {
        let contender = self.contender;
        for step in steps {
            let request = step.request;
            let slot = &mut self.slots[step.slot as usize];
            let (block, kept) = match step.kind {
                Kind::Free => {
                    // SAFETY: a trace frees live blocks only, and the slot holds what the block was asked for with.
                    unsafe { contender.free(slot.block, slot.request) };
                    slot.block = std::ptr::null_mut();
                    continue;
                }
                Kind::Resize => {
                    let old = slot.request;
                    // SAFETY: as above.
                    (unsafe { contender.resize(slot.block, old, request) }, old.size())
                }
                Kind::Allocate => (contender.allocate(request), 0),
                Kind::Zeroed => (contender.allocate_zeroed(request), 0),
                Kind::Aligned => (contender.allocate_aligned(request), 0),
            };
            if block.is_null() {
                return Err(request);
            }
            // SAFETY: the block was just handed out for the request.
            unsafe { touch::<C, ALL>(block, kept, request.size()) };
            *slot = Slot { block, request };
        }
        Ok(())
    }

    /// Adds up all live blocks.
    fn take_stock(&self) -> Stock {
        let mut stock = Stock::default();
        for slot in self.slots.iter().filter(|slot| !slot.block.is_null()) {
            let size = slot.request.size();
            stock.requested += size as u64;
            if self.touch.is_written(size) {
                // SAFETY: the block is live, and the slot holds what it was asked for with.
                let usable = unsafe { self.contender.usable(slot.block, slot.request) };
                stock.written += size as u64;
                stock.handed_out += usable as u64;
            }
        }
        stock
    }
}

/// Writes to a block what [`Touch`] says, beyond the bytes that a resize has kept.
///
/// # Safety
///
/// `block` can be written up to `size`, or up to [`Contender::REACH`] where that is less.
#[inline(always)]
unsafe fn touch<C: Contender, const ALL: bool>(block: *mut u8, kept: usize, size: usize) {
    if kept >= size {
        return;
    }
    if ALL {
        let mut from = kept;
        while from < size {
            let start = from & C::REACH;
            let length = (size - from).min((C::REACH - start).saturating_add(1));
            // SAFETY: the caller's promise; the range ends at `size` and at `REACH` at the latest.
            unsafe { fill(block.wrapping_add(start), length) };
            from += length;
        }
        return;
    }
    // SAFETY: the caller's promise; every offset is below `size` and cut to `REACH`.
    unsafe {
        if kept == 0 {
            block.write_volatile(1);
        }
        block.add((size - 1) & C::REACH).write_volatile(1);
        if Touch::Ends.is_written(size) {
            let mut page = kept.next_multiple_of(PAGE).max(PAGE);
            while page < size {
                block.add(page & C::REACH).write_volatile(1);
                page += PAGE;
            }
        }
    }
}

/// Writes to every byte, and lets the compiler skip none.
///
/// # Safety
///
/// The range can be written.
#[inline(always)]
unsafe fn fill(start: *mut u8, length: usize) {
    // SAFETY: the caller's promise.
    unsafe { start.write_bytes(1, length) };
    std::hint::black_box(start);
}
