//! Blocks of mixed sizes from one region: `Tlsf` beside the crates rlsf and talc, each with the same memory.

use std::{alloc::Layout, hint::black_box, mem::MaybeUninit, ptr::NonNull};

use millpond::{Allocator, Buffer, Front, Local, Owned, Tlsf};
use talc::source::Manual;

use crate::harness::{Mix, Runner};

/// What each contender gets, in bytes; every page of it was touched.
const MEMORY: usize = 32 << 20;
const LIVE: usize = 20_000;
const SIZES: std::ops::RangeInclusive<u64> = 8..=1024;

pub const MIXES: &[Mix] = &[
    Mix { name: "mixed", what: "replace a random one of 20,000 live blocks of 8 to 1024 bytes", runners: replace_all },
    Mix { name: "mixed-written", what: "the same, and every new block is written to the last byte", runners: write_all },
    Mix { name: "mixed-pair", what: "allocate one block of 8 to 1024 bytes, free it, again", runners: pair_all },
];

/// A contender over a region of its own.
trait Region {
    /// The block's address; null if the region is exhausted, which no mix lets happen.
    fn take(&mut self, layout: Layout) -> *mut u8;
    /// # Safety
    /// The block was taken from this contender for this layout and is given back once.
    unsafe fn give(&mut self, block: *mut u8, layout: Layout);
}

fn memory() -> &'static mut [MaybeUninit<u8>] {
    Vec::leak(vec![MaybeUninit::new(1); MEMORY])
}

fn address<T: ?Sized, E>(block: Result<NonNull<T>, E>) -> *mut u8 {
    block.map_or(std::ptr::null_mut(), |block| block.as_ptr().cast())
}

impl<F: Front, A: Allocator> Region for Owned<Tlsf<F>, A> {
    #[inline(always)]
    fn take(&mut self, layout: Layout) -> *mut u8 {
        address(self.allocate(layout))
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, and the block is not null.
        unsafe { self.deallocate(NonNull::new_unchecked(block), layout) }
    }
}

/// Behind a shared reference that the optimiser cannot see through.
struct Shared<F: Front + 'static>(&'static Local<Tlsf<F>, Buffer<'static>>);

impl<F: Front> Shared<F> {
    fn new(pool: Tlsf<F>) -> Box<Self> {
        Box::new(Self(black_box(Box::leak(Box::new(Local::new_in(pool, Buffer::new(memory())))))))
    }
}

impl<F: Front> Region for Shared<F> {
    #[inline(always)]
    fn take(&mut self, layout: Layout) -> *mut u8 {
        address(self.0.allocate(layout))
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, and the block is not null.
        unsafe { self.0.deallocate(NonNull::new_unchecked(block), layout) }
    }
}

type Rlsf = rlsf::Tlsf<'static, u32, u32, 28, 32>;

impl Region for Rlsf {
    #[inline(always)]
    fn take(&mut self, layout: Layout) -> *mut u8 {
        address(self.allocate(layout).ok_or(()))
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, and the block is not null.
        unsafe { self.deallocate(NonNull::new_unchecked(block), layout.align()) }
    }
}

type Talc = talc::base::Talc<Manual, talc::DefaultBinning>;

impl Region for Talc {
    #[inline(always)]
    fn take(&mut self, layout: Layout) -> *mut u8 {
        // SAFETY: no mix asks for zero bytes.
        address(unsafe { self.allocate(layout) }.ok_or(()))
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.deallocate(block, layout) }
    }
}

fn replace_all() -> Vec<Runner> {
    everyone::<false>(LIVE)
}

fn write_all() -> Vec<Runner> {
    everyone::<true>(LIVE)
}

fn pair_all() -> Vec<Runner> {
    everyone::<false>(1)
}

fn everyone<const WRITES: bool>(live: usize) -> Vec<Runner> {
    let mut rlsf = Box::new(Rlsf::new());
    rlsf.insert_free_block(memory());
    let mut talc = Box::new(Talc::new(Manual));
    // SAFETY: the memory is nobody else's, for ever.
    let claimed = unsafe { talc.claim(memory().as_mut_ptr().cast(), MEMORY) };
    assert!(claimed.is_some(), "talc takes a region of this size");
    let direct = Box::new(Owned::new_in(Tlsf::new(), Buffer::new(memory())));
    let pockets = Box::new(Owned::new_in(Tlsf::with_pockets(), Buffer::new(memory())));
    vec![
        runner::<_, WRITES>("rlsf", rlsf, live),
        runner::<_, WRITES>("talc", talc, live),
        runner::<_, WRITES>("Owned<Tlsf>", direct, live),
        runner::<_, WRITES>("Local<Tlsf>", Shared::new(Tlsf::new()), live),
        runner::<_, WRITES>("Owned<Tlsf<Pockets>>", pockets, live),
        runner::<_, WRITES>("Local<Tlsf<Pockets>>", Shared::new(Tlsf::with_pockets()), live),
    ]
}

fn runner<R: Region + 'static, const WRITES: bool>(name: &'static str, region: Box<R>, live: usize) -> Runner {
    let mut mix = Replacement { region, live: Vec::new(), random: 1 };
    let blocks: Vec<_> = (0..live).map(|_| mix.take::<WRITES>()).collect();
    mix.live = blocks;
    Runner { name, run: Box::new(move |pairs| mix.run::<WRITES>(pairs)) }
}

/// Live blocks, of which a random one is freed for each new one.
struct Replacement<R> {
    region: Box<R>,
    live: Vec<(*mut u8, Layout)>,
    random: u64,
}

impl<R: Region> Replacement<R> {
    /// A number below `below`: Marsaglia's xorshift.
    #[inline(always)]
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ((self.random >> 32) * below) >> 32
    }

    #[inline(always)]
    fn take<const WRITES: bool>(&mut self) -> (*mut u8, Layout) {
        let size = SIZES.start() + self.random(SIZES.end() - SIZES.start() + 1);
        let layout = Layout::from_size_align(size as usize, 8).expect("a small layout");
        let block = self.region.take(layout);
        assert!(!block.is_null(), "the region is large enough for the mix");
        if WRITES {
            // SAFETY: the block is live and this long.
            unsafe { block.write_bytes(1, layout.size()) };
        }
        (block, layout)
    }

    #[inline(never)]
    fn run<const WRITES: bool>(&mut self, pairs: usize) -> usize {
        for _ in 0..pairs {
            let index = self.random(self.live.len() as u64) as usize;
            let (block, layout) = self.live[index];
            // SAFETY: the block is live, and its place is taken by another at once.
            unsafe { self.region.give(block, layout) };
            self.live[index] = self.take::<WRITES>();
        }
        pairs
    }
}
