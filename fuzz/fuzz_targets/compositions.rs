//! Guards around pools and around allocators, and pools on pools.
#![no_main]

use std::cell::Cell;

use libfuzzer_sys::fuzz_target;
use millpond::{
    Blocks, Buddy, Cached, Classes, Fixed, Linear, Local, Locked, Magazine, SignPost, Stack, Tlsf,
    guard::{
        Canary, Checked, Counted, FailNth, Fallback, Limit, Observe, Poison, Quarantine, Segregator, Stats,
        Tracked, Zeroed,
    },
    lock::SpinLock,
    observe::{MisuseKind, Reporter},
    oom::Retry,
    pool::{AddressOrdered, Validated},
    testing::TrackingParent,
};
use millpond_fuzz::{Trial, choose};

type Small = Blocks<Fixed<64, 64>>;

/// A pool of blocks of one size.
fn blocks(parent: TrackingParent) -> Local<Small, TrackingParent> {
    Local::new_in(Blocks::new(), parent)
}

/// A pool of classes.
fn classes(parent: TrackingParent) -> Local<Classes, TrackingParent> {
    Local::new_in(Classes::new(), parent)
}

/// Guards around pools, inside a shell.
const AROUND_POOLS: &[Trial] = &[
    |input| input.play(|parent| Local::new_in(Stats::new(Blocks::<(Fixed<64>, Magazine)>::new()), parent)),
    |input| input.play(|parent| Local::new_in(Limit::blocks(Stats::new(Classes::new()), 9), parent)),
    |input| input.play(|parent| Local::new_in(Stats::new(Limit::bytes(Tlsf::new(), 5000)), parent)),
    |input| input.play(|parent| Local::new_in(FailNth::every(Counted::new(Stack::new()), 3), parent)),
    |input| input.play(|parent| Local::new_in(Limit::bytes(FailNth::every(Buddy::new(), 5), 9000), parent)),
    |input| input.play(|parent| Local::new_in(Segregator::new(64, Small::new(), Tlsf::new()), parent)),
    |input| {
        input.play(|parent| {
            Local::new_in(Segregator::new(100, Stats::new(Linear::new()), Counted::new(Buddy::new())), parent)
        });
    },
    |input| {
        input.play(|parent| {
            let few = Limit::blocks(Blocks::<(Fixed<64>, AddressOrdered)>::new(), 7);
            Local::new_in(Fallback::new(few, Stats::new(SignPost::best_fit())), parent)
        });
    },
];

/// Guards around shells, and between a shell and its parent.
const AROUND_ALLOCATORS: &[Trial] = &[
    |input| input.play(|parent| Limit::bytes(Stats::new(classes(parent)), 5000)),
    |input| input.play(|parent| FailNth::every(Counted::new(Observe::new(blocks(parent), |_| {})), 4)),
    |input| input.play(|parent| Segregator::new(64, blocks(TrackingParent::default()), classes(parent))),
    |input| input.play(|parent| Fallback::new(blocks(parent), classes(TrackingParent::default()))),
    |input| {
        input.play(|parent| {
            Fallback::new(Limit::blocks(blocks(parent), 5), classes(TrackingParent::default()))
        })
    },
    |input| input.play(|parent| Local::new_in(Linear::new(), Limit::bytes(Stats::new(parent), 30_000))),
    |input| {
        input.play(|parent| {
            Local::new_in(Tlsf::new(), Fallback::new(classes(parent), TrackingParent::default()))
        });
    },
    |input| {
        input.play(|parent| {
            Local::new_in(Buddy::new(), Segregator::new(5000, TrackingParent::default(), parent))
        })
    },
];

/// The kit drops allocators while blocks are live; any other report would be a mistake of the pool.
const KIT: Reporter = Reporter::named("kit").with_hook(|misuse| {
    assert!(matches!(misuse.kind, MisuseKind::Leak { .. }), "{misuse}");
});

/// Guards that work on the bytes of blocks, in shells and around them.
const LOOKING_AFTER: &[Trial] = &[
    |input| input.play(|parent| Local::new_in(Checked::new(Classes::new()).reporting(KIT), parent)),
    |input| {
        input.play(|parent| {
            Local::new_in(Blocks::<(Fixed<64>, Validated<Magazine<5>>)>::new().reporting(KIT), parent)
        });
    },
    |input| input.play(|parent| Local::new_in(Quarantine::<_, 3>::new(Tlsf::new()).holding(1000), parent)),
    |input| {
        input.play(|parent| {
            let inside = Quarantine::<_, 5>::new(Zeroed::new(Canary::new(Small::new())));
            Local::new_in(Checked::new(Poison::new(inside)).reporting(KIT), parent)
        });
    },
    |input| {
        input.play(|parent| {
            let inside = Checked::new(Poison::new(Buddy::new())).reporting(KIT);
            Local::new_in(Canary::new(Zeroed::new(Quarantine::<_, 5>::new(inside))), parent)
        });
    },
    |input| input.play(|parent| Canary::new(Poison::new(classes(parent)))),
    |input| input.play(|parent| Tracked::new(Zeroed::new(classes(parent))).reporting(KIT)),
    |input| {
        input.play(|parent| {
            Checked::new(Quarantine::<_, 7>::around(Canary::new(classes(parent)))).reporting(KIT)
        });
    },
];

/// Pools on pools, and policies for a lack of memory.
const ON_POOLS: &[Trial] = &[
    |input| input.play(|parent| Local::new_in(Small::new(), Local::new_in(Linear::new(), parent))),
    |input| input.play(|parent| Local::new_in(Linear::new(), classes(parent))),
    |input| input.play(|parent| Cached::new_in(Small::new(), parent)),
    |input| input.play(|parent| Cached::new_in(Limit::blocks(Classes::new(), 90), parent)),
    |input| input.play(|parent| Local::new_in(Stack::new(), Local::new_in(Tlsf::new(), parent))),
    |input| input.play(|parent| Local::new_in(Classes::new(), Local::new_in(Buddy::new(), parent))),
    |input| {
        input.play(|parent| Local::new_in(Tlsf::without_quick_list(), Local::new_in(Stack::new(), parent)))
    },
    |input| {
        input.play(|parent| {
            let middle = Limit::bytes(Local::new_in(SignPost::first_fit(), parent), 40_000);
            Local::new_in(Blocks::<(Fixed<24, 16>, AddressOrdered<5, 4096>)>::new(), middle)
        });
    },
    |input| {
        input.play(|parent| {
            // A failed request is retried twice.
            let tries = Cell::new(0);
            let again = Retry(move |_, _| tries.replace((tries.get() + 1) % 3) < 2);
            Locked::<_, _, SpinLock, _>::with_policy(Classes::new(), parent, again)
        });
    },
];

fuzz_target!(|data: &[u8]| choose(
    data,
    &[AROUND_POOLS, AROUND_ALLOCATORS, ON_POOLS, LOOKING_AFTER].concat()
));
