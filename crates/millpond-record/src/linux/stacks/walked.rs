//! Stacks by `millpond_unwind`.

use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU8, AtomicU32, Ordering::*},
};

use millpond_trace::raw::{self, Control, caller_of_stack};
use millpond_unwind::{self as unwind, Host, Node, Walker, mapping};

use super::{
    Site, check,
    memory::{self, pause, shared},
};
use crate::linux::{
    clock::{self, ticks},
    log,
    path::Path,
    process::Process,
    recording,
    sys::{self, File, Quiet},
    thread,
};

/// Max frames in a stack.
static FRAMES: AtomicU32 = AtomicU32::new(0);
/// Mask of the number of allocations between two that are measured.
static OFTEN: AtomicU8 = AtomicU8::new(u8::MAX);
/// Whether frees have stacks.
static OF_FREES: AtomicU32 = AtomicU32::new(0);

/// Reads the options. Called once, before anything is logged. Makes no system calls if `calls` is false, except those that
/// map memory.
pub(crate) fn prepare(control: &Control, calls: bool) {
    let frames = control.frames.load(Relaxed);
    if frames == 0 {
        return;
    }
    let thread = thread::current();
    // SAFETY: a thread's state exists as long as the thread. While it is busy, what a look-up allocates is not logged.
    unsafe {
        let before = core::mem::replace(&mut (*thread).busy, true);
        unwind::prepare();
        (*thread).busy = before;
    }
    if check::prepare(control) {
        OFTEN.store(0, Relaxed);
    }
    FRAMES.store(frames, Relaxed);
    OF_FREES.store(control.free_stacks.load(Relaxed), Relaxed);
    memory::prepare(calls);
}

/// Returns what is logged as the caller of an allocation.
#[inline(always)]
pub(crate) fn of_allocation(site: Site) -> usize {
    let thread = thread::current();
    // SAFETY: a thread's state exists as long as the thread; its walker is never unmapped.
    unsafe {
        let (Some(shared), Some(walker)) = (shared(), (*thread).walker.as_ref()) else {
            return if (*thread).stream.is_null() { first(site) } else { site.caller() };
        };
        (*thread).turn = (*thread).turn.wrapping_add(1);
        if (*thread).turn & OFTEN.load(Relaxed) == 0 {
            return measured(shared, walker, site);
        }
        walk(shared, walker, site)
    }
}

#[inline(always)]
fn walk(shared: &unwind::Process, walker: &Walker, site: Site) -> usize {
    // SAFETY: `entry` passes the registers of the call, and only this thread uses its walker.
    match unsafe { walker.stack(shared, &Files, site.at, site.frame, FRAMES.load(Relaxed) as usize) } {
        0 => site.caller(),
        stack => caller_of_stack(stack),
    }
}

/// Ticks that a walk is counted as at most: what takes longer was interrupted.
const LONGEST: u64 = 1 << 14;

/// Walks a stack, measures how long that takes, and compares it if that is asked for.
#[cold]
#[inline(never)]
fn measured(shared: &unwind::Process, walker: &Walker, site: Site) -> usize {
    let clock = !clock::is_forbidden();
    let begin = if clock { ticks() } else { 0 };
    let caller = walk(shared, walker, site);
    let often = u64::from(OFTEN.load(Relaxed)) + 1;
    let spent = if clock { ticks().wrapping_sub(begin).min(LONGEST) } else { 0 };
    if let Some(process) = recording::process() {
        process.add_stack_ticks(spent * often);
    }
    check::compare(shared, site.caller(), caller);
    caller
}

/// Returns what is logged as the caller of a free.
#[inline(always)]
pub(crate) fn of_free(site: Site) -> usize {
    if OF_FREES.load(Relaxed) == 0 { site.caller() } else { of_allocation(site) }
}

/// Copies the list of mappings before a library may be unloaded; returns the number of the copy.
pub(crate) fn before_unload() -> Option<u32> {
    memory::all()?;
    log::with_process(|process, _, quiet| process.before_unload(quiet.may_call()))?
}

/// Forgets what is known about modules, because one was unloaded.
pub(crate) fn after_unload(maps: Option<u32>) {
    // Even while stacks are not walked: they may be again.
    let Some(memory) = memory::all() else { return };
    memory.forget_modules();
    if let Some(maps) = maps {
        log::with_process(|process, _, quiet| process.after_unload(maps, quiet.may_call()));
    }
}

/// Returns what is logged as the caller for a thread without a stream: it may have logged nothing so far.
#[cold]
#[inline(never)]
fn first(site: Site) -> usize {
    let thread = thread::current();
    // SAFETY: a thread's state exists as long as the thread.
    unsafe {
        if !(*thread).ending {
            log::prepare();
        }
        if shared().is_none() || (*thread).walker.is_null() {
            return site.caller();
        }
    }
    of_allocation(site)
}

impl Site {
    /// Returns the return address.
    #[inline(always)]
    pub(crate) fn caller(self) -> usize {
        // SAFETY: `entry` passes the address of the return address, which stays there until the hook returns.
        unsafe { *core::ptr::with_exposed_provenance::<usize>(self.at) }
    }
}

/// Memory for nodes in the file of this process, and other memory that `fork` clears.
struct Files;

// SAFETY: the mappings are new, zeroed and permanent, except that a window may be mapped twice, from the same place in
// the file, of which only one mapping is used.
unsafe impl Host for Files {
    fn window(&self, number: u32) -> Option<NonNull<Node>> {
        let map = |process: &Process, quiet: &Quiet| process.nodes(number, quiet.may_call());
        let window = log::with_process(|process, _, quiet| map(process, quiet))?;
        if window.is_err() {
            pause();
        }
        NonNull::new(window.ok()?.cast())
    }

    fn memory(&self, bytes: usize) -> Option<NonNull<u8>> {
        let take = |process: &Process, quiet: &Quiet| {
            let mapped = if quiet.may_call() { sys::forgetful_bytes(bytes) } else { Err(0) };
            mapped.or_else(|_| process.memory_in_reserve(bytes, quiet.may_call()))
        };
        let memory = log::with_process(|process, _, quiet| take(process, quiet))?;
        NonNull::new(memory.ok()?)
    }

    fn mapping(&self, address: u64) -> Option<(u64, u64)> {
        let quiet = Quiet::begin();
        let found = if quiet.may_call() {
            let file = File::open(&Path::fixed(c"/proc/self/maps"), libc::O_RDONLY);
            file.ok().and_then(|file| mapping(address, |buffer| file.read(buffer)))
        } else {
            None
        };
        drop(quiet);
        found
    }
}

const _: () = {
    assert!(
        raw::GUESSED == unwind::GUESSED && raw::INTERRUPTED == unwind::INTERRUPTED && raw::CUT == unwind::CUT
    );
    assert!(size_of::<raw::Node>() == size_of::<Node>());
    assert!(raw::NODES == unwind::WINDOW && raw::NODE_UNITS as usize == unwind::WINDOWS);
};
