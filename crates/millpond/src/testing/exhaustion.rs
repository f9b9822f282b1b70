//! Tests that run out of memory at every step.
//!
//! Source: the SQLite project, "How SQLite Is Tested", out-of-memory testing: fail the nth call, for all n.

use core::alloc::Layout;
use std::rc::Rc;

use super::{oracle::Oracle, tracking_parent::TrackingParent};
use crate::{
    guard::FailNth,
    traits::{Allocator, Inspect},
};

/// The number of steps of the work.
const STEPS: usize = 400;

/// Lets the parent of a pool fail: each request alone, and all requests from each one on. Checks that live blocks stay
/// intact, that the invariants hold, and that nothing is leaked.
///
/// `make` creates the pool on the given parent; it must serve blocks of up to 60 bytes, aligned to 8. About 270 of them
/// are live at the end: the more chunks that takes, the more is tested.
///
/// ```
/// use millpond::{Linear, Local, testing};
///
/// testing::out_of_memory(|parent| Local::new_in(Linear::new(), parent));
/// ```
///
/// # Panics
///
/// Panics if the contract is violated.
pub fn out_of_memory<A: Allocator + Inspect>(make: impl Fn(Rc<FailNth<TrackingParent>>) -> A) {
    let counting = Rc::new(FailNth::every(TrackingParent::default(), 0));
    assert_eq!(work(&make(counting.clone())), 0, "a request failed although the parent did not");
    let requests = counting.requests();
    assert!(requests != 0, "the pool never asked the parent that it was given");
    for request in 0..requests {
        let pool = make(Rc::new(FailNth::only(TrackingParent::default(), request)));
        work(&pool);
        pool.check().unwrap_or_else(|flaw| panic!("after request {request} failed: {flaw}"));
        let pool = make(Rc::new(FailNth::after(TrackingParent::default(), request)));
        let failures = work(&pool);
        // If a later chunk fails, there may be room in the others; without the first there is none.
        assert!(request != 0 || failures == STEPS, "there are blocks, but the parent gave nothing");
        pool.check().unwrap_or_else(|flaw| panic!("after all from request {request} on failed: {flaw}"));
    }
}

/// Allocates and frees; returns how many requests failed.
fn work<A: Allocator>(pool: &A) -> usize {
    let mut oracle = Oracle::new(pool);
    let mut failures = 0;
    for step in 0..STEPS {
        let layout = Layout::from_size_align(1 + step * 7 % 60, 8).expect("a small layout");
        failures += usize::from(oracle.allocate(layout, false).is_err());
        if step % 3 == 0 && oracle.count() != 0 {
            oracle.deallocate(step % oracle.count(), step);
        }
    }
    failures
}
