//! The free list *Hardened*: everything that is known about blocks lies beside them, in memory that holds no blocks.
//!
//! A block has one of four states: *live*; *free*; *held back*, which is free but not handed out yet; or *never handed
//! out*. The record of each chunk has two bits per block, and the address up to which the chunk was carved. A block that
//! is freed is looked up, and its state changes, before anything else is done. Nothing is read from a free block except
//! to compare it with zero, so no write to one can change what is handed out.
//!
//! ```text
//!  memory with blocks             memory without blocks
//!  ┌───────┬──────┬──────┬───┐    ┌───────────────────────────────┐  ┌──────────────────────────────┐
//!  │ A     │ B    │ C    │ … │    │ record: live 101…, free 010…  │  │ next: D B …   held back: E … │
//!  │ live  │ free │ live │   │    │ carved up to …                │  │ key of the random numbers    │
//!  └───────┴──────┴──────┴───┘    └───────────────────────────────┘  └──────────────────────────────┘
//! ```
//!
//! * Memory: two bits per block and 15 words per chunk, a kilobyte or two per pool, and with [`Full`] the blocks that
//!   are held back. All of it is requested from the parent, apart from the chunks of blocks: with a parent that
//!   separates its blocks by guard pages, no overflow reaches it.
//! * Refilling the array of blocks that are handed out next takes up to 64 blocks and is O(words of bits) at worst.
//!
//! Sources: the `hardened_malloc` of GrapheneOS, for state beside the blocks, zeroing that is checked, and the two-part
//! quarantine; Novark and Berger, "DieHarder" (2010), for the random order.

mod erased;
mod mode;
mod random;
mod record;
mod state;

use core::{alloc::Layout, marker::PhantomData, ptr::NonNull};

pub use mode::{Full, Hardening, Light};

use self::{
    erased::{first_byte_set, is_zero},
    record::{Bits, Record, Records, Unrecorded, Whole},
    state::{PLACES, State, held_blocks},
};
use super::{
    FreeList,
    free_list::{Sealed, diagnose},
    uncarved::Uncarved,
};
use crate::{
    base::{address::recover, entropy},
    pool::chunks::Span,
    traits::{Chunk, ChunkRequest, InvariantError, MisuseKind, Pending, PendingReport, Reporter},
};

/// A free list for programs under attack: the misuse of a block cannot change which addresses are handed out.
///
/// With [`Light`]:
///
/// * Every free of an address that is not that of a live block is detected and prevented, before it has any effect: a
///   block that was freed before (unless it has been handed out again), an address inside a block, of another pool, of
///   none, or of a block that was never handed out; and a layout that this pool does not serve.
/// * Free blocks hold no addresses, and none is read from them. A write after free cannot lead to an address that is no
///   block, or to a block that is live.
/// * Blocks are taken from new chunks, and from among many freed ones, in random order.
///
/// With [`Full`], in addition:
///
/// * Blocks are erased when they are freed, and hand-outs are zero: what a block contained cannot be read later, from it
///   or from the next block there.
/// * Before a block is handed out, it is compared with zero. If it was written to after it had been freed, this is
///   reported ([`MisuseKind::WrittenAfterFree`]), and another block is handed out.
/// * A freed block is handed out again only after others have been freed, in an order that cannot be predicted: up to
///   64 KiB of blocks are held back (at least 16 blocks, at most 1024), half of them in a set from which a random one
///   leaves, and half in a queue.
///
/// Not detected by either: a write past the end of a block into the next one, for which there is
/// [`Canary`](crate::guard::Canary); reads after free; a free of a block that has been handed out again meanwhile; and
/// a layout that the pool serves but for which the block was not requested. `SECURITY.md` has a table of attacks.
///
/// The random numbers are those of ChaCha8, with a seed of the operating system. Without the feature `std` there is no
/// source of random bytes: see [`Blocks::with_seed`](crate::Blocks::with_seed).
///
/// Beside its chunks of blocks, the pool requests memory from its parent for what it knows about them. If the parent
/// separates what it hands out by guard pages, as `TunedPages::guarded` does, no overflow in a block reaches that
/// memory. With other parents, an overflow over the end of a chunk may.
///
/// ```
/// use core::{alloc::Layout, sync::atomic::{AtomicUsize, Ordering::Relaxed}};
/// use millpond::{
///     Allocator, Blocks, Fixed, Local, observe::{Misuse, MisuseKind, Reporter},
///     pool::{Full, Hardened},
/// };
///
/// static FOUND: AtomicUsize = AtomicUsize::new(0);
/// fn hear(misuse: &Misuse) {
///     assert_eq!(misuse.kind, MisuseKind::DoubleFree);
///     FOUND.fetch_add(1, Relaxed);
/// }
///
/// let blocks = Blocks::<(Fixed<64>, Hardened<Full>)>::new();
/// let pool = Local::new(blocks.reporting(Reporter::named("sessions").with_hook(hear)));
/// let layout = Layout::new::<[u64; 8]>();
/// let block = pool.allocate(layout)?.cast();
/// // SAFETY: the second call is a double free, which the free list detects and ignores.
/// unsafe {
///     pool.deallocate(block, layout);
///     pool.deallocate(block, layout);
/// }
/// assert_eq!(FOUND.load(Relaxed), 1);
/// # Ok::<(), millpond::AllocError>(())
/// ```
///
/// # Invariants
///
/// * The bit of a block is set if and only if the block is live. Every other carved block is in the array of blocks
///   that are handed out next, or is held back, or has the bit that says that it is free, or is one of `lost`.
/// * Each chunk that was added has a record, except for `unrecorded`.
#[derive(Debug)]
pub struct Hardened<M> {
    /// The address of the state, or zero.
    state: usize,
    /// The address of the first record, in a list, or zero.
    first: usize,
    /// Memory for the record of the next chunk.
    spare: Option<Whole>,
    /// A chunk for the record of which there was not enough memory: nothing is carved from it before there is.
    unrecorded: Option<Unrecorded>,
    /// The address of the first record of a chunk that was released, in a list, or zero: their memory is released too.
    unused: usize,
    /// The number of blocks that were written to after they had been freed, and are not handed out again.
    lost: usize,
    pub(super) seed: Option<[u32; 8]>,
    pub(super) reporter: Reporter,
    pending: Pending,
    mode: PhantomData<fn() -> M>,
}

