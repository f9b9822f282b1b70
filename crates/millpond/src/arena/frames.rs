//! Arenas for values that live for a few frames, as in a game loop, an audio stream or a simulation.
//!
//! There is one arena for each live frame, the current frame first. The next frame reuses the arena of the oldest
//! frame, which is reset and keeps its chunks, so no more memory is requested once the largest frames have occurred.
//! Allocating costs the same as in an [`Arena`]. Beginning the next frame is O(`N`), regardless of how much was
//! allocated. No destructors run.

use core::ops::Deref;
#[cfg(target_has_atomic = "64")]
use core::{cell::Cell, fmt, marker::PhantomData, ptr::NonNull};

use super::Arena;
#[cfg(target_has_atomic = "64")]
use super::ArenaAlloc;
#[cfg(target_has_atomic = "64")]
use crate::base::unique_id;
use crate::{
    pool::Linear,
    shell::Local,
    traits::{Allocator, HeapMapBuilder, Inspect, InvariantError, PoolStats, Reclaim, Report},
};

/// Arenas for the current frame and the `N - 1` frames before it. A value that is allocated in a frame lives until the
/// end of the following `N - 1` frames, by default of the next one.
///
/// The type dereferences to the arena of the current frame, so it has all methods of [`Arena`] and
/// [`ArenaAlloc`](crate::ArenaAlloc). What they return is valid until the [next frame](Self::next_frame). A value that
/// is needed in later frames is stored with [`persist`](Self::persist) and looked up with the handle. Every frame has a
/// number that is never reused, so the handle of a value that has been released finds nothing.
///
/// ```
/// use millpond::{ArenaAlloc, Frames};
///
/// let mut frames = Frames::<2>::new();
/// let mut last = None;
/// for number in 0..100_u32 {
///     let names = [frames.alloc_str("player"), frames.alloc_str("enemy")];
///     assert_eq!(names.len(), 2); // valid until the end of this frame
///     if let Some(last) = last {
///         assert_eq!(frames.get(last), Some(&(number - 1))); // the last frame is still live
///     }
///     last = Some(frames.persist(number));
///     frames.next_frame();
/// }
/// frames.next_frame();
/// assert_eq!(last.and_then(|last| frames.get(last)), None);
/// ```
///
/// A reference from the current frame does not outlive the frame:
///
/// ```compile_fail,E0502
/// use millpond::ArenaAlloc;
///
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
/// A persisted value cannot refer to values of a frame:
///
/// ```compile_fail,E0521
/// use millpond::ArenaAlloc;
///
/// fn persist(frames: &millpond::Frames) {
///     let name = frames.alloc_str("gone");
///     frames.persist(name); // error: it would be found when `name` is gone
/// #     // instead: frames.persist("handle");
/// }
/// ```
///
/// As in an arena, a type with a destructor is rejected:
///
/// ```compile_fail,E0080
/// let frames = millpond::Frames::<2>::new();
/// frames.persist(String::from("lost")); // error: its destructor would never run
/// # // instead: frames.persist("handle");
/// ```
///
/// # Invariants
///
/// * A value persisted in the frame with number `numbers[i]` is valid and lies in `arenas[i]`.
pub struct Frames<const N: usize = 2, M: Allocator = Local<Linear>> {
    arenas: [Arena<M>; N],
    #[cfg(target_has_atomic = "64")]
    numbers: [u64; N],
}

impl<const N: usize> Frames<N> {
    /// Creates frames without chunks whose parent is the default parent.
    #[must_use]
    pub fn new() -> Self {
        Self::with_memory(|| Local::new(Linear::new()))
    }
}

impl<const N: usize, M: Allocator> Frames<N, M> {
    /// Creates frames on any allocators, usually [`Linear`] ones. `make` is called once for each frame.
    ///
    /// ```
    /// use millpond::{ArenaAlloc, Frames, Linear, Local, Pages};
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

    /// Begins the next frame in the arena of the oldest one, whose values are gone.
    #[inline]
    pub fn next_frame(&mut self)
    where
        M: Reclaim,
    {
        self.arenas.rotate_right(1);
        #[cfg(target_has_atomic = "64")]
        {
            // The number changes first, so that no handle finds a value of the oldest frame.
            self.numbers.rotate_right(1);
            self.numbers[0] = unique_id();
        }
        self.arenas[0].reset();
    }

