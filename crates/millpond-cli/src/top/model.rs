//! What a program has allocated up to a moment, and which of its blocks are live.

use std::collections::VecDeque;

use super::{
    held::{Held, Unseen},
    sample::{Block, Sample},
};
use crate::record::blocks::Blocks;

/// The interval at which what was asked for is noted, in nanoseconds: rates are about the last one or two.
const BEAT: u64 = 1_000_000_000;
/// The interval at which what is live is noted: growth is about the last two or three.
const GROWTH: u64 = 15 * BEAT;
/// How many such notes are kept.
const NOTES: usize = 3;

/// What a stack has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Asked {
    /// Allocations, and resizes that this stack made of blocks of any stack.
    pub(crate) calls: u64,
    /// Bytes requested by them.
    pub(crate) bytes: u64,
    /// The most bytes that were requested at once.
    pub(crate) largest: u64,
}

/// What all stacks had asked for at a moment.
#[derive(Default)]
pub(crate) struct Earlier {
    pub(crate) time: u64,
    /// By stack. Those that are missing had asked for nothing.
    pub(crate) asked: Vec<Asked>,
}

/// What was live at a moment.
pub(crate) struct Before {
    pub(crate) time: u64,
    /// By stack. Those that are missing had nothing.
    pub(crate) held: Vec<Held>,
    /// The sample of which these are: its factor, and the size from which on it had all blocks.
    pub(crate) sample: (u64, u64),
}

/// A program at a moment. Times are in nanoseconds since its recording began. Events must come in time order.
#[derive(Default)]
pub(crate) struct Model {
    now: u64,
    asked: Vec<Asked>,
    blocks: Blocks<Block>,
    pub(crate) sample: Sample,
    /// The most bytes to which a block that is not followed may have been resized.
    resized: u64,
    /// The last two multiples of [`BEAT`].
    earlier: [Earlier; 2],
    before: VecDeque<Before>,
}

impl Model {
    /// Returns the time up to which events are counted.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Returns what each stack has asked for.
    pub(crate) fn asked(&self) -> &[Asked] {
        &self.asked
    }

    /// Returns what they had asked for one or two seconds ago, or at the beginning.
    pub(crate) fn earlier(&self) -> &Earlier {
        &self.earlier[0]
    }

    /// Returns what was live some time ago; `None` if everything began since.
    pub(crate) fn before(&self) -> Option<&Before> {
        self.before.front()
    }

    /// Returns the number of blocks that are followed.
    pub(crate) fn followed(&self) -> usize {
        self.blocks.len()
    }

