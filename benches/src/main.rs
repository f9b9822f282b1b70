//! Millpond's pools beside hand-written lists and the peers, interleaved in one run.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml [MIX…]`; without a name, every mix runs. `--list` says which
//! there are. Names that end in `.mpt` are traces, which are replayed.

mod aged;
mod arenas;
mod buddy;
mod bump;
mod checked;
mod classes;
mod cold;
mod contenders;
mod cpp;
mod fork;
mod grows;
mod harness;
mod latency;
mod lock_free;
mod many;
mod memory;
mod mixes;
mod ordered;
mod questions;
mod regions;
mod shared;
mod traces;
mod typed;
mod variable;

use std::process::ExitCode;

/// What is not a comparison of pairs per second, and prints a table of its own.
struct Special {
    name: &'static str,
    what: &'static str,
    run: fn(),
}

/// These come first, while the process has not allocated and freed anything that could be reused, or is warm.
const FIRST: &[Special] = &[
    Special {
        name: "resident",
        what: "resident memory of a million blocks: live, freed, trimmed",
        run: memory::resident_at_a_million,
    },
    Special {
        name: "typed-resident",
        what: "resident memory of a million typed values",
        run: typed::memory::resident_at_a_million,
    },
    Special { name: "cold", what: "fill a new pool of a million blocks", run: cold::fill_of_a_million },
];

const LAST: &[Special] = &[
    Special {
        name: "reset",
        what: "reset a pool with a million live blocks",
        run: memory::reset_of_a_million,
    },
    Special {
        name: "latency",
        what: "median, rare and worst times of single operations",
        run: latency::of_single_operations,
    },
    Special {
        name: "lock-free",
        what: "pairs of one and of two threads on a list of free blocks that they share",
        run: lock_free::times,
    },
    Special {
        name: "bump",
        what: "one and two threads that allocate from an arena that they share",
        run: bump::times,
    },
    Special {
        name: "ordered",
        what: "blocks that were freed in some order: taken again, and walked",
        run: ordered::times,
    },
    Special {
        name: "questions",
        what: "statistics, reserve and trim with a million free blocks",
        run: questions::times,
    },
    Special { name: "many-bytes", what: "bytes of a pool with one value", run: many::bytes },
    Special {
        name: "many-counts",
        what: "instructions of a pool that is made, allocates once, and is dropped (needs valgrind)",
        run: many::counts,
    },
    Special { name: "grows", what: "time of one operation as live blocks grow", run: grows::times },
    Special {
        name: "grows-counts",
        what: "instructions of one operation as live blocks grow (needs valgrind; minutes)",
        run: grows::counts,
    },
];

const CROWD: &str = "shared-crowd";

fn main() -> ExitCode {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    if let [grows::COUNT, row, live] = wanted.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return grows::count(row, live).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if let [many::COUNT, row, times] = wanted.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return many::count(row, times).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if wanted.iter().any(|name| name == "--list") {
        list();
        return ExitCode::SUCCESS;
    }
    let traces: Vec<String> = wanted.extract_if(.., |name| name.ends_with(".mpt")).collect();
    let known: Vec<&str> = names().map(|(name, _)| name).collect();
    if let Some(stranger) = wanted.iter().find(|name| !known.contains(&name.as_str())) {
        eprintln!("no mix is called {stranger}: choose among {}", known.join(", "));
        return ExitCode::from(2);
    }
    let all_wanted = wanted.is_empty() && traces.is_empty();
    let chosen = |name: &str| all_wanted || wanted.iter().any(|wanted| wanted == name);
    let run = |specials: &[Special]| {
        specials.iter().filter(|special| chosen(special.name)).for_each(|special| (special.run)());
    };
    run(FIRST);
    // These copy this process too, which has one thread so far.
    for trace in traces {
        if let Err(error) = traces::replay(&trace) {
            eprintln!("{trace}: {error}");
            return ExitCode::FAILURE;
        }
    }
    mixes().filter(|mix| chosen(mix.name)).for_each(harness::compare);
    for mix in shared::MIXES.iter().chain(typed::SHARED).filter(|mix| chosen(mix.name)) {
        shared::compare(mix, 2);
    }
    if wanted.iter().any(|wanted| wanted == CROWD) {
        shared::crowd();
    }
    run(LAST);
    ExitCode::SUCCESS
}

/// Every mix of every module.
fn mixes() -> impl Iterator<Item = &'static harness::Mix> {
    let regions = regions::MIXES.iter().chain(buddy::MIXES).chain(classes::MIXES).chain(checked::MIXES);
    mixes::ALL
        .iter()
        .chain(aged::MIXES)
        .chain(arenas::MIXES)
        .chain(typed::MIXES)
        .chain(many::MIXES)
        .chain(regions)
}

/// Every name, and what it means.
fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let specials = |specials: &'static [Special]| specials.iter().map(|special| (special.name, special.what));
    let crowd = (CROWD, "the shared mixes with more threads than processors; only if asked for");
    let shared = shared::MIXES.iter().chain(typed::SHARED).map(|mix| (mix.name, mix.what)).chain([crowd]);
    specials(FIRST).chain(mixes().map(|mix| (mix.name, mix.what))).chain(shared).chain(specials(LAST))
}

fn list() {
    for (name, what) in names() {
        println!("{name:<20} {what}");
    }
    println!("{:<20} replay a trace that `millpond record` wrote", "FILE.mpt");
}
