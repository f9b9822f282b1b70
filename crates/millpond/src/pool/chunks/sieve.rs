//! Which chunks hold no live block? They are put ahead, where they are cut afresh or given up.
//!
//! Free blocks are told apart by chunk without a table. The chunks are sorted by address; then a chain of all free blocks
//! is divided at the address of the chunk in the middle, and both halves in the same way, until each chunk has a chain of
//! its own, which is counted. Everything is linked through the chunks' headers and the free blocks themselves.
//!
//! * O((chunks + free blocks) · log chunks), and as deep as the logarithm.

use core::mem;

use super::{Chunks, Record, Span};
use crate::base::address::recover;

/// A list of chunks, through their headers: all but the one pushed first are headed.
struct List(Record);

impl List {
    const EMPTY: Self = Self(Record::NONE);

    fn push(&mut self, chunk: Record) {
        if chunk.is_headed() {
            // SAFETY: the chunk is the pool's and begins with room for a record.
            unsafe { recover::<Record>(chunk.start).write(self.0) };
        }
        self.0 = chunk;
    }

    fn pop(&mut self) -> Option<Record> {
        let chunk = Some(mem::replace(&mut self.0, Record::NONE)).filter(Record::exists)?;
        if chunk.is_headed() {
            // SAFETY: a headed chunk in a list begins with the record of the next one.
            self.0 = unsafe { Record::read(chunk.start) };
        }
        Some(chunk)
    }

    fn reversed(mut self) -> Self {
        let mut reversed = Self::EMPTY;
        while let Some(chunk) = self.pop() {
            reversed.push(chunk);
        }
        reversed
    }

    /// Takes the first `count` chunks off, in their order.
    fn split_off(&mut self, count: usize) -> Self {
        let mut first = Self::EMPTY;
        for chunk in (0..count).map_while(|_| self.pop()) {
            first.push(chunk);
        }
        first.reversed()
    }

    /// The `count` headed chunks of this list by ascending address: merge sort.
    fn sorted(mut self, count: usize) -> Self {
        if count < 2 {
            return self;
        }
        let mut one = self.split_off(count / 2).sorted(count / 2);
        let mut other = self.sorted(count - count / 2);
        let mut merged = Self::EMPTY;
        while one.0.exists() || other.0.exists() {
            let from_one = !other.0.exists() || (one.0.exists() && one.0.start < other.0.start);
            if let Some(chunk) = if from_one { one.pop() } else { other.pop() } {
                merged.push(chunk);
            }
        }
        merged.reversed()
    }
}

/// The chunks of a pool, taken apart.
struct Sieve {
    /// Those that are cut and not judged yet, and how many that are; all headed.
    cut: List,
    cut_count: usize,
    /// The last one of the list, if it has no header and is cut.
    last: Option<Record>,
    kept: List,
    spare: List,
    spare_count: usize,
    /// A chunk without a header that was judged: whether it is spare.
    bottom: Option<(Record, bool)>,
}

impl Sieve {
    fn take(chunks: &mut Chunks) -> Self {
        let mut sieve = Self {
            cut: List::EMPTY,
            cut_count: 0,
            last: None,
            kept: List::EMPTY,
            spare: List::EMPTY,
            spare_count: 0,
            bottom: None,
        };
        let mut all = List(mem::replace(&mut chunks.newest, Record::NONE));
        let (mut ahead_left, mut begun) = (chunks.ahead_count, false);
        for _ in 0..chunks.count {
            let Some(chunk) = all.pop() else { break };
            begun |= chunk.start == chunks.ahead.start;
            if begun && ahead_left != 0 {
                ahead_left -= 1;
                sieve.put(chunk, true);
            } else if chunk.is_headed() {
                sieve.cut.push(chunk);
                sieve.cut_count += 1;
            } else {
                sieve.last = Some(chunk);
            }
        }
        sieve.spare = sieve.spare.reversed();
        sieve
    }

    fn put(&mut self, chunk: Record, is_spare: bool) {
        self.spare_count += usize::from(is_spare);
        if !chunk.is_headed() {
            self.bottom = Some((chunk, is_spare));
        } else if is_spare {
            self.spare.push(chunk);
        } else {
            self.kept.push(chunk);
        }
    }

