//! The functions of tables: one generic function for each member, with an instance for every allocator.

use std::{
    alloc::{Layout, dealloc},
    ffi::c_void,
    ptr::{self, NonNull},
};

use millpond::{AllocError, Inspect, Reclaim};

use super::{Export, Exported};
use crate::{abi::*, array, error::MpError, render, versioned_struct::write_as_long};

/// As `alloc` of the table.
pub(super) unsafe extern "C" fn allocate<X: Export>(
    this: *mut mp_allocator,
    size: usize,
    align: usize,
    flags: mp_flags,
) -> *mut c_void {
    // SAFETY: this function is only in tables of allocators of this type.
    let this = unsafe { Exported::<X>::of(this) };
    match this.layout(size, align) {
        Ok(layout) if flags & MP_ZERO != 0 => this.ask(layout, |inner| inner.allocate_zeroed(layout)),
        Ok(layout) => this.ask(layout, |inner| inner.allocate(layout)),
        Err(error) => {
            error.note();
            ptr::null_mut()
        }
    }
}

/// As `realloc` of the table.
pub(super) unsafe extern "C" fn reallocate<X: Export>(
    this: *mut mp_allocator,
    block: *mut c_void,
    old_size: usize,
    new_size: usize,
    align: usize,
    flags: mp_flags,
) -> *mut c_void {
    let Some(block) = NonNull::new(block.cast::<u8>()) else {
        // SAFETY: this function has the same requirements as `allocate`.
        return unsafe { allocate::<X>(this, new_size, align, flags) };
    };
    // SAFETY: this function is only in tables of allocators of this type.
    let this = unsafe { Exported::<X>::of(this) };
    let layouts = this.layout(old_size, align).and_then(|old| Ok((old, this.layout(new_size, align)?)));
    let (old, new) = match layouts {
        Ok(layouts) => layouts,
        Err(error) => {
            error.note();
            if this.layout(old_size, align).is_err() {
                this.refuse(block);
            }
            return ptr::null_mut();
        }
    };
    if flags & MP_IN_PLACE != 0 {
        // SAFETY: the header requires a live block and its size.
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

/// Stands for an impossible layout in reports: no block has it.
const IMPOSSIBLE: Layout = match Layout::from_size_align(isize::MAX.cast_unsigned(), 1) {
    Ok(layout) => layout,
    // Unreachable: this is the largest valid size.
    Err(_) => Layout::new::<()>(),
};

/// As `free` of the table.
pub(super) unsafe extern "C" fn free<X: Export>(
    this: *mut mp_allocator,
    block: *mut c_void,
    size: usize,
    align: usize,
) {
    let Some(block) = NonNull::new(block.cast::<u8>()) else { return };
    // SAFETY: this function is only in tables of allocators of this type.
    let this = unsafe { Exported::<X>::of(this) };
    match this.layout(size, align) {
        // SAFETY: the header requires a live block of this allocator, and the layout with which it was requested.
        Ok(layout) => unsafe { this.inner.deallocate(block, layout) },
        Err(error) => {
            error.note();
            this.refuse(block);
        }
    }
}

/// As `impossible` of the table.
pub(super) unsafe extern "C" fn impossible<X: Export>(this: *mut mp_allocator, block: *mut c_void) {
    if let Some(block) = NonNull::new(block.cast::<u8>()) {
        // SAFETY: this function is only in tables of allocators of this type.
        unsafe { Exported::<X>::of(this) }.refuse(block);
    }
}

/// As `may_free` of the table.
pub(super) unsafe extern "C" fn may_free<X: Export>(
    this: *mut mp_allocator,
    block: *mut c_void,
    size: usize,
    align: usize,
) -> bool {
    // SAFETY: this function is only in tables of allocators of this type.
    let this = unsafe { Exported::<X>::of(this) };
    let layout = this.layout(size, align);
    NonNull::new(block.cast::<u8>())
        .is_none_or(|block| layout.is_ok_and(|layout| this.inner.may_deallocate(block, layout)))
}

/// As `damage` of the table.
pub(super) unsafe extern "C" fn damage<X: Export>(
    this: *mut mp_allocator,
    block: *mut c_void,
    size: usize,
    align: usize,
) -> *mut c_void {
    // SAFETY: this function is only in tables of allocators of this type.
    let this = unsafe { Exported::<X>::of(this) };
    // SAFETY: the caller passes a live block of this allocator with its layout, or none.
    let damage = |layout| unsafe { this.inner.damage(NonNull::new(block.cast()), layout) };
    this.layout(size, align).ok().and_then(damage).map_or(ptr::null_mut(), |at| at as *mut c_void)
}

impl<X: Export> Exported<X> {
    /// Reports that a block was passed with a layout that no block can have, if this allocator detects misuse.
    fn refuse(&self, block: NonNull<u8>) {
        if self.vets() {
            // SAFETY: the allocator verifies blocks, so it detects that no block has this layout, and changes nothing.
            unsafe { self.inner.deallocate(block, IMPOSSIBLE) };
        }
    }
}

/// As `destroy` of the table.
pub(super) unsafe extern "C" fn destroy<X: Export>(this: *mut mp_allocator) {
    if X::CONSTANT {
        return;
    }
    let this = this.cast::<Exported<X>>();
    // SAFETY: the allocator was allocated by `make`, and the header requires that it is no longer used.
    unsafe {
        (*this).fork.unregister();
        this.drop_in_place();
        dealloc(this.cast(), Layout::new::<Exported<X>>());
    }
}

/// As `alloc_between` of the table.
pub(super) unsafe extern "C" fn allocate_between<X: Export>(
    this: *mut mp_allocator,
    least: usize,
    preferred: usize,
    align: usize,
    got: *mut usize,
) -> *mut c_void {
    // SAFETY: this function is only in tables of allocators of this type.
    let this = unsafe { Exported::<X>::of(this) };
    let layout = match this.layout(least, align) {
        Ok(layout) => layout,
        Err(error) => {
            error.note();
            return ptr::null_mut();
        }
    };
    // If the alignment depends on the size, the block may be freed with this size only.
    let depends = align == 0 && this.head.default_align == MP_NATURAL_ALIGN;
    let preferred = if depends { layout.size() } else { preferred };
    this.ask(layout, |inner| {
        let block = inner.allocate_between(layout, preferred)?;
        if !got.is_null() {
            // SAFETY: the header requires a valid pointer or NULL.
            unsafe { got.write(if depends { layout.size() } else { block.len() }) };
        }
        Ok(block)
    })
}

/// As `reset` of the table.
pub(super) unsafe extern "C" fn reset<X: Export>(this: *mut mp_allocator) -> mp_error {
    // SAFETY: this function is only in tables of allocators of this type, and the header requires that no other thread
    // uses this allocator during the call.
    if let Some(reclaim) = unsafe { Exported::<X>::alone(this) }.reclaim() {
        reclaim.reset();
    }
    MP_OK
}

/// As `trim` of the table.
pub(super) unsafe extern "C" fn trim<X: Export>(this: *mut mp_allocator) -> usize {
    if let Some(trim) = X::TRIM_SHARED {
        // SAFETY: this function is only in tables of allocators of this type.
        return trim(unsafe { &Exported::<X>::of(this).inner });
    }
    // SAFETY: as for `reset`.
    unsafe { Exported::<X>::alone(this) }.reclaim().map_or(0, Reclaim::trim)
}

/// As `owns` of the table.
pub(super) unsafe extern "C" fn owns<X: Export>(this: *const mp_allocator, address: *const c_void) -> bool {
    // SAFETY: this function is only in tables of allocators of this type.
    unsafe { Exported::<X>::of(this) }.inspect().is_some_and(|inspect| inspect.owns(address.cast()))
}

/// As `largest_free` of the table.
pub(super) unsafe extern "C" fn largest_free<X: Export>(this: *const mp_allocator) -> usize {
    // SAFETY: as for `owns`.
    let inspect = unsafe { Exported::<X>::of(this) }.inspect();
    inspect.and_then(Inspect::largest_free).unwrap_or(MP_UNKNOWN)
}

/// As `stats` of the table.
pub(super) unsafe extern "C" fn stats<X: Export>(this: *const mp_allocator, out: *mut mp_stats) -> mp_error {
    // SAFETY: as for `owns`.
    let Some(inspect) = (unsafe { Exported::<X>::of(this) }).inspect() else {
        return MpError::unsupported("this allocator has no statistics: ask the pool or guard on it").note();
    };
    let stats = mp_stats::take(inspect);
    // SAFETY: the header requires a structure that begins with its size.
    unsafe { write_as_long(&stats, out) }.map_or_else(MpError::note, |()| MP_OK)
}

/// As `check` of the table.
pub(super) unsafe extern "C" fn check<X: Export>(this: *const mp_allocator) -> mp_error {
    // SAFETY: as for `owns`.
    match unsafe { Exported::<X>::of(this) }.inspect().map(Inspect::check) {
        Some(Err(flaw)) => MpError::new(MP_ERR_BROKEN, flaw.0).note(),
        _ => MP_OK,
    }
}

/// As `each` of the table.
pub(super) unsafe extern "C" fn each<X: Export>(
    this: *mut mp_allocator,
    visit: Option<mp_visit_fn>,
    context: *mut c_void,
) -> mp_error {
    let Some(visit) = visit else {
        return MpError::invalid("visit is NULL: pass a function").note();
    };
    // SAFETY: as for `reset`.
    let this = unsafe { Exported::<X>::alone(this) };
    // SAFETY: the header requires a visitor with this signature.
    let visit = &mut |block: NonNull<u8>, size| unsafe { visit(context, block.as_ptr().cast(), size) };
    if X::WALK.is_none_or(|walk| walk(&mut this.inner, visit)) { MP_OK } else { MpError::STOPPED.note() }
}

/// As `reserve` of the table.
pub(super) unsafe extern "C" fn reserve<X: Export>(
    this: *mut mp_allocator,
    size: usize,
    align: usize,
    count: usize,
) -> mp_error {
    // SAFETY: this function is only in tables of allocators of this type.
    let this = unsafe { Exported::<X>::of(this) };
    let reserved = this.layout(size, align).and_then(|layout| match X::RESERVE {
        Some(reserve) => Ok(reserve(&this.inner, layout, count)?),
        None => Err(AllocError::Unsupported.into()),
    });
    reserved.map_or_else(MpError::note, |()| MP_OK)
}

/// As `alloc_many` of the table.
pub(super) unsafe extern "C" fn allocate_many<X: Export>(
    this: *mut mp_allocator,
    blocks: *mut *mut c_void,
    count: usize,
    size: usize,
    align: usize,
) -> mp_error {
    // SAFETY: this function is only in tables of allocators of this type.
    let this = unsafe { Exported::<X>::of(this) };
    // SAFETY: the header requires room for `count` pointers.
    let places = unsafe { array::places(blocks, count) };
    let filled = this.layout(size, align).map_err(MpError::note).and_then(|layout| {
        let mut allocate = || this.inner.allocate_many(layout, places);
        allocate().or_else(|error| this.insist(layout, error, allocate))
    });
    filled.map_or_else(|error| error, |()| MP_OK)
}

/// As `free_many` of the table.
pub(super) unsafe extern "C" fn free_many<X: Export>(
    this: *mut mp_allocator,
    blocks: *const *mut c_void,
    count: usize,
    size: usize,
    align: usize,
) {
    // SAFETY: this function is only in tables of allocators of this type, and the header requires live blocks of this
    // allocator, size and alignment.
    unsafe {
        let (this, blocks) = (Exported::<X>::of(this), array::blocks(blocks, count));
        match this.layout(size, align) {
            Ok(layout) => this.inner.deallocate_many(blocks, layout),
            Err(error) => {
                error.note();
                blocks.iter().for_each(|&block| this.refuse(block));
            }
        }
    }
}

/// As `flush` of the table.
pub(super) unsafe extern "C" fn flush<X: Export>(this: *mut mp_allocator) {
    if let Some(flush) = X::FLUSH {
        // SAFETY: this function is only in tables of allocators of this type.
        flush(unsafe { &Exported::<X>::of(this).inner });
    }
}

/// As `render` of the table.
pub(super) unsafe extern "C" fn render<X: Export>(this: *const mp_allocator, builder: *mut c_void) {
    // SAFETY: this function is only in tables of allocators of this type, and `builder` comes from `render::pass`.
    unsafe {
        if let (Some(inspect), Some(builder)) = (Exported::<X>::of(this).inspect(), render::received(builder))
        {
            inspect.render(builder);
        }
    }
}
