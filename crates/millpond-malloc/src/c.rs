//! The functions of C: what each does with unusual arguments is what glibc does.
//!
//! `libmillpond_malloc.so` exports them under their names in C.

use core::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr::null_mut,
};

use crate::{
    call::{DELETE, DELETE_ARRAY, FREE, FREE_SIZED, Given},
    classes::GRAIN,
    format::Format,
    heap, object, os,
    record::Family,
    stats::{self, Stats, stats},
};

/// The largest size that is served: that of the largest object in C.
const LARGEST: usize = isize::MAX as usize;

/// Bytes in a page, to which `valloc` aligns.
const PAGE: usize = 4096;

/// `malloc`. A size of 0 gives a block that can be freed.
#[inline(always)]
#[must_use]
pub fn malloc(size: usize) -> *mut c_void {
    heap::allocate(size).cast()
}

/// `calloc`.
#[inline(always)]
#[must_use]
pub fn calloc(count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        Some(bytes) => heap::allocate_zeroed(bytes).cast(),
        None => os::no_memory().cast(),
    }
}

/// `free`. Keeps `errno`.
///
/// # Safety
///
/// The pointer must be null or that of a live block; in the mode `checked`, any other ends the program.
#[inline(always)]
pub unsafe fn free(block: *mut c_void) {
    // SAFETY: the caller upholds the contract.
    unsafe { heap::deallocate(block.cast()) };
}

/// `free_sized` of C23. The size is checked in the hardened modes.
///
/// # Safety
///
/// As for [`free`]; the size must be that with which the block was allocated.
#[inline(always)]
pub unsafe fn free_sized(block: *mut c_void, size: usize) {
    // SAFETY: the caller upholds the contract.
    unsafe { heap::deallocate_as(block.cast(), &FREE_SIZED, Given::new(size, GRAIN)) };
}

/// `free_aligned_sized` of C23. Size and alignment are checked in the hardened modes.
///
/// # Safety
///
/// As for [`free`]; size and alignment must be those with which the block was allocated.
#[inline(always)]
pub unsafe fn free_aligned_sized(block: *mut c_void, align: usize, size: usize) {
    // SAFETY: the caller upholds the contract.
    unsafe { heap::deallocate_as(block.cast(), &FREE_SIZED, Given::new(size, align)) };
}

/// `operator new` or `operator new[]`, except that it returns null if there is no memory.
#[inline(always)]
#[must_use]
pub fn new(size: usize, family: Family) -> *mut c_void {
    let block = heap::allocate(size);
    heap::set_family(block, family);
    block.cast()
}

/// `operator new` or `operator new[]` with an alignment, except that it returns null if there is no memory.
#[must_use]
pub fn new_aligned(size: usize, align: usize, family: Family) -> *mut c_void {
    let block = aligned(align, size);
    heap::set_family(block.cast(), family);
    block
}

/// `operator delete` or `operator delete[]`. The size, if there is one, and the alignment are checked in the hardened
/// modes, as is that the operator is the counterpart of the one that allocated the block.
///
/// # Safety
///
/// As for [`free`].
#[inline(always)]
pub unsafe fn delete(block: *mut c_void, family: Family, size: Option<usize>, align: Option<usize>) {
    let given = match size {
        Some(size) => Given::new(size, align.unwrap_or(GRAIN)),
        None => Given::NOTHING,
    };
    let function = match family {
        Family::Malloc => &FREE,
        Family::New => &DELETE,
        Family::NewArray => &DELETE_ARRAY,
    };
    // SAFETY: the caller upholds the contract.
    unsafe { heap::deallocate_as(block.cast(), function, given) };
}

/// `realloc`. A size of 0 frees the block and returns null, as in glibc.
///
/// # Safety
///
/// As for [`free`].
pub unsafe fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() {
        return malloc(size);
    }
    if size == 0 {
        // SAFETY: the caller upholds the contract.
        unsafe { free(block) };
        return null_mut();
    }
    // SAFETY: the caller upholds the contract.
    unsafe { heap::resize(block.cast(), size).cast() }
}

/// `reallocarray`.
///
/// # Safety
///
/// As for [`free`].
pub unsafe fn reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: the caller upholds the contract.
        Some(bytes) => unsafe { realloc(block, bytes) },
        None => os::no_memory().cast(),
    }
}

/// Allocates a block for an alignment that is a power of two, unless the two are too large together.
fn aligned(align: usize, size: usize) -> *mut c_void {
    if size > LARGEST - align.min(LARGEST) {
        return os::no_memory().cast();
    }
    heap::allocate_aligned(align, size).cast()
}

/// Sets `errno` to `EINVAL` and returns null.
#[cold]
fn invalid() -> *mut c_void {
    os::set_errno(libc::EINVAL);
    null_mut()
}

/// `memalign`. An alignment that is not a power of two is rounded up to one.
#[must_use]
pub fn memalign(align: usize, size: usize) -> *mut c_void {
    match align.checked_next_power_of_two() {
        Some(align) => aligned(align, size),
        None => invalid(),
    }
}

/// `aligned_alloc`. The alignment must be a power of two; the size may be any, as in C17.
#[must_use]
pub fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    if align.is_power_of_two() { aligned(align, size) } else { invalid() }
}

/// `posix_memalign`. Returns an error number and leaves `errno` alone; leaves `place` alone unless it returns 0.
///
/// # Safety
///
/// `place` must be valid for writing a pointer.
pub unsafe fn posix_memalign(place: *mut *mut c_void, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<*mut c_void>()) {
        return libc::EINVAL;
    }
    let block = os::keeping_errno(|| aligned(align, size));
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller guarantees that the place is valid.
    unsafe { place.write(block) };
    0
}

