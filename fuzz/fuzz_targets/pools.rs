//! Every pool, alone in a shell; blocks that are allocated several at a time; scopes.
#![no_main]

use std::alloc::Layout;

use libfuzzer_sys::fuzz_target;
use millpond::{
    Blocks, Buddy, Cached, Classes, Fixed, Inspect, Linear, Local, Locked, Magazine, SignPost, Stack, Tlsf,
    guard::{Limit, Stats},
    pool::{AddressOrdered, Lifo},
    raw::RawPool,
};
use millpond_fuzz::{Alone, InBulk, Input, Trial, choose};

const TRIALS: &[Trial] = &[
    |input| shells(input, Blocks::<(Fixed<64>, Lifo)>::new),
    |input| shells(input, Blocks::<(Fixed<8>, Magazine<4>)>::new),
    |input| shells(input, Blocks::<(Fixed<200, 256>, Magazine)>::new),
    |input| shells(input, Blocks::<(Fixed<64>, AddressOrdered)>::new),
    |input| shells(input, Blocks::<(Fixed<24, 16>, AddressOrdered<5, 4096>)>::new),
    |input| shells(input, || Blocks::of(Layout::from_size_align(40, 32).expect("a layout"))),
    |input| shells(input, Classes::new),
    |input| shells(input, || Classes::with_sizes(&[24, 40, 1000, 5000]).expect("four sizes")),
    |input| shells(input, Linear::new),
    |input| shells(input, Stack::new),
    |input| shells(input, SignPost::first_fit),
    |input| shells(input, || SignPost::best_fit().wiping()),
    |input| shells(input, Tlsf::new),
    |input| shells(input, Tlsf::without_quick_list),
    |input| shells(input, Buddy::new),
    |input| input.play(|parent| Alone::new_in(Blocks::<(Fixed<64>, Lifo)>::new(), parent)),
    |input| input.play(|parent| Alone::new_in(Tlsf::new(), parent)),
    |input| input.play(|parent| InBulk(Local::new_in(Blocks::<(Fixed<64>, Magazine)>::new(), parent))),
    |input| input.play(|parent| InBulk(Local::new_in(Classes::new(), parent))),
    |input| input.play(|parent| InBulk(Local::new_in(Limit::blocks(Tlsf::new(), 20), parent))),
    |input| input.play(|parent| InBulk(Cached::new_in(Classes::new(), parent))),
    |input| input.play_scopes(Stack::new),
    |input| input.play_scopes(|| Stats::new(Limit::bytes(Stack::new(), 20_000))),
];

/// A pool that grows from the heap, and one that has only a buffer.
fn shells<P: RawPool + Inspect>(input: &Input<'_>, pool: impl Fn() -> P) {
    input.play(|parent| Local::new_in(pool(), parent));
    input.play_in_buffer(|parent| Locked::<_, _>::new_in(pool(), parent));
}

fuzz_target!(|data: &[u8]| choose(data, TRIALS));
