//! A map of blocks: those that are live, and those that were freed.
//!
//! A block is found by its start in a hash table ([`Table`]): O(1). So is entering a block again that is no larger than
//! it was, and marking one as freed. To find the block in which an address lies, and whether a new block overlaps
//! another, there is a trie of the granules in which blocks begin ([`Trie`]): it finds the last one up to an address in
//! a few steps, however many there are. Several blocks may begin in one granule; their starts are found by trying the
//! few addresses that the smallest alignment seen so far allows. Running out of memory is an error, not an abort.
//!
//! A block that was freed stays in the map until another overlaps it. So the map has as many entries as there are
//! distinct blocks in the memory that was ever used.

use core::alloc::Layout;

use super::{
    hash_table::{Keyed, Table},
    trie::{GRANULE, Trie},
};
use crate::{
    base::AllocError,
    traits::{InvariantError, Requested},
};

/// An entry of the map.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BlockEntry<N> {
    /// The start of the block with all bits inverted, so that leak detectors do not take the map for a reference to the
    /// block.
    inverted: usize,
    /// The lowest bit says whether the block is live or was freed; the next six hold the logarithm of its alignment,
    /// the next nine how far its reach exceeds its end, and the others its size.
    packed: u64,
    /// What else is known about the block.
    pub(super) note: N,
}

/// Position in `packed` of how far the reach exceeds the end.
const SLACK: u32 = 7;

/// Position in `packed` of the size.
const SIZE: u32 = 16;

impl<N: Copy + Default> BlockEntry<N> {
    /// Creates the entry of a live block; `None` if it is larger than address spaces are: 256 tebibytes.
    fn live(start: usize, layout: Layout, note: N) -> Option<Self> {
        let size = layout.size() as u64;
        let align = u64::from(layout.align().trailing_zeros());
        let fits = size >> (u64::BITS - SIZE) == 0;
        fits.then_some(Self { inverted: !start, packed: (size << SIZE) | (align << 1) | 1, note })
    }

    /// Returns the start of the block.
    pub(super) fn start(&self) -> usize {
        !self.inverted
    }

    fn size(&self) -> usize {
        (self.packed >> SIZE) as usize
    }

    fn end(&self) -> usize {
        self.start().saturating_add(self.size())
    }

    /// Returns the address before which no other entry begins: the end of the block, or an address behind it if a
    /// longer block began here before.
    fn reach(&self) -> usize {
        let slack = (self.packed >> SLACK) as usize % (1 << (SIZE - SLACK));
        self.end().saturating_add(slack)
    }

    /// Returns the entry with another reach, which is at least the end of the block; the reach is lowered if it is too
    /// far to be represented.
    fn reaching(mut self, reach: usize) -> Self {
        let most = (1 << (SIZE - SLACK)) - 1;
        let slack = reach.saturating_sub(self.end()).min(most);
        self.packed = self.packed & !((most as u64) << SLACK) | (slack as u64) << SLACK;
        self
    }

    /// Returns the layout that was requested.
    pub(super) fn layout(&self) -> Layout {
        let align = 1 << (self.packed >> 1 & 63);
        Layout::from_size_align(self.size(), align).unwrap_or(Layout::new::<()>())
    }

    /// Returns whether the block is live.
    pub(super) fn is_live(&self) -> bool {
        self.packed & 1 == 1
    }

    /// Returns whether the block is live and was requested with this layout.
    pub(super) fn is_live_as(&self, layout: Layout) -> bool {
        let align = u64::from(layout.align().trailing_zeros());
        self.size() == layout.size() && self.packed % (1 << SLACK) == (align << 1 | 1)
    }
}

impl<N: Copy + Default> Keyed for BlockEntry<N> {
    fn key(&self) -> u64 {
        self.inverted as u64
    }
}

/// The reason why a block is not entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InsertError {
    /// The map cannot grow.
    Memory(AllocError),
    /// The block overlaps the live one that begins here.
    Overlap(usize),
}

