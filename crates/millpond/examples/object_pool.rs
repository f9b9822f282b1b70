//! An object pool with all usual features: a parent, an alignment, an initial capacity, zeroed blocks, resizing in
//! place, statistics, a heap map, a reset, and all memory returned to the parent at the end.

use std::{alloc::Layout, error::Error};

use millpond::{Allocator, Blocks, Heap, Inspect, Local, Pool, guard::Stats, observe::InspectExt};

struct Person {
    id: u32,
    name: [u8; 32],
    height: f64,
}

/// Prints the statistics of a pool, in blocks of this many bytes.
fn usage(pool: &impl Inspect, block: usize) -> String {
    let stats = pool.stats();
    format!(
        "{}/{} blocks in {} chunk(s)",
        stats.live / block,
        (stats.live + stats.free) / block,
        stats.chunks
    )
}

fn main() -> Result<(), Box<dyn Error>> {
    // The parent counts, which shows at the end that all memory was returned.
    let system = Stats::new(Heap);
    bytes(&system)?;
    objects(&system)?;
    let counts = system.counts();
    println!(
        "the parent gave {} chunks, {} bytes; still out: {}",
        counts.total.blocks, counts.total.bytes, counts.live.blocks
    );
    Ok(())
}

/// Blocks of 128 bytes, aligned to 16, with an initial capacity of 1024 blocks.
fn bytes(system: &Stats<Heap>) -> Result<(), Box<dyn Error>> {
    let block = Layout::from_size_align(128, 16)?;
    let mut pool = Local::new_in(Blocks::of(block).with_capacity(1024), system);
    println!("blocks of {} bytes", block.size());

    let wanted = Layout::from_size_align(100, 16)?;
    let zeros = pool.allocate_zeroed(wanted)?;
    // SAFETY: the block is live, and all of it was zeroed.
    let sum: u32 = unsafe { zeros.as_ref() }.iter().map(|&byte| u32::from(byte)).sum();
    println!("  asked for {} bytes, got {}, which add up to {sum}", wanted.size(), zeros.len());
    println!("  in use: {}", usage(&pool, 128));

    // A block can grow in place up to the block size, and no further.
    for size in [128, 129] {
        let larger = Layout::from_size_align(size, 16)?;
        // SAFETY: the block is live, `wanted` fits it, and `larger` is at least as large.
        match unsafe { pool.grow_in_place(zeros.cast(), wanted, larger) } {
            Ok(_) => println!("  grown to {size} bytes in place"),
            Err(_) => println!("  {size} bytes do not fit the block"),
        }
    }

    let more = (0..1500).map(|_| pool.allocate(wanted)).collect::<Result<Vec<_>, _>>()?;
    println!("  1500 more: {}", usage(&pool, 128));
    for block in &more[300..900] {
        // SAFETY: the block is live and was allocated with this layout.
        unsafe { pool.deallocate(block.cast(), wanted) };
    }
    println!("  600 freed: {}\n{}", usage(&pool, 128), pool.heap_map(64).view().text(72));
    pool.reset(); // constant time; invalidates all blocks, so it takes `&mut self`
    println!("  reset: {}", usage(&pool, 128));
    println!("  trimmed: {} bytes back to the parent, {}", pool.trim(), usage(&pool, 128));
    Ok(())
}

/// The same for values: the pool knows their size and alignment, and their handles free them.
fn objects(system: &Stats<Heap>) -> Result<(), Box<dyn Error>> {
    let pool = Pool::<Person>::builder().capacity(100).parent(system).build();
    println!("people of {} bytes", size_of::<Person>());

    let mut name = [0; 32];
    name[..3].copy_from_slice(b"Ada");
    let mut ada = pool.try_alloc_with(|| Person { id: 42, name, height: 1.65 })?;
    ada.height += 0.01;
    let shown = str::from_utf8(&ada.name)?.trim_end_matches('\0');
    println!("  number {}: {shown}, {:.2} m", ada.id, ada.height);
    println!("  in use: {}", usage(&pool, size_of::<Person>()));
    drop(ada);
    println!("  freed: {}", usage(&pool, size_of::<Person>()));
    Ok(())
}