impl<M: Hardening> Hardened<M> {
    fn held(size: usize) -> usize {
        if M::FULL { held_blocks(size) } else { 0 }
    }

    #[inline(always)]
    fn state_mut(&mut self) -> Option<&mut State> {
        // SAFETY: the state lies in memory of the pool, and is accessed only through `self`.
        NonNull::new(recover(self.state)).map(|mut state| unsafe { state.as_mut() })
    }

    fn state(&self) -> Option<&State> {
        // SAFETY: as above.
        NonNull::new(recover(self.state)).map(|state| unsafe { state.as_ref() })
    }

    fn records(&self) -> Records {
        Records(self.first)
    }

    /// Returns the record of the chunk in which a block lies, and the number of the block there, if there is such a
    /// block.
    #[inline(always)]
    fn find(&mut self, block: usize, size: usize) -> Option<(Record, usize)> {
        let records = self.records();
        self.state_mut()?.find(records, block, size)
    }

    /// Returns the carved blocks that are not live.
    fn dead(&self, size: usize) -> impl Iterator<Item = usize> {
        self.records().flat_map(move |record| record.blocks(false, size))
    }

    /// Marks a block that is about to be handed out as live. Returns false, and reports it, if it is live already, is
    /// not a block, or was written to.
    #[inline(always)]
    fn claim(&mut self, block: usize, size: usize) -> bool {
        if let Some((record, number)) = self.find(block, size) {
            let (word, bit) = record.live_bit(number);
            // SAFETY: the word is one of the record.
            let bits = unsafe { *word };
            // SAFETY: the block is one of this pool.
            if bits & bit == 0 && (!M::FULL || unsafe { is_zero(block, size) }) {
                // SAFETY: as above.
                unsafe { *word = bits | bit };
                return true;
            }
        }
        self.refuse(block, size);
        false
    }

    #[cold]
    #[inline(never)]
    fn refuse(&mut self, block: usize, size: usize) {
        let kind = match self.find(block, size) {
            None => MisuseKind::Forged,
            Some((record, number)) => {
                let (word, bit) = record.live_bit(number);
                // SAFETY: the word is one of the record.
                if unsafe { *word } & bit != 0 {
                    MisuseKind::Overlap { live: block }
                } else {
                    self.lost += 1;
                    // SAFETY: the block is one of this pool.
                    MisuseKind::WrittenAfterFree { offset: unsafe { first_byte_set(block, size) } }
                }
            }
        };
        self.report_misuse(block, Layout::from_size_align(size, 1).unwrap_or(Layout::new::<()>()), kind);
    }

