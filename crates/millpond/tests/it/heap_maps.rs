//! Heap maps agree with the statistics of every pool, and are rendered correctly.

use std::{alloc::Layout, mem::MaybeUninit, ptr::NonNull, sync::Mutex};

use fastrand::Rng;
use millpond::{
    Allocator, Blocks, Buddy, Buffer, Cached, Classes, Fixed, For, Inspect, Linear, Local, LockFree, Locked,
    Magazine, Owned, Pool, Reclaim, SignPost, Stack, Tlsf,
    guard::{Canary, Fallback, Limit, Observe, Quarantine, Segregator, Stats},
    observe::{ChunkMap, HeapMapBuilder, HeapMapView, InspectExt, Usage},
    pool::{AddressOrdered, Lifo, Validated},
    shell::{AtomicLinear, RemoteFree},
};

/// Allocates and frees at random.
fn churn(pool: &impl Allocator, most: usize, rng: &mut Rng) -> Vec<(NonNull<u8>, Layout)> {
    let mut live = Vec::new();
    for _ in 0..800 {
        if rng.u8(0..5) < 3 || live.is_empty() {
            let layout = Layout::from_size_align(rng.usize(1..=most), 1 << rng.u32(0..4)).expect("a layout");
            if let Ok(block) = pool.allocate(layout) {
                live.push((block.cast(), layout));
            }
        } else {
            let (block, layout) = live.swap_remove(rng.usize(0..live.len()));
            // SAFETY: the block is live, and this pool handed it out for this layout.
            unsafe { pool.deallocate(block, layout) };
        }
    }
    live
}

/// Checks that a pool's map adds up to its statistics, chunk by chunk and with any number of cells.
fn agrees(pool: &impl Inspect, what: &str) {
    let stats = pool.stats();
    for cells in [0, 1, 7, 64, 5000] {
        let map = pool.heap_map(cells);
        let (view, total) = (map.view(), map.view().total());
        assert_eq!((view.chunks().count(), view.held()), (stats.chunks, stats.held), "{what}");
        assert_eq!((total.live, total.available()), (stats.live, stats.free), "{what}");
        assert_eq!(view.missed(), 0);
        for (chunk, of_chunk) in view.chunks() {
            cells_add_up(chunk, of_chunk, cells, what);
        }
        let addresses: Vec<_> = view.chunks().map(|(chunk, _)| chunk.address).collect();
        assert!(addresses.is_sorted(), "{what}");
    }
}

fn cells_add_up(chunk: &ChunkMap, cells: &[Usage], most: usize, what: &str) {
    assert!(cells.len() <= most, "{what}");
    assert!(chunk.address <= chunk.first && chunk.end <= chunk.address + chunk.size, "{what}");
    if most == 0 {
        return;
    }
    assert_eq!(cells.iter().fold(Usage::default(), |sum, &cell| sum.plus(cell)), chunk.total, "{what}");
    assert_eq!((chunk.end - chunk.first).div_ceil(chunk.cell), cells.len(), "{what}");
    assert!(cells.iter().all(|cell| cell.live + cell.available() <= chunk.cell), "{what}");
    if chunk.block != 0 {
        assert_eq!(chunk.cell % chunk.block, 0, "{what}");
        let whole = |cell: &Usage| [cell.live, cell.free, cell.fresh].iter().all(|n| n % chunk.block == 0);
        assert!(cells.iter().all(whole), "{what}: blocks are not cut");
    }
}

/// Checks a new pool, a random state, a pool whose blocks are all freed, and one after a reset.
fn agrees_always<P: Allocator + Inspect + Reclaim>(mut pool: P, most: usize, what: &str) {
    agrees(&pool, what);
    let mut rng = Rng::with_seed(7);
    for _ in 0..4 {
        for (block, layout) in churn(&pool, most, &mut rng) {
            agrees_sometimes(&pool, &mut rng, what);
            // SAFETY: the block is live, and this pool handed it out for this layout.
            unsafe { pool.deallocate(block, layout) };
        }
        agrees(&pool, what);
    }
    let live = churn(&pool, most, &mut rng);
    pool.reset();
    agrees(&pool, what);
    drop(live);
    churn(&pool, most, &mut rng);
    pool.trim();
    agrees(&pool, what);
    pool.reset();
}

