//! The contenders: Millpond's shells, a hand-written magazine per thread, and the peers.

use std::{cell::UnsafeCell, ptr::NonNull, sync::Mutex};

use millpond::{
    Allocator, Blocks, Cached, Classes, Fixed, Heap, Locked,
    lock::SpinLock,
    shell::{OwnerHandle, RemoteFree},
};

use super::{
    Entrant, job,
    workloads::{Handoff, ON_THE_WAY, Workload},
};
use crate::{
    contenders::{Contender, LAYOUT, Ours, SIZE, pointer},
    variable::{GLIBC, JEMALLOC, MIMALLOC, SNMALLOC, tcmalloc},
};

pub fn everyone<W: Workload>() -> Vec<Entrant> {
    let mut jobs = vec![
        job::<W, _>("hand-written magazine", HandWritten),
        job::<W, _>(
            "Cached<Blocks<Fixed<64>>>",
            Ours::<_, true>::new(Cached::new(Blocks::<Fixed<SIZE>>::new())),
        ),
        job::<W, _>("Cached<Classes>, run-time layout", Ours::<_, false>::new(Cached::new(Classes::new()))),
        job::<W, _>(
            "Locked<Blocks<Fixed<64>>>",
            Ours::<_, true>::new(Locked::<_>::new(Blocks::<Fixed<SIZE>>::new())),
        ),
        job::<W, _>(
            "Locked<…, Spin>",
            Ours::<_, true>::new(Locked::<_, _, SpinLock>::new_in(Blocks::<Fixed<SIZE>>::new(), Heap)),
        ),
        job::<W, _>("glibc", GLIBC),
        job::<W, _>("mimalloc", MIMALLOC),
        job::<W, _>("jemalloc", JEMALLOC),
        job::<W, _>("snmalloc", SNMALLOC),
    ];
    jobs.extend(tcmalloc().map(|tcmalloc| job::<W, _>("tcmalloc", tcmalloc)));
    jobs
}

/// All contenders, `RemoteFree`, which is made for this, and no allocator, to measure the workload itself.
pub fn handing_over<const READ: bool>() -> Vec<Entrant> {
    let mut jobs = everyone::<Handoff<READ>>();
    jobs.push(job::<Handoff<READ>, _>("RemoteFree, one owner", Mail::new()));
    jobs.push(job::<Handoff<READ>, _>("the ring alone", NoAllocator::new()));
    jobs
}

/// All contenders, and no allocator, to measure the workload itself.
pub fn in_bursts<W: Workload>() -> Vec<Entrant> {
    let mut jobs = everyone::<W>();
    jobs.push(job::<W, _>("the bursts alone", NoAllocator::new()));
    jobs
}

/// The pool of one thread, to which the other thread frees blocks.
#[derive(Clone, Copy)]
struct Mail {
    remote_free: &'static RemoteFree<Fixed<SIZE>>,
    owner: &'static OwnerHandle<'static, Fixed<SIZE>, millpond::source::DefaultParent>,
}

// SAFETY: of the two threads, only the first allocates blocks and collects those that were freed remotely.
unsafe impl Send for Mail {}
// SAFETY: of the two threads, only the first allocates blocks and collects those that were freed remotely.
unsafe impl Sync for Mail {}

impl Mail {
    fn new() -> Self {
        let remote_free: &'static RemoteFree<_> = Box::leak(Box::new(RemoteFree::new(Blocks::new())));
        Self { remote_free, owner: Box::leak(Box::new(remote_free.try_own().expect("it has no owner"))) }
    }
}

impl Contender for Mail {
    type Block = *mut u8;

    #[inline(always)]
    fn take(&mut self) -> *mut u8 {
        pointer(self.owner.allocate(LAYOUT))
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8) {
        // SAFETY: the caller frees a block of this pool once, and the block is not null.
        unsafe { self.remote_free.deallocate(NonNull::new_unchecked(block), LAYOUT) };
    }
}

/// Hands out the same blocks in turn: twice as many as a thread has at a time, so that a block is free when its turn
/// comes again.
#[derive(Clone, Copy)]
struct NoAllocator {
    blocks: *mut [u64; SIZE / 8],
    next: usize,
}

// SAFETY: each block is used only by the thread to which it was handed out.
unsafe impl Send for NoAllocator {}
// SAFETY: each block is used only by the thread to which it was handed out.
unsafe impl Sync for NoAllocator {}

impl NoAllocator {
    fn new() -> Self {
        Self { blocks: Vec::leak(vec![[0; SIZE / 8]; 2 * ON_THE_WAY]).as_mut_ptr(), next: 0 }
    }
}

impl Contender for NoAllocator {
    type Block = *mut u8;

    #[inline(always)]
    fn take(&mut self) -> *mut u8 {
        self.next = (self.next + 1) % (2 * ON_THE_WAY);
        // SAFETY: the index is below the number of blocks.
        unsafe { self.blocks.add(self.next).cast() }
    }

    #[inline(always)]
    unsafe fn give(&mut self, _: *mut u8) {}
}

/// The lower bound: a hand-written array of free blocks per thread; a full array moves half of its blocks to a list
/// under a mutex, and an empty one takes half from there. It grows only from the heap, and does not pass on blocks when
/// a thread ends.
#[derive(Clone, Copy)]
struct HandWritten;

const PLACES: usize = 64;

struct Array {
    count: usize,
    places: [*mut u8; PLACES],
}

thread_local! {
    static ARRAY: UnsafeCell<Array> = const { UnsafeCell::new(Array { count: 0, places: [std::ptr::null_mut(); PLACES] }) };
}

static SHARED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

impl Array {
    #[cold]
    #[inline(never)]
    fn refill(&mut self) {
        let mut shared = SHARED.lock().expect("no thread panics here");
        if shared.len() < PLACES / 2 {
            let memory = Vec::leak(vec![[0u64; SIZE / 8]; 1024]);
            shared.extend(memory.iter_mut().rev().map(|block| std::ptr::from_mut(block).expose_provenance()));
        }
        let rest = shared.len() - PLACES / 2;
        for (place, block) in self.places.iter_mut().zip(shared.drain(rest..)) {
            *place = std::ptr::with_exposed_provenance_mut(block);
        }
        self.count = PLACES / 2;
    }

    #[cold]
    #[inline(never)]
    fn spill(&mut self) {
        let half = self.places[..PLACES / 2].iter().map(|block| block.expose_provenance());
        SHARED.lock().expect("no thread panics here").extend(half);
        self.places.copy_within(PLACES / 2.., 0);
        self.count = PLACES / 2;
    }
}

impl Contender for HandWritten {
    type Block = *mut u8;

    #[inline(always)]
    fn take(&mut self) -> *mut u8 {
        ARRAY.with(|array| {
            // SAFETY: the array belongs to this thread, and the reference ends here.
            let array = unsafe { &mut *array.get() };
            if array.count == 0 {
                array.refill();
            }
            array.count -= 1;
            // SAFETY: the count is at most the number of places.
            unsafe { *array.places.get_unchecked(array.count) }
        })
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8) {
        ARRAY.with(|array| {
            // SAFETY: the array belongs to this thread, and the reference ends here.
            let array = unsafe { &mut *array.get() };
            if array.count == PLACES {
                array.spill();
            }
            // SAFETY: there is a free place.
            unsafe { *array.places.get_unchecked_mut(array.count) = block };
            array.count += 1;
        });
    }
}