    /// Fills the array of blocks that are handed out next; returns whether there are any.
    #[cold]
    #[inline(never)]
    fn refill(&mut self, uncarved: &mut Uncarved, size: usize) -> bool {
        let (records, unrecorded) = (self.records(), self.unrecorded);
        let Some(state) = self.state_mut() else { return false };
        if let Some(record) = records.clone().find(|record| record.free() != 0) {
            return state.refill(|room, random| record.take_free(random.below(record.words()), size, room));
        }
        if let Some(next) = uncarved.next_chunk()
            && !records.clone().any(|record| record.span() == next)
        {
            if unrecorded.is_none_or(|chunk| chunk.span != next) {
                // The description of a chunk, which lies in another chunk, was overwritten.
                uncarved.abandon_reusable();
                self.report_misuse(next.start, Layout::new::<()>(), MisuseKind::Damaged { at: next.start });
            }
            return false;
        }
        let run = uncarved.carve_up_to((BATCH / size).clamp(8, PLACES), |_| ());
        if !records.clone().any(|record| record.carve(run)) {
            return false;
        }
        if M::FULL {
            // SAFETY: the run lies in a chunk of the pool and was never handed out.
            unsafe { recover::<u8>(run.start).write_bytes(0, run.end - run.start) };
        }
        state.refill(|room, _| {
            let blocks = (run.start..run.end).step_by(size);
            room.iter_mut().zip(blocks).map(|(place, block)| *place = block).count()
        })
    }

    /// Adds the record of a chunk, in memory of its own; returns the memory if it is too small.
    ///
    /// # Safety
    ///
    /// The memory belongs to the pool alone.
    unsafe fn record(&mut self, memory: Chunk, about: Unrecorded, size: usize) -> Result<(), Chunk> {
        // SAFETY: the caller upholds the contract of `create`, which is the same.
        let record = unsafe { Record::create(memory, &about, size)? };
        record.set_next(self.first);
        self.first = record.address();
        Ok(())
    }

    /// Marks blocks as free and in no array.
    fn put_away(&mut self, blocks: &[usize], size: usize) {
        for &block in blocks {
            if let Some((record, number)) = self.find(block, size) {
                record.set_free(number);
            }
        }
    }

    /// Adds a free block to those that are handed out next.
    #[inline(always)]
    fn make_next(&mut self, block: usize, size: usize) {
        if self.state_mut().is_some_and(|state| state.is_full()) {
            self.make_room(size);
        }
        if let Some(state) = self.state_mut() {
            state.push(block);
        }
    }

    #[cold]
    #[inline(never)]
    fn make_room(&mut self, size: usize) {
        if let Some(oldest) = self.state_mut().map(State::spill) {
            self.put_away(&oldest, size);
        }
    }

    /// Removes the record of a chunk that is about to be released.
    fn remove(&mut self, gone: Record) {
        if self.first == gone.address() {
            self.first = gone.next();
        } else if let Some(before) = self.records().find(|record| record.next() == gone.address()) {
            before.set_next(gone.next());
        }
        gone.set_next(self.unused);
        self.unused = gone.address();
        if let Some(state) = self.state_mut() {
            state.forget(|block| gone.span().contains(block));
        }
    }
}

/// How many bytes of new blocks are brought into a random order at a time, unless these are less than eight blocks or
/// more than there are places.
const BATCH: usize = 16 << 10;

/// How many bytes more than requested a parent usually returns at most: one that returns whole pages does. If it returns
/// more, the memory for the record is requested again.
const EXCESS: usize = 8 << 10;

impl<M: Hardening> FreeList for Hardened<M> {}

impl<M: Hardening> Sealed for Hardened<M> {
    const REGION: usize = 0;
    const VALIDATES: bool = true;
    const MARKS_IN_CHUNK: bool = false;
    /// So that there is an order to choose from the start.
    const FIRST_CHUNK: usize = 4096;
    const REPORTS_LEAKS: bool = false;
    const IS_CACHEABLE: bool = false;
    const EMPTY: Self = Self {
        state: 0,
        first: 0,
        spare: None,
        unrecorded: None,
        unused: 0,
        lost: 0,
        seed: None,
        reporter: Reporter::named("blocks"),
        pending: Pending::NONE,
        mode: PhantomData,
    };

