//! The pools that are attacked, and how each is protected.

use millpond::{
    Allocator, Blocks, Buddy, Cached, Classes, Local, LockFree, Reclaim, SignPost, Tlsf,
    guard::{Canary, Checked, Quarantine},
    pool::{DynSize, Full, Hardened, HardenedClasses, Lifo, Light, Validated},
    raw::RawPool,
    secure,
    source::TunedPages,
};

use crate::victim::{Alone, SIZE, Shared, Target, Victim, layout};

/// A pool, and how it is protected.
pub(crate) struct Pool {
    pub(crate) name: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) victim: fn() -> Victim,
}

fn victim(make: fn() -> Box<dyn Target>) -> Victim {
    Victim { target: make(), other: make() }
}

fn alone<A: Allocator + Reclaim + 'static>(pool: A) -> Box<dyn Target> {
    Box::new(Alone(pool))
}

fn shared<A: Allocator + Reclaim + Sync + 'static>(pool: A) -> Box<dyn Target> {
    Box::new(Shared(pool))
}

/// Room for a block and what the guards add to it.
const GUARDED: usize = SIZE + 32;

fn blocks(size: usize) -> Blocks {
    Blocks::of(layout(size, 8))
}

fn light() -> Blocks<(DynSize, Hardened<Light>)> {
    Blocks::<(DynSize, Hardened<Light>)>::with_layout(layout(SIZE, 8))
}

fn full() -> Blocks<(DynSize, Hardened<Full>)> {
    Blocks::<(DynSize, Hardened<Full>)>::with_layout(layout(GUARDED, 8))
}

fn pages() -> TunedPages {
    TunedPages::new().guarded()
}

/// All guards that detect misuse, around a pool.
fn guarded<P: RawPool>(pool: P) -> Checked<Quarantine<Canary<P>, 64>> {
    Checked::new(Quarantine::<_, 64>::new(Canary::new(pool)))
}

const UNCHECKED: &str = "unchecked";
const VALIDATED: &str = "validated";
const CHECKED: &str = "checked";
const GUARDS: &str = "all guards";
const LIGHT: &str = "hardened light";
const FULL: &str = "hardened full";

/// Returns all pools in all modes.
pub(crate) fn all() -> Vec<Pool> {
    let pool = |name, mode, victim| Pool { name, mode, victim };
    vec![
        pool("Blocks", UNCHECKED, || victim(|| alone(Local::new(blocks(SIZE))))),
        pool("Blocks", VALIDATED, || {
            victim(|| alone(Local::new(Blocks::<(DynSize, Validated<Lifo>)>::with_layout(layout(SIZE, 8)))))
        }),
        pool("Blocks", CHECKED, || victim(|| alone(Local::new(Checked::new(blocks(SIZE)))))),
        pool("Blocks", GUARDS, || victim(|| alone(Local::new(guarded(blocks(GUARDED)))))),
        pool("Blocks", LIGHT, || victim(|| alone(Local::new(light())))),
        pool("Blocks", FULL, || victim(|| shared(secure::blocks(layout(SIZE, 8))))),
        pool("Classes", UNCHECKED, || victim(|| alone(Local::new(Classes::new())))),
        pool("Classes", CHECKED, || victim(|| alone(Local::new(Checked::new(Classes::new()))))),
        pool("Classes", GUARDS, || victim(|| alone(Local::new(guarded(Classes::new()))))),
        pool("Classes", LIGHT, || victim(|| alone(Local::new(HardenedClasses::<Light>::new())))),
        pool("Classes", FULL, || victim(|| shared(secure::classes()))),
        pool("Cached", UNCHECKED, || victim(|| shared(Cached::<_>::new(blocks(SIZE))))),
        pool("Cached", CHECKED, || victim(|| shared(Checked::new(Cached::<_>::new(blocks(SIZE)))))),
        pool("Cached", LIGHT, || victim(|| shared(Cached::<_>::new(light())))),
        pool("Cached", FULL, || victim(|| shared(Canary::new(Cached::<_, _>::new_in(full(), pages()))))),
        pool("Tlsf", UNCHECKED, || victim(|| alone(Local::new(Tlsf::new())))),
        pool("Tlsf", CHECKED, || victim(|| alone(Local::new(Checked::new(Tlsf::new()))))),
        pool("Tlsf", GUARDS, || victim(|| alone(Local::new(guarded(Tlsf::new()))))),
        pool("SignPost", UNCHECKED, || victim(|| alone(Local::new(SignPost::first_fit())))),
        pool("SignPost", CHECKED, || victim(|| alone(Local::new(Checked::new(SignPost::first_fit()))))),
        pool("SignPost", GUARDS, || victim(|| alone(Local::new(guarded(SignPost::first_fit()))))),
        pool("Buddy", UNCHECKED, || victim(|| alone(Local::new(Buddy::new())))),
        pool("Buddy", CHECKED, || victim(|| alone(Local::new(Checked::new(Buddy::new()))))),
        pool("Buddy", GUARDS, || victim(|| alone(Local::new(guarded(Buddy::new()))))),
        pool("LockFree", UNCHECKED, || victim(|| shared(LockFree::<DynSize>::of(layout(SIZE, 8))))),
        pool("LockFree", CHECKED, || {
            victim(|| shared(Checked::new(LockFree::<DynSize>::of(layout(SIZE, 8)))))
        }),
    ]
}
