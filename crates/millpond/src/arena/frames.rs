//! Arenas for what lives a few frames: a game loop, a stream of audio, a simulation.
//!
//! One arena per frame that is there, this frame's first. The next frame takes the arena of the oldest one, which is reset and
//! keeps its chunks; so once the largest frames have been, no memory is asked for any more. Allocating costs what it costs in an
//! [`Arena`]; the next frame is O(`N`), however much was allocated. No destructors are run.

use core::ops::Deref;
#[cfg(target_has_atomic = "64")]
use core::{cell::Cell, fmt, marker::PhantomData, ptr::NonNull};

use super::Arena;
#[cfg(target_has_atomic = "64")]
use crate::base::unique_id;
use crate::{
    pool::Linear,
    shell::Local,
    traits::{Allocator, HeapMapBuilder, Inspect, InvariantError, PoolStats, Reclaim, Report},
};

/// Arenas for `N` frames, this one and those before: what is allocated in one frame lives until the end of the next, or,
/// with another `N`, of the `N - 1` next ones.
///
/// This frame's arena is what the type derefers to, so all that an [`Arena`] lends, this does, until the
/// [next frame](Self::next_frame). What is to be seen in later frames is [kept](Self::persist), and looked up there: each frame
/// has a number that no other one ever has, so nobody finds what is gone.
///
/// ```
/// use millpond::Frames;
///
/// let mut frames = Frames::<2>::new();
/// let mut last = None;
/// for number in 0..100_u32 {
///     let names = [frames.alloc_str("player"), frames.alloc_str("enemy")];
///     assert_eq!(names.len(), 2); // gone with this frame
///     if let Some(last) = last {
///         assert_eq!(frames.get(last), Some(&(number - 1))); // the last frame is still there
///     }
///     last = Some(frames.persist(number));
///     frames.next_frame();
/// }
/// frames.next_frame();
/// assert_eq!(last.and_then(|last| frames.get(last)), None);
/// ```
///
/// What this frame lends does not outlive it:
///
/// ```compile_fail,E0502
/// let mut frames = millpond::Frames::<2>::new();
/// let number = frames.alloc(1);
/// frames.next_frame(); // error: `frames` is borrowed
/// # // instead: frames.alloc(2);
/// *number = 2;
/// ```
///
/// ```compile_fail,E0502
/// let mut frames = millpond::Frames::<2>::new();
/// let handle = frames.persist(1);
/// let number = frames.get(handle);
/// frames.next_frame(); // error: as above
/// # // instead: frames.get(handle);
/// assert_eq!(number, Some(&1));
/// ```
///
/// And what is kept does not refer to what a frame lends:
///
/// ```compile_fail,E0521
/// fn persist(frames: &millpond::Frames) {
///     let name = frames.alloc_str("gone");
///     frames.persist(name); // error: it would be found when `name` is gone
/// #     // instead: frames.persist("handle");
/// }
/// ```
///
/// As in an arena, a type that has a destructor is refused:
///
/// ```compile_fail,E0080
/// let frames = millpond::Frames::<2>::new();
/// frames.persist(String::from("lost")); // error: its destructor would never run
/// # // instead: frames.persist("handle");
/// ```
///
/// # Invariants
///
/// * What was kept with one of `numbers` is in the arena of the same index, and valid.
pub struct Frames<const N: usize = 2, M: Allocator = Local<Linear>> {
    arenas: [Arena<M>; N],
    #[cfg(target_has_atomic = "64")]
    numbers: [u64; N],
}

impl<const N: usize> Frames<N> {
    /// Frames without chunks, on the default parent.
    #[must_use]
    pub fn new() -> Self {
        Self::with_memory(|| Local::new(Linear::new()))
    }
}

impl<const N: usize, M: Allocator> Frames<N, M> {
    /// Frames on any allocators, mostly [`Linear`] ones: `make` makes one for each.
    ///
    /// ```
    /// use millpond::{Frames, Linear, Local, Pages};
    ///
    /// let frames: Frames<3, _> = Frames::with_memory(|| Local::new_in(Linear::with_capacity(1 << 20), Pages));
    /// frames.alloc([0; 1000]);
    /// ```
    #[must_use]
    pub fn with_memory(mut make: impl FnMut() -> M) -> Self {
        const { assert!(N > 0, "at least this frame is there: choose an N above 0") };
        Self {
            arenas: core::array::from_fn(|_| Arena::with_memory(make())),
            #[cfg(target_has_atomic = "64")]
            numbers: core::array::from_fn(|_| unique_id()),
        }
    }

    /// Begins the next frame, in the arena of the oldest one, which is gone.
    #[inline]
    pub fn next_frame(&mut self)
    where
        M: Reclaim,
    {
        self.arenas.rotate_right(1);
        #[cfg(target_has_atomic = "64")]
        {
            // First of all, so that nobody finds what is gone.
            self.numbers.rotate_right(1);
            self.numbers[0] = unique_id();
        }
        self.arenas[0].reset();
    }

    /// Returns what is held, live and free in all frames: as [`Inspect::stats`].
    #[must_use]
    pub fn stats(&self) -> PoolStats
    where
        M: Inspect,
    {
        Inspect::stats(self)
    }

