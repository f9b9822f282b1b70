//! Pools whose words were overwritten: every query ends, and behind `Checked` every call.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millpond::{
    Blocks, Buddy, Classes, Fixed, Linear, Magazine, SignPost, Stack, Tlsf,
    pool::{AddressOrdered, Lifo, Validated},
};
use millpond_fuzz::{ask, go_on};

type Trial = fn(&[u8]);

const TRIALS: &[Trial] = &[
    |input| ask(input, Blocks::<(Fixed<64>, Lifo)>::new(), false),
    |input| ask(input, Blocks::<(Fixed<64>, Magazine<8>)>::new(), false),
    |input| ask(input, Blocks::<(Fixed<64>, AddressOrdered)>::new(), false),
    |input| ask(input, Blocks::<(Fixed<64>, Validated<Magazine<8>>)>::new(), false),
    |input| ask(input, Classes::new(), false),
    |input| ask(input, Linear::new(), true),
    |input| ask(input, Stack::new(), true),
    |input| ask(input, SignPost::first_fit(), true),
    |input| ask(input, Tlsf::new(), true),
    |input| ask(input, Tlsf::without_quick_list(), true),
    |input| ask(input, Buddy::new(), true),
    |input| go_on(input, SignPost::first_fit()),
    |input| go_on(input, SignPost::best_fit().wiping()),
    |input| go_on(input, Tlsf::new()),
    |input| go_on(input, Tlsf::without_quick_list()),
    |input| go_on(input, Buddy::new()),
];

fuzz_target!(|data: &[u8]| {
    if let [choice, input @ ..] = data {
        TRIALS[usize::from(*choice) % TRIALS.len()](input);
    }
});
