//! Operations that all shells share: the allocation loop, and everything that needs both the pool and its parent.
//!
//! The loop tries the pool. If the pool has no memory, it **ends the borrow or the lock**, calls the parent, adds the
//! chunk to the pool and tries again. A parent may therefore call back into the shell without a second `&mut` and
//! without a deadlock, and no lock is held across a system call. If the parent fails too, the pool returns the chunks
//! without live blocks, and the request is retried, once. Then the policy is called, in the same state: it may free
//! blocks into this shell.

use core::{alloc::Layout, ptr::NonNull};

use super::oom::OomPolicy;
use crate::{
    base::{AllocError, abort_on_unwind, address, events},
    sync::growth_barrier::GrowthBarrier,
    traits::{Allocation, Allocator, Chunk, ChunkRequest, PoolHooks as _, RawPool, Release, relocate},
};

/// Access to the pool of a shell, for the duration of one call.
///
/// The closure must not access the same pool again, and never calls a parent: that is what the loop is for.
pub(super) trait WithPool {
    type Pool: RawPool;

    fn with<R>(&mut self, use_it: impl FnOnce(&mut Self::Pool) -> R) -> R;

    /// Returns the growth barrier, if more than one request to the parent may be in flight.
    fn growth_barrier(&self) -> Option<&GrowthBarrier> {
        None
    }
}

/// Access to the pool of a shell that is borrowed mutably.
pub(super) struct MutAccess<'a, P>(pub(super) &'a mut P);

impl<P: RawPool> WithPool for MutAccess<'_, P> {
    type Pool = P;

    #[inline(always)]
    fn with<R>(&mut self, use_it: impl FnOnce(&mut P) -> R) -> R {
        use_it(self.0)
    }
}

impl<W: WithPool> WithPool for &mut W {
    type Pool = W::Pool;

    #[inline(always)]
    fn with<R>(&mut self, use_it: impl FnOnce(&mut W::Pool) -> R) -> R {
        (**self).with(use_it)
    }

    fn growth_barrier(&self) -> Option<&GrowthBarrier> {
        (**self).growth_barrier()
    }
}

#[inline(always)]
pub(super) fn allocate<R: WithPool, A: Allocator, O: OomPolicy>(
    mut pool: R,
    (parent, policy): (&A, &O),
    layout: Layout,
) -> Allocation {
    match pool.with(|pool| pool.allocate_hot(layout)) {
        Some(block) => Ok(block),
        None => allocate_cold(pool, layout, parent, policy).unpack(),
    }
}

/// A block or an error in two registers, as returned by calls on the cold path: a `Result` would be returned through
/// memory, and the hot path would have to reserve space for it.
#[derive(Clone, Copy)]
pub(super) struct RawResult {
    /// The start of the block; null for an error.
    start: *mut u8,
    /// The length of the block, or the number of the error.
    rest: usize,
}

impl RawResult {
    pub(super) fn pack(result: Allocation) -> Self {
        match result {
            Ok(block) => Self { start: block.as_ptr().cast(), rest: block.len() },
            Err(error) => Self { start: core::ptr::null_mut(), rest: error.to_word() },
        }
    }

    #[inline(always)]
    pub(super) fn unpack(self) -> Allocation {
        match NonNull::new(self.start) {
            Some(start) => Ok(NonNull::slice_from_raw_parts(start, self.rest)),
            None => Err(AllocError::from_word(self.rest)),
        }
    }
}

/// The cold path. (A call in tail position with the arguments in the order of the hot path's own needs no stack frame.)
#[cold]
#[inline(never)]
pub(super) fn allocate_cold<R: WithPool, A: Allocator, O: OomPolicy>(
    pool: R,
    layout: Layout,
    parent: &A,
    policy: &O,
) -> RawResult {
    RawResult::pack(allocate_with_policy(pool, (parent, policy), layout))
}

/// Runs the request after the hot path has found nothing: tries, and calls the policy if that fails.
fn allocate_with_policy<R: WithPool, A: Allocator, O: OomPolicy>(
    mut pool: R,
    (parent, policy): (&A, &O),
    layout: Layout,
) -> Allocation {
    if layout.size() == 0 {
        return Ok(address::zero_sized(layout));
    }
    let mut recovery = Recovery::ALL;
    let outcome = loop {
        match try_allocate(&mut pool, parent, layout) {
            Err(error) if recovery.try_again(&mut pool, (parent, policy), layout, error) => {}
            outcome => break outcome,
        }
    };
    if let Err(error) = outcome {
        pool.with(|pool| pool.note_failure(layout));
        events::failed(layout, error);
    }
    deliver_reports(&mut pool);
    outcome
}

