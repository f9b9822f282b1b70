//! Lock-free lists of free blocks that threads share: `LockFree`, compared with a hand-written list and with peers.
//!
//! Every list has enough blocks before the timing starts. The hand-written list stores its links in the blocks. That is
//! a data race, so it is a baseline and not a peer.

use std::{
    ffi::c_void,
    hint::black_box,
    mem::MaybeUninit,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use heapless::pool::boxed::BoxBlock;
use millpond::{Allocator, Blocks, Fixed, Heap, LockFree, Locked, lock::SpinLock};

use crate::{
    contenders::{Contender, Ours, SIZE},
    report::Mix,
    shared::{Clock, Entrant, Pairs, Tails, compare, job},
};

pub const MIXES: &[Mix] = &[Mix {
    name: "free-lists",
    what: "allocate one block and free it, again, on a list that threads share",
    run: || vec![compare(contenders, 1), compare(contenders, 2)],
}];

/// Number of blocks in each list.
const BLOCKS: usize = 1024;

fn contenders() -> Vec<Entrant> {
    let mut jobs = vec![
        job::<Pairs, _>("hand-written exchanges", HandWritten::new()),
        job::<Pairs, _>("LockFree<Fixed<64>>", Ours::<_, true>::new(LockFree::<Fixed<SIZE>>::new())),
        job::<Pairs, _>(
            "LockFree, grown to 9 chunks",
            Ours::<_, true>::new(grown(LockFree::<Fixed<SIZE>>::new().with_capacity(4))),
        ),
        job::<Pairs, _>(
            "Locked<Blocks<Fixed<64>>>",
            Ours::<_, true>::new(Locked::<_>::new(Blocks::<Fixed<SIZE>>::new())),
        ),
        job::<Pairs, _>(
            "Locked<…, Spin>",
            Ours::<_, true>::new(Locked::<_, _, SpinLock>::new_in(Blocks::<Fixed<SIZE>>::new(), Heap)),
        ),
        heapless(),
    ];
    match Boost::new() {
        Some(boost) => jobs.push(boost.job()),
        None => {
            eprintln!("skipped: boost::lockfree, whose headers were not there at compile time (libboost-dev)")
        }
    }
    jobs
}

/// Returns the pool with all its blocks free, so that the next blocks come from the newest chunk.
fn grown(pool: LockFree<Fixed<SIZE>>) -> LockFree<Fixed<SIZE>> {
    let layout = std::alloc::Layout::new::<[u64; 8]>();
    let blocks: Vec<_> = (0..BLOCKS).map(|_| pool.allocate(layout).expect("the heap has some")).collect();
    // SAFETY: each block was just allocated.
    blocks.iter().for_each(|block| unsafe { pool.deallocate(block.cast(), layout) });
    pool
}

/// A minimal list with a counted head, address and count in one word. Its links are in the blocks.
#[derive(Clone, Copy)]
struct HandWritten(&'static AtomicU64);

/// Bits of an address in user space.
const ADDRESS: u32 = 48;

impl HandWritten {
    fn new() -> Self {
        let head = Box::leak(Box::new(Apart(AtomicU64::new(0))));
        let mut list = Self(&head.0);
        for block in Vec::leak(vec![[0u64; SIZE / 8]; BLOCKS]) {
            // SAFETY: the block is leaked, and freed once.
            unsafe { list.give(std::ptr::from_mut(block).cast()) };
        }
        list
    }
}

/// A value on a cache line of its own.
#[repr(align(128))]
struct Apart<T>(T);

fn link(head: u64) -> &'static AtomicU64 {
    let address = (head & ((1 << ADDRESS) - 1)) as usize;
    // SAFETY: blocks are leaked and start with a word.
    unsafe { &*std::ptr::with_exposed_provenance::<AtomicU64>(address) }
}

impl Contender for HandWritten {
    type Block = *mut u8;

    #[inline(always)]
    fn take(&mut self) -> *mut u8 {
        let mut head = self.0.load(Ordering::Acquire);
        loop {
            let next = link(head).load(Ordering::Relaxed);
            let new = next | ((head >> ADDRESS) + 1) << ADDRESS;
            match self.0.compare_exchange_weak(head, new, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return std::ptr::from_ref(link(head)).cast_mut().cast(),
                Err(now) => head = now,
            }
        }
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8) {
        let address = block.expose_provenance() as u64;
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            link(address).store(head & ((1 << ADDRESS) - 1), Ordering::Relaxed);
            let new = address | head >> ADDRESS << ADDRESS;
            match self.0.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

heapless::box_pool!(HEAPLESS: MaybeUninit<[u64; 8]>);

/// The pool of the crate `heapless`, of which there is one per type. Its boxes are two words, so it has a separate
/// loop.
fn heapless() -> Entrant {
    static FILLED: std::sync::Once = std::sync::Once::new();
    FILLED.call_once(|| {
        for block in Vec::leak((0..BLOCKS).map(|_| BoxBlock::new()).collect()) {
            HEAPLESS.manage(block);
        }
    });
    let take = || HEAPLESS.alloc(MaybeUninit::uninit()).ok().expect("there are blocks enough");
    let run = move |_, pairs, mut tails: Option<&mut Tails>| {
        for _ in 0..pairs {
            match &mut tails {
                None => drop(black_box(take())),
                Some(tails) => {
                    let mut clock: &mut Tails = tails;
                    let block = clock.time(|| black_box(take()));
                    clock.time(|| drop(block));
                }
            }
        }
    };
    ("heapless", Arc::new(run))
}

unsafe extern "C" {
    fn freelist_new(blocks: usize) -> *mut c_void;
    fn freelist_take(list: *mut c_void) -> *mut u8;
    fn freelist_give(list: *mut c_void, block: *mut u8);
    fn freelist_pairs(list: *mut c_void, pairs: usize);
}

/// The list of free blocks in boost::lockfree, in C++ (`cpp/freelist.cc`), with the loop in C++ too, because a call for
/// each operation would count.
#[derive(Clone, Copy)]
struct Boost(*mut c_void);

// SAFETY: the list is designed to be shared by threads.
unsafe impl Send for Boost {}
// SAFETY: the list is designed to be shared by threads.
unsafe impl Sync for Boost {}

impl Boost {
    fn new() -> Option<Self> {
        // SAFETY: the function accepts any number.
        let list = unsafe { freelist_new(BLOCKS) };
        (!list.is_null()).then_some(Self(list))
    }

    fn job(self) -> Entrant {
        let (name, timed) = job::<Pairs, _>("boost::lockfree", self);
        let run = move |thread, pairs, tails: Option<&mut Tails>| match tails {
            None => self.pairs(pairs),
            tails => timed(thread, pairs, tails),
        };
        (name, Arc::new(run))
    }

    fn pairs(self, pairs: usize) {
        // SAFETY: the list is never freed.
        unsafe { freelist_pairs(self.0, pairs) };
    }
}

impl Contender for Boost {
    type Block = *mut u8;

    fn take(&mut self) -> *mut u8 {
        // SAFETY: the list is never freed, and has enough blocks.
        unsafe { freelist_take(self.0) }
    }

    unsafe fn give(&mut self, block: *mut u8) {
        // SAFETY: the caller frees a block of this list once.
        unsafe { freelist_give(self.0, block) };
    }
}