/// The map.
///
/// # Invariants
///
/// * No entry begins before another entry's reach.
/// * `granules` contains exactly the granules in which an entry begins.
/// * If an entry does not begin at the start of a granule, its distance from there has only bits that are in `offsets`.
/// * `live` is the sum of the live entries.
#[derive(Debug)]
pub(super) struct BlockMap<N> {
    entries: Table<BlockEntry<N>>,
    granules: Trie,
    offsets: usize,
    live: Requested,
}

impl<N: Copy + Default> BlockMap<N> {
    pub(super) const fn new() -> Self {
        Self {
            entries: Table::EMPTY,
            granules: Trie::EMPTY,
            offsets: 0,
            live: Requested { blocks: 0, bytes: 0 },
        }
    }

    /// Returns what is live.
    pub(super) fn live(&self) -> Requested {
        self.live
    }

    /// Returns the last entry that begins at or before this address.
    pub(super) fn up_to(&self, address: usize) -> Option<&BlockEntry<N>> {
        let granule = self.granules.last_up_to(address)?;
        // All entries that begin in the granule of the address may lie behind the address. Those in the granule before
        // do not.
        self.last_in(granule, address)
            .or_else(|| self.last_in(self.granules.last_up_to(granule.checked_sub(1)?)?, address))
    }

    /// Returns the last entry that begins in this granule, at or before the address.
    fn last_in(&self, granule: usize, address: usize) -> Option<&BlockEntry<N>> {
        let step = 1 << (self.offsets | GRANULE).trailing_zeros();
        let last = (address - granule).min(GRANULE - 1) & !(step - 1);
        (0..=last).rev().step_by(step).find_map(|offset| self.at(granule + offset))
    }

    /// Returns the entry that begins here.
    pub(super) fn at(&self, start: usize) -> Option<&BlockEntry<N>> {
        self.entries.find(!start as u64)
    }

    /// Returns the entry that begins here, to be changed; its address stays the same, and its layout grows only into
    /// free space.
    fn at_mut(&mut self, start: usize) -> Option<&mut BlockEntry<N>> {
        self.entries.find_mut(!start as u64)
    }

    /// Enters a live block. Entries that it overlaps were freed and are removed.
    pub(super) fn add(&mut self, start: usize, layout: Layout, note: N) -> Result<(), InsertError> {
        let new =
            BlockEntry::live(start, layout, note).ok_or(InsertError::Memory(AllocError::Unsupported))?;
        match self.at_mut(start) {
            Some(old) if old.is_live() => return Err(InsertError::Overlap(start)),
            Some(old) if new.end() <= old.reach() => *old = new.reaching(old.reach()),
            Some(old) => {
                let end = old.reach();
                self.replace(end, new)?;
            }
            None => self.insert_new(new)?,
        }
        self.live = self.live.plus(Requested::of(layout));
        Ok(())
    }

    #[inline(never)]
    fn insert_new(&mut self, new: BlockEntry<N>) -> Result<(), InsertError> {
        let start = new.start();
        self.make_room(start, new.end())?;
        self.entries.reserve(1).and_then(|()| self.granules.reserve()).map_err(InsertError::Memory)?;
        self.entries.insert(new);
        self.granules.insert(start);
        self.offsets |= start % GRANULE;
        Ok(())
    }

    /// Replaces an entry that begins at the same address and reaches up to `end`.
    #[inline(never)]
    fn replace(&mut self, end: usize, new: BlockEntry<N>) -> Result<(), InsertError> {
        self.make_room(end, new.end())?;
        self.put(new);
        Ok(())
    }

    /// Removes all entries between two addresses, which were all freed, and lowers the reach of others to the start.
    fn make_room(&mut self, start: usize, end: usize) -> Result<(), InsertError> {
        while let Some(&old) = self.up_to(end - 1).filter(|old| old.reach() > start) {
            if old.end() <= start {
                self.put(old.reaching(start));
            } else if old.is_live() {
                return Err(InsertError::Overlap(old.start()));
            } else {
                self.forget(old.start());
            }
        }
        Ok(())
    }

    /// Replaces the entry that begins at the same address, if there is one.
    fn put(&mut self, new: BlockEntry<N>) {
        if let Some(old) = self.at_mut(new.start()) {
            *old = new;
        }
    }