    fn first_freed(&self) -> usize {
        0
    }

    /// Returns `None`: the block cannot be marked without its size. See [`take_hot`](Sealed::take_hot).
    fn take_freed(&mut self) -> Option<NonNull<u8>> {
        None
    }

    #[inline(always)]
    fn take_hot(&mut self, _: &Uncarved, size: usize) -> Option<NonNull<u8>> {
        let block = self.state_mut()?.pop()?;
        if self.claim(block, size) { NonNull::new(recover(block)) } else { None }
    }

    fn take(&mut self, uncarved: &mut Uncarved, size: usize) -> Option<NonNull<u8>> {
        loop {
            while let Some(block) = self.state_mut()?.pop() {
                if self.claim(block, size) {
                    return NonNull::new(recover(block));
                }
            }
            if !self.refill(uncarved, size) {
                return None;
            }
        }
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: NonNull<u8>, size: usize) {
        let mut block = block.addr().get();
        if M::FULL {
            // SAFETY: the caller no longer uses the block, which has this size.
            unsafe { recover::<u8>(block).write_bytes(0, size) };
            let Some(state) = self.state_mut() else { return };
            block = state.hold(block);
            if block == 0 {
                return;
            }
        }
        self.make_next(block, size);
    }

    fn set_live(&mut self, _: &Uncarved, block: usize, size: usize) {
        if let Some((record, number)) = self.find(block, size) {
            let (word, bit) = record.live_bit(number);
            // SAFETY: the word is one of the record.
            unsafe { *word |= bit };
        }
    }

    #[inline(always)]
    fn clear_live(&mut self, _: &Uncarved, block: usize, size: usize) -> bool {
        let Some((record, number)) = self.find(block, size) else { return false };
        let (word, bit) = record.live_bit(number);
        // SAFETY: the word is one of the record.
        unsafe {
            let bits = *word;
            *word = bits & !bit;
            bits & bit != 0
        }
    }

    fn is_live(&mut self, _: &Uncarved, block: usize, size: usize) -> bool {
        self.find(block, size).is_some_and(|(record, number)| {
            let (word, bit) = record.live_bit(number);
            // SAFETY: the word is one of the record.
            unsafe { *word & bit != 0 }
        })
    }

    fn diagnose(&mut self, _: &Uncarved, block: usize, size: usize) -> MisuseKind {
        diagnose(self.records().map(Record::carved), block, size)
    }

    fn report_misuse(&mut self, address: usize, layout: Layout, kind: MisuseKind) {
        self.pending.add(self.reporter.pending_report(address, layout, kind.into()));
    }

    fn pending_report(&mut self) -> Option<PendingReport> {
        self.pending.take()
    }

    /// Returns `None`: nothing that lies between blocks is followed.
    fn damage(&self, _: &Uncarved, _: usize) -> Option<usize> {
        None
    }

    fn clear(&mut self) {
        self.records().filter(|record| record.is_begun()).for_each(Record::clear);
        self.lost = 0;
        if let Some(state) = self.state_mut() {
            state.forget(|_| true);
        }
    }

    fn free(&self, _: &Uncarved, size: usize) -> impl Iterator<Item = usize> {
        self.dead(size)
    }

    fn count_free(&self, _: &Uncarved, size: usize, most: usize) -> usize {
        let free = self.records().map(|record| {
            let carved = record.carved();
            (carved.end - carved.start) / size - record.count(Bits::Live)
        });
        free.sum::<usize>().saturating_sub(self.lost).min(most)
    }

    fn live(&self, _: &Uncarved, size: usize) -> impl Iterator<Item = usize> {
        self.records().flat_map(move |record| record.blocks(true, size))
    }

    fn collect_empty(&mut self, uncarved: &mut Uncarved, _: usize) {
        let is_empty = |record: &Record| record.count(Bits::Live) == 0;
        for record in self.records().filter(is_empty) {
            if let Some(state) = self.state_mut() {
                state.forget(|block| record.span().contains(block));
            }
            record.clear();
        }
        let records = self.records();
        uncarved.make_reusable(|carved| {
            let mut records = records.clone();
            records.any(|record| record.span().start == carved.start && !record.is_begun())
        });
    }

