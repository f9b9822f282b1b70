//! The table of events.

use anyhow::{Context, Result};
use millpond_trace::{Reader, Verb};

use super::{
    super::events::{self, Event},
    labels::Labels,
    table::{Cell, Table},
};
use crate::profile::Sites;

/// The bytes live after each event, and when most are.
#[derive(Default)]
struct Live {
    now: u64,
    most: u64,
    /// The number of the first event after which most are live; 0 if there are no live bytes.
    peak: u64,
}

impl Live {
    fn note(&mut self, number: u64, event: &Event) {
        if !matches!(event.shape.verb, Verb::Allocate { .. }) {
            self.now = self.now.saturating_sub(event.block.size);
        }
        if event.shape.verb != Verb::Free {
            self.now = self.now.saturating_add(event.shape.size);
        }
        if self.now > self.most {
            (self.most, self.peak) = (self.now, number);
        }
    }
}

/// Writes the events of a process. Returns the number of the first one after which most bytes are live, 0 if none ever are.
pub(super) fn write(
    reader: &mut Reader,
    process: usize,
    labels: &Labels,
    sites: &Sites,
    table: &mut Table,
    progress: impl Fn(u64),
) -> Result<u64> {
    let operations: [Cell; 3] = ["allocate", "resize", "free"].map(Cell::from);
    let [host, service, version] = labels.cells();
    let (mut number, mut live) = (0, Live::default());
    events::each_with(reader, progress, |event| {
        number += 1;
        live.note(number, event);
        let [allocate, resize, free] = &operations;
        let (operation, asks) = match event.shape.verb {
            Verb::Allocate { .. } => (allocate, true),
            Verb::Resize => (resize, true),
            Verb::Free => (free, false),
        };
        let (stack, block) = (event.shape.stack, &event.block);
        let site = |stack: u32| sites.of_stack.get(&stack).copied().map(|place| place + 1);
        let owner = site(block.origin).context("a block is of a stack that did not allocate")?;
        let known = |stack: u32| Some(stack).filter(|&stack| stack > 0);
        table.row([
            host.clone(),
            service.clone(),
            version.clone(),
            process.into(),
            number.into(),
            event.time_ns().into(),
            event.thread().into(),
            operation.clone(),
            event.size().into(),
            event.old_size().into(),
            event.alignment().into(),
            block.number.into(),
            event.lifetime_ns().into(),
            known(stack).into(),
            site(stack).filter(|_| asks).into(),
            known(block.origin).into(),
            owner.into(),
            event.block_thread().into(),
            event.is_temporary().into(),
        ])
    })?;
    Ok(live.peak)
}
