//! The replay that is measured, of a program with one thread.

use anyhow::{Result, bail};

use super::{Batches, Measurement, Meter, Slot, Task, Written, dead, hand, process, take_stock, walk};
use crate::{
    replay::contender::Contender,
    trace::{Request, Step},
};

/// Replays all batches and says what that took.
pub(super) fn run<C: Contender>(
    contender: &C,
    task: &Task,
    mut batches: Batches<'_, '_>,
) -> Result<Measurement> {
    process::pin();
    let mut player = Player { contender, slots: dead(task.slots), written: task.written, nanoseconds: 0 };
    let meter = Meter::start();
    let mut measurement = Measurement::default();
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
            measurement.stock = take_stock(contender, player.slots.iter(), player.written);
            if task.walk {
                measurement.walk = walk(player.slots.iter(), |size| player.written.is_written(size));
            }
        }
        player.play(second)?;
    }
    measurement.nanoseconds = player.nanoseconds;
    meter.stop(&mut measurement);
    Ok(measurement)
}

/// A replay under way.
struct Player<'a, C> {
    contender: &'a C,
    slots: Vec<Slot>,
    written: Written,
    nanoseconds: u64,
}

impl<C: Contender> Player<'_, C> {
    /// Takes the steps, on the clock.
    fn play(&mut self, steps: &[Step]) -> Result<()> {
        let start = process::cpu_time();
        let result = match self.written {
            Written::Below(_) => self.take::<false>(steps),
            Written::All => self.take::<true>(steps),
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
        for step in steps {
            let slot = &mut self.slots[step.slot as usize];
            // SAFETY: a trace frees and resizes live blocks only, and all blocks are of this contender.
            unsafe { hand::take::<C, ALL>(self.contender, slot, step, self.written)? };
        }
        Ok(())
    }
}
