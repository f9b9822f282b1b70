//! The peers from C++, with their loops on the other side: see `cpp/peers.cc`.

use std::{alloc::Layout, ffi::c_int};

use crate::harness::Runner;

#[repr(C)]
pub struct Raw {
    _private: [u8; 0],
}

unsafe extern "C" {
    fn peer_new(which: c_int) -> *mut Raw;
    fn peer_drop(peer: *mut Raw);
    fn peer_take(peer: *mut Raw) -> *mut u8;
    fn peer_give(peer: *mut Raw, block: *mut u8);
    fn peer_pair(peer: *mut Raw, pairs: usize) -> usize;
    fn peer_lifo(peer: *mut Raw, pairs: usize) -> usize;
    fn peer_fifo(peer: *mut Raw, pairs: usize) -> usize;
    fn peer_churn(peer: *mut Raw, pairs: usize) -> usize;
    fn peer_latency(peer: *mut Raw, ticks: *mut u32, pairs: usize);
    fn peer_monotonic_latency(sizes: *const usize, count: usize, ticks: *mut u32, most: usize);
    fn peer_monotonic(sizes: *const usize, count: usize, rounds: usize);
}

/// One pool from C++.
pub struct Peer(*mut Raw);

const NAMES: [&str; 2] = ["boost::pool", "pmr::unsynchronized_pool"];

/// A loop over one workload.
pub type Loop = unsafe extern "C" fn(*mut Raw, usize) -> usize;

pub const PAIR: Loop = peer_pair;
pub const LIFO: Loop = peer_lifo;
pub const FIFO: Loop = peer_fifo;
pub const CHURN: Loop = peer_churn;

impl Peer {
    /// The one with this number, new, with its name.
    pub fn nth(which: usize) -> Option<(&'static str, Self)> {
        let name = NAMES.get(which)?;
        // SAFETY: the function takes any number.
        let raw = unsafe { peer_new(which as c_int) };
        if raw.is_null() {
            eprintln!("skipped: {name}, whose headers were not there at compile time (libboost-dev)");
        }
        (!raw.is_null()).then_some((name, Self(raw)))
    }

    /// All that there are.
    pub fn all() -> impl Iterator<Item = (&'static str, Self)> {
        (0..NAMES.len()).filter_map(Self::nth)
    }

    /// A block of 64 bytes, by a call that is not inlined.
    pub fn take(&mut self) -> *mut u8 {
        // SAFETY: the peer is alive.
        unsafe { peer_take(self.0) }
    }

    /// # Safety
    /// The block was taken from here and is given back once.
    pub unsafe fn give(&mut self, block: *mut u8) {
        // SAFETY: the peer is alive; the caller's promise.
        unsafe { peer_give(self.0, block) }
    }

    /// The ticks of both halves of so many replacements.
    pub fn latency(&mut self, pairs: usize) -> Vec<u32> {
        let mut ticks = vec![0; 2 * pairs];
        // SAFETY: there is room for two numbers for each pair, and the peer is alive.
        unsafe { peer_latency(self.0, ticks.as_mut_ptr(), pairs) };
        ticks
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // SAFETY: the peer is alive, and nobody uses it any more.
        unsafe { peer_drop(self.0) }
    }
}

/// Everyone from C++ at one workload.
pub fn runners(workload: Loop) -> impl Iterator<Item = Runner> {
    Peer::all().map(move |(name, peer)| {
        let run = move |pairs| {
            // All of the peer is captured, so it lives as long as the runner.
            let peer = &peer;
            // SAFETY: the peer is alive.
            unsafe { workload(peer.0, pairs) }
        };
        Runner { name, run: Box::new(run) }
    })
}

/// Fills a monotonic resource with blocks of these sizes and releases it, so many times.
pub fn monotonic(sizes: &[usize], rounds: usize) {
    // SAFETY: there are so many sizes.
    unsafe { peer_monotonic(sizes.as_ptr(), sizes.len(), rounds) }
}

/// The ticks of so many operations on a monotonic resource: allocations of these layouts, and a release after each turn.
pub fn monotonic_latency(layouts: &[Layout], operations: usize) -> Vec<u32> {
    let sizes: Vec<usize> = layouts.iter().map(Layout::size).collect();
    let mut ticks = vec![0; operations];
    // SAFETY: there are so many sizes, and there is room for so many numbers.
    unsafe { peer_monotonic_latency(sizes.as_ptr(), sizes.len(), ticks.as_mut_ptr(), operations) };
    ticks
}
