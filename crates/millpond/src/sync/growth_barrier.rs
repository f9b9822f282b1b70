//! Growing without a lock: asking the parent while others may be asking too.
//!
//! Threads that find a pool empty all ask its parent, since waiting for one of them would be a lock, held across a system
//! call. A parent of bounded size may give its last to one thread and refuse another before the one has published it: the
//! refused thread would report that memory has run out while a whole chunk of it is on its way. So whoever is refused waits
//! for those who were asking at that moment; and if anybody has been given something since, it tries again.
//!
//! Others may come without end meanwhile. Not to wait for these, askers belong to *rounds*: a new one begins when somebody
//! asks and nobody of the previous round is left. So those who were asking at some moment have ended when the second round
//! after that has begun; or the first, and nobody of the one before it is left; or when nobody asks at all. Nobody is
//! waited for who begins after they have ended.
//!
//! Nobody waits for ever, as the one who is asking may be the waiting thread itself, called back by its parent or
//! interrupted by a signal; or a thread that the child of a `fork` has not got; or, without a system, a task that runs only
//! when the waiting one does not. After a tenth of a second (without a system: after 100,000 looks) the refused thread is
//! told that there is no memory, and those it has waited for are forgotten: nobody waits for them again.
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

/// Who is asking the parent right now.
#[derive(Debug)]
pub(crate) struct GrowthBarrier {
    /// An [`InFlight`].
    in_flight: AtomicUsize,
    /// How often the parent has given something.
    epoch: AtomicUsize,
}

/// What a thread has from when it begins to ask until it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    round: usize,
    /// How often the parent had given something by then.
    epoch: usize,
}

/// How often a refused thread lets others run before it goes to sleep.
const YIELDS: usize = if cfg!(all(test, loom)) { 6 } else { 100 };

/// How often it sleeps.
const SLEEPS: usize = if cfg!(all(test, loom)) { 0 } else { 100 };

/// In the child of a fork, nobody waits for threads that it has not got.
impl AtFork for GrowthBarrier {
    unsafe fn child(&self) {
        self.change(InFlight::cleared);
    }
}

impl GrowthBarrier {
    pub(crate) const fn new() -> Self {
        Self { in_flight: AtomicUsize::new(0), epoch: AtomicUsize::new(0) }
    }

    /// This thread is going to ask the parent.
    pub(crate) fn begin(&self) -> Ticket {
        // Acquire: what was published before is seen.
        let epoch = self.epoch.load(Ordering::Acquire);
        let round = self.change(InFlight::with_request).round;
        // With the other fence: whom the parent refuses because of what it gave to this thread sees that this one asks.
        fence(Ordering::Release);
        Ticket { round, epoch }
    }

    /// This thread has asked, and has published what it got, or returned it to the parent. Whether it is worth to try again
    /// after a refusal: somebody has got something since.
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

    /// Calls `fetch_chunk`, which asks the parent for something and publishes it, or returns it to the parent. `None`: the parent has
    /// refused, but it is worth to try again.
    ///
    /// # Errors
    ///
    /// What the parent says.
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

    /// Waits until those have ended who ask now, but not for ever.
    fn wait_for(&self, others: InFlight) {
        // Acquire: what was published is seen by whoever sees that its thread has ended.
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

    /// Changes who is asking, and says who is then.
    fn change(&self, change: impl Fn(InFlight) -> InFlight) -> InFlight {
        let mut word = self.in_flight.load(Ordering::Relaxed);
        loop {
            let next = change(InFlight::of(word));
            // Release and Acquire: what a thread has published is seen by whoever sees that it has ended.
            match self.in_flight.compare_exchange_weak(word, next.word(), Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return next,
                Err(now) => word = now,
            }
        }
    }
}

/// Who is asking: how many of this round, how many that are left of the previous one, and which round it is. A third of a
/// word each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InFlight {
    round: usize,
    current: usize,
    previous: usize,
}

/// Bits of a number of threads.
const BITS: u32 = usize::BITS / 3;

/// The most threads that are counted in a round: with more, a new one begins, and those that are left of the previous one
/// are forgotten.
const MAX_PER_ROUND: usize = (1 << BITS) - 1;

/// The round after this one. (After the last number comes zero.)
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

    /// The next round.
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

    /// Whether everybody who was asking then has ended.
    fn is_past(self, then: Self) -> bool {
        if self.round == then.round {
            self.current == 0 && self.previous == 0
        } else {
            self.round != next_round(then.round) || self.previous == 0
        }
    }

    /// Nobody is asking, as far as anybody knows.
    fn cleared(self) -> Self {
        Self { current: 0, ..self }.next().next()
    }
}

/// Returns a chunk to the parent.
///
/// # Safety
///
/// It came from there, for this alignment, and nobody uses it.
pub(crate) unsafe fn return_chunk<A: Allocator>(parent: &A, memory: NonNull<[u8]>, align: usize) {
    if let Ok(layout) = Layout::from_size_align(memory.len(), align) {
        // SAFETY: the layout is what the parent returned, and the caller's promises are passed on.
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

    /// Against a list of who is asking, in orders that chance makes.
    #[test]
    fn waits_for_earlier_requests_only() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut in_flight = InFlight::of(0);
        // Who asks, and since when. Who waits: since when, what it saw then, and when all had ended who were asking then.
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
                assert!(ended.is_some() || !in_flight.is_past(*seen), "it goes on while somebody is asking");
                assert!(
                    ended.is_none_or(|ended| oldest <= ended) || in_flight.is_past(*seen),
                    "it waits for late ones"
                );
                outlasted += usize::from(in_flight.is_past(*seen) && !tickets.is_empty());
                !in_flight.is_past(*seen)
            });
        }
        assert!(outlasted > 1000, "{outlasted}: next to nobody has come while others waited");
    }

    #[test]
    fn overflow_forgets_the_oldest() {
        let full = InFlight { round: 1, current: MAX_PER_ROUND, previous: 2 };
        let more = full.with_request();
        assert_eq!(more, InFlight { round: 2, current: 1, previous: MAX_PER_ROUND });
        let cleared = more.without_request_of(0);
        assert_eq!(cleared, more, "one that is forgotten ends in nobody's place");
    }

    #[test]
    fn lost_request_is_waited_for_once() {
        let barrier = GrowthBarrier::new();
        let lost = barrier.begin();
        let mine = barrier.begin();
        assert!(!barrier.end(mine, false), "nobody has got anything");
        let now = InFlight::of(barrier.in_flight.load(Ordering::Relaxed));
        assert_eq!((now.current, now.previous), (0, 0), "forgotten");
        // And if it comes after all, it ends in nobody's place.
        let another = barrier.begin();
        barrier.end(lost, true);
        assert_eq!(InFlight::of(barrier.in_flight.load(Ordering::Relaxed)).current, 1);
        assert!(barrier.end(another, false), "somebody has got something");
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