/// `valloc`: aligned to a page.
#[must_use]
pub fn valloc(size: usize) -> *mut c_void {
    aligned(PAGE, size)
}

/// `pvalloc`: aligned to a page, and the size rounded up to whole pages.
#[must_use]
pub fn pvalloc(size: usize) -> *mut c_void {
    match size.max(1).checked_next_multiple_of(PAGE) {
        Some(size) => aligned(PAGE, size),
        None => os::no_memory().cast(),
    }
}

/// `malloc_usable_size`: all of a block may be written to. 0 for null.
///
/// # Safety
///
/// As for [`free`].
pub unsafe fn malloc_usable_size(block: *mut c_void) -> usize {
    if block.is_null() { 0 } else { heap::usable_size(block.cast()) }
}

/// `millpond_malloc_object_size`: returns the number of bytes from an address to the end of the live block in which it
/// lies, or `usize::MAX` if it does not lie in the heap. In the mode `fast` every block counts as live; in the others an
/// address in the heap but in no live block ends the program.
#[must_use]
pub fn object_size(address: *const c_void) -> usize {
    object::size("millpond_malloc_object_size", address.cast()).unwrap_or(usize::MAX)
}

/// `millpond_malloc_check`: ends the program if `size` bytes from an address on do not lie in one live block. Other
/// addresses than those of the heap are not checked.
///
/// # Safety
///
/// `function` must be a C string: the name for the report.
pub unsafe fn check_access(function: *const c_char, address: *const c_void, size: usize) {
    if size != 0 {
        // SAFETY: the caller passes a C string.
        let name = unsafe { CStr::from_ptr(function) }.to_str().unwrap_or("an access");
        object::check(name, address.cast(), size);
    }
}

/// `malloc_trim`: returns free memory to the system; returns 1 if there was any, otherwise 0.
pub fn malloc_trim(_keep: usize) -> c_int {
    os::keeping_errno(|| c_int::from(heap::trim() != 0))
}

/// `mallopt`: accepts the parameters of glibc, which have no effect here; returns 1 for those, otherwise 0.
#[must_use]
pub fn mallopt(parameter: c_int, _value: c_int) -> c_int {
    c_int::from(matches!(parameter, -8..=-1 | 1..=4))
}

/// `mallinfo2`. What threads keep in their caches counts as used.
#[must_use]
pub fn mallinfo2() -> libc::mallinfo2 {
    let stats = stats();
    // SAFETY: the structure consists of integers.
    let mut info: libc::mallinfo2 = unsafe { core::mem::zeroed() };
    info.arena = stats.mapped;
    info.uordblks = stats.used.saturating_sub(stats.free);
    info.fordblks = stats.mapped.saturating_sub(info.uordblks);
    info.keepcost = stats.dirty;
    info
}

/// `mallinfo`: as [`mallinfo2`], in numbers of 32 bits, which wrap around.
#[must_use]
pub fn mallinfo() -> libc::mallinfo {
    let wide = mallinfo2();
    // SAFETY: the structure consists of integers.
    let mut info: libc::mallinfo = unsafe { core::mem::zeroed() };
    info.arena = wide.arena as c_int;
    info.uordblks = wide.uordblks as c_int;
    info.fordblks = wide.fordblks as c_int;
    info.keepcost = wide.keepcost as c_int;
    info
}

/// `malloc_info`: writes statistics as XML; returns 0, or `EINVAL` if there are options, or -1 if the stream failed.
///
/// # Safety
///
/// `stream` must be an open stream.
pub unsafe fn malloc_info(options: c_int, stream: *mut libc::FILE) -> c_int {
    if options != 0 {
        return libc::EINVAL;
    }
    let Stats { mapped, used, dirty, free } = stats();
    // SAFETY: the caller guarantees that the stream is open; the arguments are those that the format names.
    let written = unsafe {
        libc::fprintf(
            stream,
            c"<malloc version=\"1\">\n<system type=\"current\" size=\"%zu\"/>\n<used size=\"%zu\"/>\n\
              <free size=\"%zu\"/>\n<dirty size=\"%zu\"/>\n</malloc>\n"
                .as_ptr(),
            mapped,
            used,
            free,
            dirty,
        )
    };
    if written < 0 { -1 } else { 0 }
}

/// `millpond_malloc_stats`: writes statistics to a file descriptor, as `text`, `json` or `prometheus`. Returns 0; or -1, with
/// `errno`, if there is no such format (`EINVAL`) or the file cannot be written to. Nothing is allocated.
///
/// # Safety
///
/// `format` must be a C string.
pub unsafe fn write_stats(format: *const c_char, file: c_int) -> c_int {
    // SAFETY: the caller passes a C string.
    let name = unsafe { CStr::from_ptr(format) };
    match Format::of(name.to_bytes()) {
        Some(format) if stats::write_to(file, format) => 0,
        Some(_) => -1,
        None => {
            os::set_errno(libc::EINVAL);
            -1
        }
    }
}

/// `malloc_stats`: writes statistics to standard error.
pub fn malloc_stats() {
    // If standard error cannot be written to, there is no place for a message.
    let _ = stats::write_to(2, Format::Text);
}

/// Ends a program whose `operator new` found no memory, and that has no C++ library which could throw.
#[cold]
pub fn out_of_memory() -> ! {
    crate::misuse::print(format_args!("operator new: there is no memory"));
    // SAFETY: `abort` is always safe to call.
    unsafe { libc::abort() }
}
