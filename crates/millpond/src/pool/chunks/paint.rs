//! What a pool has done with its chunks, painted.

use super::{Chunks, Span};
use crate::contract::Canvas;

impl Chunks {
    /// Announces each chunk, with the size of blocks if it is one for all, and lets `inside` paint what is in it: it is
    /// told the chunk's span, and whether it is ahead.
    pub(in crate::pool) fn announce(
        &self,
        canvas: &mut Canvas<'_>,
        block: Option<usize>,
        inside: impl Fn(&mut Canvas<'_>, Span, bool),
    ) {
        for (record, (span, ahead)) in self.records().zip(self.spans()) {
            canvas.chunk(record.start..record.start + record.size, span.start..span.end, block);
            inside(canvas, span, ahead);
        }
    }

    /// Paints what is before `cut(span, ahead)` in each chunk as live, and what is behind it as fresh, up to where the
    /// last whole block ends, where blocks are of one size.
    pub(in crate::pool) fn paint(
        &self,
        canvas: &mut Canvas<'_>,
        block: Option<usize>,
        cut: impl Fn(Span, bool) -> usize,
    ) {
        self.announce(canvas, block, |canvas, span, ahead| {
            let (cut, rest) = (cut(span, ahead), (span.end - span.start) % block.unwrap_or(1));
            canvas.live(span.start..cut);
            canvas.fresh(cut..span.end - rest);
        });
    }
}
