//! The replay of a part: the blocks of some call sites come from what is advised for them, all others from the baseline.

use std::collections::HashMap;

use anyhow::Result;
use foldhash::fast::FixedState;
use millpond_trace::Reader;

use super::{
    Baseline, Comparison, Name, Route, check_memory, race::Source, rounds, task, touched::Touched,
    worker::Task,
};
use crate::{
    cli::Settings,
    trace::{Histogram, Kind, Step},
};

/// Gives each block the route of the stack that allocated it.
#[derive(Default)]
pub(super) struct Router {
    /// The route of each stack that has one.
    of_stack: HashMap<u32, u8, FixedState>,
    /// The route of the block in each slot.
    slots: Vec<u8>,
}

impl Router {
    pub(super) fn new(of_stack: HashMap<u32, u8, FixedState>, slots: u32) -> Self {
        Self { of_stack, slots: vec![0; slots as usize] }
    }

    /// Returns the step with its route: that of the stack if it allocates, or that of the block.
    pub(super) fn route(&mut self, stack: u32, step: Step) -> Step {
        let Some(slot) = self.slots.get_mut(step.slot as usize) else { return step };
        match step.kind {
            Kind::Allocate | Kind::Zeroed | Kind::Aligned => {
                *slot = self.of_stack.get(&stack).copied().unwrap_or(0);
            }
            Kind::Resize | Kind::Free => {}
        }
        Step { request: step.request.with_route(*slot), ..step }
    }
}

/// Which call sites are replayed in which way.
pub(crate) struct Routing {
    /// The route of each stack that has one, from 1 on.
    pub(crate) of_stack: HashMap<u32, u8, FixedState>,
    /// What serves each route, from route 1 on.
    pub(crate) routes: Vec<Route>,
    /// The selections to measure: the routes that each serves. The baseline serves all others.
    pub(crate) selections: Vec<Vec<u8>>,
}

/// Replays a trace with the baseline and with each selection, in another random order in each round. The outcomes are
/// those of the baseline, and then of the selections.
pub(crate) fn measure_routes(
    reader: &mut Reader,
    histogram: &Histogram,
    routing: Routing,
    settings: &Settings,
    baseline: Baseline,
) -> Result<Comparison> {
    let touched = Touched::new(settings.touch, histogram, &reader.summary().resources);
    check_memory(histogram, |size| touched.written.is_written(size))?;
    let mut task = task(reader, histogram, &[], touched.written);
    let Routing { of_stack, routes, selections } = routing;
    let served = |selection: &Vec<u8>| {
        let is_served = |route: &u8| selection.contains(route);
        (1..).zip(&routes).map(|(number, route)| Some(route.clone()).filter(|_| is_served(&number))).collect()
    };
    // The bare loop; the baseline, which has routes too, but serves none; and the selections.
    let none = vec![None; routes.len()];
    let mut turns = vec![(Name::Bare, none.clone()), (Name::Routed, none)];
    turns.extend(selections.iter().map(|selection| (Name::Routed, served(selection))));
    let tasks: Vec<_> = turns
        .into_iter()
        .map(|(name, routes)| {
            task.set(name, &baseline);
            Task { routes, ..task.clone() }
        })
        .collect();
    let peak = reader.summary().peak_bytes;
    let router = Router::new(of_stack, reader.summary().slots);
    let source = Source::new(reader, &histogram.threads.workers).routed_by(router);
    let names = [baseline.name()].into_iter().chain(selections.iter().map(|_| Name::Routed));
    let (outcomes, bare) =
        rounds::compare(source, &tasks, names, settings.rounds, "replaying call sites", peak)?;
    Ok(Comparison { outcomes, baseline, bare, touched: Some(touched), ..Comparison::default() })
}

#[cfg(test)]
mod tests {
    use millpond_trace::Op;

    use super::*;

    #[test]
    fn a_block_keeps_the_route_of_its_allocation() {
        let mut router = Router::new([(7, 3)].into_iter().collect(), 2);
        let mut route = |stack, op| router.route(stack, Step::new(op).unwrap()).request.route();
        let allocate = |slot| Op::Allocate { slot, size: 8, align: 0, zeroed: false };
        assert_eq!(route(7, allocate(0)), 3);
        assert_eq!(route(9, allocate(1)), 0);
        assert_eq!(route(9, Op::Resize { slot: 0, size: 100 }), 3);
        assert_eq!(route(7, Op::Resize { slot: 1, size: 100 }), 0);
        assert_eq!(route(9, allocate(0)), 0, "a new block in the slot");
    }
}
