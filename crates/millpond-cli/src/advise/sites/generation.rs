//! Blocks that die together. A generation of a site and a thread begins when there are no such blocks, and ends when
//! there are none again. Its blocks die together if nearly all of them are freed after the last one was allocated.

use super::measures::{Measures, THREADS};

/// Smaller generations say nothing: a function that allocates two blocks and frees both is no phase.
const LEAST_BLOCKS: u64 = 16;
/// Max share of the blocks of a generation that are freed before its last allocation.
const EARLY: f64 = 0.05;

/// The current generation of a thread.
#[derive(Clone, Copy, Default)]
struct Generation {
    allocated: u64,
    freed: u64,
    /// Number of blocks freed before the last allocation.
    early: u64,
    bytes: u64,
    /// Blocks of all generations of this thread.
    all: u64,
}

/// The current generations of a site, each with its thread. Most sites have few, and those used often are in front.
#[derive(Clone, Default)]
pub(super) struct Generations(Vec<(u32, Generation)>);

impl Generations {
    pub(super) fn allocate(&mut self, thread: u32, size: u64) {
        let at = self.find(thread).unwrap_or_else(|| {
            self.0.push((thread % THREADS, Generation::default()));
            self.0.len() - 1
        });
        let generation = &mut self.0[at].1;
        generation.allocated += 1;
        generation.all += 1;
        generation.early = generation.freed;
        generation.bytes = generation.bytes.saturating_add(size);
    }

    /// Returns the place of a thread's generation, after moving it one place to the front.
    fn find(&mut self, thread: u32) -> Option<usize> {
        let at = self.0.iter().position(|(known, _)| *known == thread % THREADS)?;
        let front = at.saturating_sub(1);
        self.0.swap(at, front);
        Some(front)
    }

    /// Notes that a block of `thread` was freed, and the whole generation if that was the last one.
    pub(super) fn free(&mut self, thread: u32, site: &mut Measures) {
        let Some(at) = self.find(thread) else { return };
        let generation = &mut self.0[at].1;
        generation.freed += 1;
        if generation.freed < generation.allocated {
            return;
        }
        if generation.is_together() {
            site.together += generation.allocated;
            site.generations += 1;
            site.generation_bytes = site.generation_bytes.max(generation.bytes);
        }
        *generation = Generation { all: generation.all, ..Generation::default() };
    }

    /// Notes the blocks that are live at the end of the recording, and how many each thread allocated.
    pub(super) fn finish(self, site: &mut Measures) {
        for (_, generation) in &self.0 {
            if generation.is_together() {
                site.kept += generation.allocated - generation.freed;
            }
        }
        site.by_thread = self.0.iter().map(|(_, generation)| generation.all).filter(|&all| all > 0).collect();
        site.by_thread.sort_unstable_by(|a, b| b.cmp(a));
    }
}

impl Generation {
    fn is_together(&self) -> bool {
        self.allocated >= LEAST_BLOCKS && self.early as f64 <= self.allocated as f64 * EARLY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Performs events of one thread: true allocates, false frees.
    fn played(events: impl Iterator<Item = bool>) -> Measures {
        let (mut generations, mut site) = (Generations::default(), Measures::default());
        for allocates in events {
            if allocates { generations.allocate(0, 10) } else { generations.free(0, &mut site) }
        }
        generations.finish(&mut site);
        site
    }

    #[test]
    fn blocks_freed_after_the_last_allocation_die_together() {
        let phases = (0..300).map(|at| at % 60 < 30);
        let site = played(phases);
        assert_eq!((site.together, site.generations, site.generation_bytes, site.kept), (150, 5, 300, 0));
        assert_eq!(site.by_thread, [150]);
    }

    #[test]
    fn blocks_replaced_do_not() {
        let replaced =
            (0..20).map(|_| true).chain((0..100).map(|at| at % 2 == 1)).chain((0..20).map(|_| false));
        let site = played(replaced);
        assert_eq!((site.together, site.generations, site.kept), (0, 0, 0));
    }

    #[test]
    fn small_generations_do_not_count_and_live_ones_are_kept() {
        assert_eq!(played((0..300).map(|at| at % 4 < 2)).together, 0);
        assert_eq!(played((0..50).map(|_| true)).kept, 50);
    }
}
