//! One kilobyte for everything: numbers first, then a string in the same bytes.
//!
//! `SignPost` carves blocks of any size from a small region. This pool wipes freed blocks, so that the string finds
//! zeros where the numbers were. The kilobyte is a static; no other memory is used. (`Buffer` is the same for a
//! borrowed slice.)

use millpond::{AllocError, Inspect, Local, PoolBox, SignPost, StaticBuffer};

static KILOBYTE: StaticBuffer<1024> = StaticBuffer::new();

fn main() -> Result<(), AllocError> {
    let pool = Local::new_in(SignPost::first_fit().wiping(), &KILOBYTE);

    let numbers = PoolBox::slice_in(5, |index| index as i32, &pool)?;
    for (index, number) in numbers.iter().enumerate() {
        println!("numbers[{index}] = {number}");
    }
    let address = numbers.as_ptr().addr();
    println!("5 numbers of 4 bytes: {} bytes live, with the block's post", pool.stats().live);

    drop(numbers);
    println!("freed: {} bytes live", pool.stats().live);

    let greeting = PoolBox::str_in("ciao!", &pool)?;
    println!("a string of {} bytes: {greeting}", greeting.len());
    println!("in the bytes where the numbers were: {}", greeting.as_ptr().addr() == address);

    // Blocks of any size are next to each other; a request that is too large for the remainder is refused.
    let squares = PoolBox::slice_in(20, |index| (index * index) as u64, &pool)?;
    println!("{} squares, the last is {}", squares.len(), squares[19]);
    match PoolBox::slice_in(1000, |_| 0u8, &pool) {
        Ok(_) => println!("a thousand bytes more were there"),
        Err(error) => println!("a thousand bytes more: {error}"),
    }

    drop((greeting, squares));
    let holes = pool.holes().unwrap_or_default();
    println!("all freed: {} hole of {} bytes", holes.count, holes.largest);
    Ok(())
}