/// Reports misuse that the pool has detected, outside of every borrow and lock, because the hook is user code.
fn deliver_reports<R: WithPool>(pool: &mut R) {
    while let Some(pending_report) = pool.with(|pool| pool.pending_report()) {
        pending_report.raise();
    }
}

/// Like [`allocate`], but every byte is zero. Requests that pass through are zeroed by the parent, unless its memory is
/// zero anyway.
pub(super) fn allocate_zeroed<R: WithPool, A: Allocator, O: OomPolicy>(
    mut pool: R,
    (parent, policy): (&A, &O),
    layout: Layout,
) -> Allocation {
    if layout.size() != 0 && pool.with(|pool| pool.passes_through(layout)) {
        return allocate_with_policy(pool, (&ZeroedParent(parent), policy), layout);
    }
    let block = allocate(pool, (parent, policy), layout)?;
    // SAFETY: the block was just handed out and is `block.len()` bytes long.
    unsafe { block.cast::<u8>().write_bytes(0, block.len()) };
    Ok(block)
}

/// A parent that hands out only zeroed memory.
struct ZeroedParent<'a, A>(&'a A);

// SAFETY: every block is the parent's, which keeps the contract.
unsafe impl<A: Allocator> Allocator for ZeroedParent<'_, A> {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.0.allocate_zeroed(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
        unsafe { self.0.deallocate(block, layout) };
    }
}

/// What can still be tried for a request that has failed.
struct Recovery {
    /// Whether a trim may find anything: it is tried once, and again each time that memory has been freed in another
    /// way.
    trim: bool,
}

impl Recovery {
    const ALL: Self = Self { trim: true };

    /// Frees memory after a failure, and returns whether the request should be retried. The pool releases the memory it
    /// holds back, and chunks without live blocks are returned to the parent, which can use them for a request of
    /// another size; then the policy is called, which is user code. All of this happens outside of every borrow and
    /// lock.
    fn try_again<R: WithPool, A: Allocator>(
        &mut self,
        pool: &mut R,
        (parent, policy): (&A, &impl OomPolicy),
        layout: Layout,
        error: AllocError,
    ) -> bool {
        if error != AllocError::Unsupported {
            let is_parents =
                |pool: &mut R::Pool| pool.passes_through(layout) || pool.may_allocate(layout).is_ok();
            // First, since a trim releases it too, but reports only whole chunks.
            let let_go = pool.with(|pool| pool.release_held());
            if core::mem::take(&mut self.trim) && pool.with(is_parents) && trim(&mut *pool, parent) != 0 {
                return true;
            }
            if let_go {
                self.trim = true;
                return true;
            }
        }
        self.trim = abort_on_unwind(|| policy.try_again(layout, error));
        self.trim
    }
}

/// The loop: tries the pool, and grows it until it can serve the request. Requests that pass through go to the parent.
fn try_allocate<R: WithPool, A: Allocator>(pool: &mut R, parent: &A, layout: Layout) -> Allocation {
    if pool.with(|pool| pool.passes_through(layout)) {
        return parent.allocate(layout);
    }
    loop {
        if let Some(block) = pool.with(|pool| pool.allocate(layout)) {
            return Ok(block);
        }
        let request = pool.with(|pool| {
            pool.may_allocate(layout)?;
            pool.chunk_request(layout).ok_or(AllocError::Unsupported)
        })?;
        // SAFETY: the chunk belongs to nothing else: see `grow`.
        let add_chunk = |pool: &mut R::Pool, chunk| unsafe { pool.add_chunk(chunk, layout) };
        if let Some(block) = grow((&mut *pool, parent), request, add_chunk, |pool| pool.allocate(layout))? {
            return Ok(block);
        }
    }
}

/// Requests a chunk from the parent, adds it to the pool, and calls `look` on the pool. Returns `None` if `look` found
/// nothing yet but the request should be retried, and an error if the parent has refused and the pool has not received
/// memory from elsewhere.
///
/// The chunk passed to `add_chunk` belongs to nothing else, as [`RawPool::add_chunk`] requires.
pub(super) fn grow<R: WithPool, A: Allocator, T>(
    (pool, parent): (&mut R, &A),
    request: ChunkRequest,
    add_chunk: impl FnOnce(&mut R::Pool, Chunk) -> Result<(), Chunk>,
    look: impl Fn(&mut R::Pool) -> Option<T>,
) -> Result<Option<T>, AllocError> {
    let ticket = pool.growth_barrier().map(GrowthBarrier::begin);
    let found = fetch_chunk((&mut *pool, parent), request, add_chunk, &look);
    let others_succeeded = pool
        .growth_barrier()
        .zip(ticket)
        .is_some_and(|(growth_barrier, ticket)| growth_barrier.end(ticket, found.is_ok()));
    match found {
        Err(_) if others_succeeded => Ok(None),
        // Another thread may have freed a block in the meantime.
        Err(error) => pool.with(look).ok_or(error).map(Some),
        found => found,
    }
}

