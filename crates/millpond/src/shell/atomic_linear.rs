//! A bump arena that threads share without a lock.
//!
//! The chunks form a list, oldest first. Each begins with a header of four words, which contains a cursor that is moved
//! by one exchange. If a block does not fit, the thread moves on to the next chunk or appends one. The exchange
//! replaces the whole cursor by the wanted value and never adds blindly, so there is no overflow to undo.
//!
//! * Allocate: O(1), except for retries when threads collide, and for chunks in which the block does not fit.
//! * Waste: padding, and the remainder of a chunk in which a block does not fit.
//!
//! See [`Linear`](crate::Linear) for the arena for one thread, and for the source.

use core::{
    alloc::Layout,
    iter::successors,
    ptr::{NonNull, null_mut},
};

use crate::{
    base::{
        AllocError,
        address::{self, WORD},
        atomic::{AtomicPtr, Ordering},
    },
    source::{Cursor, DefaultParent},
    sync::{
        growth_barrier::{GrowthBarrier, return_chunk},
        once_link::OnceLink,
    },
    traits::{Allocation, Allocator, AtFork, HeapMapBuilder, Inspect, InvariantError, PoolStats, Reclaim},
};

/// A bump arena that any number of threads share without a lock: an [`Allocator`] and therefore usable as a parent.
///
/// Blocks are placed one after another. The last block can be freed, and grows and shrinks in place; all other blocks
/// stay until [`reset`](Reclaim::reset), which keeps every chunk.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, StaticBuffer, shell::AtomicLinear};
///
/// static MEMORY: StaticBuffer<4096> = StaticBuffer::new();
/// static ARENA: AtomicLinear<&StaticBuffer<4096>> = AtomicLinear::new_in(&MEMORY);
///
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| assert!(ARENA.allocate(Layout::new::<[u64; 8]>()).is_ok()));
///     }
/// });
/// ```
///
/// On memory that never grows, a borrowed [`StaticBuffer`](crate::StaticBuffer) or a [`Buffer`](crate::Buffer) does the
/// same without a header; this arena grows and can be reset.
///
/// # Guarantees
///
/// * `allocate` is *lock-free* if there is room. `deallocate` is wait-free: it tries once. (Allocating is not
///   wait-free: there is no bound on the number of retries of one thread.)
/// * Growing gives the guarantees of the parent. Threads that find no room at the same moment each request memory from
///   the parent, and all but one return what they got. A thread whose request the parent refuses waits until the
///   requests of the others have ended, for at most a tenth of a second.
/// * *In a signal handler*: allowed if growing is allowed there. *After `fork`*: the child has an intact arena.
///
/// There is no [`OomPolicy`](super::oom::OomPolicy): a policy might run in a signal handler, or make other threads
/// wait. A caller that wants to free memory and retry can do so around `allocate`.
///
/// # Invariants
///
/// * Following `next` from `first` visits every chunk once; `current` is one of them, or null before the first use.
/// * No cursor is beyond the end of its chunk.
pub struct AtomicLinear<A: Allocator = DefaultParent> {
    current: AtomicPtr<Segment>,
    first: OnceLink<Segment>,
    growth_barrier: GrowthBarrier,
    /// Wanted size of the first chunk, in bytes.
    wanted: usize,
    parent: A,
}

/// The header of a chunk.
struct Segment {
    /// The whole chunk.
    memory: NonNull<[u8]>,
    /// How much of the memory after this header has been carved.
    cursor: Cursor,
    next: OnceLink<Segment>,
}

/// Size of a header in bytes.
const HEADER: usize = size_of::<Segment>();

/// Size in bytes beyond which chunks do not grow.
const LARGEST: usize = 64 << 20;

impl Segment {
    /// Returns the memory from which blocks are carved.
    fn space(&self) -> NonNull<[u8]> {
        // SAFETY: the chunk is longer than its header.
        let start = unsafe { self.memory.cast::<u8>().add(HEADER) };
        NonNull::slice_from_raw_parts(start, self.memory.len() - HEADER)
    }

    fn take(&self, layout: Layout) -> Allocation {
        self.cursor.take(self.space(), layout, layout.size())
    }

    fn has(&self, address: usize) -> bool {
        address.wrapping_sub(self.memory.addr().get()) < self.memory.len()
    }
}

impl AtomicLinear {
    /// Creates an arena without chunks, on the default parent. The first chunk is a page.
    #[must_use]
    pub const fn new() -> Self {
        Self::new_in(crate::source::DEFAULT_PARENT)
    }
}

impl Default for AtomicLinear {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Allocator> AtomicLinear<A> {
    /// Creates an arena without chunks, on a parent. The first chunk is a page; each later one is twice as large as the
    /// one before, up to 64 MiB.
    #[must_use]
    pub const fn new_in(parent: A) -> Self {
        Self {
            current: AtomicPtr::new(null_mut()),
            first: OnceLink::new(),
            growth_barrier: GrowthBarrier::new(),
            wanted: 4096,
            parent,
        }
    }

