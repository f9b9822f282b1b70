//! The replay that shows where blocks are: at certain moments, which the other side chooses, it sends the address and the
//! usable bytes of every block. Nothing is timed, and nothing but the replay allocates between two moments.

use std::io::{self, Write as _};

use anyhow::Result;

use super::{Batches, Slot, Task, timed::Player};
use crate::replay::contender::Contender;

/// Bytes of an encoded block: its address and its usable size.
pub(crate) const PLACE_BYTES: usize = 16;
/// Number of blocks that are written at once.
const BLOCKS: usize = 256;

/// Replays all batches. After those that end at a moment, sends the places of the blocks of all slots in their order; what
/// is sent for a slot without a live block has no meaning.
pub(super) fn run<C: Contender>(
    contender: &C,
    task: &Task,
    mut batches: Batches<'_, '_>,
    player: &mut impl Player,
) -> Result<()> {
    loop {
        let steps = batches.next()?;
        let is_over = steps.is_empty();
        player.play(steps)?;
        if batches.is_moment {
            send(contender, task.slots, player)?;
        } else if is_over {
            return Ok(());
        }
    }
}

fn send<C: Contender>(contender: &C, slots: u32, player: &impl Player) -> Result<()> {
    let mut output = io::stdout().lock();
    let mut bytes = [0; BLOCKS * PLACE_BYTES];
    let mut slots = 0..slots;
    while !slots.is_empty() {
        let filled = bytes.chunks_exact_mut(PLACE_BYTES).zip(&mut slots).map(|(place, slot)| {
            let Slot { block, request } = *player.block(slot);
            let usable = if block.is_null() {
                0
            } else {
                // SAFETY: a block that is not null is live, and its slot holds the request that it last served.
                unsafe { contender.usable(block, request) }
            };
            place[..8].copy_from_slice(&(block.addr() as u64).to_le_bytes());
            place[8..].copy_from_slice(&(usable as u64).to_le_bytes());
        });
        let filled = filled.count();
        output.write_all(&bytes[..filled * PLACE_BYTES])?;
    }
    Ok(output.flush()?)
}
