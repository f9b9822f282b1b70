//! What a thread has of the heap: for each class the top of a magazine, in thread-local memory, and spare magazines.
//!
//! Rust's thread-locals are reached through a function of the dynamic linker, which may itself call `malloc`. So the
//! tops are declared in assembly, with the access model for libraries that are loaded at the start ("initial exec").
//! They begin as tops of the vacant magazine, so that the first call for a class takes the cold path.

use core::{
    cell::Cell,
    ptr::null_mut,
    sync::atomic::{AtomicPtr, AtomicU32, Ordering::*},
};

use crate::{
    classes::{self, SIZES},
    depot,
    magazine::{self, Magazine},
    os,
    quarantine::Quarantine,
    random::Random,
    settings,
    shared::Shared,
};

/// The word of a thread that holds the address of its record; the tops come before it, two for each class. The hot paths
/// use the first ones. In [`Mode::Full`](settings::Mode::Full) these stay vacant, so that every call takes the cold
/// path, which uses the second ones.
const SIDE: usize = 2 * classes::COUNT;

mod place {
    use super::SIDE;

    core::arch::global_asm!(
        ".pushsection .tdata,\"awT\",@progbits",
        ".globl millpond_malloc_tops",
        ".hidden millpond_malloc_tops",
        ".type millpond_malloc_tops, @object",
        ".size millpond_malloc_tops, 8 * {words}",
        ".p2align 4",
        "millpond_malloc_tops:",
        ".rept {count}",
        ".quad {vacant} + 504",
        ".endr",
        ".quad 0",
        ".popsection",
        words = const SIDE + 1,
        count = const SIDE,
        vacant = sym crate::magazine::VACANT,
    );