fn agrees_sometimes(pool: &impl Inspect, rng: &mut Rng, what: &str) {
    if rng.u8(0..50) == 0 {
        agrees(pool, what);
    }
}

#[test]
fn maps_add_up_to_the_statistics() {
    agrees_always(Local::new(Blocks::<Fixed<64>>::new()), 64, "Lifo");
    agrees_always(Local::new(Blocks::<Fixed<64>>::new().with_blocks_per_chunk(3)), 64, "many chunks");
    agrees_always(Local::new(Blocks::of(Layout::new::<[u64; 7]>())), 56, "AnySize");
    agrees_always(Local::new(Blocks::<(For<[u32; 10]>, Magazine)>::new()), 40, "Magazine");
    agrees_always(Local::new(Blocks::<(Fixed<48>, AddressOrdered<8, 8192>)>::new()), 48, "Compact");
    agrees_always(Local::new(Blocks::<(Fixed<24>, Validated<Lifo>)>::new()), 24, "Marked");
    agrees_always(Local::new(Classes::new()), 3000, "Classes");
    agrees_always(Local::new(Tlsf::new()), 3000, "Tlsf");
    agrees_always(Local::new(Tlsf::without_quick_list()), 3000, "Tlsf without quick lists");
    agrees_always(Local::new(SignPost::best_fit()), 500, "SignPost");
    agrees_always(Local::new(Buddy::new()), 5000, "Buddy");
    agrees_always(Local::new(Linear::new()), 500, "Linear");
    agrees_always(Local::new(Stack::new()), 500, "Stack");
}

#[test]
fn maps_of_shared_pools() {
    agrees_always(Locked::<_>::new(Tlsf::new()), 3000, "Locked");
    agrees_always(LockFree::<Fixed<64>>::new(), 64, "LockFree");
    agrees_always(AtomicLinear::new(), 400, "AtomicLinear");
    agrees_always(Cached::<Classes>::new(Classes::new()), 3000, "Cached<Classes>");
    agrees_always(Cached::<Blocks>::new(Blocks::of(Layout::new::<[u64; 8]>())), 64, "Cached<Blocks>");
}

#[test]
fn maps_through_guards() {
    agrees_always(
        Local::new(Limit::bytes(Stats::new(Blocks::<Fixed<64>>::new()), 10_000)),
        64,
        "Limit, Stats",
    );
    agrees_always(Local::new(Canary::new(Tlsf::new())), 300, "Canary");
    agrees_always(Local::new(Quarantine::<_, 8>::new(Classes::new())), 300, "Quarantine");
    let small_and_large = Segregator::new(256, Blocks::<Fixed<256>>::new(), Tlsf::new());
    agrees_always(Local::new(small_and_large), 2000, "Segregate");
    agrees_always(Local::new(Fallback::new(Blocks::<Fixed<32>>::new(), Buddy::new())), 2000, "Fallback");
    agrees_always(Observe::new(Stats::new(Local::new(Linear::new())), |_| {}), 300, "Observe");
}