    fn release_held(&mut self, size: usize) -> bool {
        let records = self.records();
        let Some(state) = self.state_mut() else { return false };
        state.release_held(|block| {
            if let Some(record) = records.clone().find(|record| record.span().contains(block)) {
                record.set_free((block - record.span().start) / size);
            }
        })
    }

    fn request_beside(&self, next: Option<ChunkRequest>, size: usize) -> Option<ChunkRequest> {
        if self.state == 0 {
            return State::request(Self::held(size));
        }
        match (self.unrecorded, self.spare) {
            (Some(Unrecorded { span, .. }), _) => Record::request(span.end - span.start, size),
            (None, None) => Record::request(next?.preferred.saturating_add(EXCESS), size),
            (None, Some(_)) => None,
        }
    }

    unsafe fn add_beside(&mut self, chunk: Chunk, size: usize) -> Result<(), Chunk> {
        if self.state == 0 {
            let seed = self.seed.unwrap_or_else(entropy::seed);
            // SAFETY: the caller guarantees that the chunk belongs to the pool alone.
            self.state = unsafe { State::create(chunk, size, Self::held(size), seed)? }.addr().get();
        } else if let Some(about) = self.unrecorded.take() {
            // SAFETY: as above.
            return unsafe { self.record(chunk, about, size) }.inspect_err(|_| self.unrecorded = Some(about));
        } else if self.spare.is_none() {
            self.spare = Some(Whole::of(&chunk));
        } else {
            return Err(chunk);
        }
        Ok(())
    }

    fn note_chunk(&mut self, start: usize, layout: Layout, (span, size): (Span, usize)) {
        let about = Unrecorded { whole: Whole { start, layout }, span };
        // SAFETY: the spare memory belongs to the pool, and is not used.
        let Some(memory) = self.spare.take().and_then(|spare| unsafe { spare.into_chunk() }) else {
            self.unrecorded = Some(about);
            return;
        };
        // SAFETY: as above.
        if let Err(memory) = unsafe { self.record(memory, about, size) } {
            (self.spare, self.unrecorded) = (Some(Whole::of(&memory)), Some(about));
        }
    }

    fn may_release(&mut self, chunk: &Chunk) -> bool {
        let whole = Whole::of(chunk);
        if self.unrecorded.is_some_and(|chunk| chunk.whole == whole) {
            self.unrecorded = None;
            return true;
        }
        if let Some(record) = self.records().find(|record| record.chunk() == whole) {
            self.remove(record);
            return true;
        }
        let at = chunk.start().addr().get();
        self.report_misuse(at, chunk.layout(), MisuseKind::Damaged { at });
        false
    }

    fn release_beside(&mut self) -> Option<Chunk> {
        if let Some(record) = Record::at(self.unused) {
            self.unused = record.next();
            // SAFETY: the chunk that the record was about has been released, so the record is not used any more.
            return unsafe { record.own().into_chunk() };
        }
        if self.first != 0 || self.unrecorded.is_some() {
            return None;
        }
        let own = match self.spare.take() {
            Some(spare) => spare,
            None => {
                let own = self.state()?.own();
                self.state = 0;
                own
            }
        };
        // SAFETY: there is no chunk with blocks, and nothing refers to this memory any more.
        unsafe { own.into_chunk() }
    }

    fn beside(&self) -> (usize, usize) {
        let records = Records(self.unused).chain(self.records()).map(Record::own);
        let sizes =
            records.chain(self.state().map(State::own)).chain(self.spare).map(|own| own.layout.size());
        sizes.fold((0, 0), |(chunks, bytes), size| (chunks + 1, bytes + size))
    }

    fn check(&self, _: &Uncarved, size: usize) -> Result<(), InvariantError> {
        let mut listed = self.lost;
        for block in self.state().into_iter().flat_map(State::blocks) {
            let mut records = self.records();
            let is_free = records.any(|record| {
                record.carved().contains(block) && record.is_taken((block - record.span().start) / size)
            });
            if !is_free {
                return Err(InvariantError("a block that is to be handed out is live, or free twice"));
            }
            listed += 1;
        }
        for record in self.records() {
            if record.count(Bits::Free) != record.free() {
                return Err(InvariantError("the number of free blocks of a chunk is wrong"));
            }
            listed += record.free();
        }
        if listed != self.dead(size).count() {
            return Err(InvariantError("a block is neither live nor free nor held back"));
        }
        Ok(())
    }
}
