//! Finds the chunks without live blocks and makes them reusable, so that they are carved again or released.
//!
//! Free blocks are assigned to chunks without a table. The chunks are sorted by address. Then a chain of all free
//! blocks is partitioned at the address of the chunk in the middle, and both halves in the same way, until each chunk
//! has a chain of its own, which is counted. All links are in the headers of the chunks and in the free blocks
//! themselves.
//!
//! * O((chunks + free blocks) · log chunks); the recursion depth is the logarithm.

use core::mem;

use super::{ChunkHeader, Chunks, Span};
use crate::base::address::recover;

/// A list of chunks, linked through their headers: all except the one pushed first have a header.
struct ChunkList(ChunkHeader);

impl ChunkList {
    const EMPTY: Self = Self(ChunkHeader::NONE);

    fn push(&mut self, chunk: ChunkHeader) {
        if chunk.has_header() {
            // SAFETY: the chunk belongs to the pool and begins with room for a header.
            unsafe { recover::<ChunkHeader>(chunk.start).write(self.0) };
        }
        self.0 = chunk;
    }

    fn pop(&mut self) -> Option<ChunkHeader> {
        let chunk = Some(mem::replace(&mut self.0, ChunkHeader::NONE)).filter(ChunkHeader::exists)?;
        if chunk.has_header() {
            // SAFETY: a chunk in a list that has a header begins with the description of the next one.
            self.0 = unsafe { ChunkHeader::read(chunk.start) };
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

    /// Takes off the first `count` chunks, in their order.
    fn split_off(&mut self, count: usize) -> Self {
        let mut first = Self::EMPTY;
        for chunk in (0..count).map_while(|_| self.pop()) {
            first.push(chunk);
        }
        first.reversed()
    }

    /// Sorts the `count` chunks of this list, which have headers, by ascending address: merge sort.
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

/// The chunks of a pool, while they are classified.
struct ReclaimPass {
    /// The carved chunks that have not been classified yet, and their number; all have headers.
    carved: ChunkList,
    carved_count: usize,
    /// The last chunk of the list, if it has no header and is carved.
    last: Option<ChunkHeader>,
    kept: ChunkList,
    empty: ChunkList,
    empty_count: usize,
    /// A chunk without a header that has been classified, and whether it is empty.
    bottom: Option<(ChunkHeader, bool)>,
}

impl ReclaimPass {
    fn take(chunks: &mut Chunks) -> Self {
        let mut pass = Self {
            carved: ChunkList::EMPTY,
            carved_count: 0,
            last: None,
            kept: ChunkList::EMPTY,
            empty: ChunkList::EMPTY,
            empty_count: 0,
            bottom: None,
        };
        let mut all = ChunkList(mem::replace(&mut chunks.newest, ChunkHeader::NONE));
        let (mut reusable_left, mut begun) = (chunks.reusable_count, false);
        for _ in 0..chunks.count {
            let Some(chunk) = all.pop() else { break };
            begun |= chunk.start == chunks.reusable.start;
            if begun && reusable_left != 0 {
                reusable_left -= 1;
                pass.put(chunk, true);
            } else if chunk.has_header() {
                pass.carved.push(chunk);
                pass.carved_count += 1;
            } else {
                pass.last = Some(chunk);
            }
        }
        pass.empty = pass.empty.reversed();
        pass
    }

    fn put(&mut self, chunk: ChunkHeader, is_empty: bool) {
        self.empty_count += usize::from(is_empty);
        if !chunk.has_header() {
            self.bottom = Some((chunk, is_empty));
        } else if is_empty {
            self.empty.push(chunk);
        } else {
            self.kept.push(chunk);
        }
    }

    /// Rebuilds the list, with the empty chunks as the reusable ones. Those classified last come first, so that the
    /// chunk that the parent handed out last, or that has the highest address, is the first to be released. The chunk
    /// without a header comes last, and therefore so do the others of its class.
    fn restore(self, chunks: &mut Chunks) {
        let empty_last = self.bottom.is_some_and(|(_, is_empty)| is_empty);
        let (lower, upper) = if empty_last { (self.empty, self.kept) } else { (self.kept, self.empty) };
        let (mut lower, mut upper) = (lower.reversed(), upper.reversed());
        let mut all = ChunkList(self.bottom.map_or(ChunkHeader::NONE, |(chunk, _)| chunk));
        while let Some(chunk) = lower.pop() {
            all.push(chunk);
        }
        let top_of_lower = all.0;
        // The reusable chunks begin the list, or follow the last of the others.
        chunks.current = upper.0.start;
        while let Some(chunk) = upper.pop() {
            all.push(chunk);
        }
        chunks.newest = all.0;
        chunks.reusable = match self.empty_count {
            0 => ChunkHeader::NONE,
            _ if empty_last => top_of_lower,
            _ => all.0,
        };
        chunks.reusable_count = self.empty_count;
    }
}

/// The state for classifying chunks by their free blocks.
struct FreeCounter<'a, F> {
    chunks: &'a Chunks,
    pass: &'a mut ReclaimPass,
    /// Returns how many blocks were carved from a chunk.
    carved: F,
    /// The chain of free blocks in chunks that are kept.
    kept: usize,
}

impl<F: Fn(Span) -> usize> FreeCounter<'_, F> {
    /// Classifies `count` chunks, ascending; `blocks` is the chain of the free blocks that lie in them.
    fn classify_all(&mut self, mut chunks: ChunkList, count: usize, blocks: usize) {
        if count < 2 || blocks == 0 {
            while let Some(chunk) = chunks.pop() {
                self.classify(chunk, blocks);
            }
            return;
        }
        let lower = chunks.split_off(count / 2);
        let boundary = chunks.0.start;
        let (below, above) = partition(blocks, |block| block < boundary);
        self.classify_all(lower, count / 2, below);
        self.classify_all(chunks, count - count / 2, above);
    }

    /// Classifies a chunk; `blocks` is the chain of its free blocks.
    fn classify(&mut self, chunk: ChunkHeader, blocks: usize) {
        let is_empty = chain(blocks).count() == (self.carved)(self.chunks.span(&chunk));
        if !is_empty {
            for block in chain(blocks) {
                link(block, &mut self.kept);
            }
        }
        self.pass.put(chunk, is_empty);
    }
}

/// Returns the free blocks of a chain: each begins with the address of the next one, the last with zero.
pub(in crate::pool) fn chain(first: usize) -> impl Iterator<Item = usize> {
    let mut next = first;
    core::iter::from_fn(move || {
        let block = Some(next).filter(|&block| block != 0)?;
        // SAFETY: a block of the chain is free and begins with the address of the next one.
        next = unsafe { recover::<usize>(block).read() };
        Some(block)
    })
}

/// Puts a free block, which is in no chain, at the front of a chain.
pub(in crate::pool) fn link(block: usize, first: &mut usize) {
    // SAFETY: the block is free and has at least the size and alignment of a word.
    unsafe { recover::<usize>(block).write(*first) };
    *first = block;
}

/// Partitions a chain into two.
fn partition(blocks: usize, is_first: impl Fn(usize) -> bool) -> (usize, usize) {
    let (mut first, mut second) = (0, 0);
    for block in chain(blocks) {
        link(block, if is_first(block) { &mut first } else { &mut second });
    }
    (first, second)
}

impl Chunks {
    /// Makes those carved chunks reusable that are empty according to `is_empty`.
    pub(in crate::pool) fn make_reusable(&mut self, mut is_empty: impl FnMut(Span) -> bool) {
        let mut pass = ReclaimPass::take(self);
        while let Some(chunk) = pass.carved.pop().or_else(|| pass.last.take()) {
            pass.put(chunk, is_empty(self.span(&chunk)));
        }
        pass.restore(self);
    }

    /// Makes those chunks reusable whose blocks are all free, which is the case if there are as many as `carved`
    /// returns. `blocks` is the chain of the free blocks; returns the chain of those that are in other chunks.
    pub(in crate::pool) fn make_free_reusable(
        &mut self,
        blocks: usize,
        carved: impl Fn(Span) -> usize,
    ) -> usize {
        let mut pass = ReclaimPass::take(self);
        let (chunks, count) = (mem::replace(&mut pass.carved, ChunkList::EMPTY), pass.carved_count);
        let last = pass.last.take();
        let is_in_last =
            |block: usize| last.is_some_and(|chunk| block.wrapping_sub(chunk.start) < chunk.size);
        let (in_last, others) = partition(blocks, is_in_last);
        let mut counter = FreeCounter { chunks: self, pass: &mut pass, carved, kept: 0 };
        if let Some(chunk) = last {
            counter.classify(chunk, in_last);
        }
        counter.classify_all(chunks.sorted(count), count, others);
        let kept = counter.kept;
        pass.restore(self);
        kept
    }
}
