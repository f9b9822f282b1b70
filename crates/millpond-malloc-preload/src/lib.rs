//! `libmillpond_malloc.so`: the functions of [`heap::c`] under their names in C.
//!
//! Those of C++ are in `operators`.
#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
#![expect(
    clippy::missing_safety_doc,
    reason = "each function is documented in `heap::c`, or by the C library"
)]
#![expect(missing_docs, reason = "see above")]

use core::{
    ffi::{c_char, c_int, c_uint, c_void},
    time::Duration,
};

mod operators;

use heap::c;

#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    c::malloc(size)
}

#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    c::calloc(count, size)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: the program upholds the contract of `free`.
    unsafe { c::free(block) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_sized(block: *mut c_void, size: usize) {
    // SAFETY: the program upholds the contract of `free_sized`.
    unsafe { c::free_sized(block, size) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_aligned_sized(block: *mut c_void, align: usize, size: usize) {
    // SAFETY: the program upholds the contract of `free_aligned_sized`.
    unsafe { c::free_aligned_sized(block, align, size) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfree(block: *mut c_void) {
    // SAFETY: the program upholds the contract of `free`.
    unsafe { c::free(block) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the program upholds the contract of `realloc`.
    unsafe { c::realloc(block, size) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void {
    // SAFETY: the program upholds the contract of `reallocarray`.
    unsafe { c::reallocarray(block, count, size) }
}

#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    c::memalign(align, size)
}

#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    c::aligned_alloc(align, size)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(place: *mut *mut c_void, align: usize, size: usize) -> c_int {
    // SAFETY: the program passes a valid place.
    unsafe { c::posix_memalign(place, align, size) }
}

#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: usize) -> *mut c_void {
    c::valloc(size)
}

#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(size: usize) -> *mut c_void {
    c::pvalloc(size)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    // SAFETY: the program passes null or a live block.
    unsafe { c::malloc_usable_size(block) }
}

#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(keep: usize) -> c_int {
    c::malloc_trim(keep)
}

#[unsafe(no_mangle)]
pub extern "C" fn mallopt(parameter: c_int, value: c_int) -> c_int {
    c::mallopt(parameter, value)
}

#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> libc::mallinfo2 {
    c::mallinfo2()
}

#[unsafe(no_mangle)]
pub extern "C" fn mallinfo() -> libc::mallinfo {
    c::mallinfo()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_info(options: c_int, stream: *mut libc::FILE) -> c_int {
    // SAFETY: the program passes an open stream.
    unsafe { c::malloc_info(options, stream) }
}

#[unsafe(no_mangle)]
pub extern "C" fn malloc_stats() {
    c::malloc_stats();
}

// The functions of `millpond_malloc.h`.

#[unsafe(no_mangle)]
pub unsafe extern "C" fn millpond_malloc_stats(format: *const c_char, file: c_int) -> c_int {
    // SAFETY: the program passes a C string.
    unsafe { c::write_stats(format, file) }
}

#[unsafe(no_mangle)]
pub extern "C" fn millpond_malloc_trim() -> usize {
    heap::MillpondAlloc.trim()
}

#[unsafe(no_mangle)]
pub extern "C" fn millpond_malloc_set_decay(milliseconds: c_uint) {
    heap::MillpondAlloc.set_decay(Duration::from_millis(milliseconds.into()));
}

#[unsafe(no_mangle)]
pub extern "C" fn millpond_malloc_object_size(address: *const c_void) -> usize {
    c::object_size(address)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn millpond_malloc_check(function: *const c_char, address: *const c_void, size: usize) {
    // SAFETY: the program passes a C string.
    unsafe { c::check_access(function, address, size) };
}

// The names by which parts of the C library and old programs call these.

#[unsafe(no_mangle)]
pub extern "C" fn __libc_malloc(size: usize) -> *mut c_void {
    c::malloc(size)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_free(block: *mut c_void) {
    // SAFETY: the program upholds the contract of `free`.
    unsafe { c::free(block) };
}

#[unsafe(no_mangle)]
pub extern "C" fn __libc_calloc(count: usize, size: usize) -> *mut c_void {
    c::calloc(count, size)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the program upholds the contract of `realloc`.
    unsafe { c::realloc(block, size) }
}

#[unsafe(no_mangle)]
pub extern "C" fn __libc_memalign(align: usize, size: usize) -> *mut c_void {
    c::memalign(align, size)
}

#[unsafe(no_mangle)]
pub extern "C" fn __libc_valloc(size: usize) -> *mut c_void {
    c::valloc(size)
}

#[unsafe(no_mangle)]
pub extern "C" fn __libc_pvalloc(size: usize) -> *mut c_void {
    c::pvalloc(size)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __posix_memalign(place: *mut *mut c_void, align: usize, size: usize) -> c_int {
    // SAFETY: the program passes a valid place.
    unsafe { c::posix_memalign(place, align, size) }
}
