//! What is advised for some call sites: each request has a route, and each route is served by a pool, an arena, a buffer
//! or larger blocks; requests without one are served by `malloc`.

use std::{
    cell::{Cell, RefCell},
    ptr::{self, NonNull},
};

use anyhow::{Result, bail};
use millpond::{Linear, Owned};
use serde::{Deserialize, Serialize};

use super::{
    Contender, Malloc, Pools, Request,
    pools::{OnHeap, OnHeapShared},
};

/// What serves the blocks of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Route {
    /// Pools with blocks of these sizes.
    Pool(Vec<usize>),
    /// An arena that is reset when none of its blocks is live.
    Arena,
    /// Buffers that are kept when they are freed.
    Reuse,
    /// `malloc`, but with at least this size, so that blocks are not resized before.
    Capacity(usize),
}

impl Route {
    /// Creates what serves the route for several threads; only pools can.
    pub(crate) fn serve_threads(&self) -> Result<Pools<OnHeapShared>> {
        match self {
            Self::Pool(sizes) => Ok(Pools::chosen_shared(sizes)?),
            other => bail!("several threads cannot share {other:?}"),
        }
    }
}

/// All routes, each served by an `S`.
pub(crate) struct Routed<S> {
    routes: Vec<Option<S>>,
}

impl<S> Routed<S> {
    /// Creates what serves each route, from route 1 on.
    pub(crate) fn new(routes: &[Option<Route>], serve: impl Fn(&Route) -> Result<S>) -> Result<Self> {
        let routes =
            routes.iter().map(|route| route.as_ref().map(&serve).transpose()).collect::<Result<_>>()?;
        Ok(Self { routes })
    }

    #[inline(always)]
    fn of(&self, request: Request) -> Option<&S> {
        // Route 0 wraps to a place that does not exist.
        self.routes.get(usize::from(request.route()).wrapping_sub(1))?.as_ref()
    }
}

impl<S: Contender> Contender for Routed<S> {
    #[inline(always)]
    fn allocate(&self, request: Request) -> *mut u8 {
        self.of(request).map_or_else(|| Malloc.allocate(request), |route| route.allocate(request))
    }

    #[inline(always)]
    fn allocate_zeroed(&self, request: Request) -> *mut u8 {
        self.of(request)
            .map_or_else(|| Malloc.allocate_zeroed(request), |route| route.allocate_zeroed(request))
    }

    #[inline(always)]
    fn allocate_aligned(&self, request: Request) -> *mut u8 {
        self.of(request)
            .map_or_else(|| Malloc.allocate_aligned(request), |route| route.allocate_aligned(request))
    }

    #[inline(always)]
    unsafe fn resize(&self, block: *mut u8, old: Request, new: Request) -> *mut u8 {
        // SAFETY: the caller upholds the contract, and the route of a block does not change.
        unsafe {
            match self.of(old) {
                Some(route) => route.resize(block, old, new),
                None => Malloc.resize(block, old, new),
            }
        }
    }

    #[inline(always)]
    unsafe fn free(&self, block: *mut u8, request: Request) {
        // SAFETY: as in `resize`.
        unsafe {
            match self.of(request) {
                Some(route) => route.free(block, request),
                None => Malloc.free(block, request),
            }
        }
    }

    unsafe fn usable(&self, block: *mut u8, request: Request) -> usize {
        // SAFETY: as in `resize`.
        unsafe {
            match self.of(request) {
                Some(route) => route.usable(block, request),
                None => Malloc.usable(block, request),
            }
        }
    }
}

/// What serves a route for one thread.
pub(crate) enum Alone {
    /// Pools.
    Pool(Box<Pools<OnHeap>>),
    /// An arena.
    Arena(Arena),
    /// Buffers.
    Reuse(Reuse),
    /// Larger blocks.
    Capacity(usize),
}

impl Alone {
    pub(crate) fn new(route: &Route) -> Result<Self> {
        Ok(match route {
            Route::Pool(sizes) => Self::Pool(Box::new(Pools::chosen(sizes)?)),
            Route::Arena => Self::Arena(Arena::new()),
            Route::Reuse => Self::Reuse(Reuse::default()),
            Route::Capacity(bytes) => Self::Capacity(*bytes),
        })
    }

    /// Allocates with an alignment, for what has no way of its own to do so.
    #[inline(always)]
    fn allocate_with(&self, request: Request, otherwise: impl Fn(Request) -> *mut u8) -> *mut u8 {
        match self {
            Self::Pool(pool) => pool.allocate(request),
            Self::Arena(arena) => arena.allocate(request),
            Self::Reuse(reuse) => reuse.allocate(request, otherwise),
            Self::Capacity(bytes) => otherwise(request.at_least(*bytes)),
        }
    }
}

impl Contender for Alone {
    #[inline(always)]
    fn allocate(&self, request: Request) -> *mut u8 {
        self.allocate_with(request, |request| Malloc.allocate(request))
    }

    #[inline(always)]
    fn allocate_zeroed(&self, request: Request) -> *mut u8 {
        let block = self.allocate_with(request, |request| Malloc.allocate_zeroed(request));
        if !block.is_null() && !matches!(self, Self::Capacity(_)) {
            // SAFETY: the block was just allocated with this size.
            unsafe { block.write_bytes(0, request.size()) };
        }
        block
    }

    #[inline(always)]
    fn allocate_aligned(&self, request: Request) -> *mut u8 {
        self.allocate_with(request, |request| Malloc.allocate_aligned(request))
    }

