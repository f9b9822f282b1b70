//! What all shells do, in one place: the one loop, and everything that needs both the pool and its parent.
//!
//! The loop tries the pool; if that has nothing, it **ends the borrow or the lock**, asks the parent, comes back, lets
//! the pool adopt the chunk and tries again. So a parent may call back into the shell without a second `&mut` and
//! without a deadlock, and no lock is held across a system call. When the parent fails too, the pool gives up the chunks
//! in which nothing is live, and the request is tried again, once. Then the policy is asked, in the same state: it may free
//! blocks into this very shell.

use core::{alloc::Layout, ptr::NonNull};

use super::oom::OomPolicy;
use crate::{
    base::{AllocError, abort_on_unwind, address, events},
    sync::growth_barrier::GrowthBarrier,
    traits::{Allocation, Allocator, Chunk, ChunkRequest, PoolHooks as _, RawPool, Release, relocate},
};

/// A way to the pool in a shell, for the time of one call.
///
/// The closure must not reach the same pool again, and never calls a parent: that is what the loop is for.
pub(super) trait WithPool {
    type Pool: RawPool;

    fn with<R>(&mut self, use_it: impl FnOnce(&mut Self::Pool) -> R) -> R;

    /// Who is asking the parent, where that may be more than one.
    fn growth_barrier(&self) -> Option<&GrowthBarrier> {
        None
    }
}

/// The pool of a shell that is borrowed mutably.
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

/// A block or an error in two registers, which is what a call on the cold path returns: `Result` would go through memory,
/// and the hot path would have to make room for it.
#[derive(Clone, Copy)]
pub(super) struct RawResult {
    /// The block's start; null for an error.
    start: *mut u8,
    /// The block's length, or the error's number.
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

/// The cold path. (A call in tail position, its arguments in the order of the hot path's own: that needs no frame.)
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

/// From the moment when there was nothing to be had without a call: tries, and asks the policy when that fails.
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

/// Reports misuse that the pool has found, outside of every borrow and lock: who hears of it is a user's code.
fn deliver_reports<R: WithPool>(pool: &mut R) {
    while let Some(pending_report) = pool.with(|pool| pool.pending_report()) {
        pending_report.raise();
    }
}

/// As [`allocate`], and every byte is zero. What goes past the pool, the parent zeroes if it is not zero anyway.
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

/// A parent that hands out nothing but zeros.
struct ZeroedParent<'a, A>(&'a A);

// SAFETY: every block is the parent's, which keeps the contract.
unsafe impl<A: Allocator> Allocator for ZeroedParent<'_, A> {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.0.allocate_zeroed(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.0.deallocate(block, layout) };
    }
}

/// What can still be done about one request that has failed.
struct Recovery {
    /// Whether a trim may find anything: it is tried once, and once more each time that something else has made room.
    trim: bool,
}

impl Recovery {
    const ALL: Self = Self { trim: true };

    /// Makes room after a failure, and says whether it is worth to try the request again. The pool lets go of what it holds
    /// back, and chunks without live blocks go back to the parent, so that it has them for a request of another size; then the
    /// policy is asked, which is a user's code. All of this happens outside of every borrow and lock.
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
            // First, as a trim lets go of it too, but tells of whole chunks alone.
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

/// The loop: asks the pool, and lets it grow until it can serve the request. Or that is the parent's business anyway.
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
        // SAFETY: the chunk is nobody else's: see `grow`.
        let add_chunk = |pool: &mut R::Pool, chunk| unsafe { pool.add_chunk(chunk, layout) };
        if let Some(block) = grow((&mut *pool, parent), request, add_chunk, |pool| pool.allocate(layout))? {
            return Ok(block);
        }
    }
}

/// Asks the parent for a chunk, has the pool adopt it, and looks whether that has now what is wanted. `None`: not yet, but it is
/// worth to try again. An error: the parent has refused, and the pool has not got it from elsewhere.
///
/// What `add_chunk` is given is nobody else's, as [`RawPool::add_chunk`] wants it.
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
        // Meanwhile somebody may have freed a block.
        Err(error) => pool.with(look).ok_or(error).map(Some),
        found => found,
    }
}

/// Brings a chunk from the parent to the pool, and looks what the pool has then.
fn fetch_chunk<R: WithPool, A: Allocator, T>(
    (pool, parent): (&mut R, &A),
    request: ChunkRequest,
    add_chunk: impl FnOnce(&mut R::Pool, Chunk) -> Result<(), Chunk>,
    look: impl FnOnce(&mut R::Pool) -> T,
) -> Result<T, AllocError> {
    let memory = parent.allocate_between(request.least, request.size_from(parent))?;
    // SAFETY: the parent has just handed the memory out, for this alignment.
    let chunk = unsafe { Chunk::new(memory, request.least.align()) }.ok_or(AllocError::Unsupported)?;
    let (refused, found) = pool.with(|pool| {
        // The chunk is nobody else's; it goes back to the parent only when the pool surrenders it.
        let refused = add_chunk(pool, chunk).err();
        (refused, look(pool))
    });
    match refused {
        Some(chunk) => return_chunk(parent, chunk),
        None => events::grew(memory.len()),
    }
    Ok(found)
}

