//! Depots: for each class, the full magazines and the spans that all threads share.

mod limit;

use core::sync::atomic::{AtomicU32, Ordering::*};

use lock_api::MutexGuard;
use millpond::lock::SpinLock;

use self::limit::Limit;
use crate::{
    classes::{self, SIZES},
    magazine::{self, Magazine},
    region,
    shared::Shared,
    span,
    unit::{self, record},
};

/// Partial spans that are compared to find the fullest.
const COMPARED: usize = 16;

/// What the threads share of one class.
pub(crate) struct Depot {
    class: usize,
    /// Full magazines, linked.
    full: Magazine,
    full_bytes: usize,
    /// Bytes of full magazines; the blocks of more go back to their spans.
    limit: Limit,
    /// The span from which blocks are carved; 0: none.
    current: usize,
    /// Spans with free blocks, linked by their records; 0: none.
    partial: usize,
    /// Number of spans.
    spans: usize,
}

/// One cache line each, so that classes do not disturb one another.
#[repr(align(64))]
pub(crate) struct Line(pub(crate) Shared<Depot>);

impl Line {
    const fn new(class: usize) -> Self {
        // SAFETY: the magazines and the spans with free blocks of a depot are changed only under its lock.
        Self(unsafe { Shared::new(Depot::new(class)) })
    }
}

pub(crate) static DEPOTS: [Line; classes::COUNT] = {
    let mut depots = [const { Line::new(0) }; classes::COUNT];
    let mut class = 0;
    while class < classes::COUNT {
        depots[class] = Line::new(class);
        class += 1;
    }
    depots
};

/// Locks the depot of a class.
pub(crate) fn lock(class: usize) -> MutexGuard<'static, SpinLock, Depot> {
    DEPOTS[class].0.lock()
}

/// The period in which the limits of all depots were last lowered.
static AGED: AtomicU32 = AtomicU32::new(0);

/// Lowers the limits of all depots that no thread uses at present, if a period has begun. The caller may hold the lock of
/// one.
#[cold]
fn age_others() {
    let period = unit::period();
    if AGED.swap(period, Relaxed) == period {
        return;
    }
    for line in &DEPOTS[1..] {
        if let Some(mut depot) = line.0.try_lock() {
            depot.limit.age(period);
            let most = depot.limit.bytes(depot.used_bytes());
            depot.pour(most);
        }
    }
}

impl Depot {
    const fn new(class: usize) -> Self {
        Self {
            class,
            full: Magazine::NONE,
            full_bytes: 0,
            limit: Limit::new(),
            current: 0,
            partial: 0,
            spans: 0,
        }
    }

    /// Bytes in the blocks of a full magazine.
    unsafe fn bytes(&self, magazine: Magazine) -> usize {
        // SAFETY: the caller owns the magazine.
        unsafe { magazine.limit() * SIZES[self.class] as usize }
    }

    /// Bytes in spans.
    pub(crate) fn used_bytes(&self) -> usize {
        self.spans * span::bytes(self.class)
    }

    /// Bytes of free blocks in the depot and in its spans, including those never handed out.
    pub(crate) fn free_bytes(&self) -> usize {
        let mut blocks = 0;
        let mut span = self.partial;
        while span != 0 {
            // SAFETY: listed spans are of this class, whose lock is held.
            let record = unsafe { record(span) };
            blocks += usize::from(record.free);
            span = record.next as usize;
        }
        if self.current != 0 {
            // SAFETY: the current span is one of this class, whose lock is held.
            blocks += unsafe { span::free_blocks(self.current) };
        }
        self.full_bytes + blocks * SIZES[self.class] as usize
    }

    /// Takes a full magazine.
    pub(crate) fn take_full(&mut self) -> Option<Magazine> {
        if self.full.is_none() {
            return None;
        }
        let magazine = self.full;
        // SAFETY: the depot owns its magazines.
        unsafe {
            self.full = magazine.link();
            self.full_bytes -= self.bytes(magazine);
        }
        Some(magazine)
    }

    /// Puts a full magazine into the depot, or its blocks back to their spans if the depot has enough; returns the
    /// magazine in the latter case.
    ///
    /// # Safety
    ///
    /// The magazine must be full and belong to the caller.
    pub(crate) unsafe fn put_full(&mut self, magazine: Magazine) -> Option<Magazine> {
        // SAFETY: the caller owns the magazine.
        unsafe {
            let bytes = self.bytes(magazine);
            self.limit.age(unit::period());
            if self.full_bytes + bytes > self.limit.bytes(self.used_bytes()) {
                self.limit.pour();
                self.put_back(magazine.blocks(magazine.full_top()));
                return Some(magazine);
            }
            magazine.set_link(self.full);
            self.full = magazine;
            self.full_bytes += bytes;
        }
        None
    }

