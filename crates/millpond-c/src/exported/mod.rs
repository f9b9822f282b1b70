//! Exports any of the library's allocators to C: a pointer to a table of functions, followed by the allocator itself.
//!
//! The functions of a table are instances of generic functions, which are written once for all pools and guards.

mod functions;

use std::{
    alloc::{Layout, alloc},
    ffi::{CStr, c_void},
    ptr::{self, NonNull},
};

use millpond::{
    AllocError, Allocator, Inspect, Reclaim,
    raw::{Allocation, AtFork},
    shell::fork,
};

use crate::{abi::*, error::MpError, misuse::MisuseCallback, out_of_memory::OutOfMemory, request};

/// The result of creating an allocator.
pub(crate) type Created = Result<*mut mp_allocator, MpError>;

/// Converts a result to a pointer; on error, sets the last error and returns null.
pub(crate) fn pointer(created: Created) -> *mut mp_allocator {
    created.unwrap_or_else(|error| {
        error.note();
        ptr::null_mut()
    })
}

/// A callback that receives live blocks one by one; returns false to stop.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(NonNull<u8>, usize) -> bool;

/// Reserves room for a number of blocks of a layout.
pub(crate) type ReserveFn<X> = fn(&X, Layout, usize) -> Result<(), AllocError>;

/// An allocator of the library, with its optional operations: `None` stands for those that it does not support, and
/// becomes NULL in its table.
pub(crate) trait Export: Allocator + Sized {
    /// The name of the allocator.
    const NAME: &'static CStr;
    /// Whether the allocator is a static of the library, which is never destroyed.
    const CONSTANT: bool = false;
    /// Inspects the allocator.
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = None;
    /// Resets and trims the allocator.
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = None;
    /// Returns chunks without live blocks to the parent while other threads may use the allocator.
    const TRIM_SHARED: Option<fn(&Self) -> usize> = None;
    /// Returns what must be locked while the process forks.
    const AT_FORK: Option<fn(&Self) -> &dyn AtFork> = None;
    /// Calls a function for each live block; returns whether all were visited.
    const WALK: Option<fn(&mut Self, Visit<'_>) -> bool> = None;
    /// Reserves room for a number of blocks.
    const RESERVE: Option<ReserveFn<Self>> = None;
    /// Returns the blocks that the current thread has cached.
    const FLUSH: Option<fn(&Self)> = None;
}

/// An allocator exported to C.
#[repr(C)]
pub(crate) struct Exported<X> {
    pub(crate) head: mp_allocator,
    /// Whether this is the type that the fast entry points of the pool call directly.
    pub(crate) is_plain: bool,
    pub(crate) inner: X,
    out_of_memory: OutOfMemory,
    /// The registration among allocators that are locked while the process forks.
    fork: fork::Registration,
    /// The misuse callback; dropped after the allocator, which may report misuse when it is dropped.
    callback: Option<MisuseCallback>,
}

// SAFETY: the header requires callers to use an allocator only from threads that its sharing allows.
unsafe impl<X> Sync for Exported<X> {}

impl<X: Export> Exported<X> {
    /// Returns what must be locked while the process forks.
    fn at_fork(&self) -> Option<&dyn AtFork> {
        X::AT_FORK.map(|at_fork| at_fork(&self.inner))
    }
}

// SAFETY: all methods call the same ones of the inner allocator, which upholds the contract.
unsafe impl<X: Export> AtFork for Exported<X> {
    fn prepare(&self) {
        if let Some(inner) = self.at_fork() {
            inner.prepare();
        }
    }

    unsafe fn parent(&self) {
        // SAFETY: the callee has the same contract as this function.
        unsafe { self.at_fork().into_iter().for_each(|inner| inner.parent()) };
    }

    unsafe fn child(&self) {
        // SAFETY: the callee has the same contract as this function.
        unsafe { self.at_fork().into_iter().for_each(|inner| inner.child()) };
    }
}

/// Properties of a new exported allocator.
#[derive(Default)]
pub(crate) struct Make {
    pub(crate) default_align: usize,
    pub(crate) is_plain: bool,
    pub(crate) out_of_memory: OutOfMemory,
    /// Whether reset and trim are unsupported because the inner allocator does not support them.
    pub(crate) cannot_reclaim: bool,
    pub(crate) callback: Option<MisuseCallback>,
}

impl<X: Export> Exported<X> {
    const TABLE: &'static mp_table = &Self::table(X::RECLAIM.is_some());
    const TABLE_WITHOUT_RECLAIM: &'static mp_table = &Self::table(false);

    /// Moves an allocator to the heap and exports it; fails if there is no memory.
    pub(crate) fn make(inner: X, make: Make) -> Created {
        // SAFETY: the type is not zero-sized.
        let place = unsafe { alloc(Layout::new::<Self>()) }.cast::<Self>();
        if place.is_null() {
            return Err(AllocError::Exhausted.into());
        }
        let table = if make.cannot_reclaim { Self::TABLE_WITHOUT_RECLAIM } else { Self::TABLE };
        let head = mp_allocator { table, default_align: make.default_align };
        let Make { is_plain, out_of_memory, callback, .. } = make;
        // SAFETY: the place was just allocated for this type.
        unsafe {
            place.write(Self {
                head,
                is_plain,
                inner,
                out_of_memory,
                fork: fork::Registration::new(),
                callback,
            })
        };
        if X::AT_FORK.is_some() {
            // SAFETY: the value was just written, and is unregistered before it is destroyed.
            unsafe { (*place).fork.register(&*place) };
        }
        Ok(place.cast())
    }