    /// Sets the capacity of the first chunk to `bytes` bytes of blocks and padding.
    #[must_use]
    pub const fn with_capacity(mut self, bytes: usize) -> Self {
        self.wanted = bytes.saturating_add(HEADER);
        self
    }

    /// Returns a reference to the parent.
    #[must_use]
    pub fn parent(&self) -> &A {
        &self.parent
    }

    /// Returns the chunk that an entry of the list points to.
    #[inline(always)]
    fn segment(link: &OnceLink<Segment>) -> Option<&Segment> {
        // SAFETY: a chunk in the list stays there until the arena is borrowed mutably.
        unsafe { link.get().as_ref() }
    }

    /// Returns the chunk from which blocks are carved.
    #[inline(always)]
    fn current(&self) -> Option<&Segment> {
        // SAFETY: as above.
        unsafe { self.current.load(Ordering::Acquire).as_ref() }
    }

    fn segments(&self) -> impl Iterator<Item = &Segment> {
        successors(Self::segment(&self.first), |segment| Self::segment(&segment.next))
    }

    /// Returns the current chunk, if the block lies in it.
    fn current_with(&self, block: NonNull<u8>) -> Option<&Segment> {
        self.current().filter(|segment| segment.has(block.addr().get()))
    }

    #[cold]
    #[inline(never)]
    fn allocate_cold(&self, layout: Layout) -> Allocation {
        if layout.size() == 0 {
            return Ok(address::zero_sized(layout));
        }
        loop {
            let current = self.current();
            if let Some(Ok(block)) = current.map(|segment| segment.take(layout)) {
                return Ok(block);
            }
            let link = current.map_or(&self.first, |segment| &segment.next);
            match Self::segment(link) {
                Some(next) => self.advance(current, next),
                None => match self.grow(link, current, layout) {
                    Ok(Some(block)) => return Ok(block),
                    // Another thread may have appended a chunk in the meantime.
                    Err(error) if Self::segment(link).is_none() => return Err(error),
                    _ => {}
                },
            }
        }
    }

    /// Moves on to the next chunk, unless another thread already has.
    fn advance(&self, current: Option<&Segment>, next: &Segment) {
        let current = current.map_or(null_mut(), |segment| core::ptr::from_ref(segment).cast_mut());
        let next = core::ptr::from_ref(next).cast_mut();
        // Failure: another thread already has.
        let _ = self.current.compare_exchange(current, next, Ordering::Release, Ordering::Relaxed);
    }

    /// Appends a chunk with the block carved from it; returns `None` if another thread was faster.
    fn grow(
        &self,
        link: &OnceLink<Segment>,
        last: Option<&Segment>,
        layout: Layout,
    ) -> Result<Option<NonNull<[u8]>>, AllocError> {
        // A layout's size and padding together never overflow.
        let least = (layout.size() + (layout.align().max(WORD) - WORD)).checked_add(HEADER);
        let least =
            least.and_then(|size| Layout::from_size_align(size, WORD).ok()).ok_or(AllocError::Unsupported)?;
        let preferred =
            last.map_or(self.wanted, |segment| segment.memory.len().saturating_mul(2).min(LARGEST));
        let publish = |memory: NonNull<[u8]>| {
            let segment = memory.cast::<Segment>();
            // SAFETY: the parent has just handed out the chunk; it is aligned to a word and has room for the header,
            // and no other thread knows it.
            let block = unsafe {
                segment.write(Segment { memory, cursor: Cursor::new(), next: OnceLink::new() });
                segment.as_ref().take(layout).ok()
            };
            if link.try_set(segment) {
                // SAFETY: the chunk is in the list now and therefore stays.
                self.advance(last, unsafe { segment.as_ref() });
                block
            } else {
                // SAFETY: the chunk is the parent's and was not appended.
                unsafe { return_chunk(&self.parent, memory, WORD) };
                None
            }
        };
        let fetch_chunk = || self.parent.allocate_between(least, preferred.max(least.size())).map(publish);
        Ok(self.growth_barrier.request(fetch_chunk)?.flatten())
    }

    /// Removes every chunk for which `goes` holds from the list and returns it to the parent; returns the total size in
    /// bytes.
    fn release(&mut self, goes: impl Fn(&Segment) -> bool) -> usize {
        let mut link: &OnceLink<Segment> = &self.first;
        let mut returned = 0;
        while let Some(segment) = Self::segment(link) {
            if goes(segment) {
                let memory = segment.memory;
                link.overwrite(segment.next.get());
                returned += memory.len();
                // SAFETY: no block in the chunk is live, and no entry points to it any more.
                unsafe { return_chunk(&self.parent, memory, WORD) };
            } else {
                link = &segment.next;
            }
        }
        returned
    }
}

// SAFETY: cursors hand every byte out once, aligned, and take back only a block that ends at them. Nothing here
// unwinds.
unsafe impl<A: Allocator> Allocator for AtomicLinear<A> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Allocation {
        match self.current().map(|segment| segment.take(layout)) {
            Some(Ok(block)) => Ok(block),
            _ => self.allocate_cold(layout),
        }
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0
            && let Some(segment) = self.current_with(block)
        {
            segment.cursor.give_back(segment.space(), block, layout.size());
        }
    }

