//! Size classes beside general allocators, and beside the bound: lists by class, written by hand.

use std::{alloc::Layout, ffi::CStr};

use millpond::{Classes, Heap, Owned};

use crate::{
    harness::{Mix, Runner},
    variable::{GLIBC, MIMALLOC, Malloc, Shared, Variable, replace},
};

pub const MIXES: &[Mix] = &[Mix {
    name: "classes",
    what: "replace a random one of 20,000 live blocks of 8 to 1024 bytes",
    runners: replaced,
}];

/// Four classes per doubling by table, list heads in an array, memory that is there already: no checks, no growth.
struct ByHand {
    class: [u8; 129],
    heads: [*mut u8; 64],
}

impl ByHand {
    fn new(blocks_per_class: usize) -> Self {
        let sizes: Vec<usize> = Classes::new().sizes().take_while(|&size| size <= 1024).collect();
        let class = std::array::from_fn(|index| sizes.partition_point(|&size| size < index * 8) as u8);
        let mut heads = [std::ptr::null_mut(); 64];
        for (head, &size) in heads.iter_mut().zip(&sizes) {
            let memory = Vec::leak(vec![0u64; size / 8 * blocks_per_class]);
            for block in memory.chunks_exact_mut(size / 8).rev() {
                // SAFETY: the block is ours and at least a word long.
                unsafe { block.as_mut_ptr().cast::<*mut u8>().write(*head) };
                *head = block.as_mut_ptr().cast();
            }
        }
        Self { class, heads }
    }
}

impl Variable for ByHand {
    #[inline(always)]
    fn take(&mut self, layout: Layout) -> *mut u8 {
        let head = &mut self.heads[usize::from(self.class[layout.size().div_ceil(8)]) % 64];
        let block = *head;
        // SAFETY: the lists are longer than the mix needs, and a free block begins with the next one's address.
        *head = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, layout: Layout) {
        let head = &mut self.heads[usize::from(self.class[layout.size().div_ceil(8)]) % 64];
        // SAFETY: the block is given back.
        unsafe { block.cast::<*mut u8>().write(*head) };
        *head = block;
    }
}

/// tcmalloc, if its library is installed (Debian: libtcmalloc-minimal4).
pub fn tcmalloc() -> Option<Malloc> {
    let symbol = |library, name: &CStr| {
        // SAFETY: the name is a string, and the library stays loaded.
        let found = unsafe { libc::dlsym(library, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    };
    // SAFETY: loading it defines nothing for others, and runs its own initialisation only.
    let library =
        unsafe { libc::dlopen(c"libtcmalloc_minimal.so.4".as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if library.is_null() {
        return None;
    }
    let (malloc, free) = (symbol(library, c"tc_malloc")?, symbol(library, c"tc_free")?);
    // SAFETY: these are tcmalloc's malloc and free.
    unsafe { Some(Malloc { malloc: std::mem::transmute(malloc), free: std::mem::transmute(free) }) }
}

fn replaced() -> Vec<Runner> {
    const LIVE: usize = 20_000;
    let sizes = || 8..=1024;
    let malloc = |name, malloc| replace::<false>(name, malloc, LIVE, sizes());
    let mut runners = vec![
        replace::<false>("lists by hand", ByHand::new(2 * LIVE / 8), LIVE, sizes()),
        replace::<false>("Owned<Classes>", Owned::new(Classes::new()), LIVE, sizes()),
        replace::<false>("Local<Classes>", Shared::new(Classes::new(), Heap), LIVE, sizes()),
        malloc("glibc", GLIBC),
        malloc("mimalloc", MIMALLOC),
        malloc("jemalloc", Malloc { malloc: tikv_jemalloc_sys::malloc, free: tikv_jemalloc_sys::free }),
        malloc("snmalloc", Malloc { malloc: snmalloc_sys::sn_malloc, free: snmalloc_sys::sn_free }),
    ];
    match tcmalloc() {
        Some(tcmalloc) => runners.push(malloc("tcmalloc", tcmalloc)),
        None => eprintln!("skipped: tcmalloc, because libtcmalloc_minimal.so.4 is not installed"),
    }
    runners
}
