//! The probe of `cargo xtask counts`: calls one operation a given number of times, so that its instructions can be
//! counted. Without arguments it lists the operations.
//!
//! Each operation is a separate function, with a name that callgrind finds, and is never inlined into a caller. `known`
//! pools receive a layout that the compiler knows, `any` pools one that it does not know.

use std::{alloc::Layout, hint::black_box, process::ExitCode, ptr::NonNull};

use millpond::{
    Allocator, Blocks, Buddy, Buffer, Cached, Classes, Fixed, Heap, Linear, Local, Locked, Magazine, Owned,
    SignPost, Stack, Tlsf,
    lock::TicketLock,
    pool::{AddressOrdered, Hardened, HardenedClasses, Light, NoQuickList},
};

/// The layout to allocate: 64 bytes, or the same size in a layout known only at run time.
const LAYOUT: Layout = Layout::new::<[u64; 8]>();

const MEBIBYTE: usize = 1 << 20;

/// Of hardened pools, so that each run takes the same blocks. (With full hardening, the cost of a call is random.)
const SEED: [u32; 8] = [1; 8];

/// A mebibyte aligned to its size: how far a buddy pool splits and merges depends on where its chunk is.
fn mebibyte() -> Buffer<'static> {
    let layout = Layout::from_size_align(MEBIBYTE, MEBIBYTE).expect("a power of two");
    // SAFETY: the memory is freshly allocated with this size, and is never freed.
    Buffer::new(unsafe { std::slice::from_raw_parts_mut(std::alloc::alloc(layout).cast(), MEBIBYTE) })
}

/// The two operations of a pool, both as function pointers that the optimiser cannot follow.
struct Pair<P> {
    allocate: fn(&mut P, Layout) -> *mut u8,
    free: unsafe fn(&mut P, NonNull<u8>, Layout),
}

/// Warms a pool up, so that it has a chunk and free blocks, and calls both operations this many times.
fn drive<P>(mut pool: P, pair: &Pair<P>, times: usize) -> Result<(), &'static str> {
    let allocate = |pool: &mut P| {
        NonNull::new(black_box(pair.allocate)(black_box(pool), black_box(LAYOUT)))
            .ok_or("the pool has no block")
    };
    // SAFETY: each block is freed once, and was allocated with the same layout.
    let free =
        |pool: &mut P, block| unsafe { black_box(pair.free)(black_box(pool), block, black_box(LAYOUT)) };
    let blocks = (0..100).map(|_| allocate(&mut pool)).collect::<Result<Vec<_>, _>>()?;
    blocks.into_iter().rev().for_each(|block| free(&mut pool, block));
    for _ in 0..times {
        let block = allocate(&mut pool)?;
        free(&mut pool, block);
    }
    Ok(())
}

/// Reads the arguments: lists the operations, or runs the pool that is named.
fn run(list: &[[&str; 2]], pool: impl Fn(&str, usize) -> Option<Result<(), &'static str>>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let times = arguments.get(1).and_then(|times| times.parse().ok()).unwrap_or(1);
    let done = match arguments.first() {
        None => {
            list.as_flattened().iter().for_each(|operation| println!("{operation}"));
            Ok(())
        }
        Some(name) => {
            pool(name, times).unwrap_or(Err("there is no such operation; without arguments all are listed"))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("counts: {message}");
            ExitCode::from(2)
        }
    }
}

