//! Any of the library's allocators as C sees it: a pointer to a table of functions, and behind it the allocator itself.
//!
//! The functions of a table are instances of the generic ones here, so there is one of each for all pools and guards.

use std::{
    alloc::{Layout, alloc, dealloc},
    ffi::{CStr, c_void},
    ptr::{self, NonNull},
};

use millpond::{AllocError, Allocator, Inspect, Reclaim};

use crate::{
    abi::*,
    canvas,
    extensible::write_as_long,
    fault::{Fault, MP_ERR_BROKEN, MP_OK},
    misuse::Voice,
    out_of_memory::OutOfMemory,
    request,
};

type Block = Result<NonNull<[u8]>, AllocError>;

/// Who is shown live blocks, one by one; false means that it has seen enough.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(NonNull<u8>, usize) -> bool;

/// An allocator of the library, and what it can do besides.
pub(crate) trait Offer: Allocator {
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
    /// Whether it is a constant of the library, which is never destroyed.
    const CONSTANT: bool = false;

    fn inspect(&self) -> Option<&dyn Inspect> {
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
    /// Who hears of misuse; it goes after the allocator, which may have something to say when it goes.
    voice: Option<Voice>,
}

// SAFETY: which threads may use an allocator at a time is what the header asks of the caller.
unsafe impl<X> Sync for Exported<X> {}

/// What a new allocator is besides the library's.
#[derive(Default)]
pub(crate) struct Make {
    pub(crate) default_align: usize,
    pub(crate) is_plain: bool,
    pub(crate) out_of_memory: OutOfMemory,
    /// Whether it resets and trims what it stands on, which cannot do that.
    pub(crate) cannot_reclaim: bool,
    pub(crate) voice: Option<Voice>,
}

impl<X: Offer> Exported<X> {
    const TABLE: &'static mp_table = &Self::table(X::RECLAIMS);
    const TABLE_WITHOUT_RECLAIM: &'static mp_table = &Self::table(false);

    /// An allocator in a place of its own, on the heap; null, and the reason noted, if there is none.
    pub(crate) fn make(inner: X, make: Make) -> *mut mp_allocator {
        // SAFETY: the type is not zero-sized.
        let place = unsafe { alloc(Layout::new::<Self>()) }.cast::<Self>();
        if place.is_null() {
            Fault::from(AllocError::Exhausted).note();
            return ptr::null_mut();
        }
        let table = if make.cannot_reclaim { Self::TABLE_WITHOUT_RECLAIM } else { Self::TABLE };
        let head = mp_allocator { table, default_align: make.default_align };
        let Make { is_plain, out_of_memory, voice, .. } = make;
        // SAFETY: the place was just handed out, for this type.
        unsafe { place.write(Self { head, is_plain, inner, out_of_memory, voice }) };
        place.cast()
    }

    /// An allocator that is a constant of the library.
    pub(crate) const fn constant(inner: X) -> Self {
        let head = mp_allocator { table: Self::TABLE, default_align: 0 };
        Self { head, is_plain: false, inner, out_of_memory: OutOfMemory::RETURN_NULL, voice: None }
    }