    /// Takes up to `blocks.len()` blocks from the spans, in order of addresses within each; returns how many there
    /// were: none only if there is no memory.
    pub(crate) fn take(&mut self, blocks: &mut [usize]) -> usize {
        self.limit.take();
        let mut count = 0;
        while count < blocks.len() {
            let Some(span) = self.next_span() else { break };
            // SAFETY: the span is one of this class, whose lock is held.
            unsafe {
                count += span::take(span, self.class, &mut blocks[count..]);
                if record(span).listed && record(span).free == 0 {
                    self.unlist(span);
                }
            }
        }
        count
    }

    /// Returns a span that has blocks: the fullest of the first partial ones, the current one, or a new one.
    fn next_span(&mut self) -> Option<usize> {
        if let Some(span) = self.fullest() {
            return Some(span);
        }
        // SAFETY: the current span is one of this class, whose lock is held.
        if self.current == 0 || unsafe { span::free_blocks(self.current) } == 0 {
            self.current = span::create(self.class)?;
            self.spans += 1;
            age_others();
        }
        Some(self.current)
    }

    /// Returns the span with the fewest free blocks among the first partial ones.
    fn fullest(&self) -> Option<usize> {
        let (mut best, mut least) = (None, u16::MAX);
        let mut span = self.partial;
        for _ in 0..COMPARED {
            if span == 0 {
                break;
            }
            // SAFETY: listed spans are of this class, whose lock is held.
            let record = unsafe { record(span) };
            if record.free < least {
                (best, least) = (Some(span), record.free);
            }
            span = record.next as usize;
        }
        best
    }

    /// Puts blocks back to their spans, and returns spans without live blocks to the free units.
    ///
    /// # Safety
    ///
    /// The blocks must be of this class and belong to the caller.
    pub(crate) unsafe fn put_back(&mut self, blocks: &[usize]) {
        for &block in blocks {
            // SAFETY: the caller owns the block.
            let span = unsafe { span::put_back(core::ptr::with_exposed_provenance_mut(block)) };
            // SAFETY: the span is one of this class, whose lock is held.
            unsafe {
                if span::is_empty(span) && span != self.current {
                    if record(span).listed {
                        self.unlist(span);
                    }
                    self.spans -= 1;
                    span::destroy(span);
                } else if !record(span).listed && span != self.current {
                    self.list(span);
                }
            }
        }
    }

    /// # Safety
    ///
    /// The span must be one of this class that is not listed.
    unsafe fn list(&mut self, span: usize) {
        // SAFETY: spans of this class may be changed while its lock is held.
        unsafe {
            let this = record(span);
            (this.previous, this.next, this.listed) = (0, self.partial as u32, true);
            if self.partial != 0 {
                record(self.partial).previous = span as u32;
            }
        }
        self.partial = span;
    }

    /// # Safety
    ///
    /// The span must be one of this class that is listed.
    unsafe fn unlist(&mut self, span: usize) {
        // SAFETY: spans of this class may be changed while its lock is held.
        unsafe {
            let this = record(span);
            let (previous, next) = (this.previous as usize, this.next as usize);
            this.listed = false;
            if previous == 0 {
                self.partial = next;
            } else {
                record(previous).next = next as u32;
            }
            if next != 0 {
                record(next).previous = previous as u32;
            }
        }
    }

    /// Puts blocks of full magazines back to their spans, until at most this many bytes are left in magazines.
    fn pour(&mut self, most: usize) {
        while self.full_bytes > most {
            let Some(magazine) = self.take_full() else { break };
            // SAFETY: the depot owned the magazine.
            unsafe {
                self.put_back(magazine.blocks(magazine.full_top()));
                magazine::give_back(magazine);
            }
        }
    }

    /// Puts the blocks of all full magazines back to their spans.
    pub(crate) fn settle(&mut self) {
        self.pour(0);
        let current = self.current;
        // SAFETY: the current span is one of this class, whose lock is held.
        unsafe {
            if current != 0 && span::is_empty(current) {
                self.current = 0;
                self.spans -= 1;
                span::destroy(current);
            }
        }
    }

    /// Whether an address has been handed out as a block of this depot before.
    ///
    /// # Safety
    ///
    /// The address must lie in a span of this class.
    pub(crate) unsafe fn has_carved(&self, address: *const u8) -> bool {
        debug_assert!(region::contains(address));
        // SAFETY: the caller guarantees that the address lies in a span; its lock is held.
        unsafe {
            let place = span::place_of(address);
            place.index < usize::from(record(place.span).carved)
        }
    }
}
