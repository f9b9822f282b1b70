//! Any of the library's allocators as C sees it: a pointer to a table of functions, and behind it the allocator itself.
//!
//! The functions of a table are instances of the generic ones here, so there is one of each for all pools and guards.

mod functions;

use std::{
    alloc::{Layout, alloc},
    ffi::{CStr, c_void},
    ptr::{self, NonNull},
};

use millpond::{AllocError, Allocation, Allocator, AtFork, Inspect, Reclaim, fork};

use crate::{
    abi::*,
    array::{self, Places},
    error::MpError,
    misuse::MisuseCallback,
    out_of_memory::OutOfMemory,
    request,
};

/// Who is shown live blocks, one by one; false means that it has seen enough.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(NonNull<u8>, usize) -> bool;

/// An allocator of the library, and what it can do besides.
pub(crate) trait Export: Allocator {
    /// What it is called.
    const NAME: &'static CStr;
    /// Whether it answers questions.
    const INSPECTS: bool = false;
    /// Whether it can be reset and trimmed.
    const RECLAIMS: bool = false;
    /// Whether it can walk its live blocks.
    const WALKS: bool = false;
    /// Whether it can have room ready.
    const RESERVES: bool = false;
    /// Whether threads keep free blocks of it ready.
    const FLUSHES: bool = false;
    /// Whether it has something to be held while the process forks.
    const FORKS: bool = false;
    /// Whether it is a constant of the library, which is never destroyed.
    const CONSTANT: bool = false;

    fn inspect(&self) -> Option<&dyn Inspect> {
        None
    }

    /// Gives memory back that nothing live lies in, while others may be using the allocator; none if it cannot do that.
    fn trim_shared(&self) -> Option<usize> {
        None
    }

    /// What is held while the process forks.
    fn at_fork(&self) -> Option<&dyn AtFork> {
        None
    }

    fn reclaim(&mut self) -> Option<&mut dyn Reclaim> {
        None
    }

    /// Has room ready for so many blocks.
    fn reserve(&self, layout: Layout, count: usize) -> Result<(), AllocError> {
        let _ = (layout, count);
        Err(AllocError::Unsupported)
    }

    /// Fills every place with a block, or none.
    fn allocate_many(&self, layout: Layout, places: &mut Places) -> Result<(), AllocError> {
        array::one_by_one(
            places,
            || self.allocate(layout).map(NonNull::cast),
            |block| {
                // SAFETY: the block was handed out above, for this layout, and nobody has seen it.
                unsafe { self.deallocate(block, layout) };
            },
        )
    }

    /// Frees blocks.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`], for each of them.
    unsafe fn deallocate_many(&self, blocks: &[NonNull<u8>], layout: Layout) {
        for &block in blocks {
            // SAFETY: the caller's promises are passed on.
            unsafe { self.deallocate(block, layout) };
        }
    }

    /// Gives back what the current thread keeps ready.
    fn flush(&self) {}

    /// Shows each live block; says whether that was all of them.
    fn walk(&mut self, visit: Visit<'_>) -> bool {
        let _ = visit;
        true
    }
}

/// An allocator that C has a pointer to.
#[repr(C)]
pub(crate) struct Exported<X> {
    pub(crate) head: mp_allocator,
    /// Whether it is of the type that the fast entry points for its pool go straight to.
    pub(crate) is_plain: bool,
    pub(crate) inner: X,
    out_of_memory: OutOfMemory,
    /// Its place among those that are held while the process forks.
    fork: fork::Registration,
    /// Who hears of misuse; it goes after the allocator, which may have something to say when it goes.
    callback: Option<MisuseCallback>,
}

// SAFETY: which threads may use an allocator at a time is what the header asks of the caller.
unsafe impl<X> Sync for Exported<X> {}

impl<X: Export> AtFork for Exported<X> {
    fn prepare(&self) {
        if let Some(inner) = self.inner.at_fork() {
            inner.prepare();
        }
    }

    unsafe fn parent(&self) {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.inner.at_fork().into_iter().for_each(|inner| inner.parent()) };
    }

    unsafe fn child(&self) {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.inner.at_fork().into_iter().for_each(|inner| inner.child()) };
    }
}