    /// Iterates over the blocks that are followed.
    #[cfg(test)]
    pub(super) fn followed_blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().map(|(_, block)| block)
    }

    /// Returns the end of the interval for which what is asked for is counted at present.
    pub(crate) fn next_beat(&self) -> u64 {
        self.earlier[1].time + BEAT
    }

    /// Lets time pass until `now`.
    #[inline]
    pub(crate) fn pass(&mut self, now: u64) {
        if now >= self.next_beat() {
            self.beat(now);
        }
        self.now = self.now.max(now);
    }

    #[cold]
    fn beat(&mut self, now: u64) {
        let time = now - now % BEAT;
        let last = std::mem::take(&mut self.earlier[1]);
        // Nothing has happened since the next one.
        let first = if time - last.time > BEAT { self.noted(time - BEAT) } else { last };
        let last = self.noted(time);
        if time / GROWTH > first.time / GROWTH {
            let held = self.held_at(time, 0..u64::MAX);
            let sample = (self.sample.factor(), self.sample.large());
            self.before.push_back(Before { time, held, sample });
            if self.before.len() > NOTES {
                self.before.pop_front();
            }
        }
        self.earlier = [first, last];
    }

    fn noted(&self, time: u64) -> Earlier {
        Earlier { time, asked: self.asked.clone() }
    }

    /// Counts a call of a stack that asks for memory, without following the block.
    #[inline]
    pub(crate) fn count(&mut self, stack: u32, size: u64) {
        let at = stack as usize;
        if at >= self.asked.len() {
            self.asked.resize(at + 1, Asked::default());
        }
        let asked = &mut self.asked[at];
        asked.calls += 1;
        asked.bytes = asked.bytes.saturating_add(size);
        asked.largest = asked.largest.max(size);
    }

    /// Counts an allocation.
    #[inline]
    pub(crate) fn allocate(&mut self, time: u64, address: u64, size: u64, stack: u32) {
        self.pass(time);
        self.count(stack, size);
        if let Some(block) = self.sample.block(address, time, size, stack) {
            self.blocks.make_way(address, time);
            self.blocks.insert(address, block);
        }
    }

    /// Counts a free.
    #[inline]
    pub(crate) fn free(&mut self, time: u64, address: u64) {
        self.pass(time);
        if self.sample.may_have(address) {
            self.blocks.take(address, time);
        }
    }

    /// Counts the start of a resize by a thread.
    pub(crate) fn start_resize(&mut self, time: u64, thread: u32, address: u64) {
        self.pass(time);
        if self.sample.may_have(address) {
            self.blocks.start_move(thread, address, time);
        }
    }

    /// Counts the end of the last resize that a thread started, by a stack; address 0: it failed, or, if the size is 0,
    /// freed the block.
    pub(crate) fn end_resize(&mut self, time: u64, thread: u32, address: u64, size: u64, stack: u32) {
        self.pass(time);
        let has_failed = address == 0 && size != 0;
        let Some(before) = self.blocks.end_move(thread) else {
            if address != 0 {
                self.resized = self.resized.max(size);
                self.count(stack, size);
            }
            return;
        };
        match before.block {
            Some(block) if has_failed => self.blocks.insert(before.address, block),
            Some(mut block) if address != 0 => {
                self.count(stack, size);
                self.blocks.make_way(address, time);
                block.size = size;
                self.sample.expect(address);
                self.blocks.insert(address, block);
            }
            // It had been allocated before the recording began.
            None if address != 0 && self.sample.is_everything() => {
                self.allocate(time, address, size, stack);
            }
            None if address != 0 => self.count(stack, size),
            _ => {}
        }
    }

    /// Follows half as many blocks, and only larger ones in any case.
    pub(crate) fn thin(&mut self) {
        let (all, large) = (self.blocks.len(), self.sample.large());
        let whole = self.blocks.iter().filter(|(_, block)| block.size >= large).count();
        if self.sample.thin(whole * 2 > all) {
            let Self { blocks, sample, .. } = self;
            blocks.retain(|block| sample.contains(block));
            self.expect();
        }
    }

    /// Makes the sample expect the blocks that are followed, and no others. Events that were noticed before and are not
    /// counted yet would no longer be.
    pub(crate) fn expect(&mut self) {
        let Self { blocks, sample, .. } = self;
        let addresses: Vec<_> = blocks.iter().map(|(address, _)| address).collect();
        sample.expect_only(addresses.iter().copied());
    }

    /// Returns the live blocks of each stack that were allocated in this period.
    pub(crate) fn held(&self, born: std::ops::Range<u64>) -> Vec<Held> {
        self.held_at(self.now, born)
    }

    fn held_at(&self, now: u64, born: std::ops::Range<u64>) -> Vec<Held> {
        let mut held = vec![Held::default(); self.asked.len()];
        for (_, block) in self.blocks.iter().filter(|(_, block)| born.contains(&block.birth)) {
            held[block.stack as usize].note(block, &self.sample, now);
        }
        held
    }

    /// Returns how many blocks a sampled one stands for, and the most bytes of one that may have been left out, of stacks
    /// that have asked for at most `largest` bytes.
    pub(crate) fn unseen(&self, largest: u64) -> Unseen {
        let largest = match self.sample.is_everything() {
            true => 0,
            false => largest.min(self.sample.large() - 1).max(self.resized),
        };
        Unseen { factor: self.sample.factor(), largest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_about_the_last_second_or_two() {
        let mut model = Model::default();
        for tenth in 0..35 {
            model.allocate(tenth * BEAT / 10, tenth * 64, 10, 0);
        }
        assert_eq!((model.earlier().time, model.earlier().asked[0].calls), (2 * BEAT, 20));
        model.pass(100 * BEAT + 5);
        assert_eq!((model.earlier().time, model.earlier().asked[0].calls), (99 * BEAT, 35));
        model.pass(101 * BEAT);
        assert_eq!((model.earlier().time, model.asked()[0].bytes), (100 * BEAT, 350));
    }

    #[test]
    fn a_block_keeps_its_stack_when_it_is_moved_and_when_the_sample_is_thinned() {
        let mut model = Model::default();
        for number in 1..=1000 {
            model.allocate(number, number * 64, 10, 0);
            model.start_resize(number, 1, number * 64);
            model.end_resize(number, 1, (5000 + number) * 64, 20, 1);
        }
        let bytes = |model: &Model, stack: usize| model.held(0..u64::MAX)[stack].bytes(model.unseen(20));
        assert_eq!((bytes(&model, 0).median, bytes(&model, 1).median), (20_000.0, 0.0));
        model.thin();
        let half = bytes(&model, 0);
        assert!(half.least <= 20_000.0 && 20_000.0 <= half.most && half.least < half.most, "{half:?}");
        for number in 1..=1000 {
            model.free(2000, (5000 + number) * 64);
        }
        assert_eq!((bytes(&model, 0).median, model.followed()), (0.0, 0));
    }

    #[test]
    fn a_failed_resize_changes_nothing() {
        let mut model = Model::default();
        model.allocate(1, 64, 10, 0);
        model.start_resize(2, 1, 64);
        model.end_resize(2, 1, 0, 1 << 50, 0);
        assert_eq!((model.followed(), model.asked()[0].calls), (1, 1));
        model.start_resize(3, 1, 64);
        model.end_resize(3, 1, 0, 0, 0);
        assert_eq!(model.followed(), 0);
    }
}
