//! Growing without a lock: requesting memory from the parent while other threads may be doing the same.
//!
//! Threads that find a pool empty all ask its parent, since waiting for one of them would amount to a lock held across
//! a system call. A parent of bounded size may give its last memory to one thread and refuse another before the first
//! has published it: the refused thread would report that memory has run out while a whole chunk is on its way.
//! Therefore, a refused thread waits for all requests in flight at that moment and retries if any of them succeeded.
//!
//! Other requests may keep arriving meanwhile. To avoid waiting for these, requests belong to *rounds*: a new round
//! begins when a request begins and no request of the previous round is left. The requests in flight at some moment
//! have therefore ended when the second round after that has begun; or when the first has begun and no request of the
//! one before it is left; or when no request is in flight at all. A request that begins after they have ended is never
//! waited for.
//!
//! A wait is bounded, because the request in flight may belong to the waiting thread itself, called back by its parent
//! or interrupted by a signal; or to a thread that does not exist in the child of a `fork`; or, without an operating
//! system, to a task that runs only when the waiting one does not. After a tenth of a second (without an operating
//! system: after 100,000 polls) the refused thread reports that there is no memory, and the requests it has waited for
//! are forgotten: no thread waits for them again.
//!
//! Begin and end: O(1), lock-free.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    base::{
        AllocError,
        atomic::{AtomicUsize, Ordering, fence, pause, yield_now},
    },
    traits::{Allocator, AtFork},
};

/// Counts the requests to the parent that are in flight.
#[derive(Debug)]
pub(crate) struct GrowthBarrier {
    /// The packed [`InFlight`].
    in_flight: AtomicUsize,
    /// Number of requests that have succeeded.
    epoch: AtomicUsize,
}

/// The ticket of a request, held from its beginning to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    round: usize,
    /// Number of requests that had succeeded when this one began.
    epoch: usize,
}

/// How often a refused thread yields before it starts to sleep.
const YIELDS: usize = if cfg!(all(test, loom)) { 6 } else { 100 };

/// How often a refused thread sleeps.
const SLEEPS: usize = if cfg!(all(test, loom)) { 0 } else { 100 };

/// In the child of a fork, the other threads do not exist, so their requests are forgotten.
// SAFETY: there are no parts, and nothing is locked.
unsafe impl AtFork for GrowthBarrier {
    unsafe fn child(&self) {
        self.change(InFlight::cleared);
    }
}

impl GrowthBarrier {
    pub(crate) const fn new() -> Self {
        Self { in_flight: AtomicUsize::new(0), epoch: AtomicUsize::new(0) }
    }

    /// Begins a request of the current thread to the parent.
    pub(crate) fn begin(&self) -> Ticket {
        // Acquire: makes memory published before visible.
        let epoch = self.epoch.load(Ordering::Acquire);
        let round = self.change(InFlight::with_request).round;
        // Pairs with the fence in `end`: a thread that the parent refuses because of what it gave to this thread sees
        // this request.
        fence(Ordering::Release);
        Ticket { round, epoch }
    }

    /// Ends a request of the current thread, which has published what it got or returned it to the parent. Returns
    /// whether a refused request should be retried because another one has succeeded since it began.
    pub(crate) fn end(&self, ticket: Ticket, succeeded: bool) -> bool {
        if succeeded {
            self.epoch.fetch_add(1, Ordering::Release);
        }
        fence(Ordering::Acquire);
        let others = self.change(|in_flight| in_flight.without_request_of(ticket.round));
        if !succeeded {
            self.wait_for(others);
        }
        self.epoch.load(Ordering::Acquire) != ticket.epoch
    }