/// What a new allocator is besides the library's.
#[derive(Default)]
pub(crate) struct Make {
    pub(crate) default_align: usize,
    pub(crate) is_plain: bool,
    pub(crate) out_of_memory: OutOfMemory,
    /// Whether it resets and trims what it stands on, which cannot do that.
    pub(crate) cannot_reclaim: bool,
    pub(crate) callback: Option<MisuseCallback>,
}

impl<X: Export> Exported<X> {
    const TABLE: &'static mp_table = &Self::table(X::RECLAIMS);
    const TABLE_WITHOUT_RECLAIM: &'static mp_table = &Self::table(false);

    /// An allocator in a place of its own, on the heap; null, and the reason noted, if there is none.
    pub(crate) fn make(inner: X, make: Make) -> *mut mp_allocator {
        // SAFETY: the type is not zero-sized.
        let place = unsafe { alloc(Layout::new::<Self>()) }.cast::<Self>();
        if place.is_null() {
            MpError::from(AllocError::Exhausted).note();
            return ptr::null_mut();
        }
        let table = if make.cannot_reclaim { Self::TABLE_WITHOUT_RECLAIM } else { Self::TABLE };
        let head = mp_allocator { table, default_align: make.default_align };
        let Make { is_plain, out_of_memory, callback, .. } = make;
        // SAFETY: the place was just handed out, for this type.
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
        if X::FORKS {
            // SAFETY: it was just written, and leaves before it is destroyed.
            unsafe { (*place).fork.register(&*place) };
        }
        place.cast()
    }

    /// An allocator that is a constant of the library.
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
            owns: if X::INSPECTS { Some(functions::owns::<X>) } else { None },
            largest_free: if X::INSPECTS { Some(functions::largest_free::<X>) } else { None },
            stats: if X::INSPECTS { Some(functions::stats::<X>) } else { None },
            check: if X::INSPECTS { Some(functions::check::<X>) } else { None },
            each: if X::WALKS { Some(functions::each::<X>) } else { None },
            render: if X::INSPECTS { Some(functions::render::<X>) } else { None },
            reserve: if X::RESERVES { Some(functions::reserve::<X>) } else { None },
            alloc_many: Some(functions::allocate_many::<X>),
            free_many: Some(functions::free_many::<X>),
            flush: if X::FLUSHES { Some(functions::flush::<X>) } else { None },
            impossible: Some(functions::impossible::<X>),
            may_free: Some(functions::may_free::<X>),
            damage: Some(functions::damage::<X>),
        }
    }

    /// The allocator behind a pointer.
    ///
    /// # Safety
    ///
    /// The pointer is to one of this type, and nobody changes it meanwhile but through shared access.
    #[inline(always)]
    unsafe fn of<'a>(allocator: *const mp_allocator) -> &'a Self {
        // SAFETY: the caller's promise.
        unsafe { &*allocator.cast::<Self>() }
    }

    /// The same, alone.
    ///
    /// # Safety
    ///
    /// The pointer is to one of this type, and nobody else uses it meanwhile.
    unsafe fn alone<'a>(allocator: *mut mp_allocator) -> &'a mut Self {
        // SAFETY: the caller's promise.
        unsafe { &mut *allocator.cast::<Self>() }
    }

    /// Whether it finds out of any address and layout whether they are those of a live block.
    fn vets(&self) -> bool {
        self.callback.as_ref().is_some_and(MisuseCallback::vets)
    }

    #[inline(always)]
    fn layout(&self, size: usize, align: usize) -> Result<Layout, MpError> {
        request::layout(size, align, self.head.default_align)
    }

    /// Asks once, and then again as long as the caller makes room.
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

    /// Asks again as long as the caller makes room; then notes why it was in vain.
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

    /// Resizes a live block where it is, without asking anybody to make room.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::grow`] or [`Allocator::shrink`], whichever the sizes say.
    unsafe fn resize_in_place(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
        flags: mp_flags,
    ) -> *mut c_void {
        // SAFETY: the caller's promises are passed on.
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
                    // SAFETY: the block is live and has so many bytes more than before.
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