    /// Returns how many bytes all frames hold: as [`Arena::allocated_bytes`].
    #[must_use]
    pub fn allocated_bytes(&self) -> usize
    where
        M: Inspect,
    {
        self.stats().held
    }

    /// Begins with empty frames: everything in them is gone, their memory is not. As [`Reclaim::reset`].
    pub fn reset(&mut self)
    where
        M: Reclaim,
    {
        Reclaim::reset(self);
    }

    /// Returns chunks without live blocks to their parents; says how many bytes that were. As [`Reclaim::trim`].
    pub fn trim(&mut self) -> usize
    where
        M: Reclaim,
    {
        Reclaim::trim(self)
    }
}

#[cfg(target_has_atomic = "64")]
impl<const N: usize, M: Allocator> Frames<N, M> {
    /// Puts a value in that is to be found in this frame and the `N - 1` next ones. Frames without memory end the program.
    #[inline]
    pub fn persist<T: 'static>(&self, value: T) -> FrameHandle<T> {
        let (value, number) = (NonNull::from(self.alloc(value)), self.numbers[0]);
        FrameHandle { value, number, exactly: PhantomData }
    }

    /// What was kept, if its frame is still there. O(`N`).
    #[inline]
    #[must_use]
    pub fn get<T>(&self, handle: FrameHandle<T>) -> Option<&T> {
        if !self.numbers.contains(&handle.number) {
            return None;
        }
        // SAFETY: a number is one frame's alone, and that is there: so is the value, and nobody changes it, because for that
        // the frames would be borrowed mutably. Handles are on other threads only if values may be.
        Some(unsafe { handle.value.as_ref() })
    }

    /// The same, to change it.
    #[inline]
    #[must_use]
    pub fn get_mut<T>(&mut self, mut handle: FrameHandle<T>) -> Option<&mut T> {
        if !self.numbers.contains(&handle.number) {
            return None;
        }
        // SAFETY: as above, and nobody else looks at it.
        Some(unsafe { handle.value.as_mut() })
    }
}

/// A value in one of the last frames: see [`Frames::persist`]. It finds its value, or nothing, in whatever frames it is shown to.
///
/// There may be several for a value, so each is of exactly its type:
///
/// ```compile_fail
/// fn shorter<'a>(handle: millpond::FrameHandle<&'static str>) -> millpond::FrameHandle<&'a str> { // error
/// # // instead: fn shorter<'a>(handle: millpond::FrameHandle<&'static str>) -> millpond::FrameHandle<&'static str> {
///     handle // what is put there through the one would be too short-lived for the other
/// }
/// ```
///
/// It is on several threads only if its value may be seen by several:
///
/// ```compile_fail,E0277
/// let frames = millpond::Frames::<2>::new();
/// let handle = frames.persist(std::cell::Cell::new(1));
/// std::thread::spawn(move || handle); // error: `Cell` is one thread's
/// # // instead: std::thread::spawn(move || std::cell::Cell::new(1));
/// ```
#[cfg(target_has_atomic = "64")]
pub struct FrameHandle<T> {
    value: NonNull<T>,
    number: u64,
    /// Neither longer- nor shorter-lived than the value.
    exactly: PhantomData<Cell<T>>,
}

// SAFETY: a handle on another thread lets that look at the value, and, as there may be copies of it, several threads at once;
// or change it, one of them alone.
#[cfg(target_has_atomic = "64")]
unsafe impl<T: Send + Sync> Send for FrameHandle<T> {}
// SAFETY: as above: whoever sees a handle can copy it.
#[cfg(target_has_atomic = "64")]
unsafe impl<T: Send + Sync> Sync for FrameHandle<T> {}

#[cfg(target_has_atomic = "64")]
impl<T> Clone for FrameHandle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

#[cfg(target_has_atomic = "64")]
impl<T> Copy for FrameHandle<T> {}

#[cfg(target_has_atomic = "64")]
impl<T> fmt::Debug for FrameHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("value", &self.value).field("number", &self.number).finish()
    }
}

impl<const N: usize, M: Allocator> Deref for Frames<N, M> {
    type Target = Arena<M>;

    /// This frame's arena.
    #[inline]
    fn deref(&self) -> &Arena<M> {
        &self.arenas[0]
    }
}

impl<const N: usize> Default for Frames<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Of all frames.
impl<const N: usize, M: Allocator + Reclaim> Reclaim for Frames<N, M> {
    fn reset(&mut self) {
        (0..N).for_each(|_| self.next_frame());
    }

    fn trim(&mut self) -> usize {
        self.arenas.iter_mut().map(Arena::trim).sum()
    }
}

/// Of all frames.
impl<const N: usize, M: Allocator + Inspect> Inspect for Frames<N, M> {
    fn stats(&self) -> PoolStats {
        self.arenas.iter().map(Arena::stats).fold(PoolStats::default(), PoolStats::plus)
    }

    /// This frame's: that is where the next block comes from.
    fn largest_free(&self) -> Option<usize> {
        self.arenas[0].largest_free()
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.arenas.iter().for_each(|arena| arena.render(builder));
    }

    fn owns(&self, address: *const u8) -> bool {
        self.arenas.iter().any(|arena| arena.owns(address))
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.arenas.iter().try_for_each(Arena::check)
    }

    fn report(&self) -> Report {
        self.arenas.iter().map(Arena::report).fold(Report::default(), Report::plus)
    }
}
