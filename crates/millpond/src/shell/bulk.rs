//! Many blocks at once: reserving, allocating and freeing them with one borrow or one lock.

use core::{alloc::Layout, mem::MaybeUninit, ptr::NonNull};

use super::{
    oom::OomPolicy,
    ops::{self, WithPool},
};
use crate::{
    base::{AllocError, uninit::assume_init_ref},
    traits::{Allocator, RawPool, Reserve},
};

/// Grows the pool until it can serve `count` requests in a row. If it cannot, the added chunks are returned.
pub(super) fn reserve<R: WithPool<Pool: Reserve>, A: Allocator>(
    mut pool: R,
    parent: &A,
    layout: Layout,
    count: usize,
) -> Result<(), AllocError> {
    if pool.with(|pool| pool.chunk_request(layout).is_none()) {
        return Err(AllocError::Unsupported);
    }
    let mut added = 0;
    let reserved = loop {
        let request = match pool.with(|pool| pool.reserve_request(layout, count)) {
            Ok(Some(request)) => request,
            Ok(None) => break Ok(()),
            Err(never) => break Err(never),
        };
        let add_chunk = |pool: &mut R::Pool, chunk| {
            // SAFETY: the chunk belongs to nothing else: see `grow`.
            unsafe { pool.add_reserved_chunk(chunk, layout, count) }.inspect(|()| added += 1)
        };
        let is_there =
            |pool: &mut R::Pool| matches!(pool.reserve_request(layout, count), Ok(None)).then_some(());
        if let Err(error) = ops::grow((&mut pool, parent), request, add_chunk, is_there) {
            break Err(error);
        }
    };
    if reserved.is_err() {
        for _ in 0..added {
            if let Some(chunk) = pool.with(|pool| pool.release_reserved_chunk(layout, count)) {
                ops::return_chunk(parent, chunk);
            }
        }
    }
    reserved
}

/// Fills every place with a block, or none of them: on failure, the blocks taken so far are freed.
pub(super) fn allocate_many<R: WithPool, A: Allocator, O: OomPolicy>(
    mut pool: R,
    (parent, policy): (&A, &O),
    layout: Layout,
    places: &mut [MaybeUninit<NonNull<u8>>],
) -> Result<(), AllocError> {
    let mut taken = 0;
    while taken < places.len() {
        let rest = &mut places[taken..];
        taken += pool.with(|pool| {
            let blocks = core::iter::from_fn(|| pool.allocate_hot(layout));
            rest.iter_mut().zip(blocks).map(|(place, block)| place.write(block.cast())).count()
        });
        if taken == places.len() {
            break;
        }
        match ops::allocate_cold(&mut pool, layout, parent, policy).unpack() {
            Ok(block) => places[taken].write(block.cast()),
            Err(error) => {
                // SAFETY: the first `taken` places were written, with blocks that are live and of this layout.
                unsafe { deallocate_many(pool, parent, assume_init_ref(&places[..taken]), layout) };
                return Err(error);
            }
        };
        taken += 1;
    }
    Ok(())
}

/// Frees many blocks of one layout, with one borrow or lock for all that the hot path accepts.
///
/// # Safety
///
/// As for [`Allocator::deallocate`], for each block.
pub(super) unsafe fn deallocate_many<R: WithPool, A: Allocator>(
    mut pool: R,
    parent: &A,
    blocks: &[NonNull<u8>],
    layout: Layout,
) {
    let done = pool.with(|pool| {
        // SAFETY: the caller upholds the contract of `deallocate` for each block.
        let is_done = |&&block: &&NonNull<u8>| unsafe { pool.deallocate_hot(block, layout) };
        blocks.iter().take_while(is_done).count()
    });
    for &block in &blocks[done..] {
        // SAFETY: the caller upholds the contract of `deallocate` for each block; a block that the hot path refused is
        // still live.
        unsafe { ops::deallocate(&mut pool, parent, block, layout) };
    }
}
