//! The measured replay: the part that is the same for one thread and for several.

use anyhow::{Error, Result, anyhow};

use super::{
    Batches, Measurement, Meter, Reply, Slot, Task, Written, dead, mapped, measure_memory, process, touch,
    walk,
};
use crate::{
    replay::contender::Contender,
    trace::{Request, Step},
};

/// Performs the steps, on one thread or on several.
pub(super) trait Player {
    /// Performs these steps, timed.
    fn play(&mut self, steps: &[Step]) -> Result<()>;

    /// Returns all slots, including dead ones.
    fn slots(&self) -> impl Iterator<Item = &Slot>;

    /// Returns the slot that has the block of a slot of the trace, if that has a live block, and otherwise any slot.
    fn block(&self, slot: u32) -> &Slot;

    /// Returns the CPU time of the steps so far.
    fn nanoseconds(&self) -> u64;
}

/// Replays all batches as the task says.
pub(super) fn replay<C: Contender>(
    contender: &C,
    task: &Task,
    batches: Batches<'_, '_>,
    player: &mut impl Player,
) -> Result<Reply> {
    if task.map {
        mapped::run(contender, task, batches, player).map(|()| Reply::Mapped)
    } else {
        measure(contender, task, batches, player).map(Reply::Done)
    }
}

/// Replays all batches and returns the measurements.
fn measure<C: Contender>(
    contender: &C,
    task: &Task,
    mut batches: Batches<'_, '_>,
    player: &mut impl Player,
) -> Result<Measurement> {
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
            measurement.memory_use = measure_memory(contender, player.slots(), task.written);
            if task.walk {
                measurement.walk = walk(player.slots(), |size| task.written.is_written(size));
            }
        }
        player.play(second)?;
    }
    measurement.nanoseconds = player.nanoseconds();
    meter.stop(&mut measurement);
    Ok(measurement)
}

/// Returns the message that a request could not be served.
pub(super) fn no_memory(request: Request) -> Error {
    anyhow!("there is no memory for a block of {} bytes", request.size())
}

/// Replays all batches with one thread.
pub(super) fn run<C: Contender>(contender: &C, task: &Task, batches: Batches<'_, '_>) -> Result<Reply> {
    process::pin();
    let mut alone = Alone { contender, slots: dead(task.slots), written: task.written, nanoseconds: 0 };
    replay(contender, task, batches, &mut alone)
}

/// A replay with one thread.
struct Alone<'a, C> {
    contender: &'a C,
    slots: Vec<Slot>,
    written: Written,
    nanoseconds: u64,
}

impl<C: Contender> Player for Alone<'_, C> {
    fn play(&mut self, steps: &[Step]) -> Result<()> {
        let start = process::cpu_time();
        let result = match self.written {
            Written::Below(_) => self.take::<false>(steps),
            Written::All => self.take::<true>(steps),
        };
        self.nanoseconds += process::cpu_time() - start;
        result.map_err(no_memory)
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    fn block(&self, slot: u32) -> &Slot {
        &self.slots[slot as usize]
    }

    fn nanoseconds(&self) -> u64 {
        self.nanoseconds
    }
}

impl<C: Contender> Alone<'_, C> {
    /// Performs the steps. On failure, returns the request that could not be served.
    #[inline(never)]
    fn take<const ALL: bool>(&mut self, steps: &[Step]) -> Result<(), Request> {
        for step in steps {
            let slot = &mut self.slots[step.slot as usize];
            // SAFETY: a trace frees and resizes only live blocks, and all blocks come from this contender.
            unsafe { touch::take::<C, ALL>(self.contender, slot, step, self.written)? };
        }
        Ok(())
    }
}
