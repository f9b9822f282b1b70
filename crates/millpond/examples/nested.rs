//! Allocators inside allocators: a static buffer, a linear arena on it, a stack and a pool of blocks on the arena, and
//! a smaller pool on the stack for the duration of a scope. Each allocator calls only its parent, and as rarely as it
//! can.

use std::{alloc::Layout, mem::MaybeUninit};

use millpond::{AllocError, Allocator, Blocks, Buffer, Fixed, Inspect, Linear, Local, Stack, StaticBuffer};

/// All the memory that the program uses.
static MEMORY: StaticBuffer<{ 64 << 10 }> = StaticBuffer::new();

fn say(who: &str, allocator: &impl Inspect) {
    let stats = allocator.stats();
    println!("{who:<22}{:>6} {:>8} {:>8} {:>8}", stats.chunks, stats.held, stats.live, stats.free);
}

fn main() -> Result<(), AllocError> {
    let arena = Local::new_in(Linear::new(), &MEMORY);
    let mut stack = Local::new_in(Stack::new(), &arena);
    let pool = Local::new_in(Blocks::<Fixed<64>>::new().with_capacity(100), &arena);

    // A linear arena: all sizes and alignments, without freeing of single blocks.
    for (size, align) in [(1, 1), (100, 8), (24, 64)] {
        let layout = Layout::from_size_align(size, align).map_err(|_| AllocError::Unsupported)?;
        let block = arena.alloc_uninit(layout)?;
        println!("{size} bytes at a multiple of {align}: {}", block.as_ptr().addr().is_multiple_of(align));
    }

    // A pool of blocks: one chunk for the first hundred blocks, and another for the next.
    let layout = Layout::new::<[u64; 8]>();
    let blocks = (0..101).map(|_| pool.allocate(layout)).collect::<Result<Vec<_>, _>>()?;
    println!(
        "\n{} blocks handed out\n{:<22}{:>6} {:>8} {:>8} {:>8}",
        blocks.len(),
        "",
        "chunks",
        "held",
        "live",
        "free"
    );
    say("pool of blocks", &pool);

    // A stack: everything allocated in a scope is freed when it ends, in one step, including the pools on it.
    stack.scope(|scope| {
        scope.alloc_uninit(Layout::new::<[u8; 1000]>())?;
        scope.scope(|inner| {
            let scratch = Local::new_in(Blocks::<Fixed<32>>::new().with_capacity(20), &*inner);
            for _ in 0..20 {
                scratch.allocate(Layout::new::<[u64; 4]>())?;
            }
            say("pool in inner scope", &scratch);
            say("stack, inner scope", &*inner);
            Ok::<(), AllocError>(())
        })?;
        say("stack, outer scope", &*scope);
        Ok::<(), AllocError>(())
    })?;
    say("stack, after scopes", &stack);
    say("linear arena", &arena);
    say("static buffer", &MEMORY);

    for block in blocks {
        // SAFETY: the block is live, and this pool allocated it with this layout.
        unsafe { pool.deallocate(block.cast(), layout) };
    }
    say("pool, all freed", &pool);

    on_a_buffer();
    Ok(())
}

/// The alternative: a pool on a borrowed buffer, which it fills to the last block and never outgrows.
fn on_a_buffer() {
    #[repr(align(64))]
    struct Aligned([MaybeUninit<u8>; 1000]);
    let mut buffer = Aligned([MaybeUninit::uninit(); 1000]);
    let pool = Local::new_in(Blocks::<Fixed<64>>::new(), Buffer::new(&mut buffer.0));
    let blocks = std::iter::from_fn(|| pool.allocate(Layout::new::<[u64; 8]>()).ok()).count();
    println!(
        "\na buffer of 1000 bytes has {blocks} blocks of 64: 40 bytes are left, and no header takes any"
    );
}
