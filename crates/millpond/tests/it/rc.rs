//! Reference-counted handles: everything beside cloning and dropping.

use std::{
    cell::Cell,
    error::Error,
    fmt::{Debug, Display},
    sync::{
        Barrier,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use millpond::{
    AllocError, ArcPool, Classes, Inspect, Local, PoolArc, PoolBox, PoolRc, RcPool, ThinPool,
    source::NullAllocator,
    typed::{LocalRefCount, PoolRef, PoolWeak},
    unsize,
};

use crate::values::{Tracked, unwinds};

trait Shape {
    fn area(&self) -> u32;
}

struct Square<'a>(u32, Tracked<'a>);

impl Shape for Square<'_> {
    fn area(&self) -> u32 {
        assert!(!self.1.panics);
        self.0 * self.0
    }
}

#[test]
fn trait_object_frees_the_whole_block() {
    let drops = Cell::new(0);
    let pool = RcPool::new();
    let square = pool.alloc_rc(Square(3, Tracked::new(&drops)));
    let weak = PoolRc::downgrade(&square);
    let shape: PoolRc<dyn Shape> = unsize!(square => dyn Shape);
    let weak_shape: PoolWeak<dyn Shape, _, _> = unsize!(weak.clone() => dyn Shape);
    assert_eq!((shape.area(), weak_shape.upgrade().map(|shape| shape.area())), (9, Some(9)));
    assert_eq!((PoolRc::strong_count(&shape), PoolRc::weak_count(&shape)), (1, 2));
    drop(shape);
    assert_eq!((drops.get(), weak_shape.strong_count()), (1, 0));
    assert!(weak_shape.upgrade().is_none() && weak.upgrade().is_none());
    let late: PoolWeak<dyn Shape, _, _> = unsize!(weak => dyn Shape);
    assert!(late.ptr_eq(&weak_shape));
    assert_ne!(pool.stats().live, 0, "weak handles keep the block");
    drop((late, weak_shape));
    assert_eq!(pool.stats().live, 0);
}

/// The block is freed with its own layout, whatever size and alignment the dropped value had.
#[test]
fn weak_handle_knows_the_layout_of_a_dropped_value() {
    #[repr(align(64))]
    struct Aligned;

    fn check<T: 'static>(value: T) {
        let classes = Local::new(Classes::new());
        let one = PoolRc::new_in(value, &classes).unwrap_or_else(|error| panic!("{error}"));
        let weak = unsize!(PoolRef::downgrade(&one) => dyn std::any::Any);
        drop(one);
        assert_ne!(classes.stats().live, 0);
        drop(weak);
        assert_eq!(classes.stats().live, 0);
        classes.check().expect("sound");
    }
    check(());
    check(1_u8);
    check([1_u8; 100]);
    check(1_u128);
    check(Aligned);
    check([const { Aligned }; 5]);
}