    /// Returns the bytes held, live and free in all frames. Same as [`Inspect::stats`].
    #[must_use]
    pub fn stats(&self) -> PoolStats
    where
        M: Inspect,
    {
        Inspect::stats(self)
    }

    /// Returns the number of bytes that all frames hold. Same as [`Arena::allocated_bytes`].
    #[must_use]
    pub fn allocated_bytes(&self) -> usize
    where
        M: Inspect,
    {
        self.stats().held
    }

    /// Removes the values of all frames and keeps every chunk. Same as [`Reclaim::reset`].
    pub fn reset(&mut self)
    where
        M: Reclaim,
    {
        Reclaim::reset(self);
    }

    /// Returns chunks without live blocks to their parents and returns their size in bytes. Same as
    /// [`Reclaim::trim`].
    pub fn trim(&mut self) -> usize
    where
        M: Reclaim,
    {
        Reclaim::trim(self)
    }
}

#[cfg(target_has_atomic = "64")]
impl<const N: usize, M: Allocator> Frames<N, M> {
    /// Stores a value that can be looked up in this frame and the next `N - 1` frames. Ends the program if there is
    /// no memory.
    #[inline]
    pub fn persist<T: 'static>(&self, value: T) -> FrameHandle<T> {
        let (value, number) = (NonNull::from(self.alloc(value)), self.numbers[0]);
        FrameHandle { value, number, exactly: PhantomData }
    }

    /// Returns a persisted value if its frame is still live. O(`N`).
    #[inline]
    #[must_use]
    pub fn get<T>(&self, handle: FrameHandle<T>) -> Option<&T> {
        if !self.numbers.contains(&handle.number) {
            return None;
        }
        // SAFETY: numbers are never reused, and the frame with this number is live, so the value is valid. It is not
        // mutated, because that would borrow the frames mutably. A handle is on another thread only if its value is
        // `Send + Sync`.
        Some(unsafe { handle.value.as_ref() })
    }

    /// Returns a mutable reference to a persisted value if its frame is still live. O(`N`).
    #[inline]
    #[must_use]
    pub fn get_mut<T>(&mut self, mut handle: FrameHandle<T>) -> Option<&mut T> {
        if !self.numbers.contains(&handle.number) {
            return None;
        }
        // SAFETY: numbers are never reused, and the frame with this number is live, so the value is valid. The frames
        // are mutably borrowed, so there is no other reference to it.
        Some(unsafe { handle.value.as_mut() })
    }
}

/// The handle of a value in one of the last frames: see [`Frames::persist`]. It finds its value or nothing, in
/// whichever frames it is looked up.
///
/// A value can have several handles, so the handle is invariant in `T`:
///
/// ```compile_fail
/// fn shorter<'a>(handle: millpond::arena::FrameHandle<&'static str>) -> millpond::arena::FrameHandle<&'a str> { // error
/// # // instead: fn shorter<'a>(handle: millpond::arena::FrameHandle<&'static str>) -> millpond::arena::FrameHandle<&'static str> {
///     handle // a reference stored through one handle would be too short-lived for the other
/// }
/// ```
///
/// It can be sent to other threads only if its value can be shared between threads:
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
    /// Makes the type invariant in `T`.
    exactly: PhantomData<Cell<T>>,
}

// SAFETY: a handle on another thread gives access to the value: shared access to several threads at once, as handles
// are `Copy`, or mutable access to one thread.
#[cfg(target_has_atomic = "64")]
unsafe impl<T: Send + Sync> Send for FrameHandle<T> {}
// SAFETY: a shared reference to a handle is enough to copy it, so the same bounds as for `Send` are needed.
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
        f.debug_struct("FrameHandle").field("value", &self.value).field("number", &self.number).finish()
    }
}

impl<const N: usize, M: Allocator> Deref for Frames<N, M> {
    type Target = Arena<M>;

    /// Returns the arena of the current frame.
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

/// Applies to all frames.
impl<const N: usize, M: Allocator + Reclaim> Reclaim for Frames<N, M> {
    fn reset(&mut self) {
        (0..N).for_each(|_| self.next_frame());
    }

    fn trim(&mut self) -> usize {
        self.arenas.iter_mut().map(Arena::trim).sum()
    }
}

/// Covers all frames.
impl<const N: usize, M: Allocator + Inspect> Inspect for Frames<N, M> {
    fn stats(&self) -> PoolStats {
        self.arenas.iter().map(Arena::stats).fold(PoolStats::default(), PoolStats::plus)
    }

    /// Returns the largest free block of the current frame, where the next block comes from.
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
