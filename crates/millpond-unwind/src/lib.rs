//! Call stacks of unmodified programs, for the recorder of Millpond: a number for the stack of each call.
//!
//! A stack is walked by the rules that compilers leave in the section `.eh_frame` for exceptions. No frame pointers are
//! needed, and where there is a rule they are not used, because much code has none. Rules are read when an address is
//! first met. Most of the work is saved by comparing instead of walking:
//!
//! 1. `memo` – stacks that the thread has seen. An entry holds all words of memory on which its stack depends. If they
//!    are the same, so is the stack: this is exact, not a guess.
//! 2. `frame`, `walk` – a walk ends as soon as it meets a frame of the last stack from which on nothing has changed.
//! 3. `cache` – rules by address, per thread and per process; nodes by frame, per thread.
//! 4. `nodes` – each frame is a node with the node of its caller as parent, shared by all threads. A stack is the number
//!    of its innermost node.
//! 5. `module`, `cfi` – the module that contains an address, and the rule in it; `rule` – how a step is taken.
//!
//! All state is in [`Process`] and [`Walker`], whose memory the owner provides, zeroed; that of nodes it provides by
//! [`Host`]. The library does not allocate or panic. Where the C library finds modules without a lock (see [`prepare`]), it
//! does not wait for another thread either, and works in signal handlers, even those that interrupt it on the same thread.
//! A handler may also leave it by `siglongjmp`.
//!
//! If a library is unloaded, another may take its place, with other code at the same addresses. The owner calls
//! [`Process::forget_modules`] after each `dlclose`. Modules that the C library unloads on its own are noticed if an
//! address is new in the module that replaces them.
//!
//! It works on Linux on x86-64; elsewhere this library is empty.
#![no_std]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[cfg(test)]
extern crate std;

mod cache;
mod cfi;
mod frame;
mod maps;
mod memo;
mod module;
mod nodes;
mod rule;
mod walk;

use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering::*},
};

use crate::{
    cache::Cache,
    frame::Area,
    memo::Memo,
    module::Met,
    nodes::{NodeCache, Nodes},
    walk::Walk,
};
pub use crate::{
    frame::MOST_FRAMES,
    maps::mapping,
    module::{prepare, prepare_without_search},
    nodes::{CUT, Node, WINDOW, WINDOWS},
};

/// Marks the address of a frame that was found by following bp through code without rules, such as that of a just-in-time
/// compiler, and of all frames outside it. They may not exist, and others may be missing.
pub const GUESSED: u64 = 1 << 63;

/// Marks the address of a frame that was interrupted by a signal: it is that of the next instruction, not a return
/// address.
pub const INTERRUPTED: u64 = 1 << 62;

/// What a walk needs from its owner. All functions may be called in signal handlers.
///
/// # Safety
///
/// The memory that the functions return must be zeroed, writable, aligned for [`Node`], not used for anything else, and
/// never unmapped.
pub unsafe trait Host {
    /// Returns memory for the nodes from number `number * WINDOW` on, [`WINDOW`] of them. If two threads ask for the same
    /// window, only one of the answers is used.
    fn window(&self, number: u32) -> Option<NonNull<Node>>;

    /// Returns memory for tables.
    fn memory(&self, bytes: usize) -> Option<NonNull<u8>>;

    /// Returns the start and the end of the readable memory mapping that contains an address.
    fn mapping(&self, address: u64) -> Option<(u64, u64)>;
}

/// What the threads of a process share. All zeros are valid at first.
#[repr(C)]
pub struct Process {
    generation: AtomicU32,
    nodes: Nodes,
    met: Met,
    rules: Cache<{ 1 << 16 }>,
}

/// What a thread remembers. All zeros are valid at first, and one thread at a time may use it.
#[repr(C)]
pub struct Walker {
    generation: AtomicU32,
    /// How often the thread has asked for the bounds of its stack.
    questions: AtomicU32,
    /// The end of the stack by key 1, and its start by that.
    bounds: Cache<2>,
    areas: [Area; 2],
    memo: Memo,
    rules: Cache<4096>,
    nodes: NodeCache,
}

impl core::fmt::Debug for Process {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Process").field("nodes", &self.node_count()).finish_non_exhaustive()
    }
}

impl core::fmt::Debug for Walker {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Walker").finish_non_exhaustive()
    }
}

impl Process {
    /// Forgets all that is known about modules: one was unloaded, and addresses may have a new meaning. The same stack
    /// has a new number from now on.
    pub fn forget_modules(&self) {
        self.nodes.forget();
        self.generation.fetch_add(1, Release);
    }

    /// Returns how often modules were forgotten.
    pub fn generation(&self) -> u32 {
        self.generation.load(Acquire)
    }

    /// Returns the number of nodes so far.
    pub fn node_count(&self) -> u32 {
        self.nodes.count()
    }

    /// Returns the address in the frame of a node, with its marks, and the node of the caller; `None` if there is no such
    /// node.
    pub fn node(&self, id: u32) -> Option<(u64, u32)> {
        self.nodes.get(id)
    }
}

impl Walker {
    /// Returns the node of the stack of a call: `sp` is the address of the return address, and `bp` the value of rbp at
    /// entry of the called function. At most `limit` frames are walked, counted from the innermost. Returns 0 if there
    /// is no memory.
    ///
    /// # Safety
    ///
    /// There must be such a call on the calling thread. Only this thread may use this value at this time; all calls must
    /// be with the same process, host and limit.
    #[inline(always)]
    pub unsafe fn stack(
        &self,
        process: &Process,
        host: &impl Host,
        sp: usize,
        bp: usize,
        limit: usize,
    ) -> u32 {
        let (sp, bp) = (sp as u64, bp as u64);
        let generation = process.generation.load(Acquire);
        if generation != self.generation.load(Relaxed) {
            self.renew(generation);
        }
        if self.memo.is_in_use() {
            // SAFETY: the caller guarantees this call.
            let known = unsafe { self.memo.find(sp, bp) };
            if let Some(node) = known {
                return node;
            }
        }
        let walk = Walk { walker: self, process, host, generation };
        // SAFETY: the caller guarantees this call.
        unsafe { walk.stack(sp, bp, limit.clamp(1, MOST_FRAMES)) }
    }

    /// Returns the node of a stack of which only the innermost frame is known, by its return address. Returns 0 if there
    /// is no memory.
    #[inline(always)]
    pub fn caller(&self, process: &Process, host: &impl Host, ip: usize) -> u32 {
        Walk { walker: self, process, host, generation: 0 }.caller(ip as u64)
    }

    /// Forgets the stacks that were seen. Call when another thread begins to use this value.
    pub fn forget_stacks(&self) {
        self.memo.forget();
        for area in &self.areas {
            area.forget();
        }
        self.questions.store(0, Relaxed);
    }

    #[cold]
    fn renew(&self, generation: u32) {
        self.forget_stacks();
        self.generation.store(generation, Relaxed);
    }

    /// Counts a question; returns whether there were fewer than `most`.
    fn may_ask(&self, most: u32) -> bool {
        let asked = self.questions.load(Relaxed);
        self.questions.store(asked.saturating_add(1), Relaxed);
        asked < most
    }
}

/// Reads a word.
///
/// # Safety
///
/// It must be readable, by any code: it may be a local variable of another function.
#[inline(always)]
unsafe fn word(address: u64) -> u64 {
    // SAFETY: the caller guarantees that.
    unsafe { core::ptr::with_exposed_provenance::<u64>(address as usize).read_volatile() }
}
