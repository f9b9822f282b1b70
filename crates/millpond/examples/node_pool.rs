//! A linked list whose nodes are in a pool: constructed in place, and freed one by one by dropping the list.
//!
//! A `PoolBox` owns its value as `Box` does, so no destructor is called and no block is freed by hand. Dropping the
//! first node drops the next, and so on, and each block returns to the pool.

use std::{cell::Cell, iter::successors};

use millpond::{AllocError, Pool, PoolBox, StaticBuffer};

/// A node of the list, which notes when it is destroyed.
struct Node<'p> {
    value: u32,
    next: Option<PoolBox<'p, Node<'p>>>,
    destroyed: &'p Cell<usize>,
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        self.destroyed.set(self.destroyed.get() + 1);
    }
}

const CAPACITY: usize = 8;

fn main() {
    let destroyed = Cell::new(0);
    let pool = Pool::<Node>::builder().capacity(CAPACITY).build();
    let rule = "=".repeat(40);
    println!("{rule}\n  A list in a pool of nodes\n{rule}");
    println!("Block size: {} bytes", size_of::<Node>());
    println!("Capacity  : {CAPACITY} blocks");

    let mut list = None;
    for value in 0..5 {
        // The closure constructs the node in its block. In optimised builds, nothing is copied from the stack.
        list = Some(pool.alloc_with(|| Node { value, next: list, destroyed: &destroyed }));
    }
    for node in successors(list.as_ref(), |node| node.next.as_ref()) {
        println!("Node value = {} at {:p}", node.value, &**node);
    }
    println!("{} bytes live in {} chunk", pool.stats().live, pool.stats().chunks);

    drop(list);
    println!("{} nodes destroyed, {} bytes live", destroyed.get(), pool.stats().live);

    println!("{rule}");
    match without_a_heap() {
        Ok(()) => println!("There was room for one more."),
        Err(error) => println!("One more was refused: {error}."),
    }
}

/// The same without a heap: eight blocks of 16 bytes fill these 128 bytes exactly, and the ninth is an error.
fn without_a_heap() -> Result<(), AllocError> {
    static MEMORY: StaticBuffer<{ 16 * CAPACITY }> = StaticBuffer::new();
    let pool = Pool::<[u64; 2]>::builder().parent(&MEMORY).build();
    let pairs = (0..8).map(|number| pool.try_alloc([number; 2])).collect::<Result<Vec<_>, _>>()?;
    println!("{} pairs in {} bytes of static memory", pairs.len(), pool.stats().held);
    pool.try_alloc([8; 2])?;
    Ok(())
}