    #[inline(always)]
    unsafe fn resize(&self, block: *mut u8, old: Request, new: Request) -> *mut u8 {
        // SAFETY: the caller passes a live block of this contender and the request that it last served.
        unsafe {
            match self {
                Self::Pool(pool) => pool.resize(block, old, new),
                Self::Arena(arena) => arena.resize(block, old, new),
                Self::Reuse(reuse) => reuse.resize(block, old, new),
                Self::Capacity(bytes) if old.size().max(new.size()) <= *bytes => block,
                Self::Capacity(bytes) => Malloc.resize(block, old.at_least(*bytes), new.at_least(*bytes)),
            }
        }
    }

    #[inline(always)]
    unsafe fn free(&self, block: *mut u8, request: Request) {
        // SAFETY: as in `resize`.
        unsafe {
            match self {
                Self::Pool(pool) => pool.free(block, request),
                Self::Arena(arena) => arena.free(),
                Self::Reuse(reuse) => reuse.free(block),
                Self::Capacity(_) => Malloc.free(block, request),
            }
        }
    }

    unsafe fn usable(&self, block: *mut u8, request: Request) -> usize {
        // SAFETY: as in `resize`.
        unsafe {
            match self {
                Self::Pool(pool) => pool.usable(block, request),
                Self::Arena(_) => request.size(),
                Self::Reuse(_) | Self::Capacity(_) => Malloc.usable(block, request),
            }
        }
    }
}

/// An arena that is reset when its last live block is freed, as a program does at the end of a phase.
pub(crate) struct Arena {
    memory: RefCell<Owned<Linear>>,
    live: Cell<usize>,
}

impl Arena {
    fn new() -> Self {
        Self { memory: RefCell::new(Owned::new(Linear::new())), live: Cell::new(0) }
    }

    #[inline(always)]
    fn allocate(&self, request: Request) -> *mut u8 {
        let block = self.memory.borrow_mut().allocate(request.layout());
        self.live.set(self.live.get() + usize::from(block.is_ok()));
        block.map_or(ptr::null_mut(), |block| block.as_ptr().cast())
    }

    #[inline(always)]
    fn free(&self) {
        self.live.set(self.live.get() - 1);
        if self.live.get() == 0 {
            self.memory.borrow_mut().reset();
        }
    }

    /// Moves a block that grows; its old memory stays in the arena.
    ///
    /// # Safety
    ///
    /// As [`Contender::resize`].
    unsafe fn resize(&self, block: *mut u8, old: Request, new: Request) -> *mut u8 {
        if new.size() <= old.size() && new.align() <= old.align() {
            return block;
        }
        let Ok(moved) = self.memory.borrow_mut().allocate(new.layout()) else { return ptr::null_mut() };
        let moved = moved.as_ptr().cast::<u8>();
        // SAFETY: the old block is live with the old size, the new one was just allocated; they do not overlap.
        unsafe { moved.copy_from_nonoverlapping(block, old.size().min(new.size())) };
        moved
    }
}

/// Max number of buffers that are kept.
const BUFFERS: usize = 4;

/// A buffer.
#[derive(Clone, Copy, Default)]
struct Buffer {
    block: Option<NonNull<u8>>,
    room: usize,
    is_used: bool,
}

/// Buffers of `malloc` that are used again. More blocks than that come from `malloc` and return to it.
#[derive(Default)]
pub(crate) struct Reuse([Cell<Buffer>; BUFFERS]);

impl Reuse {
    #[inline(always)]
    fn allocate(&self, request: Request, otherwise: impl Fn(Request) -> *mut u8) -> *mut u8 {
        let size = request.size();
        let vacant = self.0.iter().find(|buffer| !buffer.get().is_used);
        // Buffers are aligned as blocks of `malloc` are.
        let Some(vacant) = vacant.filter(|_| request.align() <= align_of::<libc::max_align_t>()) else {
            return otherwise(request);
        };
        let mut buffer = vacant.get();
        if buffer.room < size.max(1) {
            if let Some(block) = buffer.block.take() {
                // SAFETY: the buffer came from this allocator and is not in use.
                unsafe { Malloc.free(block.as_ptr(), Request::of_size(0)) };
            }
            buffer.room = size.max(1);
            buffer.block = NonNull::new(Malloc.allocate(Request::of_size(buffer.room as u64)));
        }
        let Some(block) = buffer.block else {
            vacant.set(Buffer::default());
            return ptr::null_mut();
        };
        vacant.set(Buffer { is_used: true, ..buffer });
        block.as_ptr()
    }

    /// Returns the buffer that this block is.
    #[inline(always)]
    fn buffer(&self, block: *mut u8) -> Option<&Cell<Buffer>> {
        self.0.iter().find(|buffer| buffer.get().is_used && buffer.get().block == NonNull::new(block))
    }

    /// # Safety
    ///
    /// As [`Contender::resize`].
    #[inline(always)]
    unsafe fn resize(&self, block: *mut u8, old: Request, new: Request) -> *mut u8 {
        let buffer = self.buffer(block);
        if buffer.is_some_and(|buffer| buffer.get().room >= new.size()) {
            return block;
        }
        // SAFETY: the caller guarantees that the block is live; it came from this allocator.
        let moved = unsafe { Malloc.resize(block, old, new) };
        if let (Some(buffer), Some(block)) = (buffer, NonNull::new(moved)) {
            buffer.set(Buffer { block: Some(block), room: new.size(), is_used: true });
        }
        moved
    }

    /// # Safety
    ///
    /// As [`Contender::free`].
    #[inline(always)]
    unsafe fn free(&self, block: *mut u8) {
        match self.buffer(block) {
            Some(buffer) => buffer.set(Buffer { is_used: false, ..buffer.get() }),
            // SAFETY: the caller guarantees that the block is live; it came from this allocator.
            None => unsafe { Malloc.free(block, Request::of_size(0)) },
        }
    }
}