#[test]
fn maps_of_scopes_typed_pools_and_pointers() {
    let mut stack = Local::new(Stack::new());
    stack.scope(|scope| {
        churn(&*scope, 400, &mut Rng::with_seed(1));
        agrees(scope, "Scope");
        scope.scope(|inner| {
            churn(&*inner, 400, &mut Rng::with_seed(2));
            agrees(inner, "Scope in a scope");
        });
        agrees(scope, "Scope after another");
    });
    agrees(&stack, "Stack after its scopes");

    let pool = Pool::new();
    let boxes: Vec<_> = (0..100u64).map(|number| pool.alloc(number)).collect();
    agrees(&pool, "Pool");
    agrees(&&pool, "a borrowed pool");
    drop(boxes);
    agrees(&std::rc::Rc::new(pool), "a counted pool");

    let mut bytes = [MaybeUninit::uninit(); 3000];
    let buffer = Buffer::new(&mut bytes);
    churn(&buffer, 100, &mut Rng::with_seed(3));
    agrees(&buffer, "Buffer");

    let remote_free = RemoteFree::new(Blocks::<Fixed<64>>::new());
    let owner = remote_free.try_own().expect("it has no owner");
    for (block, layout) in churn(&owner, 64, &mut Rng::with_seed(4)).into_iter().take(20) {
        // SAFETY: the block is live, and this pool handed it out for this layout.
        unsafe { remote_free.deallocate(block, layout) };
    }
    agrees(&owner, "RemoteFree");

    let mut owned = Owned::new(Tlsf::new());
    let _ = owned.allocate(Layout::new::<[u8; 100]>()).expect("the heap has room");
    agrees(&owned, "Owned");
}

#[test]
fn blocks_held_by_other_threads_count_as_live() {
    let pool = Cached::<Blocks>::new(Blocks::of(Layout::new::<[u64; 8]>()));
    let layout = Layout::new::<[u64; 8]>();
    let free_one = || {
        let block = pool.allocate(layout).expect("the heap has room");
        // SAFETY: the block is live, and this pool handed it out for this layout.
        unsafe { pool.deallocate(block.cast(), layout) };
    };
    let (begun, seen) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            free_one();
            begun.wait();
            seen.wait();
        });
        begun.wait();
        let (stats, total) = (pool.stats(), pool.heap_map(64).view().total());
        seen.wait();
        assert_eq!(stats.live, 0);
        assert!(total.live > 0, "its magazine cannot be seen");
        assert_eq!(total.live + total.available(), stats.free);
    });
}

#[test]
fn map_of_a_pool_in_use() {
    let pool = LockFree::<Fixed<64>>::new();
    let stop = Mutex::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for seed in 0..20 {
                for (block, layout) in churn(&pool, 64, &mut Rng::with_seed(seed)) {
                    // SAFETY: the block is live, and this pool handed it out for this layout.
                    unsafe { pool.deallocate(block, layout) };
                }
            }
            *stop.lock().expect("no thread panicked") = true;
        });
        while !*stop.lock().expect("no thread panicked") {
            let map = pool.heap_map(32);
            let total = map.view().total();
            assert!(total.live + total.available() <= map.view().held());
            assert!(!map.view().text(80).to_string().is_empty());
        }
    });
}

