//! Every allocator of the crate, on every kind of parent and in several configurations, through the whole conformance
//! kit.

use std::{
    alloc::Layout,
    any::Any,
    mem::MaybeUninit,
    rc::Rc,
    sync::{Arc, Mutex},
};

use millpond::{
    Allocator, Blocks, Buddy, Buffer, Cached, Classes, Fixed, Heap, Inspect, Linear, Local, LockFree, Locked,
    Magazine, Pages, Reclaim, SignPost, Stack, Tlsf,
    guard::{Canary, Counted, FailNth, Fallback, Limit, Observe, Segregator, Stats},
    observe::{Misuse, MisuseKind, Reporter},
    oom::{Abort, Retry},
    pool::{AddressOrdered, Config, DynSize, Full, Hardened, HardenedClasses, Lifo, Light, Validated},
    raw::RawPool,
    shell::{AtomicLinear, OwnerHandle, RemoteFree},
    source::ReservedRegion,
    testing::{Conformance, TrackingParent, conformance, out_of_memory},
};

pub(crate) fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("the tests' layouts exist")
}

/// What every general allocator serves, and what random sequences request.
pub(crate) const MIXED: (usize, usize) = (1000, 64);
pub(crate) const SMALL: (usize, usize) = (64, 8);

/// Tests a shell, or a guard around one, completely.
pub(crate) fn shell<A: Allocator + Inspect + Reclaim>((size, align): (usize, usize), make: impl Fn() -> A) {
    Conformance::of(make)
        .serves(layout(size, align))
        .reaching(layout(4 * size, 4 * align))
        .inspected()
        .reclaimed()
        .sequences(3, 400)
        .run();
}

/// Tests a pool on parents of every kind, including bounded ones, and with each request to the parent failing.
pub(crate) fn on_every_parent<P: RawPool + Inspect>(serves: (usize, usize), pool: impl Fn() -> P) {
    Conformance::of(|| Local::new_in(pool(), Limit::bytes(TrackingParent::default(), 1 << 18)))
        .serves(layout(serves.0, serves.1))
        .inspected()
        .bounded()
        .sequences(1, 200)
        .run();
    an_arena_on_every_parent(serves, pool);
}

/// The same for pools that do not reuse freed blocks.
pub(crate) fn an_arena_on_every_parent<P: RawPool + Inspect>(serves: (usize, usize), pool: impl Fn() -> P) {
    shell(serves, || Local::new_in(pool(), TrackingParent::default()));
    shell(serves, || Local::new_in(pool(), Heap));
    shell(serves, || Local::new_in(pool(), Pages));
    shell(serves, || Locked::<_, _>::new_in(pool(), Arc::new(TrackingParent::default())));
    shell(serves, || Local::new_in(pool(), Rc::new(Local::new_in(Linear::new(), TrackingParent::default()))));
    shell(serves, || Local::new_in(pool(), Local::new_in(Classes::new(), TrackingParent::default())));
    shell(serves, || Local::new_in(pool(), Local::new_in(Tlsf::new(), TrackingParent::default())));
    shell(serves, || Local::new_in(pool(), Locked::<_, _>::new_in(Buddy::new(), TrackingParent::default())));
    shell(serves, || Local::new_in(pool(), Box::new(Heap) as Box<dyn Allocator>));
    let mut memory = vec![MaybeUninit::uninit(); 1 << 22];
    let memory = memory.as_mut_ptr();
    shell(serves, || {
        // SAFETY: the vector outlives every allocator, and there is only one at a time.
        let bytes = unsafe { std::slice::from_raw_parts_mut(memory, 1 << 22) };
        Local::new_in(pool(), Buffer::new(&mut bytes[1..]))
    });
    out_of_memory(|parent| Local::new_in(pool(), parent));
    out_of_memory(|parent| Local::new_in(pool(), Local::new_in(Linear::new(), parent)));
}

#[test]
fn blocks() {
    on_every_parent(SMALL, Blocks::<(Fixed<64>, Lifo)>::new);
    on_every_parent(SMALL, || Blocks::of(layout(72, 8)));
}

#[test]
fn blocks_with_a_magazine() {
    on_every_parent(SMALL, Blocks::<(Fixed<64>, Magazine)>::new);
    on_every_parent((256, 64), Blocks::<(Fixed<256, 64>, Magazine<4>)>::new);
}

#[test]
fn blocks_in_regions() {
    on_every_parent(SMALL, Blocks::<(Fixed<64>, AddressOrdered)>::new);
    on_every_parent((100, 16), Blocks::<(Fixed<112, 16>, AddressOrdered<5, 4096>)>::new);
}

