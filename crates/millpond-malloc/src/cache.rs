//! Taking blocks from, and putting them into, the magazines of the calling thread.

use crate::{
    depot,
    magazine::{BYTES, Magazine},
    settings,
    thread::{self, Side, Tops},
};

/// Takes the last block of the thread's magazine with an index, which is the class on the hot paths,
/// unless it is empty.
#[inline(always)]
pub(crate) fn pop(index: usize) -> Option<*mut u8> {
    let tops = Tops::of_thread();
    let top = tops.get(index);
    // SAFETY: a top points into the thread's magazine, or the vacant one.
    let block = unsafe { top.read() };
    if block == 0 {
        return None;
    }
    tops.set(index, top.wrapping_sub(1));
    Some(core::ptr::with_exposed_provenance_mut(block))
}

/// Puts a block into the thread's magazine with an index, as [`pop`], unless it is full; returns whether
/// it did.
#[inline(always)]
pub(crate) fn push(index: usize, block: *mut u8) -> bool {
    let tops = Tops::of_thread();
    let top = tops.get(index).wrapping_add(1);
    if top.addr().is_multiple_of(BYTES) {
        return false;
    }
    // SAFETY: the magazine is not full, so the word above its top is a place for a block.
    unsafe { top.write(block.expose_provenance()) };
    tops.set(index, top);
    true
}

/// Returns a block of a class, or 0 if there is no memory; fills the thread's magazine.
pub(crate) fn take(class: usize) -> usize {
    let side = thread::side();
    // The first call of a thread for its record may allocate, and thereby fill a magazine here.
    if let Some(block) = pop(Tops::index(class)) {
        return block.expose_provenance();
    }
    match side.and_then(|side| fill(side, class)) {
        Some(block) => block,
        // The thread is ending, or there is no memory for magazines.
        None => {
            let mut block = [0];
            depot::lock(class).take(&mut block);
            block[0]
        }
    }
}

/// Fills the thread's magazine and returns one more block; returns `None` if there is no memory.
fn fill(side: &Side, class: usize) -> Option<usize> {
    let (tops, index) = (Tops::of_thread(), Tops::index(class));
    let current = Magazine::of(tops.get(index));
    let spare = side.spares[class].take();
    let full = if spare.is_none() { depot::lock(class).take_full() } else { Some(spare) };
    // SAFETY: all these magazines belong to this thread.
    unsafe {
        if let Some(full) = full {
            if let Some(current) = current {
                side.keep_empty(current);
            }
            tops.set(index, full.full_top());
            return pop(index).map(|block| block.expose_provenance());
        }
        let magazine = current.or_else(|| side.take_empty())?;
        let limit = side.next_limit(class);
        let bottom = magazine.clear(limit);
        let blocks = magazine.blocks(magazine.full_top());
        let count = depot::lock(class).take(blocks);
        if count == 0 {
            tops.set(index, bottom);
            return None;
        }
        if settings::hardened() {
            side.random.shuffle(&mut blocks[..count]);
        } else {
            // The blocks came in order of addresses; the first is to be handed out first.
            blocks[..count].reverse();
        }
        if count < limit {
            magazine.shrink(count);
        }
        tops.set(index, magazine.full_top());
        pop(index).map(|block| block.expose_provenance())
    }
}

/// Puts a block into the thread's next magazine, and a full magazine into the depot.
///
/// # Safety
///
/// The block must be one of this class that is not in use any more.
pub(crate) unsafe fn put(class: usize, block: *mut u8) {
    let side = thread::side();
    // The first call of a thread for its record may allocate, and thereby put a magazine here that has room.
    if push(Tops::index(class), block) {
        return;
    }
    let (tops, index) = (Tops::of_thread(), Tops::index(class));
    let empty = side.and_then(|side| Some((side, side.take_empty()?)));
    // SAFETY: the magazines belong to this thread, and the block to this call.
    unsafe {
        let Some((side, empty)) = empty else {
            return depot::lock(class).put_back(&[block.expose_provenance()]);
        };
        if let Some(full) = Magazine::of(tops.get(index)) {
            let spare = side.spares[class].replace(full);
            if !spare.is_none() {
                let poured = depot::lock(class).put_full(spare);
                if let Some(magazine) = poured {
                    side.keep_empty(magazine);
                }
            }
        }
        tops.set(index, empty.clear(side.next_limit(class)));
    }
    let pushed = push(index, block);
    debug_assert!(pushed);
}

/// Puts a block into the thread's magazine below the last one, so that it is not the next that is handed out, unless the
/// magazine is empty or full; returns whether it did.
#[inline(always)]
pub(crate) fn push_below(class: usize, block: *mut u8) -> bool {
    let top = Tops::of_thread().get(class);
    // SAFETY: a top points into the thread's magazine, or the vacant one.
    let last = unsafe { top.read() };
    if last == 0 || top.wrapping_add(1).addr().is_multiple_of(BYTES) {
        return false;
    }
    // SAFETY: the magazine is not empty, so it is not the vacant one, and belongs to the thread.
    unsafe { top.write(block.expose_provenance()) };
    push(class, core::ptr::with_exposed_provenance_mut(last))
}