/// Builds a map of three chunks by hand.
fn by_hand<R>(look: impl FnOnce(HeapMapView<'_>) -> R) -> R {
    let (mut chunks, mut cells) = ([ChunkMap::default(); 3], [Usage::default(); 3 * 8]);
    let mut builder = HeapMapBuilder::new(&mut chunks, &mut cells);
    builder.chunk(0x9000..0xa000, 0x9000..0xa000, Some(512));
    builder.live(0x9000..0x9e00);
    builder.fresh(0x9e00..0xa000);
    builder.free(0x9200..0x9600);
    builder.chunk(0x1000..0x1440, 0x1020..0x1420, None);
    builder.live(0x1020..0x1060);
    builder.fresh(0x1060..0x1420);
    builder.chunks_only(|builder| {
        builder.chunk(0x5000..0x5400, 0x5000..0x5400, Some(128));
        builder.live(0x5000..0x5400);
    });
    builder.chunk(0x2_0000..0x3_0000, 0x2_0000..0x3_0000, None);
    builder.live(0x2_0000..0x2_1000);
    look(builder.view())
}

#[test]
fn strokes_stay_within_their_chunk() {
    by_hand(|view| {
        let live: Vec<Vec<_>> =
            view.chunks().map(|(_, cells)| cells.iter().map(|cell| cell.live).collect()).collect();
        assert_eq!(live, [vec![64, 0, 0, 0, 0, 0, 0, 0], vec![0; 8], vec![512, 0, 0, 512, 512, 512, 512, 0]]);
        assert_eq!((view.missed(), view.held()), (1, 4096 + 0x440 + 0x400));
        let total = view.total();
        assert_eq!((total.live, total.free, total.fresh), (2560 + 64, 1024, 512 + 0x3c0));
    });
}

#[test]
fn builder_without_room_counts_what_it_missed() {
    let pool = Local::new(Blocks::<Fixed<64>>::new().with_blocks_per_chunk(1));
    for _ in 0..5 {
        let _ = pool.allocate(Layout::new::<u64>()).expect("the heap has room");
    }
    let mut builder = HeapMapBuilder::new(&mut [], &mut []);
    pool.render(&mut builder);
    assert_eq!((builder.view().missed(), builder.view().chunks().count()), (5, 0));
    let mut chunks = [ChunkMap::default(); 2];
    let mut builder = HeapMapBuilder::new(&mut chunks, &mut []);
    pool.render(&mut builder);
    assert_eq!((builder.view().missed(), builder.view().total().live), (3, 2 * 64));
}

#[test]
fn text_rendering() {
    let text = by_hand(|view| view.text(60).to_string());
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("3 chunks, 6.1 KiB, live 2.6 KiB (42.3 %), free 1 KiB (16.5 %)"), "{text}");
    assert!(lines[0].ends_with("; 1 more not shown"), "{text}");
    assert_eq!(lines[1], "0x000000001000   1.1 KiB ▕▄       ▏ 128 B");
    assert_eq!(lines[2], "0x000000005000     1 KiB ▕╌╌╌╌╌╌╌╌▏ 128 B");
    assert_eq!(lines[3], "0x000000009000     4 KiB ▕█··████ ▏ 512 B");

    let ascii = by_hand(|view| view.ascii(60).to_string());
    assert!(ascii.is_ascii());
    assert!(ascii.contains("[#..#### ] 512 B") && ascii.contains("[-       ] 128 B"), "{ascii}");
}

#[test]
fn cells_are_merged_to_fit_a_line() {
    let pool = Local::new(Blocks::<Fixed<64>>::new().with_capacity(1000));
    for _ in 0..500 {
        let _ = pool.allocate(Layout::new::<u64>()).expect("the heap has room");
    }
    let text = pool.heap_map(1000).view().text(88).to_string();
    let line = text.lines().nth(1).expect("a line per chunk");
    assert_eq!(line.matches('█').count(), 25, "{text}");
    assert!(line.chars().count() <= 88 && line.ends_with("▏ 1.2 KiB"), "{text}");
}

#[test]
fn svg_is_well_formed() {
    let svg = by_hand(|view| view.svg("<a> & \"b\"\u{1}").to_string());
    assert!(svg.contains("<title>&lt;a&gt; &amp; &quot;b&quot;</title>"), "{svg}");
    assert_eq!(svg.matches("<text ").count(), svg.matches("</text>").count());
    // In the chunk at 0x9000: live is one cell, then four; free is two; uncarved is one.
    for path in ["M32 230h7v16h-7zM53 230h28v16h-28z", "M39 230h14v16h-14z", "M81 230h7v16h-7z"] {
        assert!(svg.contains(path), "{path} in {svg}");
    }
    assert_eq!(svg.matches("<path ").count(), 2 + 3, "one for each state that a chunk has");
}

#[test]
fn cells_continue_on_the_next_line() {
    let (mut chunks, mut cells) = ([ChunkMap::default()], [Usage::default(); 300]);
    let mut builder = HeapMapBuilder::new(&mut chunks, &mut cells);
    builder.chunk(0x1000..0x1000 + 300 * 16, 0x1000..0x1000 + 300 * 16, Some(16));
    builder.live(0x1000..0x1000 + 300 * 16);
    let svg = builder.view().svg("three lines").to_string();
    let lines = "M32 134h896v16h-896zM32 152h896v16h-896zM32 170h308v16h-308z";
    assert!(svg.contains(lines), "{svg}");
}
