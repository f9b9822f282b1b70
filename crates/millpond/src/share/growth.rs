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
pub(super) struct Growth {
    /// An [`Asking`].
    asking: AtomicUsize,
    /// How often the parent has given something.
    given: AtomicUsize,
}

/// What a thread has from when it begins to ask until it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    round: usize,
    /// How often the parent had given something by then.
    given: usize,
}

/// How often a refused thread lets others run before it goes to sleep.
const LOOKS: usize = if cfg!(all(test, loom)) { 6 } else { 100 };

/// How often it sleeps.
const NAPS: usize = if cfg!(all(test, loom)) { 0 } else { 100 };

/// In the child of a fork, nobody waits for threads that it has not got.
impl AtFork for Growth {
    unsafe fn child(&self) {
        self.change(Asking::forgotten);
    }
}

impl Growth {
    pub(super) const fn new() -> Self {
        Self { asking: AtomicUsize::new(0), given: AtomicUsize::new(0) }
    }

    /// This thread is going to ask the parent.
    pub(super) fn begin(&self) -> Turn {
        // Acquire: what was published before is seen.
        let given = self.given.load(Ordering::Acquire);
        let round = self.change(Asking::with_one_more).round;
        // With the other fence: whom the parent refuses because of what it gave to this thread sees that this one asks.
        fence(Ordering::Release);
        Turn { round, given }
    }

    /// This thread has asked, and has published what it got, or returned it to the parent. Whether it is worth to try again
    /// after a refusal: somebody has got something since.
    pub(super) fn end(&self, turn: Turn, given: bool) -> bool {
        if given {
            self.given.fetch_add(1, Ordering::Release);
        }
        fence(Ordering::Acquire);
        let others = self.change(|asking| asking.without_one_of(turn.round));
        if !given {
            self.wait_for(others);
        }
        self.given.load(Ordering::Acquire) != turn.given
    }

    /// Calls `bring`, which asks the parent for something and publishes it, or returns it to the parent. `None`: the parent has
    /// refused, but it is worth to try again.
    ///
    /// # Errors
    ///
    /// What the parent says.
    pub(super) fn ask<R>(
        &self,
        bring: impl FnOnce() -> Result<R, AllocError>,
    ) -> Result<Option<R>, AllocError> {
        let turn = self.begin();
        let result = bring();
        match (self.end(turn, result.is_ok()), result) {
            (true, Err(_)) => Ok(None),
            (_, result) => result.map(Some),
        }
    }

    /// Waits until those have ended who ask now, but not for ever.
    fn wait_for(&self, others: Asking) {
        // Acquire: what was published is seen by whoever sees that its thread has ended.
        let have_ended = || Asking::of(self.asking.load(Ordering::Acquire)).is_after(others);
        let waits = [(LOOKS, yield_now as fn()), (NAPS, pause as fn())];
        let ended_at_last = |(times, wait): (usize, fn())| {
            (0..times).any(|_| {
                wait();
                have_ended()
            })
        };
        if !have_ended() && !waits.into_iter().any(ended_at_last) {
            self.change(|asking| if asking.is_after(others) { asking } else { asking.forgotten() });
        }
    }

    /// Changes who is asking, and says who is then.
    fn change(&self, change: impl Fn(Asking) -> Asking) -> Asking {
        let mut word = self.asking.load(Ordering::Relaxed);
        loop {
            let next = change(Asking::of(word));
            // Release and Acquire: what a thread has published is seen by whoever sees that it has ended.
            match self.asking.compare_exchange_weak(word, next.word(), Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return next,
                Err(now) => word = now,
            }
        }
    }
}

/// Who is asking: how many of this round, how many that are left of the previous one, and which round it is. A third of a
/// word each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asking {
    round: usize,
    current: usize,
    previous: usize,
}

/// Bits of a number of threads.
const BITS: u32 = usize::BITS / 3;

/// The most threads that are counted in a round: with more, a new one begins, and those that are left of the previous one
/// are forgotten.
const MOST: usize = (1 << BITS) - 1;

/// The round after this one. (After the last number comes zero.)
const fn following(round: usize) -> usize {
    (round + 1) & (usize::MAX >> (2 * BITS))
}

impl Asking {
    const fn of(word: usize) -> Self {
        Self { round: word >> (2 * BITS), current: (word >> BITS) & MOST, previous: word & MOST }
    }

    const fn word(self) -> usize {
        self.round << (2 * BITS) | self.current << BITS | self.previous
    }

    /// The next round.
    const fn next(self) -> Self {
        Self { round: following(self.round), current: 0, previous: self.current }
    }

