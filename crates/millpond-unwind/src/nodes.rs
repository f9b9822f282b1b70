//! Nodes: the frames of all stacks, each with the frame of its caller, so that stacks share what they have in common.
//! The number of a node stands for the whole stack that ends there.

use core::{
    ptr::{NonNull, null_mut},
    sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::*},
};

use crate::{
    Host,
    cache::{Cache, hash},
};

/// A frame in a stack; all zeros where there is none yet.
#[repr(C, align(16))]
#[derive(Debug, Default)]
pub struct Node {
    /// The return address in the frame, with the marks [`GUESSED`](crate::GUESSED) and
    /// [`INTERRUPTED`](crate::INTERRUPTED). Stored last.
    pub ip: AtomicU64,
    /// The node of the caller's frame; 0: none; [`CUT`]: unknown.
    pub parent: AtomicU32,
    reserved: AtomicU32,
}

/// Nodes in a window: as many as leave room for a head of 64 bytes in 64 KiB.
pub const WINDOW: usize = 4092;

/// The parent of the outermost known frame of a stack that was cut off.
pub const CUT: u32 = 1;

/// The number of the first node that is a frame.
const FIRST: u32 = 2;

/// Max windows: 16 million nodes.
pub const WINDOWS: usize = 4096;

/// Entries in a thread's cache of nodes.
pub(crate) const CACHED: usize = 1 << 15;

/// The cache of a thread: keyed by address, with the parent in the upper half of the value and the number in the lower.
pub(crate) type NodeCache = Cache<CACHED>;

/// Places that are searched before a node is stored outside the index.
const PROBES: u32 = 128;

/// Bits of the number of places in the first index.
const SMALLEST: u32 = 13;

/// All nodes of a process.
#[repr(C)]
pub(crate) struct Nodes {
    /// Number of nodes so far.
    count: AtomicU32,
    /// Frames without a known caller are not shared with nodes before this number.
    floor: AtomicU32,
    /// Bits of the number of places in the index that was last begun.
    begun: AtomicU32,
    index: AtomicPtr<Index>,
    windows: [AtomicPtr<Node>; WINDOWS],
}

/// The head of an open-addressed hash table of node numbers; the places follow it.
#[repr(C)]
struct Index {
    bits: u32,
    places: [AtomicU32; 0],
}

impl Index {
    /// Returns a place.
    ///
    /// # Safety
    ///
    /// The index must have been made by [`Nodes::grow`].
    unsafe fn place<'a>(index: *const Self, hash: u64, probe: u32) -> &'a AtomicU32 {
        // SAFETY: the caller guarantees an index, which is never unmapped, with as many places behind it as `bits` says.
        unsafe {
            let bits = (*index).bits;
            let place = ((hash >> (64 - bits)) as usize + probe as usize) & ((1 << bits) - 1);
            &*index.add(1).cast::<AtomicU32>().add(place)
        }
    }
}

impl Nodes {
    /// Returns the address and the parent of a node.
    pub(crate) fn get(&self, id: u32) -> Option<(u64, u32)> {
        let window = self.windows.get(id as usize / WINDOW)?.load(Acquire);
        // SAFETY: a window has that many nodes, is never unmapped, and consists of atomics.
        let node = unsafe { window.add(id as usize % WINDOW).as_ref() }.filter(|_| !window.is_null())?;
        let ip = node.ip.load(Acquire);
        (ip != 0).then(|| (ip, node.parent.load(Relaxed)))
    }

