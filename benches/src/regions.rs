//! Blocks of mixed sizes from one region: `Tlsf`, compared with the crates rlsf and talc, each with the same amount of
//! memory.

use std::{alloc::Layout, mem::MaybeUninit, ptr::NonNull};

use millpond::{Buffer, Owned, Tlsf, raw::RawPool};
use talc::source::Manual;

use crate::{
    harness::{Runner, compare},
    report::Mix,
    variable::{Shared, Variable, address, pairs, replace},
};

/// The bytes of each contender; every page of them has been touched.
const MEMORY: usize = 32 << 20;
pub const LIVE: usize = 20_000;
pub const SIZES: std::ops::RangeInclusive<usize> = 8..=1024;

pub const MIXES: &[Mix] = &[
    Mix {
        name: "mixed",
        what: "replace a random one of 20,000 live blocks of 8 to 1024 bytes",
        run: || compare(replaced::<false>),
    },
    Mix {
        name: "mixed-written",
        what: "the same, and every new block is written to the last byte",
        run: || compare(replaced::<true>),
    },
    Mix {
        name: "mixed-pair",
        what: "allocate one block of 8 to 1024 bytes, free it, again",
        run: || compare(paired),
    },
];

fn memory() -> &'static mut [MaybeUninit<u8>] {
    Vec::leak(vec![MaybeUninit::new(1); MEMORY])
}

type Rlsf = rlsf::Tlsf<'static, u32, u32, 28, 32>;

impl Variable for Rlsf {
    #[inline(always)]
    fn take(&mut self, layout: Layout) -> *mut u8 {
        address(self.allocate(layout).ok_or(()))
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller frees a block of this allocator with its layout, and the block is not null.
        unsafe { self.deallocate(NonNull::new_unchecked(block), layout.align()) }
    }
}

type Talc = talc::base::Talc<Manual, talc::DefaultBinning>;

impl Variable for Box<Talc> {
    #[inline(always)]
    fn take(&mut self, layout: Layout) -> *mut u8 {
        // SAFETY: no mix requests zero bytes.
        address(unsafe { self.allocate(layout) }.ok_or(()))
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller frees a block of this allocator with its layout.
        unsafe { self.deallocate(block, layout) }
    }
}

pub fn rlsf() -> Box<Rlsf> {
    let mut rlsf = Box::new(Rlsf::new());
    rlsf.insert_free_block(memory());
    rlsf
}

pub fn talc() -> Box<Talc> {
    let mut talc = Box::new(Talc::new(Manual));
    // SAFETY: the memory is leaked and used only by this allocator.
    let claimed = unsafe { talc.claim(memory().as_mut_ptr().cast(), MEMORY) };
    assert!(claimed.is_some(), "talc takes a region of this size");
    talc
}

impl Variable for Box<Rlsf> {
    #[inline(always)]
    fn take(&mut self, layout: Layout) -> *mut u8 {
        (**self).take(layout)
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller frees a block of this allocator with its layout.
        unsafe { (**self).give(block, layout) }
    }
}

/// Returns a pool of Millpond with as much memory as the others have.
pub fn owned<P: RawPool>(pool: P) -> Owned<P, Buffer<'static>> {
    Owned::new_in(pool, Buffer::new(memory()))
}

fn replaced<const WRITES: bool>() -> Vec<Runner> {
    let below = || Buffer::new(memory());
    vec![
        replace::<WRITES>("rlsf", rlsf(), LIVE, SIZES),
        replace::<WRITES>("talc", talc(), LIVE, SIZES),
        replace::<WRITES>("Owned<Tlsf<NoQuickList>>", owned(Tlsf::without_quick_list()), LIVE, SIZES),
        replace::<WRITES>(
            "Local<Tlsf<NoQuickList>>",
            Shared::new(Tlsf::without_quick_list(), below()),
            LIVE,
            SIZES,
        ),
        replace::<WRITES>("Owned<Tlsf>", owned(Tlsf::new()), LIVE, SIZES),
        replace::<WRITES>("Local<Tlsf>", Shared::new(Tlsf::new(), below()), LIVE, SIZES),
    ]
}

fn paired() -> Vec<Runner> {
    vec![
        pairs("rlsf", rlsf(), SIZES),
        pairs("talc", talc(), SIZES),
        pairs("Owned<Tlsf<NoQuickList>>", owned(Tlsf::without_quick_list()), SIZES),
        pairs("Owned<Tlsf>", owned(Tlsf::new()), SIZES),
    ]
}