/// Defines the two operations of each pool, and the program; `$layout` is the layout to allocate, in terms of the
/// parameter `$given`. Each operation is in a section of its own, because operations that compile to the same
/// instructions would otherwise be merged.
macro_rules! probe {
    ($($allocate:ident $free:ident: $pool:ty = $new:expr, $given:ident => $layout:expr;)*) => {
        $(
            #[unsafe(no_mangle)]
            #[unsafe(link_section = concat!(".text.", stringify!($allocate)))]
            #[inline(never)]
            fn $allocate(pool: &mut $pool, $given: Layout) -> *mut u8 {
                pool.allocate($layout).map_or(std::ptr::null_mut(), |block| block.as_ptr().cast())
            }

            #[unsafe(no_mangle)]
            #[unsafe(link_section = concat!(".text.", stringify!($free)))]
            #[inline(never)]
            unsafe fn $free(pool: &mut $pool, block: NonNull<u8>, $given: Layout) {
                // SAFETY: the caller frees a block that the other operation allocated with the same layout.
                unsafe { pool.deallocate(block, $layout) };
            }
        )*

        fn main() -> ExitCode {
            run(&[$([stringify!($allocate), stringify!($free)]),*], |name, times| match name {
                $(stringify!($allocate) | stringify!($free) => {
                    Some(drive($new, &Pair::<$pool> { allocate: $allocate, free: $free }, times))
                })*
                _ => None,
            })
        }
    };
}

probe! {
    owned_blocks_known_allocate owned_blocks_known_free:
        Owned<Blocks<Fixed<64>>> = Owned::new(Blocks::new()), _layout => LAYOUT;
    local_blocks_known_allocate local_blocks_known_free:
        Local<Blocks<Fixed<64>>> = Local::new(Blocks::new()), _layout => LAYOUT;
    local_blocks_any_allocate local_blocks_any_free:
        Local<Blocks> = Local::new(Blocks::of(black_box(LAYOUT))), layout => layout;
    local_magazine_known_allocate local_magazine_known_free:
        Local<Blocks<(Fixed<64>, Magazine)>> = Local::new(Blocks::new()), _layout => LAYOUT;
    local_light_known_allocate local_light_known_free:
        Local<Blocks<(Fixed<64>, Hardened<Light>)>> = Local::new(Blocks::new().with_seed(SEED)), _layout => LAYOUT;
    local_light_classes_any_allocate local_light_classes_any_free:
        Local<HardenedClasses<Light>> = Local::new(HardenedClasses::new().with_seed(SEED)), layout => layout;
    local_compact_known_allocate local_compact_known_free:
        Local<Blocks<(Fixed<64>, AddressOrdered)>> = Local::new(Blocks::new()), _layout => LAYOUT;
    local_linear_known_allocate local_linear_known_free:
        Local<Linear> = Local::new(Linear::new()), _layout => LAYOUT;
    local_stack_known_allocate local_stack_known_free:
        Local<Stack> = Local::new(Stack::new()), _layout => LAYOUT;
    local_buddy_any_allocate local_buddy_any_free:
        Local<Buddy, Buffer<'static>> = Local::new_in(Buddy::new().first_chunk(MEBIBYTE), mebibyte()), layout => layout;
    local_classes_any_allocate local_classes_any_free:
        Local<Classes> = Local::new(Classes::new()), layout => layout;
    local_sign_post_any_allocate local_sign_post_any_free:
        Local<SignPost> = Local::new(SignPost::first_fit()), layout => layout;
    local_direct_any_allocate local_direct_any_free:
        Local<Tlsf<NoQuickList>> = Local::new(Tlsf::without_quick_list()), layout => layout;
    local_tlsf_any_allocate local_tlsf_any_free:
        Local<Tlsf> = Local::new(Tlsf::new()), layout => layout;
    cached_blocks_known_allocate cached_blocks_known_free:
        Cached<Blocks<Fixed<64>>> = Cached::new(Blocks::new()), _layout => LAYOUT;
    cached_blocks_any_allocate cached_blocks_any_free:
        Cached<Blocks> = Cached::new(Blocks::of(black_box(LAYOUT))), layout => layout;
    locked_blocks_known_allocate locked_blocks_known_free:
        Locked<Blocks<Fixed<64>>> = Locked::new(Blocks::new()), _layout => LAYOUT;
    fair_blocks_known_allocate fair_blocks_known_free:
        Locked<Blocks<Fixed<64>>, Heap, TicketLock> = Locked::new_in(Blocks::new(), Heap), _layout => LAYOUT;
}