    /// Returns whether there is a chunk with this address. O(chunks). Does not detect whether the block is live.
    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        layout.size() == 0 || self.owns(block.as_ptr())
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let fits = old.size() != 0 && block.addr().get().is_multiple_of(new.align());
        match self.current_with(block).filter(|_| fits) {
            Some(segment) if segment.cursor.extend(segment.space(), block, old.size(), new.size()) => {
                Ok(NonNull::slice_from_raw_parts(block, new.size()))
            }
            _ => Err(AllocError::InPlace),
        }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        if new.size() == 0 || !block.addr().get().is_multiple_of(new.align()) {
            return Err(AllocError::InPlace);
        }
        if let Some(segment) = self.current_with(block) {
            // SAFETY: the new size is at most the old one, so the tail is part of the block.
            let tail = unsafe { block.add(new.size()) };
            segment.cursor.give_back(segment.space(), tail, old.size() - new.size());
        }
        Ok(NonNull::slice_from_raw_parts(block, new.size()))
    }
}

impl<A: Allocator> Drop for AtomicLinear<A> {
    fn drop(&mut self) {
        self.release(|_| true);
    }
}

impl<A: Allocator> AtomicLinear<A> {
    /// Returns how much memory the arena has and how much of it is live: see [`Inspect::stats`].
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        Inspect::stats(self)
    }

    /// Declares every block dead and keeps every chunk for reuse. O(chunks).
    pub fn reset(&mut self) {
        self.segments().for_each(|segment| segment.cursor.rewind());
        self.current.store(null_mut(), Ordering::Relaxed);
    }

    /// Returns the reusable chunks to the parent and returns their total size in bytes. O(chunks).
    pub fn trim(&mut self) -> usize {
        self.current.store(null_mut(), Ordering::Relaxed);
        self.release(|segment| segment.cursor.used() == 0)
    }
}

impl<A: Allocator> Reclaim for AtomicLinear<A> {
    fn reset(&mut self) {
        self.reset();
    }

    fn trim(&mut self) -> usize {
        self.trim()
    }
}

impl<A: Allocator> Inspect for AtomicLinear<A> {
    /// O(chunks). Everything carved counts as live, whether freed or not, including padding and the remainders of full
    /// chunks.
    fn stats(&self) -> PoolStats {
        let current = self.current.load(Ordering::Acquire).cast_const();
        let mut is_behind = current.is_null();
        let mut stats = PoolStats::default();
        for segment in self.segments() {
            let is_current = core::ptr::eq(segment, current);
            let (all, spent) = (segment.space().len(), segment.cursor.used());
            let free = if is_behind || is_current { all - spent } else { 0 };
            is_behind |= is_current;
            let held = segment.memory.len();
            stats = stats.plus(PoolStats { chunks: 1, held, live: all - free, free });
        }
        stats
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        let current = self.current.load(Ordering::Acquire).cast_const();
        let mut is_behind = current.is_null();
        for segment in self.segments() {
            let is_current = core::ptr::eq(segment, current);
            let (memory, space) = (segment.memory.addr().get(), segment.space().addr().get());
            let end = memory + segment.memory.len();
            let cut = if is_behind || is_current { space + segment.cursor.used() } else { end };
            is_behind |= is_current;
            builder.chunk(memory..end, space..end, None);
            builder.live(space..cut);
            builder.fresh(cut..end);
        }
    }

    fn owns(&self, address: *const u8) -> bool {
        self.segments().any(|segment| segment.has(address.addr()))
    }

    fn check(&self) -> Result<(), InvariantError> {
        if self.segments().any(|segment| segment.cursor.used() > segment.space().len()) {
            return Err(InvariantError("a cursor is beyond the end of its chunk"));
        }
        let current = self.current.load(Ordering::Acquire).cast_const();
        if !current.is_null() && !self.segments().any(|segment| core::ptr::eq(segment, current)) {
            return Err(InvariantError("the current chunk is not in the list"));
        }
        Ok(())
    }
}

// SAFETY: chunks are shared in the same way as the atomics in their headers; their addresses do not change when the
// arena moves.
unsafe impl<A: Allocator + Send> Send for AtomicLinear<A> {}
// SAFETY: as above.
unsafe impl<A: Allocator + Sync> Sync for AtomicLinear<A> {}

// SAFETY: the parts are fields, so they are the same in each call.
unsafe impl<A: Allocator + AtFork> AtFork for AtomicLinear<A> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.growth_barrier);
        visit(&self.parent);
    }
}