#[test]
fn validated_blocks() {
    const KIT: Reporter = Reporter::named("kit").with_hook(only_leaks);
    on_every_parent(SMALL, || Blocks::<(Fixed<64>, Validated<Lifo>)>::new().reporting(KIT));
    on_every_parent(SMALL, || {
        Blocks::<(DynSize, Validated<Magazine<5>>)>::with_layout(layout(72, 8)).reporting(KIT)
    });
    on_every_parent((100, 16), || {
        Blocks::<(Fixed<112, 16>, Validated<AddressOrdered<5, 4096>>)>::new().reporting(KIT)
    });
    on_every_parent((256, 64), || {
        Blocks::<(Fixed<256, 64>, Validated<Lifo>)>::new().with_blocks_per_chunk(7).reporting(KIT)
    });
}

#[test]
fn hardened_blocks() {
    type Pool<M> = Blocks<(Fixed<64>, Hardened<M>)>;
    on_every_parent(SMALL, Pool::<Light>::new);
    on_every_parent(SMALL, Pool::<Full>::new);
    on_every_parent((256, 64), || Blocks::<(Fixed<256, 64>, Hardened<Full>)>::new().with_blocks_per_chunk(7));
    on_every_parent(SMALL, || Blocks::<(DynSize, Hardened<Light>)>::with_layout(layout(72, 8)));
    shell(SMALL, || Cached::new_in(Stats::new(Pool::<Full>::new()), TrackingParent::default()));
}

#[test]
fn hardened_classes() {
    let sizes = || HardenedClasses::<Light>::with_sizes(&[16, 40, 64, 4096]).expect("four sizes");
    shell(SMALL, || Local::new_in(sizes(), TrackingParent::default()));
    shell(MIXED, || Local::new_in(HardenedClasses::<Full>::new(), TrackingParent::default()));
    shell(MIXED, || Local::new_in(Canary::new(HardenedClasses::<Full>::new()), Pages));
    out_of_memory(|parent| Local::new_in(HardenedClasses::<Full>::new(), parent));
}

/// The kit drops allocators while blocks are live; any other report would be a mistake of the pool.
pub(crate) fn only_leaks(misuse: &Misuse) {
    assert!(matches!(misuse.kind, MisuseKind::Leak { .. }), "{misuse}");
}

#[test]
fn linear() {
    an_arena_on_every_parent(MIXED, Linear::new);
}

#[test]
fn stack() {
    an_arena_on_every_parent(MIXED, Stack::new);
}

#[test]
fn classes() {
    on_every_parent(MIXED, Classes::new);
    on_every_parent((300, 8), || Classes::with_sizes(&[64, 304]).expect("two sizes"));
}

#[test]
fn sign_posts() {
    on_every_parent(MIXED, SignPost::first_fit);
    on_every_parent(MIXED, || SignPost::best_fit().wiping());
}

#[test]
fn tlsf() {
    on_every_parent(MIXED, Tlsf::new);
    on_every_parent(MIXED, Tlsf::without_quick_list);
}

#[test]
fn buddy() {
    on_every_parent(MIXED, Buddy::new);
}

#[test]
fn sources() {
    conformance(|| Heap);
    conformance(|| Pages);
    conformance(TrackingParent::default);
    conformance(|| ReservedRegion::new(1 << 24).expect("addresses are plenty"));
    let mut memory = vec![MaybeUninit::uninit(); 1 << 20];
    let memory = memory.as_mut_ptr();
    Conformance::of(|| {
        // SAFETY: the vector outlives every buffer, and there is only one at a time.
        Buffer::new(unsafe { std::slice::from_raw_parts_mut(memory, 1 << 20) })
    })
    .inspected()
    .run();
}

/// A guard in every position where one can be.
#[test]
fn guards_around_pools() {
    on_every_parent(SMALL, || Stats::new(Blocks::<Fixed<64>>::new()));
    on_every_parent(MIXED, || Counted::new(Classes::new()));
    on_every_parent(MIXED, || Limit::bytes(Stats::new(Tlsf::new()), usize::MAX));
    an_arena_on_every_parent(MIXED, || {
        FailNth::every(Counted::new(Limit::blocks(Linear::new(), 1 << 20)), 0)
    });
}

#[test]
fn pairs_of_pools() {
    on_every_parent(MIXED, || Segregator::new(64, Blocks::<Fixed<64, 64>>::new(), Classes::new()));
    an_arena_on_every_parent(MIXED, || {
        Segregator::new(100, Stats::new(Linear::new()), Stats::new(Tlsf::new()))
    });
    on_every_parent(MIXED, || Fallback::new(Blocks::<Fixed<64>>::new(), Classes::new()));
    on_every_parent(MIXED, || Fallback::new(Limit::blocks(Tlsf::new(), 7), Stats::new(SignPost::best_fit())));
}