    /// Calls `fetch_chunk`, which requests something from the parent and either publishes it or returns it to the
    /// parent. Returns `None` if the parent has refused but the request should be retried.
    ///
    /// # Errors
    ///
    /// Returns the parent's error.
    pub(crate) fn request<R>(
        &self,
        fetch_chunk: impl FnOnce() -> Result<R, AllocError>,
    ) -> Result<Option<R>, AllocError> {
        let ticket = self.begin();
        let result = fetch_chunk();
        match (self.end(ticket, result.is_ok()), result) {
            (true, Err(_)) => Ok(None),
            (_, result) => result.map(Some),
        }
    }

    /// Waits, for a bounded time, until the requests in `others` have ended.
    fn wait_for(&self, others: InFlight) {
        // Acquire: what a request published is visible to the thread that sees that the request has ended.
        let have_ended = || InFlight::of(self.in_flight.load(Ordering::Acquire)).is_past(others);
        let waits = [(YIELDS, yield_now as fn()), (SLEEPS, pause as fn())];
        let ended_at_last = |(times, wait): (usize, fn())| {
            (0..times).any(|_| {
                wait();
                have_ended()
            })
        };
        if !have_ended() && !waits.into_iter().any(ended_at_last) {
            self.change(|in_flight| if in_flight.is_past(others) { in_flight } else { in_flight.cleared() });
        }
    }

    /// Replaces the state by `change` of it and returns the new state.
    fn change(&self, change: impl Fn(InFlight) -> InFlight) -> InFlight {
        let mut word = self.in_flight.load(Ordering::Relaxed);
        loop {
            let next = change(InFlight::of(word));
            // Release and Acquire: what a request published is visible to the thread that sees that the request has
            // ended.
            match self.in_flight.compare_exchange_weak(word, next.word(), Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return next,
                Err(now) => word = now,
            }
        }
    }
}

/// The requests in flight: the number of the current round, how many requests belong to it, and how many are left of
/// the previous round. Each takes a third of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InFlight {
    round: usize,
    current: usize,
    previous: usize,
}

/// Bits for a number of requests.
const BITS: u32 = usize::BITS / 3;

/// Maximum number of requests counted in a round: if there are more, a new round begins, and those left of the previous
/// one are forgotten.
const MAX_PER_ROUND: usize = (1 << BITS) - 1;

/// Returns the round after `round`. The last number is followed by zero.
const fn next_round(round: usize) -> usize {
    (round + 1) & (usize::MAX >> (2 * BITS))
}

impl InFlight {
    const fn of(word: usize) -> Self {
        Self {
            round: word >> (2 * BITS),
            current: (word >> BITS) & MAX_PER_ROUND,
            previous: word & MAX_PER_ROUND,
        }
    }

    const fn word(self) -> usize {
        self.round << (2 * BITS) | self.current << BITS | self.previous
    }

    /// Begins the next round.
    const fn next(self) -> Self {
        Self { round: next_round(self.round), current: 0, previous: self.current }
    }

    fn with_request(self) -> Self {
        let Self { round, current, previous } =
            if self.previous == 0 || self.current == MAX_PER_ROUND { self.next() } else { self };
        Self { round, current: current + 1, previous }
    }

    fn without_request_of(self, round: usize) -> Self {
        let Self { current, previous, .. } = self;
        if round == self.round {
            Self { current: current.saturating_sub(1), ..self }
        } else if next_round(round) == self.round {
            Self { previous: previous.saturating_sub(1), ..self }
        } else {
            self
        }
    }

    /// Returns whether all requests that were in flight in `then` have ended.
    fn is_past(self, then: Self) -> bool {
        if self.round == then.round {
            self.current == 0 && self.previous == 0
        } else {
            self.round != next_round(then.round) || self.previous == 0
        }
    }

    /// Forgets all requests in flight.
    fn cleared(self) -> Self {
        Self { current: 0, ..self }.next().next()
    }
}