    fn with_one_more(self) -> Self {
        let Self { round, current, previous } =
            if self.previous == 0 || self.current == MOST { self.next() } else { self };
        Self { round, current: current + 1, previous }
    }

    fn without_one_of(self, round: usize) -> Self {
        let Self { current, previous, .. } = self;
        if round == self.round {
            Self { current: current.saturating_sub(1), ..self }
        } else if following(round) == self.round {
            Self { previous: previous.saturating_sub(1), ..self }
        } else {
            self
        }
    }

    /// Whether everybody who was asking then has ended.
    fn is_after(self, then: Self) -> bool {
        if self.round == then.round {
            self.current == 0 && self.previous == 0
        } else {
            self.round != following(then.round) || self.previous == 0
        }
    }

    /// Nobody is asking, as far as anybody knows.
    fn forgotten(self) -> Self {
        Self { current: 0, ..self }.next().next()
    }
}

/// Returns a chunk to the parent.
///
/// # Safety
///
/// It came from there, for this alignment, and nobody uses it.
pub(super) unsafe fn give_back<A: Allocator>(parent: &A, memory: NonNull<[u8]>, align: usize) {
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
    fn a_word_is_who_is_asking() {
        for asking in [
            Asking { round: 0, current: 0, previous: 0 },
            Asking { round: 5, current: MOST, previous: 1 },
            Asking { round: usize::MAX >> (2 * BITS), current: 0, previous: MOST },
        ] {
            assert_eq!(Asking::of(asking.word()), asking);
        }
    }

    /// Against a list of who is asking, in orders that chance makes.
    #[test]
    fn whoever_waits_waits_for_those_who_were_there() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut asking = Asking::of(0);
        // Who asks, and since when. Who waits: since when, what it saw then, and when all had ended who were asking then.
        let (mut turns, mut waiting) = (Vec::new(), Vec::new());
        let mut outlasted = 0;
        for now in 0..20_000 {
            if rng.usize(..10) < [3, 7][now / 50 % 2] {
                asking = Asking::of(asking.with_one_more().word());
                turns.push((now, asking.round));
            } else if !turns.is_empty() {
                let (_, round) = turns.swap_remove(rng.usize(..turns.len()));
                asking = asking.without_one_of(round);
                waiting.push((now, asking, None));
            }
            assert_eq!(asking.current + asking.previous, turns.len());
            let oldest = turns.iter().map(|&(begun, _)| begun).min().unwrap_or(usize::MAX);
            waiting.retain_mut(|(since, seen, ended)| {
                if oldest > *since {
                    ended.get_or_insert(now);
                }
                assert!(ended.is_some() || !asking.is_after(*seen), "it goes on while somebody is asking");
                assert!(
                    ended.is_none_or(|ended| oldest <= ended) || asking.is_after(*seen),
                    "it waits for late ones"
                );
                outlasted += usize::from(asking.is_after(*seen) && !turns.is_empty());
                !asking.is_after(*seen)
            });
        }
        assert!(outlasted > 1000, "{outlasted}: next to nobody has come while others waited");
    }

    #[test]
    fn with_too_many_the_oldest_are_forgotten() {
        let full = Asking { round: 1, current: MOST, previous: 2 };
        let more = full.with_one_more();
        assert_eq!(more, Asking { round: 2, current: 1, previous: MOST });
        let forgotten = more.without_one_of(0);
        assert_eq!(forgotten, more, "one that is forgotten ends in nobody's place");
    }

    #[test]
    fn who_never_comes_is_waited_for_once() {
        let growth = Growth::new();
        let lost = growth.begin();
        let mine = growth.begin();
        assert!(!growth.end(mine, false), "nobody has got anything");
        let now = Asking::of(growth.asking.load(Ordering::Relaxed));
        assert_eq!((now.current, now.previous), (0, 0), "forgotten");
        // And if it comes after all, it ends in nobody's place.
        let another = growth.begin();
        growth.end(lost, true);
        assert_eq!(Asking::of(growth.asking.load(Ordering::Relaxed)).current, 1);
        assert!(growth.end(another, false), "somebody has got something");
    }

    #[test]
    fn a_refused_thread_tries_again_if_others_got_something() {
        let growth = Growth::new();
        let (mine, other) = (growth.begin(), growth.begin());
        growth.end(other, true);
        assert!(growth.end(mine, false));
        let (mine, other) = (growth.begin(), growth.begin());
        growth.end(other, false);
        assert!(!growth.end(mine, false));
    }
}
