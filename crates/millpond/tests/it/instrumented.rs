//! The guards that work on the bytes of blocks, through the whole kit: alone, stacked, around pools and around
//! allocators.

use millpond::{
    Blocks, Buddy, Classes, Fixed, Heap, Linear, Local, Locked, Magazine, Pages, SignPost, Stack, Tlsf,
    guard::{Canary, Checked, DelayedFree, Limit, Poison, Quarantine, Stats, Tracked, Zeroed},
    observe::Reporter,
    pool::AddressOrdered,
    raw::RawPool,
    testing::{TrackingParent, conformance},
};

use crate::conformance::{MIXED, SMALL, an_arena_on_every_parent, on_every_parent, only_leaks, shell};

const KIT: Reporter = Reporter::named("kit").with_hook(only_leaks);

#[test]
fn around_pools() {
    on_every_parent(MIXED, || Poison::new(Classes::new()));
    on_every_parent((112, 8), || Canary::new(Blocks::<Fixed<144>>::new()));
    on_every_parent(MIXED, || Zeroed::new(Tlsf::new()));
    an_arena_on_every_parent(MIXED, || Checked::new(Linear::new()).reporting(KIT));
    on_every_parent(SMALL, || Quarantine::<_, 8>::new(Blocks::<Fixed<64>>::new()));
    on_every_parent(MIXED, || Quarantine::<_, 3>::new(Classes::new()).holding(1000));
}

/// All five, in three orders, around each kind of pool.
fn stacked<P: RawPool + millpond::Inspect>(serves: (usize, usize), pool: impl Fn() -> P) {
    let local = |make: &dyn Fn() -> P| make();
    shell(serves, || {
        let inside = Quarantine::<_, 5>::new(Zeroed::new(Canary::new(local(&pool))));
        Local::new_in(Checked::new(Poison::new(inside)).reporting(KIT), TrackingParent::default())
    });
    shell(serves, || {
        let inside = Checked::new(Poison::new(local(&pool))).reporting(KIT);
        Local::new_in(Canary::new(Zeroed::new(Quarantine::<_, 5>::new(inside))), TrackingParent::default())
    });
    shell(serves, || {
        let inside = Stats::new(Canary::new(Checked::new(Canary::new(local(&pool))).reporting(KIT)));
        let outside = Limit::bytes(Quarantine::<_, 2>::new(inside), 1 << 30);
        Locked::<_, _>::new_in(Zeroed::new(outside), TrackingParent::default())
    });
}

#[test]
fn stacked_in_any_order_around_any_pool() {
    stacked((32, 8), Blocks::<Fixed<96>>::new);
    stacked((32, 8), Blocks::<(Fixed<96>, Magazine)>::new);
    stacked((32, 8), Blocks::<(Fixed<96>, AddressOrdered)>::new);
    stacked(MIXED, Classes::new);
    stacked(MIXED, Linear::new);
    stacked(MIXED, Stack::new);
    stacked(MIXED, SignPost::first_fit);
    stacked(MIXED, Tlsf::new);
    stacked(MIXED, Tlsf::without_quick_list);
    stacked(MIXED, Buddy::new);
}

#[test]
fn around_allocators() {
    let classes = || Local::new_in(Classes::new(), TrackingParent::default());
    shell(MIXED, || Poison::new(classes()));
    shell(MIXED, || Canary::new(classes()));
    shell(MIXED, || Zeroed::new(classes()));
    shell(MIXED, || Checked::new(classes()).reporting(KIT));
    shell(MIXED, || Tracked::new(classes()).reporting(KIT));
    shell(MIXED, || Quarantine::<_, 7>::around(classes()));
    shell(MIXED, || Checked::new(Quarantine::<_, 7>::around(Canary::new(classes()))).reporting(KIT));
    shell(MIXED, || {
        DelayedFree::around(Poison::new(Tracked::new(Zeroed::new(classes())).reporting(KIT))) as Ring<_>
    });
    conformance(|| Checked::new(Poison::new(Canary::new(Heap))));
    conformance(|| Tracked::new(Quarantine::<_, 3>::around(Zeroed::new(Pages))));
    conformance(|| Quarantine::<_, 64>::around(TrackingParent::default()));
}

type Ring<A> = Quarantine<A, 4>;

#[test]
fn between_a_pool_and_its_parent() {
    shell(SMALL, || {
        let parent = Quarantine::<_, 2>::around(Canary::new(TrackingParent::default()));
        Local::new_in(Blocks::<Fixed<64>>::new(), Checked::new(parent))
    });
    shell(MIXED, || Local::new_in(Tlsf::new(), Zeroed::new(Poison::new(TrackingParent::default()))));
    shell(MIXED, || Locked::<_, _>::new_in(Linear::new(), Tracked::new(Canary::new(Pages))));
}