    /// Returns the distance of the tops from the thread pointer.
    #[inline(always)]
    pub(super) fn offset() -> usize {
        let offset: usize;
        // SAFETY: reads a constant of the dynamic linker.
        unsafe {
            core::arch::asm!(
                "mov {offset}, qword ptr [rip + millpond_malloc_tops@GOTTPOFF]",
                offset = out(reg) offset,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        offset
    }

    /// Returns a word of this thread.
    #[inline(always)]
    pub(super) fn get(offset: usize, index: usize) -> usize {
        debug_assert!(index <= SIDE);
        let word: usize;
        // SAFETY: the index is that of a word of this thread.
        unsafe {
            core::arch::asm!(
                "mov {word}, qword ptr fs:[{offset} + {index} * 8]",
                word = out(reg) word,
                offset = in(reg) offset,
                index = in(reg) index,
                options(readonly, nostack, preserves_flags),
            );
        }
        word
    }

    /// Sets a word of this thread.
    #[inline(always)]
    pub(super) fn set(offset: usize, index: usize, word: usize) {
        debug_assert!(index <= SIDE);
        // SAFETY: the index is that of a word of this thread.
        unsafe {
            core::arch::asm!(
                "mov qword ptr fs:[{offset} + {index} * 8], {word}",
                word = in(reg) word,
                offset = in(reg) offset,
                index = in(reg) index,
                options(nostack, preserves_flags),
            );
        }
    }
}

/// The tops of the calling thread.
#[derive(Clone, Copy)]
pub(crate) struct Tops(usize);

impl Tops {
    #[inline(always)]
    pub(crate) fn of_thread() -> Self {
        Self(place::offset())
    }

    /// Returns the top of the magazine of a class.
    #[inline(always)]
    pub(crate) fn get(self, class: usize) -> *mut usize {
        core::ptr::with_exposed_provenance_mut(place::get(self.0, class))
    }

    #[inline(always)]
    pub(crate) fn set(self, class: usize, top: *mut usize) {
        place::set(self.0, class, top.expose_provenance());
    }

    /// Returns the index under which the magazine of a class is, for cold paths.
    pub(crate) fn index(class: usize) -> usize {
        if settings::full() { classes::COUNT + class } else { class }
    }
}

/// Bytes of blocks that a thread keeps of a class, in each of two magazines.
const MOST_BYTES: usize = 16 << 10;
/// Blocks in a thread's first magazine of a class; each later one has twice as many.
const FIRST_LIMIT: u8 = 8;

/// The rest of what a thread has.
pub(crate) struct Side {
    /// A full magazine of each class, or none. Any thread may take it.
    pub(crate) spares: [magazine::Place; classes::COUNT],
    /// Blocks in the next magazine of each class.
    limits: [Cell<u8>; classes::COUNT],
    /// An empty magazine, or none.
    empty: Cell<Magazine>,
    /// Random numbers of this thread.
    pub(crate) random: Random,
    /// Freed blocks whose reuse is delayed.
    pub(crate) quarantine: Quarantine,
    /// The next unused record.
    next: Cell<*mut Side>,
    /// The record that was created before this one.
    older: *const Side,
}

/// The word of a thread whose end has begun: it keeps no blocks.
const ENDED: usize = 1;

/// Records that no thread uses, linked.
pub(crate) static UNUSED: Shared<*mut Side> =
    // SAFETY: the records of ended threads are reached only from here, and by `flush_spares`, which uses what does not
    // change and the places of spares, which any thread may use.
    unsafe { Shared::new(null_mut()) };

/// The record that was created last. Records are never destroyed.
static NEWEST: AtomicPtr<Side> = AtomicPtr::new(null_mut());

/// The key whose destructor notices the end of a thread.
static KEY: AtomicU32 = AtomicU32::new(NO_KEY);
/// There is no key: keys are small numbers.
const NO_KEY: u32 = u32::MAX;

/// Prepares to notice the ends of threads.
pub(crate) fn initialize() {
    let mut key = 0;
    // SAFETY: `end` is a valid destructor; the library is never unloaded.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(end)) } == 0 {
        KEY.store(key, Relaxed);
    }
}

/// Returns the record of the calling thread, or `None` if the thread is ending or there is no memory.
pub(crate) fn side() -> Option<&'static Side> {
    let offset = place::offset();
    match place::get(offset, SIDE) {
        0 => begin(offset),
        ENDED => None,
        // SAFETY: the word is the address of this thread's record, which is never unmapped.
        record => Some(unsafe { &*core::ptr::with_exposed_provenance::<Side>(record) }),
    }
}

/// Gives the calling thread a record.
#[cold]
fn begin(offset: usize) -> Option<&'static Side> {
    let side = take_record()?;
    place::set(offset, SIDE, side.expose_provenance());
    // After the record is set, because this may allocate.
    let key = KEY.load(Relaxed);
    if key != NO_KEY {
        // SAFETY: the key exists, and the value is not null.
        unsafe { libc::pthread_setspecific(key, side.cast()) };
    }
    // SAFETY: the record belongs to this thread.
    Some(unsafe { &*side })
}

/// Takes an unused record or maps new ones.
fn take_record() -> Option<*mut Side> {
    const BYTES: usize = size_of::<Side>().next_multiple_of(64);
    const BATCH: usize = 16;
    let mut unused = UNUSED.lock();
    if unused.is_null() {
        let memory = os::map(BATCH * BYTES)?.as_ptr();
        for index in 0..BATCH {
            let side = memory.wrapping_add(index * BYTES).cast::<Side>();
            // SAFETY: the memory is new, and aligned to a page.
            unsafe {
                side.write(Side {
                    spares: [const { magazine::Place::new() }; classes::COUNT],
                    limits: [const { Cell::new(FIRST_LIMIT) }; classes::COUNT],
                    empty: Cell::new(Magazine::NONE),
                    random: Random::new(),
                    quarantine: Quarantine::new(),
                    next: Cell::new(*unused),
                    older: NEWEST.load(Relaxed),
                });
            }
            *unused = side;
            // Only the holder of the lock of unused records creates records.
            NEWEST.store(side, Release);
        }
    }
    let side = *unused;
    // SAFETY: an unused record belongs to the holder of the lock.
    *unused = unsafe { (*side).next.get() };
    Some(side)
}

