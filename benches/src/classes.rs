//! Size classes, compared with general allocators and with hand-written lists per class.

use std::alloc::Layout;

use millpond::{Classes, Heap, Owned};

use crate::{
    harness::{Runner, compare},
    regions::{LIVE, SIZES},
    report::Mix,
    variable::{GLIBC, JEMALLOC, MIMALLOC, SNMALLOC, Shared, Variable, replace, tcmalloc},
};

pub const MIXES: &[Mix] = &[Mix {
    name: "classes",
    what: "replace a random one of 20,000 live blocks of 8 to 1024 bytes",
    run: || compare(replaced),
}];

/// Four classes per doubling by table, list heads in an array, memory allocated in advance: no checks, no growth.
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
                // SAFETY: the block belongs to these lists and is at least a word long.
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
        // SAFETY: the lists are longer than the mix needs, and a free block starts with the address of the next one.
        *head = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, layout: Layout) {
        let head = &mut self.heads[usize::from(self.class[layout.size().div_ceil(8)]) % 64];
        // SAFETY: the block has been freed, so it belongs to these lists.
        unsafe { block.cast::<*mut u8>().write(*head) };
        *head = block;
    }
}

fn replaced() -> Vec<Runner> {
    let malloc = |name, malloc| replace::<false>(name, malloc, LIVE, SIZES);
    let mut runners = vec![
        replace::<false>("hand-written lists", HandWritten::new(2 * LIVE / 8), LIVE, SIZES),
        replace::<false>("Owned<Classes>", Owned::new(Classes::new()), LIVE, SIZES),
        replace::<false>("Local<Classes>", Shared::new(Classes::new(), Heap), LIVE, SIZES),
        malloc("glibc", GLIBC),
        malloc("mimalloc", MIMALLOC),
        malloc("jemalloc", JEMALLOC),
        malloc("snmalloc", SNMALLOC),
    ];
    runners.extend(tcmalloc().map(|tcmalloc| malloc("tcmalloc", tcmalloc)));
    runners
}
