//! Inspection of a cached pool.

use super::{Cached, config::CacheConfig, magazine::Magazine};
use crate::{
    pool::{ClassMap, SizeClasses},
    sync::thread_index::{self, MAX_THREADS},
    traits::{Allocator, HeapMapBuilder, Inspect, InvariantError, PoolStats, Report},
};

/// The numbers are exact while no other thread allocates or frees; otherwise they are off by what other threads do
/// meanwhile.
impl<P: SizeClasses + Inspect, A: Allocator, C: CacheConfig> Inspect for Cached<P, A, C> {
    /// Blocks in magazines count as free. O(slots of all threads) in addition to the cost of the pool, which alone runs
    /// under the depot's lock.
    fn stats(&self) -> PoolStats {
        let held: usize = self.held().map(|(blocks, size)| blocks * size).sum();
        let depot = self.depot.lock();
        let cached = held + depot.waiting_bytes();
        let (pool, own) = (depot.pool.stats(), depot.magazines.stats().plus(depot.caches.stats()));
        PoolStats {
            chunks: pool.chunks + own.chunks,
            held: pool.held + own.held,
            live: pool.live.saturating_sub(cached),
            free: pool.free + cached,
        }
    }

    /// Returns the largest free block that the pool has or that is in any thread's magazine.
    fn largest_free(&self) -> Option<usize> {
        let held = self.held().filter(|&(blocks, _)| blocks != 0).map(|(_, size)| size).max();
        let depot = self.depot.lock();
        let is_waiting = |&class: &usize| depot.full(class).next().is_some();
        let waiting_bytes =
            (0..self.class_map.classes()).filter(is_waiting).map(|class| self.class_map.layout(class).size());
        Some(depot.pool.largest_free()?.max(waiting_bytes.max().unwrap_or(0)).max(held.unwrap_or(0)))
    }

    /// Blocks that the current thread caches are drawn as free; those cached by other threads cannot be seen and are
    /// drawn as live.
    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        let depot = self.depot.lock();
        depot.pool.render(builder);
        builder.chunks_only(|builder| {
            depot.magazines.render(builder);
            depot.caches.render(builder);
        });
        for class in 0..self.class_map.classes() {
            let cache = &self.caches.of(thread_index::current())[class];
            let size = self.class_map.layout(class).size();
            for magazine in [cache.loaded(), cache.spare()].into_iter().chain(depot.full(class)) {
                Magazine::<C>::blocks(magazine).for_each(|block| builder.free(block..block + size));
            }
        }
    }

    fn owns(&self, address: *const u8) -> bool {
        self.depot.lock().pool.owns(address)
    }

    /// Checks the pool, the depot, and what the current thread caches. O(cached blocks) in addition to the cost of the
    /// pool.
    fn check(&self) -> Result<(), InvariantError> {
        let depot = self.depot.lock();
        depot.pool.check()?;
        depot.magazines.check()?;
        depot.caches.check()?;
        for class in 0..self.class_map.classes() {
            let cache = &self.caches.of(thread_index::current())[class];
            let (loaded, spare) = (cache.loaded::<C>(), cache.spare::<C>());
            if !loaded.is_valid() || !spare.is_valid() {
                return Err(InvariantError("the bottom or a block of a magazine was overwritten"));
            }
            if !spare.is_full() && !spare.is_empty() {
                return Err(InvariantError("a spare magazine is neither full nor empty"));
            }
            for magazine in [loaded, spare].into_iter().chain(depot.full(class)) {
                if !magazine.blocks().all(|block| depot.pool.owns(core::ptr::without_provenance(block))) {
                    return Err(InvariantError("an address in a magazine is no block of the pool"));
                }
            }
        }
        Ok(())
    }

    fn report(&self) -> Report {
        self.depot.lock().pool.report()
    }
}

impl<P: SizeClasses, A: Allocator, C: CacheConfig> Cached<P, A, C> {
    /// Returns, for each slot of each thread index, the number of its blocks and their size.
    fn held(&self) -> impl Iterator<Item = (usize, usize)> {
        let caches = (1..MAX_THREADS)
            .filter_map(|thread| self.caches.get(thread))
            .flat_map(|caches| caches.iter().enumerate());
        caches.map(|(class, cache)| {
            (cache.loaded::<C>().count() + cache.spare::<C>().count(), self.class_map.layout(class).size())
        })
    }
}
