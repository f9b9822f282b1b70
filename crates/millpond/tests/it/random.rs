//! Random sequences of operations, checked by the oracle, on every pool, shell and parent.

use std::{alloc::Layout, rc::Rc};

use fastrand::Rng;
use millpond::{
    Allocator, Blocks, Buffer, Classes, Fixed, Heap, Inspect, Linear, Local, Locked, Magazine, Pages,
    Reclaim,
    pool::{AddressOrdered, Lifo},
    testing::Conformance,
};

use crate::{oracle::Oracle, tracking_parent::TrackingParent};

const STEPS: usize = 3000;
const SEEDS: u64 = 8;

/// The layouts that a test requests: sizes up to `size`, alignments up to `1 << align`.
#[derive(Clone, Copy)]
pub(crate) struct Range {
    pub(crate) size: usize,
    pub(crate) align: u32,
}

impl Range {
    pub(crate) fn pick(self, rng: &mut Rng) -> Layout {
        // Small sizes are as likely as large ones.
        let size = rng.usize(0..=self.size) >> rng.u32(0..=usize::BITS - self.size.leading_zeros());
        Layout::from_size_align(size, 1 << rng.u32(0..=self.align)).expect("small layouts exist")
    }
}

/// Performs random operations on an allocator, with `check()` after each step.
pub(crate) fn play<A: Allocator + Inspect>(
    oracle: &mut Oracle<A>,
    range: Range,
    rng: &mut Rng,
    steps: usize,
) {
    for step in 0..steps {
        let full = oracle.count() > 60;
        match rng.u8(0..10) {
            0..5 if !full => {
                // A bounded parent may be exhausted; the oracle checks what is handed out.
                let _ = oracle.allocate(range.pick(rng), rng.bool());
            }
            5..7 if oracle.count() != 0 => {
                let index = rng.usize(0..oracle.count());
                let layout = range.pick(rng);
                let _ = oracle.resize(index, layout, rng.bool());
            }
            _ if oracle.count() != 0 => oracle.deallocate(rng.usize(0..oracle.count()), rng.usize(..)),
            _ => {}
        }
        if let Err(flaw) = oracle.allocator().check() {
            panic!("after step {step}: {flaw}");
        }
    }
}

/// Runs random sequences that also trim and reset; a failing one is shortened.
pub(crate) fn trial<A: Allocator + Inspect + Reclaim>(range: Range, make: impl Fn() -> A) {
    let largest = Layout::from_size_align(range.size, 1 << range.align).expect("small layouts exist");
    Conformance::of(make).reaching(largest).inspected().reclaimed().sequences(SEEDS, STEPS).run_sequences();
}

pub(crate) const SMALL: Range = Range { size: 64, align: 3 };
pub(crate) const MIXED: Range = Range { size: 3000, align: 8 };
pub(crate) const LARGE: Range = Range { size: 100_000, align: 12 };

#[test]
fn blocks_of_fixed_size() {
    trial(SMALL, || Local::new_in(Blocks::<Fixed<64>>::new(), TrackingParent::default()));
    trial(SMALL, || Local::new_in(Blocks::<(Fixed<64, 256>, Lifo)>::new(), Pages));
    trial(SMALL, || Local::new_in(Blocks::<(Fixed<64>, Magazine)>::new(), TrackingParent::default()));
    trial(SMALL, || Local::new_in(Blocks::<(Fixed<8>, Magazine<4>)>::new(), TrackingParent::default()));
    trial(SMALL, || Local::new_in(Blocks::<(Fixed<24, 16>, Magazine<9>)>::new(), TrackingParent::default()));
    trial(SMALL, || Local::new_in(Blocks::<(Fixed<64>, AddressOrdered)>::new(), TrackingParent::default()));
    trial(SMALL, || {
        Local::new_in(Blocks::<(Fixed<24, 16>, AddressOrdered<4, 4096>)>::new(), TrackingParent::default())
    });
    trial(SMALL, || Local::new_in(Blocks::<(Fixed<512>, AddressOrdered<5, 4096>)>::new(), Pages));
    trial(SMALL, || Locked::<_, _>::new_in(Blocks::<Fixed<24>>::new(), TrackingParent::default()));
}

#[test]
fn blocks_of_a_size_known_at_run_time() {
    let layout = Layout::from_size_align(40, 32).expect("a layout");
    trial(SMALL, || Local::new_in(Blocks::of(layout), TrackingParent::default()));
    trial(MIXED, || Local::new_in(Blocks::of(layout), Rc::new(TrackingParent::default())));
}

#[test]
fn linear() {
    trial(MIXED, || Local::new_in(Linear::new(), TrackingParent::default()));
    trial(LARGE, || Local::new_in(Linear::new(), Pages));
}

#[test]
fn classes() {
    trial(MIXED, || Local::new_in(Classes::new(), TrackingParent::default()));
    trial(LARGE, || Local::new_in(Classes::new(), TrackingParent::default()));
    let sizes = [24, 40, 1000, 5000];
    trial(MIXED, || {
        Local::new_in(Classes::with_sizes(&sizes).expect("four sizes"), TrackingParent::default())
    });
}

#[test]
fn on_a_buffer_that_runs_out() {
    let mut memory = vec![std::mem::MaybeUninit::uninit(); 7001];
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        let mut oracle = Oracle::new(Local::new_in(Linear::new(), Buffer::new(&mut memory[1..])));
        play(&mut oracle, MIXED, &mut rng, STEPS);
        drop(oracle);
        let mut oracle = Oracle::new(Local::new_in(Classes::new(), Buffer::new(&mut memory[1..])));
        play(&mut oracle, SMALL, &mut rng, STEPS);
    }
}

#[test]
fn pools_on_pools_on_pools() {
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        let pages = Locked::<_, _>::new_in(Linear::new(), Pages);
        let classes = Local::new_in(Classes::new(), &pages);
        let arena = Local::new_in(Linear::new(), &classes);
        let mut blocks = Oracle::new(Local::new_in(Blocks::<Fixed<64>>::new(), &arena));
        let mut mixed = Oracle::new(&classes);
        for _ in 0..10 {
            play(&mut blocks, SMALL, &mut rng, 200);
            for _ in 0..50 {
                mixed.allocate(MIXED.pick(&mut rng), rng.bool()).expect("the system has pages");
                if mixed.count() > 20 {
                    mixed.deallocate(rng.usize(0..mixed.count()), rng.usize(..));
                }
            }
        }
        for flaw in [pages.check(), classes.check(), arena.check()] {
            flaw.expect("sound underneath");
        }
    }
}

#[test]
fn the_sources_themselves() {
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        let mut heap = Oracle::new(Heap);
        let mut pages = Oracle::new(Pages);
        for _ in 0..300 {
            heap.allocate(LARGE.pick(&mut rng), rng.bool()).expect("the heap has room");
            pages.allocate(LARGE.pick(&mut rng), rng.bool()).expect("the system has pages");
            let index = rng.usize(0..heap.count().max(1));
            if index < heap.count() {
                heap.resize(index, LARGE.pick(&mut rng), rng.bool()).expect("the heap has room");
            }
            if pages.count() > 30 {
                pages.resize(3, LARGE.pick(&mut rng), rng.bool()).expect("the system has pages");
                pages.deallocate(rng.usize(0..pages.count()), rng.usize(..));
            }
        }
    }
}