    /// Removes the entry that begins here.
    fn forget(&mut self, start: usize) {
        self.entries.remove(!start as u64);
        let granule = start & !(GRANULE - 1);
        if self.last_in(granule, granule + (GRANULE - 1)).is_none() {
            self.granules.remove(granule);
        }
    }

    /// Marks the live block that begins here and has this layout as freed, and changes its note. Returns false if there
    /// is none.
    pub(super) fn mark_freed(&mut self, start: usize, layout: Layout, note: impl FnOnce(N) -> N) -> bool {
        let Some(entry) = self.at_mut(start).filter(|entry| entry.is_live_as(layout)) else { return false };
        entry.packed &= !1;
        entry.note = note(entry.note);
        self.live = self.live.saturating_sub(Requested::of(layout));
        true
    }

    /// Changes the layout of the live block that begins here. Entries that it overlaps now were freed and are removed.
    pub(super) fn resize(&mut self, start: usize, layout: Layout) -> Result<(), InsertError> {
        let Some(&old) = self.at(start) else { return Ok(()) };
        let new =
            BlockEntry::live(start, layout, old.note).ok_or(InsertError::Memory(AllocError::Unsupported))?;
        if new.end() > old.reach() {
            self.make_room(old.reach(), new.end())?;
        }
        self.put(new.reaching(old.reach()));
        self.live = self.live.plus(Requested::of(layout)).saturating_sub(Requested::of(old.layout()));
        Ok(())
    }

