//! Growing without a lock: asking the parent while others may be asking too.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    base::{
        AllocError,
        atomic::{AtomicUsize, Ordering, let_others_run},
    },
    contract::Allocator,
};

/// Who is asking the parent right now.
///
/// Threads that find a pool empty all ask its parent, since waiting for one of them would be a lock, held across a system
/// call. The first to publish its chunk has grown the pool, the others return theirs. A parent of bounded size may have
/// given its last to one thread and refuse another, before the one has published it: the refused thread waits for a
/// moment, but not for ever, as the one that is asking may be itself, called back by its parent.
#[derive(Debug)]
pub(super) struct Growth {
    asking: AtomicUsize,
}

/// How often a refused thread looks whether the others are done.
const PATIENCE: usize = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 1000 };

impl Growth {
    pub(super) const fn new() -> Self {
        Self { asking: AtomicUsize::new(0) }
    }

    /// Asks the parent for a chunk and calls `publish` with it, which may return it to the parent. `None`: the parent has
    /// refused, but other threads were asking too, and it is worth to try again.
    ///
    /// # Errors
    ///
    /// What the parent says.
    pub(super) fn ask<A: Allocator, R>(
        &self,
        parent: &A,
        (least, preferred): (Layout, usize),
        publish: impl FnOnce(NonNull<[u8]>) -> R,
    ) -> Result<Option<R>, AllocError> {
        self.asking.fetch_add(1, Ordering::Relaxed);
        let result = parent.allocate_between(least, preferred).map(publish);
        // Release and Acquire: what was published is seen by whoever sees that this thread is done.
        let others = self.asking.fetch_sub(1, Ordering::AcqRel) - 1;
        match result {
            Err(_) if others != 0 && self.is_over() => Ok(None),
            result => result.map(Some),
        }
    }

    /// Waits for a moment; whether nobody asks any more.
    fn is_over(&self) -> bool {
        (0..PATIENCE).any(|_| {
            let_others_run();
            self.asking.load(Ordering::Acquire) == 0
        })
    }
}

/// Returns a chunk to the parent.
///
/// # Safety
///
/// It came from there, for this alignment, and nobody uses it.
pub(super) unsafe fn give_back<A: Allocator>(parent: &A, memory: NonNull<[u8]>, align: usize) {
    if let Ok(layout) = Layout::from_size_align(memory.len(), align) {
        // SAFETY: the layout is what the parent returned, and the caller's promises are passed on.
        unsafe { parent.deallocate(memory.cast(), layout) };
    }
}