/// Adds a chunk from the parent to the pool, and calls `look` on the pool.
fn fetch_chunk<R: WithPool, A: Allocator, T>(
    (pool, parent): (&mut R, &A),
    request: ChunkRequest,
    add_chunk: impl FnOnce(&mut R::Pool, Chunk) -> Result<(), Chunk>,
    look: impl FnOnce(&mut R::Pool) -> T,
) -> Result<T, AllocError> {
    let memory = parent.allocate_between(request.least, request.size_from(parent))?;
    // SAFETY: the parent has just handed out the memory, for this alignment.
    let chunk = unsafe { Chunk::new(memory, request.least.align()) }.ok_or(AllocError::Unsupported)?;
    let (refused, found) = pool.with(|pool| {
        // The chunk belongs to nothing else; it goes back to the parent only when the pool releases it.
        let refused = add_chunk(pool, chunk).err();
        (refused, look(pool))
    });
    match refused {
        Some(chunk) => return_chunk(parent, chunk),
        None => events::grew(memory.len()),
    }
    Ok(found)
}

/// Serves the requests of a child that grows: see [`Allocator::allocate_between`]. Only the failure of the least size
/// counts as out of memory.
pub(super) fn allocate_between<R: WithPool, A: Allocator, O: OomPolicy>(
    mut pool: R,
    (parent, policy): (&A, &O),
    (least, preferred): (Layout, usize),
) -> Allocation {
    let mut size = preferred;
    while size > least.size() {
        if let Ok(layout) = Layout::from_size_align(size, least.align())
            && let Ok(block) = try_allocate(&mut pool, parent, layout)
        {
            return Ok(block);
        }
        size /= 2;
    }
    allocate(pool, (parent, policy), least)
}

/// Frees a block, which is the pool's or the parent's.
///
/// # Safety
///
/// As for [`Allocator::deallocate`].
#[inline(always)]
pub(super) unsafe fn deallocate<R: WithPool, A: Allocator>(
    mut pool: R,
    parent: &A,
    block: NonNull<u8>,
    layout: Layout,
) {
    // SAFETY: the caller upholds the contract of `deallocate`, which is that of `deallocate_hot` too.
    let done = pool.with(|pool| unsafe { pool.deallocate_hot(block, layout) });
    if !done {
        // SAFETY: the caller upholds the contract of `deallocate`; the block is still live.
        unsafe { deallocate_cold(pool, block, layout, parent) };
    }
}

/// The cold path of [`deallocate`].
///
/// # Safety
///
/// As for [`Allocator::deallocate`].
#[cold]
#[inline(never)]
unsafe fn deallocate_cold<R: WithPool, A: Allocator>(
    mut pool: R,
    block: NonNull<u8>,
    layout: Layout,
    parent: &A,
) {
    if layout.size() == 0 {
        return;
    }
    if pool.with(|pool| pool.passes_through(layout)) {
        // SAFETY: the caller upholds the contract of `deallocate`; a layout that fits the block shows that the parent
        // handed it out.
        unsafe { parent.deallocate(block, layout) };
    } else {
        // SAFETY: the caller upholds the contract of `deallocate`, and the block is the pool's.
        pool.with(|pool| unsafe { pool.deallocate(block, layout) });
        deliver_reports(&mut pool);
    }
}

/// Returns whether neither the pool nor the parent would prevent the block from being freed.
pub(super) fn may_deallocate<R: WithPool, A: Allocator>(
    mut pool: R,
    parent: &A,
    block: NonNull<u8>,
    layout: Layout,
) -> bool {
    if pool.with(|pool| pool.passes_through(layout)) {
        parent.may_deallocate(block, layout)
    } else {
        pool.with(|pool| pool.may_deallocate(block, layout))
    }
}

/// Returns the place that was overwritten and that a call would follow, in the pool's memory or the parent's.
///
/// # Safety
///
/// As of [`Allocator::damage`].
pub(super) unsafe fn damage<R: WithPool, A: Allocator>(
    mut pool: R,
    parent: &A,
    block: Option<NonNull<u8>>,
    layout: Layout,
) -> Option<usize> {
    if layout.size() == 0 {
        None
    } else if pool.with(|pool| pool.passes_through(layout)) {
        // SAFETY: the caller upholds the contract of `damage`, which is the same.
        unsafe { parent.damage(block, layout) }
    } else {
        // SAFETY: as above.
        pool.with(|pool| unsafe { pool.damage(block, layout) })
    }
}