impl Side {
    /// Returns the number of blocks in the next magazine of a class, and doubles it for the one after that.
    pub(crate) fn next_limit(&self, class: usize) -> usize {
        let most = (MOST_BYTES / SIZES[class] as usize).clamp(1, magazine::MOST);
        let limit = usize::from(self.limits[class].get()).min(most);
        self.limits[class].set((limit * 2).min(most) as u8);
        limit
    }

    /// Takes a magazine with arbitrary contents.
    pub(crate) fn take_empty(&self) -> Option<Magazine> {
        let magazine = self.empty.replace(Magazine::NONE);
        if magazine.is_none() { magazine::take() } else { Some(magazine) }
    }

    /// Keeps a magazine without blocks, or gives it back.
    ///
    /// # Safety
    ///
    /// The magazine must belong to the caller, who must not use it any more.
    pub(crate) unsafe fn keep_empty(&self, magazine: Magazine) {
        let other = self.empty.replace(magazine);
        if !other.is_none() {
            // SAFETY: the magazine belonged to this thread.
            unsafe { magazine::give_back(other) };
        }
    }
}

/// Returns everything that the calling thread keeps to the depots. Later frees of this thread go there directly.
unsafe extern "C" fn end(_: *mut libc::c_void) {
    let offset = place::offset();
    let record = place::get(offset, SIDE);
    if record > ENDED {
        os::keeping_errno(|| {
            place::set(offset, SIDE, ENDED);
            // SAFETY: the word was the address of this thread's record.
            let side = unsafe { &*core::ptr::with_exposed_provenance::<Side>(record) };
            flush(side);
            let mut unused = UNUSED.lock();
            side.next.set(*unused);
            *unused = (&raw const *side).cast_mut();
        });
    }
}

/// Returns all blocks and magazines that the calling thread keeps.
pub(crate) fn flush(side: &Side) {
    let tops = Tops::of_thread();
    for class in 1..classes::COUNT {
        side.quarantine.drain(class, |blocks| {
            // SAFETY: the quarantine owned the blocks.
            unsafe { depot::lock(class).put_back(blocks) };
        });
        let index = Tops::index(class);
        let top = tops.get(index);
        tops.set(index, magazine::vacant());
        let spare = side.spares[class].take();
        let current = Magazine::of(top).map(|magazine| (magazine, top));
        // SAFETY: the thread owns its magazines; a spare is full.
        unsafe {
            let spare = (!spare.is_none()).then(|| (spare, spare.full_top()));
            for (magazine, top) in current.into_iter().chain(spare) {
                depot::lock(class).put_back(magazine.blocks(top));
                magazine::give_back(magazine);
            }
        }
        side.limits[class].set(FIRST_LIMIT);
    }
    let empty = side.empty.replace(Magazine::NONE);
    if !empty.is_none() {
        // SAFETY: the magazine belonged to this thread.
        unsafe { magazine::give_back(empty) };
    }
}

/// Returns the blocks of the spare magazines of all threads. Those of the magazines in use stay: a thread changes these
/// without synchronisation.
pub(crate) fn flush_spares() {
    let mut record = NEWEST.load(Acquire).cast_const();
    // SAFETY: records are never unmapped, and are complete when they become the newest.
    while let Some(side) = unsafe { record.as_ref() } {
        for class in 1..classes::COUNT {
            let spare = side.spares[class].take();
            if !spare.is_none() {
                // SAFETY: the magazine was taken, and a spare is full.
                unsafe {
                    depot::lock(class).put_back(spare.blocks(spare.full_top()));
                    magazine::give_back(spare);
                }
            }
        }
        record = side.older;
    }
}
