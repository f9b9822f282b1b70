//! Draws the chunks of a pool.

use super::{Chunks, Span};
use crate::traits::HeapMapBuilder;

impl Chunks {
    /// Announces each chunk, with the block size if all blocks have the same size, and calls `inside` to draw its
    /// contents, with the span of the chunk and whether it is reusable.
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

    /// Draws the memory before `carved(span, reusable)` in each chunk as live, and the memory behind it as fresh, up to
    /// the end of the last whole block if all blocks have the same size.
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