/// Returns a chunk to the parent.
///
/// # Safety
///
/// The chunk came from this parent, for this alignment, and is not in use.
pub(crate) unsafe fn return_chunk<A: Allocator>(parent: &A, memory: NonNull<[u8]>, align: usize) {
    if let Ok(layout) = Layout::from_size_align(memory.len(), align) {
        // SAFETY: the layout is what the parent returned; the caller guarantees that the chunk came from it and is not
        // in use.
        unsafe { parent.deallocate(memory.cast(), layout) };
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn packs_into_a_word() {
        for in_flight in [
            InFlight { round: 0, current: 0, previous: 0 },
            InFlight { round: 5, current: MAX_PER_ROUND, previous: 1 },
            InFlight { round: usize::MAX >> (2 * BITS), current: 0, previous: MAX_PER_ROUND },
        ] {
            assert_eq!(InFlight::of(in_flight.word()), in_flight);
        }
    }

    /// Tests against a list of requests, in random order.
    #[test]
    fn waits_for_earlier_requests_only() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut in_flight = InFlight::of(0);
        // The requests: since when each is in flight. The waiting threads: since when, what they saw then, and when all
        // requests in flight at that time had ended.
        let (mut tickets, mut waiting) = (Vec::new(), Vec::new());
        let mut outlasted = 0;
        for now in 0..20_000 {
            if rng.usize(..10) < [3, 7][now / 50 % 2] {
                in_flight = InFlight::of(in_flight.with_request().word());
                tickets.push((now, in_flight.round));
            } else if !tickets.is_empty() {
                let (_, round) = tickets.swap_remove(rng.usize(..tickets.len()));
                in_flight = in_flight.without_request_of(round);
                waiting.push((now, in_flight, None));
            }
            assert_eq!(in_flight.current + in_flight.previous, tickets.len());
            let oldest = tickets.iter().map(|&(begun, _)| begun).min().unwrap_or(usize::MAX);
            waiting.retain_mut(|(since, seen, ended)| {
                if oldest > *since {
                    ended.get_or_insert(now);
                }
                assert!(
                    ended.is_some() || !in_flight.is_past(*seen),
                    "it goes on while a request is in flight"
                );
                assert!(
                    ended.is_none_or(|ended| oldest <= ended) || in_flight.is_past(*seen),
                    "it waits for late ones"
                );
                outlasted += usize::from(in_flight.is_past(*seen) && !tickets.is_empty());
                !in_flight.is_past(*seen)
            });
        }
        assert!(outlasted > 1000, "{outlasted}: hardly any request began while others waited");
    }

    #[test]
    fn overflow_forgets_the_oldest() {
        let full = InFlight { round: 1, current: MAX_PER_ROUND, previous: 2 };
        let more = full.with_request();
        assert_eq!(more, InFlight { round: 2, current: 1, previous: MAX_PER_ROUND });
        let cleared = more.without_request_of(0);
        assert_eq!(cleared, more, "ending a forgotten request takes the place of no other");
    }

    #[test]
    fn lost_request_is_waited_for_once() {
        let barrier = GrowthBarrier::new();
        let lost = barrier.begin();
        let mine = barrier.begin();
        assert!(!barrier.end(mine, false), "no request succeeded");
        let now = InFlight::of(barrier.in_flight.load(Ordering::Relaxed));
        assert_eq!((now.current, now.previous), (0, 0), "forgotten");
        // And if the request ends after all, it does not end another one.
        let another = barrier.begin();
        barrier.end(lost, true);
        assert_eq!(InFlight::of(barrier.in_flight.load(Ordering::Relaxed)).current, 1);
        assert!(barrier.end(another, false), "a request succeeded");
    }

    #[test]
    fn retries_if_others_succeeded() {
        let barrier = GrowthBarrier::new();
        let (mine, other) = (barrier.begin(), barrier.begin());
        barrier.end(other, true);
        assert!(barrier.end(mine, false));
        let (mine, other) = (barrier.begin(), barrier.begin());
        barrier.end(other, false);
        assert!(!barrier.end(mine, false));
    }
}