    /// Returns all entries, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &BlockEntry<N>> {
        self.entries.iter()
    }

    /// Removes all entries.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.granules.clear();
        (self.offsets, self.live) = (0, Requested::default());
    }

    /// Verifies the invariants. O(n).
    pub(super) fn check(&self) -> Result<(), InvariantError> {
        self.entries.check()?;
        self.granules.check()?;
        if !self.granules.iter().all(|granule| self.last_in(granule, granule + (GRANULE - 1)).is_some()) {
            return Err(InvariantError("the trie of blocks contains a block that is not on the list"));
        }
        let mut sum = Requested::default();
        for entry in self.iter() {
            if self.up_to(entry.start()).is_none_or(|found| found.start() != entry.start()) {
                return Err(InvariantError("the trie of blocks lacks a block that is on the list"));
            }
            if self.up_to(entry.start() - 1).is_some_and(|before| before.reach() > entry.start()) {
                return Err(InvariantError("two blocks on the list overlap"));
            }
            if entry.is_live() {
                sum = sum.plus(Requested::of(entry.layout()));
            }
        }
        if sum == self.live {
            Ok(())
        } else {
            Err(InvariantError("the number of live blocks on the list differs from the count"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, vec::Vec};

    use super::*;

    /// A simple model of the map: where blocks begin, their layouts, and whether they are live.
    #[derive(Default)]
    struct Model(BTreeMap<usize, (Layout, bool)>);

    impl Model {
        /// Returns the starts of blocks that have a byte between two addresses.
        fn overlapped(&self, start: usize, end: usize) -> Vec<usize> {
            let overlaps = |at: usize, layout: &Layout| at < end && start < at + layout.size();
            let blocks = self.0.iter().filter(|(at, (layout, _))| overlaps(**at, layout));
            blocks.map(|(&at, _)| at).collect()
        }

        fn up_to(&self, address: usize) -> Option<usize> {
            self.0.range(..=address).next_back().map(|(&at, _)| at)
        }
    }

    /// Parameters of a run: the range of addresses, their smallest alignment, and the sizes of blocks.
    struct Span {
        reach: usize,
        align: usize,
        largest: usize,
    }

    fn random_layout(rng: &mut fastrand::Rng, span: &Span) -> Layout {
        let size =
            if rng.u8(..) < 8 { span.largest } else { span.largest >> rng.u32(..span.largest.ilog2()) };
        let align = span.align << rng.u32(..4);
        Layout::from_size_align(rng.usize(1..=size), align).expect("a layout")
    }

    fn compare(seed: u64, span: &Span) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut map, mut model) = (BlockMap::<u32>::new(), Model::default());
        for step in 0..500 {
            let layout = random_layout(&mut rng, span);
            let start = rng.usize(1..span.reach / layout.align()) * layout.align();
            let known = model.up_to(start).map(|at| (at, model.0[&at]));
            match known {
                Some((at, (old, true))) if rng.u8(..) < 150 => {
                    let mut freed = |layout| map.mark_freed(at, layout, |note| note + 1);
                    let other = Layout::from_size_align(old.size() + 1, old.align()).expect("a layout");
                    assert!(!freed(other) && freed(old) && !freed(old), "freed once, as it was requested");
                    model.0.insert(at, (old, false));
                }
                Some((at, (old, true))) if rng.bool() => {
                    let end = at + layout.size();
                    let struck = model.overlapped(at + old.size(), end.max(at + old.size()));
                    let in_the_way = struck.iter().any(|other| model.0[other].1);
                    let outcome = map.resize(at, layout);
                    match outcome {
                        Ok(()) => {
                            assert!(!in_the_way, "it would grow into what is live");
                            model.0.retain(|other, _| !struck.contains(other));
                            model.0.insert(at, (layout, true));
                        }
                        Err(error) => refused(&map, &mut model, error, &struck),
                    }
                }
                _ => {
                    let struck = model.overlapped(start, start + layout.size());
                    match map.add(start, layout, step) {
                        Ok(()) => {
                            assert!(!struck.iter().any(|other| model.0[other].1), "it overlaps what is live");
                            model.0.retain(|other, _| !struck.contains(other));
                            model.0.insert(start, (layout, true));
                        }
                        Err(error) => refused(&map, &mut model, error, &struck),
                    }
                }
            }
            let asked = rng.usize(..span.reach * 2);
            assert_eq!(map.up_to(asked).map(BlockEntry::start), model.up_to(asked), "up to {asked}");
            if step % 32 == 0 {
                map.check().expect("sound after each step");
            }
        }
        let listed: BTreeMap<_, _> =
            map.iter().map(|entry| (entry.start(), (entry.layout(), entry.is_live()))).collect();
        assert_eq!(listed, model.0);
        assert_eq!(map.live().blocks, listed.values().filter(|(_, live)| *live).count());
        map.clear();
        map.check().expect("sound without blocks");
        assert_eq!((map.iter().count(), map.live()), (0, Requested::default()));
    }

    /// Checks that a refused block overlaps a live one. Freed entries in its way may or may not have been removed.
    fn refused(map: &BlockMap<u32>, model: &mut Model, error: InsertError, overlapped: &[usize]) {
        let InsertError::Overlap(other) = error else { panic!("{error:?}") };
        assert!(overlapped.contains(&other) && model.0[&other].1);
        model.0.retain(|at, (_, live)| *live || !overlapped.contains(at) || map.at(*at).is_some());
    }

    /// Compares the map with a model, for random blocks: from crowded bytes to blocks across many windows.
    #[test]
    fn agrees_with_a_map() {
        for seed in 0..5 {
            for align in [1, 2, 8, 16] {
                compare(seed, &Span { reach: 600, align, largest: 40 });
                compare(seed, &Span { reach: 40_000, align, largest: 3_000 });
                compare(seed, &Span { reach: 1 << 28, align, largest: 1 << 23 });
                compare(seed, &Span { reach: 1 << 40, align, largest: 1 << 36 });
            }
        }
    }

    #[test]
    fn oversized_block_is_not_entered() {
        let layout = Layout::from_size_align(1 << 60, 1).expect("a layout");
        let mut map = BlockMap::new();
        assert_eq!(map.add(16, layout, ()), Err(InsertError::Memory(AllocError::Unsupported)));
        assert_eq!(map.add(16, Layout::new::<u128>(), ()), Ok(()));
        assert!(!map.mark_freed(16, layout, |()| ()));
        assert_eq!(map.resize(16, layout), Err(InsertError::Memory(AllocError::Unsupported)));
        assert_eq!(map.at(16).map(BlockEntry::layout), Some(Layout::new::<u128>()));
    }
}