/// What a child asks for when it grows: see [`Allocator::allocate_between`]. Only the least counts as out of memory.
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
    // SAFETY: the caller's promises are passed on.
    let done = pool.with(|pool| unsafe { pool.deallocate_hot(block, layout) });
    if !done {
        // SAFETY: as above; the block is still live.
        unsafe { deallocate_cold(pool, block, layout, parent) };
    }
}

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
        // SAFETY: the caller's promises are passed on; a layout that fits the block says who handed it out.
        unsafe { parent.deallocate(block, layout) };
    } else {
        // SAFETY: as above.
        pool.with(|pool| unsafe { pool.deallocate(block, layout) });
        deliver_reports(&mut pool);
    }
}

/// Whether freeing a block would not be prevented, by the pool or by the parent.
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

/// Where something was overwritten that a call would follow: of the pool's, or of the parent's.
pub(super) fn damage<R: WithPool, A: Allocator>(
    mut pool: R,
    parent: &A,
    block: Option<NonNull<u8>>,
    layout: Layout,
) -> Option<usize> {
    if layout.size() == 0 {
        None
    } else if pool.with(|pool| pool.passes_through(layout)) {
        parent.damage(block, layout)
    } else {
        pool.with(|pool| pool.damage(block, layout))
    }
}

/// Resizes a block where it is: in the pool, or, if neither layout is the pool's business, in the parent.
///
/// # Safety
///
/// As for [`Allocator::grow_in_place`] or [`Allocator::shrink_in_place`], whichever the sizes say.
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
            // SAFETY: the block is the pool's, and the caller's promises are passed on.
            let resized = pool.with(|pool| unsafe { pool.resize_in_place(block, old, new) });
            deliver_reports(&mut pool);
            resized.ok_or(AllocError::InPlace)
        }
        // SAFETY: the block is the parent's, and the caller's promises are passed on.
        (true, true) if new.size() >= old.size() => unsafe { parent.grow_in_place(block, old, new) },
        // SAFETY: as above.
        (true, true) => unsafe { parent.shrink_in_place(block, old, new) },
        _ => Err(AllocError::InPlace),
    }
}

/// Resizes a block: where it is; else the parent's way (a page remap, say) if it stays the parent's; else by moving it.
///
/// # Safety
///
/// As for [`Allocator::grow`] or [`Allocator::shrink`], whichever the sizes say, of `shell`, whose pool and parent
/// these are.
pub(super) unsafe fn resize<S: Allocator, R: WithPool, A: Allocator, O: OomPolicy>(
    (shell, mut pool, parent, policy): (&S, R, &A, &O),
    block: NonNull<u8>,
    (old, new): (Layout, Layout),
) -> Allocation {
    let mut passed_through =
        |layout: Layout| layout.size() != 0 && pool.with(|pool| pool.passes_through(layout));
    if !(passed_through(old) && passed_through(new)) {
        // SAFETY: the caller's promises are passed on.
        return unsafe {
            resize_in_place(pool, parent, block, (old, new)).or_else(|_| relocate(shell, block, old, new))
        };
    }
    let mut recovery = Recovery::ALL;
    loop {
        // SAFETY: the block is the parent's and still live, and the caller's promises are passed on.
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

/// Returns the chunks without live blocks to the parent; says how many bytes that were.
pub(super) fn trim<R: WithPool, A: Allocator>(mut pool: R, parent: &A) -> usize {
    pool.with(|pool| pool.collect_empty());
    let bytes = release_chunk(&mut pool, parent, Release::Empty);
    events::trimmed(bytes);
    bytes
}

/// Returns every chunk to the parent. A pool in which nothing is live has nothing to look for.
pub(super) fn release_all<P: RawPool, A: Allocator>(pool: &mut P, parent: &A) {
    pool.before_drop();
    pool.reset();
    release_chunk(&mut MutAccess(pool), parent, Release::Any);
}

/// So many chunks are taken from a pool at a time.
const CHUNKS_AT_ONCE: usize = 16;

/// Returns chunks to the parent as long as the pool surrenders any; says how many bytes that were. The parent is called
/// when the pool is not borrowed.
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
    // SAFETY: the parent handed this memory out, with a layout between what was requested and what it returned; no pool
    // has it any more.
    unsafe { parent.deallocate(chunk.start(), chunk.layout()) };
}