/// Resizes a block in place: in the pool, or in the parent if both layouts pass through.
///
/// # Safety
///
/// As for [`Allocator::grow_in_place`] or [`Allocator::shrink_in_place`], depending on the sizes.
pub(super) unsafe fn resize_in_place<R: WithPool, A: Allocator>(
    mut pool: R,
    parent: &A,
    block: NonNull<u8>,
    (old, new): (Layout, Layout),
) -> Allocation {
    if old.size() == 0 || new.size() == 0 {
        return Err(AllocError::InPlace);
    }
    match pool.with(|pool| (pool.passes_through(old), pool.passes_through(new))) {
        (false, false) => {
            // SAFETY: the block is the pool's, and the caller upholds the contract of `grow_in_place` or
            // `shrink_in_place`.
            let resized = pool.with(|pool| unsafe { pool.resize_in_place(block, old, new) });
            deliver_reports(&mut pool);
            resized.ok_or(AllocError::InPlace)
        }
        // SAFETY: the block is the parent's, and the caller upholds the contract of `grow_in_place`.
        (true, true) if new.size() >= old.size() => unsafe { parent.grow_in_place(block, old, new) },
        // SAFETY: the block is the parent's, and the caller upholds the contract of `shrink_in_place`.
        (true, true) => unsafe { parent.shrink_in_place(block, old, new) },
        _ => Err(AllocError::InPlace),
    }
}

/// Resizes a block: in place; otherwise as the parent does (by a page remap, for example) if it stays the parent's;
/// otherwise by moving it.
///
/// # Safety
///
/// As for [`Allocator::grow`] or [`Allocator::shrink`] of `shell`, depending on the sizes. Pool and parent are those of
/// `shell`.
pub(super) unsafe fn resize<S: Allocator, R: WithPool, A: Allocator, O: OomPolicy>(
    (shell, mut pool, parent, policy): (&S, R, &A, &O),
    block: NonNull<u8>,
    (old, new): (Layout, Layout),
) -> Allocation {
    let mut passed_through =
        |layout: Layout| layout.size() != 0 && pool.with(|pool| pool.passes_through(layout));
    if !(passed_through(old) && passed_through(new)) {
        // SAFETY: the caller upholds the contract of `grow` or `shrink`, depending on the sizes, which includes that of
        // resizing in place.
        return unsafe {
            resize_in_place(pool, parent, block, (old, new)).or_else(|_| relocate(shell, block, old, new))
        };
    }
    let mut recovery = Recovery::ALL;
    loop {
        // SAFETY: the block is the parent's and still live, and the caller upholds the contract of `grow` or `shrink`,
        // depending on the sizes.
        let resized = unsafe {
            if new.size() >= old.size() {
                parent.grow(block, old, new)
            } else {
                parent.shrink(block, old, new)
            }
        };
        match resized {
            Err(error) if recovery.try_again(&mut pool, (parent, policy), new, error) => {}
            _ => return resized,
        }
    }
}

/// Returns the chunks without live blocks to the parent; returns their total size in bytes.
pub(super) fn trim<R: WithPool, A: Allocator>(mut pool: R, parent: &A) -> usize {
    pool.with(|pool| pool.collect_empty());
    let bytes = release_chunk(&mut pool, parent, Release::Empty);
    events::trimmed(bytes);
    bytes
}

/// Returns every chunk to the parent. A pool without live blocks has nothing to search for.
pub(super) fn release_all<P: RawPool, A: Allocator>(pool: &mut P, parent: &A) {
    pool.before_drop();
    pool.reset();
    release_chunk(&mut MutAccess(pool), parent, Release::Any);
}

/// Number of chunks that are taken from a pool at a time.
const CHUNKS_AT_ONCE: usize = 16;

/// Returns chunks to the parent as long as the pool releases any; returns their total size in bytes. The parent is
/// called while the pool is not borrowed.
fn release_chunk<R: WithPool, A: Allocator>(pool: &mut R, parent: &A, which: Release) -> usize {
    let mut returned = 0;
    loop {
        let mut chunks = [const { None }; CHUNKS_AT_ONCE];
        pool.with(|pool| {
            for place in &mut chunks {
                *place = pool.release_chunk(which);
                if place.is_none() {
                    break;
                }
            }
        });
        let was_all = chunks[CHUNKS_AT_ONCE - 1].is_none();
        for chunk in chunks.into_iter().flatten() {
            returned += chunk.size();
            return_chunk(parent, chunk);
        }
        if was_all {
            break;
        }
    }
    deliver_reports(pool);
    returned
}

pub(super) fn return_chunk<A: Allocator>(parent: &A, chunk: Chunk) {
    // SAFETY: the parent handed out this memory, with a layout between the requested and the returned one; no pool has
    // it any more.
    unsafe { parent.deallocate(chunk.start(), chunk.layout()) };
}
