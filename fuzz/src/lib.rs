//! Common parts of the targets that test allocators: an input selects an allocator, the failures of its parent, and a
//! sequence of operations, which the library's conformance kit runs and checks.
//!
//! ```text
//! byte 0: which allocator    byte 1: the parent's first request that fails    byte 2: how many fail    then: operations
//! ```

mod alone;
mod bulk;
mod damage;
mod scopes;

use std::{alloc::Layout, mem::MaybeUninit, ops::Range};

use millpond::{
    Allocator, Buffer, Inspect, Reclaim,
    testing::{Conformance, TrackingParent},
};

pub use alone::Alone;
pub use bulk::InBulk;
pub use damage::{ask, go_on};

/// What an input selects besides the allocator.
pub struct Input<'a> {
    fails: Range<usize>,
    operations: &'a [u8],
}

/// Runs an input on one kind of allocator.
pub type Trial = fn(&Input<'_>);

/// Runs a fuzzer's input on the one of these allocators that it selects.
pub fn choose(data: &[u8], trials: &[Trial]) {
    if let &[choice, first, count, ref operations @ ..] = data {
        let fails = first.into()..usize::from(first) + usize::from(count);
        trials[usize::from(choice) % trials.len()](&Input { fails, operations });
    }
}

impl Input<'_> {
    /// Runs it on an allocator over a parent that fails as the input selects, and that notices lost blocks.
    pub fn play<A: Allocator + Inspect + Reclaim>(&self, make: impl Fn(TrackingParent) -> A) {
        self.play_any(|| make(TrackingParent::failing(self.fails.clone())));
    }

    /// Runs it on an allocator over a buffer, whose odd address and length the input selects.
    pub fn play_in_buffer<A: Allocator + Inspect + Reclaim>(&self, make: impl Fn(Buffer<'static>) -> A) {
        let mut memory = vec![MaybeUninit::<u8>::uninit(); 1 << 16];
        let (start, length) = (self.fails.start, self.fails.len() * self.fails.len());
        let room = memory[start..][..length].as_mut_ptr();
        self.play_any(|| {
            // SAFETY: the vector outlives every allocator, and there is only one at a time.
            make(Buffer::new(unsafe { std::slice::from_raw_parts_mut(room, length) }))
        });
    }

    fn play_any<A: Allocator + Inspect + Reclaim>(&self, make: impl Fn() -> A) {
        let largest = Layout::from_size_align(20_000, 4096).expect("a small layout");
        Conformance::of(make).reaching(largest).inspected().reclaimed().run_bytes(self.operations);
    }
}