    /// Puts the list together again, the spare chunks ahead: those that were judged last come first, so that what a parent
    /// handed out last, or has at the highest address, is the first to go. The chunk without a header comes last, hence
    /// its kind does.
    fn give_back(self, chunks: &mut Chunks) {
        let spare_last = self.bottom.is_some_and(|(_, is_spare)| is_spare);
        let (lower, upper) = if spare_last { (self.spare, self.kept) } else { (self.kept, self.spare) };
        let (mut lower, mut upper) = (lower.reversed(), upper.reversed());
        let mut all = List(self.bottom.map_or(Record::NONE, |(chunk, _)| chunk));
        while let Some(chunk) = lower.pop() {
            all.push(chunk);
        }
        let top_of_lower = all.0;
        // What is ahead begins the list, or follows the last of the others.
        chunks.current = upper.0.start;
        while let Some(chunk) = upper.pop() {
            all.push(chunk);
        }
        chunks.newest = all.0;
        chunks.ahead = match self.spare_count {
            0 => Record::NONE,
            _ if spare_last => top_of_lower,
            _ => all.0,
        };
        chunks.ahead_count = self.spare_count;
    }
}

/// What is needed to judge chunks by their free blocks.
struct Count<'a, F> {
    chunks: &'a Chunks,
    sieve: &'a mut Sieve,
    /// How many blocks were cut from a chunk.
    cut: F,
    /// The chain of free blocks in chunks that are kept.
    kept: usize,
}

impl<F: Fn(Span) -> usize> Count<'_, F> {
    /// Judges `count` chunks, ascending; `blocks` chains the free blocks that lie in them.
    fn judge_all(&mut self, mut chunks: List, count: usize, blocks: usize) {
        if count < 2 || blocks == 0 {
            while let Some(chunk) = chunks.pop() {
                self.judge(chunk, blocks);
            }
            return;
        }
        let lower = chunks.split_off(count / 2);
        let boundary = chunks.0.start;
        let (below, above) = divide(blocks, |block| block < boundary);
        self.judge_all(lower, count / 2, below);
        self.judge_all(chunks, count - count / 2, above);
    }

    /// Judges a chunk; `blocks` chains its free blocks.
    fn judge(&mut self, chunk: Record, blocks: usize) {
        let is_spare = chain(blocks).count() == (self.cut)(self.chunks.span(&chunk));
        if !is_spare {
            for block in chain(blocks) {
                link(block, &mut self.kept);
            }
        }
        self.sieve.put(chunk, is_spare);
    }
}

/// The free blocks of a chain: each begins with the address of the next one, the last with zero.
pub(in crate::pool) fn chain(first: usize) -> impl Iterator<Item = usize> {
    let mut next = first;
    core::iter::from_fn(move || {
        let block = Some(next).filter(|&block| block != 0)?;
        // SAFETY: a block of the chain is free and begins with the address of the next.
        next = unsafe { recover::<usize>(block).read() };
        Some(block)
    })
}

/// Makes a free block, which is in no chain, the first of one.
pub(in crate::pool) fn link(block: usize, first: &mut usize) {
    // SAFETY: the block is free, at least a word long and as aligned.
    unsafe { recover::<usize>(block).write(*first) };
    *first = block;
}

/// Divides a chain in two.
fn divide(blocks: usize, is_first: impl Fn(usize) -> bool) -> (usize, usize) {
    let (mut first, mut second) = (0, 0);
    for block in chain(blocks) {
        link(block, if is_first(block) { &mut first } else { &mut second });
    }
    (first, second)
}

impl Chunks {
    /// Puts the chunks ahead that are cut and spare.
    pub(in crate::pool) fn put_ahead(&mut self, mut is_spare: impl FnMut(Span) -> bool) {
        let mut sieve = Sieve::take(self);
        while let Some(chunk) = sieve.cut.pop().or_else(|| sieve.last.take()) {
            sieve.put(chunk, is_spare(self.span(&chunk)));
        }
        sieve.give_back(self);
    }

    /// Puts the chunks ahead all of whose blocks are free, as many as `cut` says. `blocks` chains the free blocks; those
    /// that are left are chained in what is returned.
    pub(in crate::pool) fn put_free_ahead(&mut self, blocks: usize, cut: impl Fn(Span) -> usize) -> usize {
        let mut sieve = Sieve::take(self);
        let (chunks, count) = (mem::replace(&mut sieve.cut, List::EMPTY), sieve.cut_count);
        let last = sieve.last.take();
        let is_in_last =
            |block: usize| last.is_some_and(|chunk| block.wrapping_sub(chunk.start) < chunk.size);
        let (in_last, others) = divide(blocks, is_in_last);
        let mut counting = Count { chunks: self, sieve: &mut sieve, cut, kept: 0 };
        if let Some(chunk) = last {
            counting.judge(chunk, in_last);
        }
        counting.judge_all(chunks.sorted(count), count, others);
        let kept = counting.kept;
        sieve.give_back(self);
        kept
    }
}