#[test]
fn guards_around_allocators() {
    let blocks = || Local::new_in(Blocks::<Fixed<64>>::new(), TrackingParent::default());
    let classes = || Local::new_in(Classes::new(), TrackingParent::default());
    shell(SMALL, || Stats::new(blocks()));
    shell(MIXED, || Counted::new(Limit::bytes(classes(), 1 << 30)));
    shell(MIXED, || Limit::blocks(Stats::new(classes()), 1 << 30));
    shell(MIXED, || FailNth::every(Observe::new(classes(), |_| {}), 0));
    shell(MIXED, || Segregator::new(64, Local::new(Blocks::<Fixed<64, 64>>::new()), classes()));
    shell(MIXED, || Fallback::new(blocks(), classes()));
    shell(MIXED, || Fallback::new(classes(), Stats::new(Local::new(Linear::new()))));
    conformance(|| Limit::bytes(Stats::new(Pages), usize::MAX));
    conformance(|| Fallback::new(Local::new(Blocks::<Fixed<64>>::new()), Heap));
    conformance(|| Segregator::new(100, Stats::new(Heap), Pages));
}

#[test]
fn guards_between_a_pool_and_its_parent() {
    shell(SMALL, || {
        Local::new_in(Blocks::<Fixed<64>>::new(), Limit::bytes(TrackingParent::default(), 1 << 20))
    });
    shell(MIXED, || Local::new_in(Classes::new(), Stats::new(TrackingParent::default())));
    shell(MIXED, || {
        Local::new_in(Linear::new(), Observe::new(Counted::new(TrackingParent::default()), |_| {}))
    });
    shell(MIXED, || {
        Local::new_in(
            Tlsf::new(),
            Segregator::new(5000, TrackingParent::default(), Stats::new(TrackingParent::default())),
        )
    });
    shell(SMALL, || {
        let few = Limit::bytes(Local::new_in(Linear::new(), TrackingParent::default()), 10_000);
        Local::new_in(Blocks::<Fixed<64>>::new(), Fallback::new(few, TrackingParent::default()))
    });
}

#[test]
fn shells_with_a_policy() {
    shell(MIXED, || Local::with_policy(Classes::new(), TrackingParent::default(), Retry(|_, _| false)));
    let locked =
        || Locked::<_, _, millpond::lock::SpinLock, _>::with_policy(Linear::new(), Heap, Retry(|_, _| false));
    shell(MIXED, locked);
    // The policy that ends the program is not reached: every request is served.
    let pool = Local::with_policy(Blocks::<Fixed<64>>::new(), Heap, Abort);
    assert!(pool.allocate(layout(64, 8)).is_ok());
}

#[test]
fn lock_free_blocks() {
    shell(SMALL, || LockFree::<Fixed<64>, _>::new_in(TrackingParent::default()));
    shell(SMALL, || LockFree::of_in(layout(72, 8), TrackingParent::default()).with_capacity(3));
    shell((256, 64), || LockFree::<Fixed<256, 64>, _>::new_in(Pages).with_capacity(1));
    shell(SMALL, || LockFree::<Fixed<64>, _>::new_in(Local::new_in(Linear::new(), Heap)));
    let bounded = || LockFree::<Fixed<64>, _>::new_in(Limit::bytes(TrackingParent::default(), 100_000));
    Conformance::of(bounded).serves(layout(64, 8)).bounded().run();
    out_of_memory(LockFree::<Fixed<64>, _>::new_in);
    out_of_memory(|parent| LockFree::<Fixed<64>, _>::new_in(parent).with_capacity(1));
}

#[test]
fn a_shared_arena() {
    shell(MIXED, || AtomicLinear::new_in(TrackingParent::default()));
    shell(MIXED, || AtomicLinear::new_in(Pages).with_capacity(10));
    shell(MIXED, || AtomicLinear::new_in(Local::new_in(Classes::new(), TrackingParent::default())));
    out_of_memory(AtomicLinear::new_in);
}

#[test]
fn remote_free_owner() {
    /// `RemoteFree` pools without an owner, kept reachable so that they do not count as leaked.
    static KEPT: Mutex<Vec<&(dyn Any + Send + Sync)>> = Mutex::new(Vec::new());

    fn owner<C: Config<BlockLayout: Send + Sync, FreeList: Send> + 'static>(
        pool: Blocks<C>,
    ) -> OwnerHandle<'static, C, Heap> {
        let remote_free: &'static RemoteFree<C, Heap> = Box::leak(Box::new(RemoteFree::new_in(pool, Heap)));
        KEPT.lock().expect("no thread panicked").push(remote_free);
        remote_free.try_own().expect("it has no owner")
    }
    conformance_of_blocks(|| owner(Blocks::<Fixed<64>>::new()));
    conformance_of_blocks(|| owner(Blocks::<(Fixed<64>, Magazine)>::new()));
}

fn conformance_of_blocks<A: Allocator + Inspect>(make: impl Fn() -> A) {
    Conformance::of(make).serves(layout(64, 8)).reaching(layout(256, 32)).inspected().run();
}

#[test]
fn pointers_to_allocators() {
    conformance(|| Rc::new(Local::new(Linear::new())));
    conformance(|| Arc::new(Locked::<_>::new(Classes::new())));
    conformance(|| Box::new(Local::new(Tlsf::new())) as Box<dyn Allocator>);
    conformance(|| &Heap);
}