    /// Returns the number of nodes so far.
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Relaxed)
    }

    /// From now on, nodes have new numbers, because addresses have a new meaning.
    pub(crate) fn forget(&self) {
        self.floor.store(self.count.load(Relaxed) + FIRST, Relaxed);
    }

    /// Returns the number of the node with this address and parent; `None` if there is no memory.
    #[inline(always)]
    pub(crate) fn intern(&self, cache: &NodeCache, host: &impl Host, ip: u64, parent: u32) -> Option<u32> {
        let hash = hash(ip, parent.into());
        if let Some(value) = cache.get(hash, ip)
            && (value >> 32) as u32 == parent
            && self.is_current(value as u32, parent)
        {
            return Some(value as u32);
        }
        let id = self.find(host, hash, ip, parent)?;
        cache.put(hash, ip, u64::from(parent) << 32 | u64::from(id));
        Some(id)
    }

    /// Returns whether the number was given since [`Nodes::forget`]; a node with a parent is as new as that.
    #[inline(always)]
    fn is_current(&self, id: u32, parent: u32) -> bool {
        parent > CUT || id >= self.floor.load(Relaxed)
    }

    /// Finds a node in the index, or adds it.
    #[inline(never)]
    fn find(&self, host: &impl Host, hash: u64, ip: u64, parent: u32) -> Option<u32> {
        let mut new = 0;
        let index = self.index.load(Acquire);
        if !index.is_null() {
            for probe in 0..PROBES {
                // SAFETY: the index was made by `grow`.
                let place = unsafe { Index::place(index, hash, probe) };
                let mut id = place.load(Acquire);
                if id == 0 {
                    if new == 0 {
                        new = self.add(host, ip, parent)?;
                    }
                    match place.compare_exchange(0, new, AcqRel, Acquire) {
                        Ok(_) => break,
                        Err(other) => id = other,
                    }
                }
                if self.get(id) == Some((ip, parent)) && self.is_current(id, parent) {
                    return Some(id);
                }
            }
        }
        // Two threads may give the same frame two numbers, which costs no more than that.
        let id = if new == 0 { self.add(host, ip, parent)? } else { new };
        self.grow_if_full(host);
        Some(id)
    }

    /// Adds a node.
    fn add(&self, host: &impl Host, ip: u64, parent: u32) -> Option<u32> {
        if self.count() as usize >= WINDOWS * WINDOW {
            return None;
        }
        let id = self.count.fetch_add(1, Relaxed) + FIRST;
        let window = self.windows.get(id as usize / WINDOW)?;
        if window.load(Acquire).is_null() {
            let memory = host.window(id / WINDOW as u32)?.as_ptr();
            // If another thread was first, this memory is not used.
            let _ = window.compare_exchange(null_mut(), memory, AcqRel, Acquire);
        }
        // SAFETY: a window has that many nodes, and is never unmapped.
        let node = unsafe { &*window.load(Acquire).add(id as usize % WINDOW) };
        node.parent.store(parent, Relaxed);
        node.ip.store(ip, Release);
        Some(id)
    }

    /// Begins a larger index if more than half of the present one is used. If a signal handler never returns here, that
    /// index is never finished; the next one is begun when twice as many nodes have come.
    fn grow_if_full(&self, host: &impl Host) {
        let goal = (self.count().saturating_mul(2) + 1).checked_next_power_of_two().map_or(31, u32::ilog2);
        let (goal, begun) = (goal.max(SMALLEST), self.begun.load(Relaxed));
        if goal > begun
            && self.begun.compare_exchange(begun, goal, AcqRel, Relaxed).is_ok()
            && let Some(memory) = host.memory(size_of::<Index>() + (size_of::<AtomicU32>() << goal))
        {
            self.grow(memory, goal);
        }
    }

    /// Fills a new index with all nodes that are in use, and publishes it. What other threads add to the old one
    /// meanwhile gets a second number when it comes next.
    fn grow(&self, memory: NonNull<u8>, bits: u32) {
        let index = memory.cast::<Index>().as_ptr();
        // SAFETY: the memory is zeroed, large enough, and only used here so far.
        unsafe { (*index).bits = bits };
        for id in self.floor.load(Relaxed).max(FIRST)..self.count().saturating_add(FIRST) {
            let Some((ip, parent)) = self.get(id) else { continue };
            let hash = hash(ip, parent.into());
            // SAFETY: the index has the places that `bits` says.
            let mut places = (0..PROBES).map(|probe| unsafe { Index::place(index, hash, probe) });
            if let Some(place) = places.find(|place| place.load(Relaxed) == 0) {
                place.store(id, Relaxed);
            }
        }
        let mut old = self.index.load(Acquire);
        // SAFETY: an index is never unmapped.
        while unsafe { old.as_ref() }.is_none_or(|old| old.bits < bits) {
            match self.index.compare_exchange(old, index, AcqRel, Acquire) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
    }
}

const _: () = assert!(size_of::<Node>() == 16 && align_of::<Index>() == 4 && size_of::<Index>() == 4);
