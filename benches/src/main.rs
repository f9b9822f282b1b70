//! Millpond's pools beside hand-written lists and the peers, interleaved in one run.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml [MIX…]`; without a name, every mix runs.

mod aged;
mod arenas;
mod buddy;
mod checked;
mod classes;
mod cold;
mod contenders;
mod harness;
mod memory;
mod mixes;
mod regions;
mod shared;
mod variable;

use std::process::ExitCode;

/// Measurements that are no mixes.
const SINGLE: [&str; 3] = ["cold", "reset", "resident"];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let known: Vec<&str> = all().map(|mix| mix.name).chain(SINGLE).chain(shared::names()).collect();
    if let Some(stranger) = wanted.iter().find(|name| !known.contains(&name.as_str())) {
        eprintln!("no mix is called {stranger}: choose among {}", known.join(", "));
        return ExitCode::from(2);
    }
    let chosen = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    // First, while the process has not allocated and freed anything that could be reused.
    if chosen("resident") {
        memory::resident_at_a_million();
    }
    // Early too: the heap keeps what it was given back, and would be warm.
    if chosen("cold") {
        cold::fill_of_a_million();
    }
    for mix in all().filter(|mix| chosen(mix.name)) {
        harness::compare(mix);
    }
    for mix in shared::MIXES.iter().filter(|mix| chosen(mix.name)) {
        shared::compare(mix, 2);
    }
    if wanted.iter().any(|wanted| wanted == "shared-crowd") {
        shared::crowd();
    }
    if chosen("reset") {
        memory::reset_of_a_million();
    }
    ExitCode::SUCCESS
}

/// Every mix of every module.
fn all() -> impl Iterator<Item = &'static harness::Mix> {
    let regions = regions::MIXES.iter().chain(buddy::MIXES).chain(classes::MIXES).chain(checked::MIXES);
    mixes::ALL.iter().chain(aged::MIXES).chain(arenas::MIXES).chain(regions)
}