    /// Creates an allocator that is a static of the library.
    pub(crate) const fn constant(inner: X) -> Self {
        let head = mp_allocator { table: Self::TABLE, default_align: 0 };
        let out_of_memory = OutOfMemory::RETURN_NULL;
        Self { head, is_plain: false, inner, out_of_memory, fork: fork::Registration::new(), callback: None }
    }

    const fn table(reclaims: bool) -> mp_table {
        mp_table {
            struct_size: size_of::<mp_table>(),
            name: X::NAME.as_ptr(),
            alloc: Some(functions::allocate::<X>),
            realloc: Some(functions::reallocate::<X>),
            free: Some(functions::free::<X>),
            destroy: Some(functions::destroy::<X>),
            alloc_between: Some(functions::allocate_between::<X>),
            reset: if reclaims { Some(functions::reset::<X>) } else { None },
            trim: if reclaims { Some(functions::trim::<X>) } else { None },
            owns: if X::INSPECT.is_some() { Some(functions::owns::<X>) } else { None },
            largest_free: if X::INSPECT.is_some() { Some(functions::largest_free::<X>) } else { None },
            stats: if X::INSPECT.is_some() { Some(functions::stats::<X>) } else { None },
            check: if X::INSPECT.is_some() { Some(functions::check::<X>) } else { None },
            each: if X::WALK.is_some() { Some(functions::each::<X>) } else { None },
            render: if X::INSPECT.is_some() { Some(functions::render::<X>) } else { None },
            reserve: if X::RESERVE.is_some() { Some(functions::reserve::<X>) } else { None },
            alloc_many: Some(functions::allocate_many::<X>),
            free_many: Some(functions::free_many::<X>),
            flush: if X::FLUSH.is_some() { Some(functions::flush::<X>) } else { None },
            impossible: Some(functions::impossible::<X>),
            may_free: Some(functions::may_free::<X>),
            damage: Some(functions::damage::<X>),
        }
    }

    /// Returns the allocator behind a pointer.
    ///
    /// # Safety
    ///
    /// The pointer must be to an allocator of this type, to which there is no exclusive reference meanwhile.
    #[inline(always)]
    unsafe fn of<'a>(allocator: *const mp_allocator) -> &'a Self {
        // SAFETY: the caller guarantees the type of the allocator and the kind of access.
        unsafe { &*allocator.cast::<Self>() }
    }

    /// Returns an exclusive reference to the allocator behind a pointer.
    ///
    /// # Safety
    ///
    /// The pointer must be to an allocator of this type that nothing else uses meanwhile.
    unsafe fn alone<'a>(allocator: *mut mp_allocator) -> &'a mut Self {
        // SAFETY: the caller guarantees the type of the allocator and the kind of access.
        unsafe { &mut *allocator.cast::<Self>() }
    }

    /// Returns whether the allocator can verify for any address and layout whether they belong to a live block.
    fn vets(&self) -> bool {
        self.callback.as_ref().is_some_and(MisuseCallback::vets)
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        X::INSPECT.map(|inspect| inspect(&self.inner))
    }

    fn reclaim(&mut self) -> Option<&mut dyn Reclaim> {
        X::RECLAIM.map(|reclaim| reclaim(&mut self.inner))
    }

    #[inline(always)]
    fn layout(&self, size: usize, align: usize) -> Result<Layout, MpError> {
        request::layout(size, align, self.head.default_align)
    }

    /// Tries a request, and retries it as long as the caller's `make_room` returns true.
    #[inline(always)]
    pub(crate) fn ask(&self, layout: Layout, ask: impl Fn(&X) -> Allocation) -> *mut c_void {
        match ask(&self.inner) {
            Ok(block) => block.as_ptr().cast(),
            Err(error) => self.ask_again(layout, error, ask),
        }
    }

    #[cold]
    #[inline(never)]
    fn ask_again(&self, layout: Layout, error: AllocError, ask: impl Fn(&X) -> Allocation) -> *mut c_void {
        self.insist(layout, error, || ask(&self.inner)).map_or(ptr::null_mut(), |block| block.as_ptr().cast())
    }

    /// Retries a failed request as long as the caller's `make_room` returns true; then sets the last error.
    fn insist<T>(
        &self,
        layout: Layout,
        mut error: AllocError,
        mut ask: impl FnMut() -> Result<T, AllocError>,
    ) -> Result<T, mp_error> {
        while self.out_of_memory.makes_room(layout, error) {
            match ask() {
                Ok(done) => return Ok(done),
                Err(new) => error = new,
            }
        }
        Err(MpError::from(error).note())
    }

    /// Resizes a live block in place, without calling `make_room`.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::grow`] or [`Allocator::shrink`], depending on the sizes.
    unsafe fn resize_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
        flags: mp_flags,
    ) -> *mut c_void {
        // SAFETY: the callee has the same contract as this function.
        let resized = unsafe {
            if new.size() >= old.size() {
                self.inner.grow_in_place(block, old, new)
            } else {
                self.inner.shrink_in_place(block, old, new)
            }
        };
        match resized {
            Ok(bytes) => {
                if flags & MP_ZERO != 0 {
                    let more = bytes.len().saturating_sub(old.size());
                    // SAFETY: the block is live and has `more` bytes more than before.
                    unsafe { bytes.cast::<u8>().add(bytes.len() - more).write_bytes(0, more) };
                }
                bytes.as_ptr().cast()
            }
            Err(error) => {
                MpError::from(error).note();
                ptr::null_mut()
            }
        }
    }
}