#[test]
fn unsize_changes_the_value_only() {
    let pool = RcPool::new();
    let error: PoolRc<dyn Error> = unsize!(pool.alloc_rc(AllocError::Limit) => dyn Error);
    let shown: PoolRc<dyn Display> = unsize!(error.clone() => dyn Display);
    let same: PoolRc<dyn Display> = unsize!(shown.clone() => dyn Display);
    assert_eq!((shown.to_string(), PoolRc::strong_count(&error)), (AllocError::Limit.to_string(), 3));
    assert!(PoolRc::ptr_eq(&shown, &same));

    let thin = ThinPool::new();
    let text = String::from("borrowed");
    let debug = unsize!(thin.alloc(&*text) => dyn Debug + '_);
    assert_eq!(format!("{debug:?}"), "\"borrowed\"");
}

/// Names in scope that the macro also uses have no effect.
#[test]
fn the_macro_is_hygienic() {
    let pool = RcPool::new();
    let (handle, to, value) = (pool.alloc_rc(1), 2, 3);
    let shown = unsize!({ assert_eq!((to, value), (2, 3)); handle } => dyn Display);
    assert_eq!(shown.to_string(), "1");
}

#[test]
fn self_referential_value() {
    struct Node<'p, 'd> {
        this: PoolWeak<'p, Node<'p, 'd>, LocalRefCount, Local<millpond::Blocks>>,
        _tracked: Tracked<'d>,
    }
    let drops = Cell::new(0);
    let pool = RcPool::new();
    let node = pool.alloc_rc_cyclic(|this| {
        assert!(this.upgrade().is_none(), "it is not there yet");
        Node { this: this.clone(), _tracked: Tracked::new(&drops) }
    });
    assert!(node.this.upgrade().is_some_and(|same| PoolRc::ptr_eq(&same, &node)));
    assert_eq!((PoolRc::strong_count(&node), PoolRc::weak_count(&node)), (1, 1));
    drop(node);
    assert_eq!((drops.get(), pool.stats().live), (1, 0));

    let mut kept = None;
    assert!(unwinds(|| {
        pool.alloc_rc_cyclic(|this| {
            kept = Some(this.clone());
            panic!("it is never made")
        });
    }));
    let kept = kept.expect("it was cloned");
    assert!(kept.upgrade().is_none());
    drop(kept);
    assert_eq!((drops.get(), pool.stats().live), (1, 0));
}

#[test]
fn in_place_and_into_inner() {
    let drops = Cell::new(0);
    let pool = ArcPool::new();
    let one = pool.alloc_rc_with(|| Tracked::new(&drops));
    let other = one.clone();
    let one = PoolArc::try_unwrap(one).err().expect("there are two");
    drop(other);
    let weak = PoolArc::downgrade(&one);
    let value = PoolArc::try_unwrap(one).ok().expect("there is one");
    assert!(weak.upgrade().is_none() && drops.get() == 0);
    drop((value, weak));
    assert_eq!((drops.get(), pool.stats().live), (1, 0));
    assert!(unwinds(|| drop(pool.alloc_rc_with(|| panic!("not made")))));
    assert_eq!(pool.stats().live, 0);

    let refused = PoolArc::new_in(String::from("kept"), &NullAllocator).expect_err("nothing has no room");
    assert_eq!(refused.into_value(), "kept");
    let refused = PoolArc::new_with_in(|| unreachable!("there is no place for it"), &NullAllocator);
    assert_eq!(refused.map(|never: PoolArc<'_, u8, _>| *never).err(), Some(AllocError::Exhausted));
}

#[test]
fn raw_pointers_keep_their_count() {
    let drops = Cell::new(0);
    let pool = RcPool::new();
    let one = pool.alloc_rc(Square(2, Tracked::new(&drops)));
    let raw = PoolRc::into_raw(unsize!(one.clone() => dyn Shape));
    assert_eq!(PoolRc::strong_count(&one), 2);
    // SAFETY: the pointer came from a handle of this pool, and becomes a handle once.
    let again: PoolRc<dyn Shape> = unsafe { PoolRc::from_raw_in(raw, pool.memory()) };
    assert_eq!((again.area(), PoolRc::strong_count(&one)), (4, 2));
    drop((one, again));
    assert_eq!((drops.get(), pool.stats().live), (1, 0));
}

#[test]
fn only_handle_gives_mutable_access() {
    let pool = ArcPool::new();
    let mut one = pool.alloc_rc(1);
    *PoolArc::get_mut(&mut one).expect("the only one") = 2;
    let weak = PoolArc::downgrade(&one);
    assert!(PoolArc::get_mut(&mut one).is_none(), "a weak one may become strong");
    *PoolArc::make_mut(&mut one) = 3;
    assert_eq!((*one, weak.upgrade().is_none(), pool.stats().chunks), (3, true, 1));
    drop(weak);
    let mut other = one.clone();
    *PoolArc::try_make_mut(&mut other).expect("room") = 4;
    assert_eq!((*one, *other), (3, 4));
    assert!(PoolArc::get_mut(&mut one).is_some() && PoolArc::get_mut(&mut other).is_some());
}

/// One thread calls `get_mut` while another turns its handle into a weak one and that into a strong one again.
#[test]
fn threads_agree_on_uniqueness() {
    static POOL: ArcPool<AtomicU32> = ArcPool::new();
    let rounds = if cfg!(miri) { 20 } else { 20_000 };
    let start = Barrier::new(2);
    let mut one = POOL.alloc_rc(AtomicU32::new(0));
    for _ in 0..rounds {
        let other = one.clone();
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                let weak = PoolArc::downgrade(&other);
                drop(other);
                if let Some(again) = weak.upgrade() {
                    again.fetch_add(1, Ordering::Relaxed);
                }
            });
            start.wait();
            if let Some(value) = PoolArc::get_mut(&mut one) {
                // No other thread can reach the value: ThreadSanitizer would report a race.
                *value.get_mut() += 1;
            }
        });
        assert!(PoolArc::get_mut(&mut one).is_some());
    }
}

#[test]
fn boxes_of_any_value_are_unsized() {
    let classes = Local::new(Classes::new());
    let drops = Cell::new(0);
    let slice = unsize!(PoolBox::new_in([0_u8; 0], &classes).expect("no bytes") => [u8]);
    assert!(slice.is_empty());
    let values = PoolBox::new_in([(); 3].map(|()| Tracked::new(&drops)), &classes);
    drop(unsize!(values.unwrap_or_else(|error| panic!("{error}")) => [Tracked<'_>]));
    assert_eq!((drops.get(), classes.stats().live), (3, 0));
}
