//! What a pool has done with its chunks, painted.

use super::{Chunks, Span};
use crate::traits::HeapMapBuilder;

impl Chunks {
    /// Announces each chunk, with the size of blocks if it is one for all, and lets `inside` paint what is in it: it is
    /// told the chunk's span, and whether it is ahead.
    pub(in crate::pool) fn render_chunks(
        &self,
        builder: &mut HeapMapBuilder<'_>,
        block: Option<usize>,
        inside: impl Fn(&mut HeapMapBuilder<'_>, Span, bool),
    ) {
        for (header, (span, reusable)) in self.headers().zip(self.spans()) {
            builder.chunk(header.start..header.start + header.size, span.start..span.end, block);
            inside(builder, span, reusable);
        }
    }

    /// Paints what is before `carved(span, reusable)` in each chunk as live, and what is behind it as fresh, up to where the
    /// last whole block ends, where blocks are of one size.
    pub(in crate::pool) fn render(
        &self,
        builder: &mut HeapMapBuilder<'_>,
        block: Option<usize>,
        carved: impl Fn(Span, bool) -> usize,
    ) {
        self.render_chunks(builder, block, |builder, span, reusable| {
            let (carved, remainder) = (carved(span, reusable), (span.end - span.start) % block.unwrap_or(1));
            builder.live(span.start..carved);
            builder.fresh(carved..span.end - remainder);
        });
    }
}