    const fn table(reclaims: bool) -> mp_table {
        mp_table {
            struct_size: size_of::<mp_table>(),
            name: X::NAME.as_ptr(),
            alloc: Some(allocate::<X>),
            realloc: Some(reallocate::<X>),
            free: Some(free::<X>),
            destroy: Some(destroy::<X>),
            alloc_between: Some(allocate_between::<X>),
            reset: if reclaims { Some(reset::<X>) } else { None },
            trim: if reclaims { Some(trim::<X>) } else { None },
            owns: if X::INSPECTS { Some(owns::<X>) } else { None },
            largest_free: if X::INSPECTS { Some(largest_free::<X>) } else { None },
            stats: if X::INSPECTS { Some(stats::<X>) } else { None },
            check: if X::INSPECTS { Some(check::<X>) } else { None },
            each: if X::WALKS { Some(each::<X>) } else { None },
            paint: if X::INSPECTS { Some(paint::<X>) } else { None },
            reserve: if X::RESERVES { Some(reserve::<X>) } else { None },
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

    #[inline(always)]
    fn layout(&self, size: usize, align: usize) -> Result<Layout, Fault> {
        request::layout(size, align, self.head.default_align)
    }

    /// Asks once, and then again as long as the caller makes room.
    #[inline(always)]
    pub(crate) fn ask(&self, layout: Layout, ask: impl Fn(&X) -> Block) -> *mut c_void {
        match ask(&self.inner) {
            Ok(block) => block.as_ptr().cast(),
            Err(error) => self.ask_again(layout, error, ask),
        }
    }

    #[cold]
    #[inline(never)]
    fn ask_again(&self, layout: Layout, mut error: AllocError, ask: impl Fn(&X) -> Block) -> *mut c_void {
        while self.out_of_memory.makes_room(layout, error) {
            match ask(&self.inner) {
                Ok(block) => return block.as_ptr().cast(),
                Err(new) => error = new,
            }
        }
        Fault::from(error).note();
        ptr::null_mut()
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
                Fault::from(error).note();
                ptr::null_mut()
            }
        }
    }
}

/// As `alloc` of the table.
unsafe extern "C" fn allocate<X: Offer>(
    this: *mut mp_allocator,
    size: usize,
    align: usize,
    flags: mp_flags,
) -> *mut c_void {
    // SAFETY: this function is in the table of allocators of this type alone.
    let this = unsafe { Exported::<X>::of(this) };
    match this.layout(size, align) {
        Ok(layout) if flags & MP_ZERO != 0 => this.ask(layout, |inner| inner.allocate_zeroed(layout)),
        Ok(layout) => this.ask(layout, |inner| inner.allocate(layout)),
        Err(fault) => {
            fault.note();
            ptr::null_mut()
        }
    }
}

/// As `realloc` of the table.
unsafe extern "C" fn reallocate<X: Offer>(
    this: *mut mp_allocator,
    block: *mut c_void,
    old_size: usize,
    new_size: usize,
    align: usize,
    flags: mp_flags,
) -> *mut c_void {
    let Some(block) = NonNull::new(block.cast::<u8>()) else {
        // SAFETY: the caller's promises are passed on.
        return unsafe { allocate::<X>(this, new_size, align, flags) };
    };
    // SAFETY: this function is in the table of allocators of this type alone.
    let this = unsafe { Exported::<X>::of(this) };
    let layouts = this.layout(old_size, align).and_then(|old| Ok((old, this.layout(new_size, align)?)));
    let (old, new) = match layouts {
        Ok(layouts) => layouts,
        Err(fault) => {
            fault.note();
            return ptr::null_mut();
        }
    };
    if flags & MP_IN_PLACE != 0 {
        // SAFETY: the header asks for a live block, and for the size that it has.
        return unsafe { this.resize_in_place(block, old, new, flags) };
    }
    // SAFETY: as above.
    this.ask(new, |inner| unsafe {
        match (new.size() >= old.size(), flags & MP_ZERO != 0) {
            (true, true) => inner.grow_zeroed(block, old, new),
            (true, false) => inner.grow(block, old, new),
            (false, _) => inner.shrink(block, old, new),
        }
    })
}

/// As `free` of the table.
unsafe extern "C" fn free<X: Offer>(this: *mut mp_allocator, block: *mut c_void, size: usize, align: usize) {
    let Some(block) = NonNull::new(block.cast::<u8>()) else { return };
    // SAFETY: this function is in the table of allocators of this type alone.
    let this = unsafe { Exported::<X>::of(this) };
    match this.layout(size, align) {
        // SAFETY: the header asks for a live block of this allocator, and for what it was requested for.
        Ok(layout) => unsafe { this.inner.deallocate(block, layout) },
        Err(fault) => {
            fault.note();
        }
    }
}

/// As `destroy` of the table.
unsafe extern "C" fn destroy<X: Offer>(this: *mut mp_allocator) {
    if X::CONSTANT {
        return;
    }
    let this = this.cast::<Exported<X>>();
    // SAFETY: it was made by `make`, in a place of its own, and the header asks that nobody uses it any more.
    unsafe {
        this.drop_in_place();
        dealloc(this.cast(), Layout::new::<Exported<X>>());
    }
}

/// As `alloc_between` of the table.
unsafe extern "C" fn allocate_between<X: Offer>(
    this: *mut mp_allocator,
    least: usize,
    preferred: usize,
    align: usize,
    got: *mut usize,
) -> *mut c_void {
    // SAFETY: this function is in the table of allocators of this type alone.
    let this = unsafe { Exported::<X>::of(this) };
    let layout = match this.layout(least, align) {
        Ok(layout) => layout,
        Err(fault) => {
            fault.note();
            return ptr::null_mut();
        }
    };
    this.ask(layout, |inner| {
        let block = inner.allocate_between(layout, preferred)?;
        if !got.is_null() {
            // SAFETY: the header asks for a place for a number, or for NULL.
            unsafe { got.write(block.len()) };
        }
        Ok(block)
    })
}

/// As `reset` of the table.
unsafe extern "C" fn reset<X: Offer>(this: *mut mp_allocator) -> mp_error {
    // SAFETY: this function is in the table of allocators of this type alone, and the header asks that nobody else uses
    // this one now.
    if let Some(reclaim) = unsafe { Exported::<X>::alone(this) }.inner.reclaim() {
        reclaim.reset();
    }
    MP_OK
}

/// As `trim` of the table.
unsafe extern "C" fn trim<X: Offer>(this: *mut mp_allocator) -> usize {
    // SAFETY: as for `reset`.
    unsafe { Exported::<X>::alone(this) }.inner.reclaim().map_or(0, Reclaim::trim)
}

/// As `owns` of the table.
unsafe extern "C" fn owns<X: Offer>(this: *const mp_allocator, address: *const c_void) -> bool {
    // SAFETY: this function is in the table of allocators of this type alone.
    unsafe { Exported::<X>::of(this) }.inner.inspect().is_some_and(|inspect| inspect.owns(address.cast()))
}

/// As `largest_free` of the table.
unsafe extern "C" fn largest_free<X: Offer>(this: *const mp_allocator) -> usize {
    // SAFETY: as for `owns`.
    let inspect = unsafe { Exported::<X>::of(this) }.inner.inspect();
    inspect.and_then(Inspect::largest_free).unwrap_or(MP_UNKNOWN)
}

/// As `stats` of the table.
unsafe extern "C" fn stats<X: Offer>(this: *const mp_allocator, out: *mut mp_stats) -> mp_error {
    // SAFETY: as for `owns`.
    let Some(inspect) = (unsafe { Exported::<X>::of(this) }).inner.inspect() else { return MP_OK };
    let stats = mp_stats::take(inspect);
    // SAFETY: the header asks for a structure that says how long it is.
    unsafe { write_as_long(&stats, out) }.map_or_else(Fault::note, |()| MP_OK)
}

/// As `check` of the table.
unsafe extern "C" fn check<X: Offer>(this: *const mp_allocator) -> mp_error {
    // SAFETY: as for `owns`.
    match unsafe { Exported::<X>::of(this) }.inner.inspect().map(Inspect::check) {
        Some(Err(flaw)) => Fault::new(MP_ERR_BROKEN, flaw.0).note(),
        _ => MP_OK,
    }
}

/// As `each` of the table.
unsafe extern "C" fn each<X: Offer>(
    this: *mut mp_allocator,
    visit: Option<mp_visit_fn>,
    context: *mut c_void,
) -> mp_error {
    let Some(visit) = visit else {
        return Fault::invalid("there is no function to visit blocks with").note();
    };
    // SAFETY: as for `reset`; the visitor is the caller's, and takes what the header says.
    let walked = unsafe {
        let this = Exported::<X>::alone(this);
        this.inner.walk(&mut |block, size| visit(context, block.as_ptr().cast(), size))
    };
    if walked { MP_OK } else { crate::fault::MP_ERR_STOPPED }
}

/// As `reserve` of the table.
unsafe extern "C" fn reserve<X: Offer>(
    this: *mut mp_allocator,
    size: usize,
    align: usize,
    count: usize,
) -> mp_error {
    // SAFETY: this function is in the table of allocators of this type alone.
    let this = unsafe { Exported::<X>::of(this) };
    let reserved = this.layout(size, align).and_then(|layout| Ok(this.inner.reserve(layout, count)?));
    reserved.map_or_else(Fault::note, |()| MP_OK)
}

/// As `paint` of the table.
unsafe extern "C" fn paint<X: Offer>(this: *const mp_allocator, canvas: *mut c_void) {
    // SAFETY: this function is in the table of allocators of this type alone, and called with what was passed.
    unsafe {
        if let (Some(inspect), Some(canvas)) =
            (Exported::<X>::of(this).inner.inspect(), canvas::received(canvas))
        {
            inspect.paint(canvas);
        }
    }
}
