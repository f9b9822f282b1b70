//! Size classes beside general allocators, and beside hand-written lists by class.

use std::alloc::Layout;

use millpond::{Classes, Heap, Owned};

use crate::{
    harness::{Runner, compare},
    report::Mix,
    variable::{GLIBC, JEMALLOC, MIMALLOC, SNMALLOC, Shared, Variable, replace, tcmalloc},
};

pub const MIXES: &[Mix] = &[Mix {
    name: "classes",
    what: "replace a random one of 20,000 live blocks of 8 to 1024 bytes",
    run: || compare(replaced),
}];

/// Four classes per doubling by table, list heads in an array, memory that is there already: no checks, no growth.
struct HandWritten {
    class: [u8; 129],
    heads: [*mut u8; 64],
}

impl HandWritten {
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

impl Variable for HandWritten {
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

fn replaced() -> Vec<Runner> {
    const LIVE: usize = 20_000;
    let sizes = || 8..=1024;
    let malloc = |name, malloc| replace::<false>(name, malloc, LIVE, sizes());
    let mut runners = vec![
        replace::<false>("hand-written lists", HandWritten::new(2 * LIVE / 8), LIVE, sizes()),
        replace::<false>("Owned<Classes>", Owned::new(Classes::new()), LIVE, sizes()),
        replace::<false>("Local<Classes>", Shared::new(Classes::new(), Heap), LIVE, sizes()),
        malloc("glibc", GLIBC),
        malloc("mimalloc", MIMALLOC),
        malloc("jemalloc", JEMALLOC),
        malloc("snmalloc", SNMALLOC),
    ];
    runners.extend(tcmalloc().map(|tcmalloc| malloc("tcmalloc", tcmalloc)));
    runners
}
