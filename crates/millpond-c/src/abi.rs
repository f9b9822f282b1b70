//! Types shared by both sides of the C interface. Their meaning is documented in the header.
#![allow(missing_docs, reason = "documented in include/millpond.h")]

use std::ffi::{c_char, c_void};

pub type mp_error = u32;
pub type mp_flags = u32;

/// An allocator as C sees it: any structure that begins with these two words.
#[repr(C)]
#[derive(Debug)]
pub struct mp_allocator {
    pub table: *const mp_table,
    pub default_align: usize,
}

pub type mp_alloc_fn = unsafe extern "C" fn(*mut mp_allocator, usize, usize, mp_flags) -> *mut c_void;
pub type mp_realloc_fn =
    unsafe extern "C" fn(*mut mp_allocator, *mut c_void, usize, usize, usize, mp_flags) -> *mut c_void;
pub type mp_free_fn = unsafe extern "C" fn(*mut mp_allocator, *mut c_void, usize, usize);
pub type mp_destroy_fn = unsafe extern "C" fn(*mut mp_allocator);
pub type mp_alloc_between_fn =
    unsafe extern "C" fn(*mut mp_allocator, usize, usize, usize, *mut usize) -> *mut c_void;
pub type mp_reset_fn = unsafe extern "C" fn(*mut mp_allocator) -> mp_error;
pub type mp_trim_fn = unsafe extern "C" fn(*mut mp_allocator) -> usize;
pub type mp_owns_fn = unsafe extern "C" fn(*const mp_allocator, *const c_void) -> bool;
pub type mp_largest_free_fn = unsafe extern "C" fn(*const mp_allocator) -> usize;
pub type mp_stats_fn = unsafe extern "C" fn(*const mp_allocator, *mut mp_stats) -> mp_error;
pub type mp_check_fn = unsafe extern "C" fn(*const mp_allocator) -> mp_error;
pub type mp_visit_fn = unsafe extern "C" fn(*mut c_void, *mut c_void, usize) -> bool;
pub type mp_each_fn = unsafe extern "C" fn(*mut mp_allocator, Option<mp_visit_fn>, *mut c_void) -> mp_error;

pub type mp_reserve_fn = unsafe extern "C" fn(*mut mp_allocator, usize, usize, usize) -> mp_error;
pub type mp_alloc_many_fn =
    unsafe extern "C" fn(*mut mp_allocator, *mut *mut c_void, usize, usize, usize) -> mp_error;
pub type mp_free_many_fn = unsafe extern "C" fn(*mut mp_allocator, *const *mut c_void, usize, usize, usize);
pub type mp_flush_fn = unsafe extern "C" fn(*mut mp_allocator);
pub type mp_impossible_fn = unsafe extern "C" fn(*mut mp_allocator, *mut c_void);
pub type mp_may_free_fn = unsafe extern "C" fn(*mut mp_allocator, *mut c_void, usize, usize) -> bool;
pub type mp_damage_fn = unsafe extern "C" fn(*mut mp_allocator, *mut c_void, usize, usize) -> *mut c_void;
pub type mp_render_fn = unsafe extern "C" fn(*const mp_allocator, *mut c_void);
pub type mp_write_fn = unsafe extern "C" fn(*mut c_void, *const c_char, usize) -> bool;

pub const MP_SVG: u32 = 0;
pub const MP_TEXT: u32 = 1;
pub const MP_ASCII: u32 = 2;

/// The functions of an allocator.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mp_table {
    pub struct_size: usize,
    pub name: *const c_char,
    pub alloc: Option<mp_alloc_fn>,
    pub realloc: Option<mp_realloc_fn>,
    pub free: Option<mp_free_fn>,
    pub destroy: Option<mp_destroy_fn>,
    pub alloc_between: Option<mp_alloc_between_fn>,
    pub reset: Option<mp_reset_fn>,
    pub trim: Option<mp_trim_fn>,
    pub owns: Option<mp_owns_fn>,
    pub largest_free: Option<mp_largest_free_fn>,
    pub stats: Option<mp_stats_fn>,
    pub check: Option<mp_check_fn>,
    pub each: Option<mp_each_fn>,
    pub render: Option<mp_render_fn>,
    pub reserve: Option<mp_reserve_fn>,
    pub alloc_many: Option<mp_alloc_many_fn>,
    pub free_many: Option<mp_free_many_fn>,
    pub flush: Option<mp_flush_fn>,
    pub impossible: Option<mp_impossible_fn>,
    pub may_free: Option<mp_may_free_fn>,
    pub damage: Option<mp_damage_fn>,
}

// SAFETY: a table is never written, and its pointers are to functions and to a constant string.
unsafe impl Sync for mp_table {}

/// Statistics of an allocator and of its guards.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mp_stats {
    pub struct_size: usize,
    pub chunks: usize,
    pub held: usize,
    pub live: usize,
    pub free: usize,
    pub largest_free: usize,
    pub holes: usize,
    pub live_blocks: usize,
    pub live_bytes: usize,
    pub peak_blocks: usize,
    pub peak_bytes: usize,
    pub total_blocks: usize,
    pub total_bytes: usize,
    pub failed: usize,
    pub left: usize,
}

pub type mp_make_room_fn = unsafe extern "C" fn(*mut c_void, usize, usize) -> bool;

/// What is done when a request fails for lack of memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mp_out_of_memory {
    pub action: u32,
    pub make_room: Option<mp_make_room_fn>,
    pub context: *mut c_void,
}

pub const MP_OK: mp_error = 0;
pub const MP_ERR_EXHAUSTED: mp_error = 1;
pub const MP_ERR_LIMIT: mp_error = 2;
pub const MP_ERR_UNSUPPORTED: mp_error = 3;
pub const MP_ERR_OS: mp_error = 4;
pub const MP_ERR_INVALID: mp_error = 5;
pub const MP_ERR_BROKEN: mp_error = 6;
pub const MP_ERR_STOPPED: mp_error = 7;

pub const MP_ZERO: mp_flags = 1;
pub const MP_IN_PLACE: mp_flags = 2;

pub const MP_UNKNOWN: usize = usize::MAX;
pub const MP_DEFAULT_ALIGN: usize = 16;
pub const MP_NATURAL_ALIGN: usize = usize::MAX;

pub const MP_RETURN_NULL: u32 = 0;
pub const MP_RETRY: u32 = 1;
pub const MP_ABORT: u32 = 2;

pub const MP_LOCAL: u32 = 0;
pub const MP_LOCKED: u32 = 1;
pub const MP_CACHED: u32 = 2;
pub const MP_LOCK_FREE: u32 = 3;
pub const MP_LOCKED_TICKET: u32 = 4;

pub const MP_LIFO: u32 = 0;
pub const MP_MAGAZINE: u32 = 1;
pub const MP_ADDRESS_ORDERED: u32 = 2;
pub const MP_HARDENED_LIGHT: u32 = 3;
pub const MP_HARDENED: u32 = 4;

pub const MP_HUGE_NONE: u32 = 0;
pub const MP_HUGE_PREFERRED: u32 = 1;
pub const MP_HUGE_REQUIRED: u32 = 2;

pub const MP_NUMA_ANY: u32 = 0;
pub const MP_NUMA_BIND: u32 = 1;
pub const MP_NUMA_INTERLEAVE: u32 = 2;

pub const MP_VERSION: u32 = 200;

pub type mp_misuse_fn = unsafe extern "C" fn(*mut c_void, *const mp_misuse);

/// A detected misuse of a pool.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mp_misuse {
    pub struct_size: usize,
    pub pool: *const c_char,
    pub address: *const c_void,
    pub size: usize,
    pub align: usize,
    pub kind: u32,
    pub detail: usize,
    pub more: usize,
    pub text: *const c_char,
}

pub type mp_event_fn = unsafe extern "C" fn(*mut c_void, *const mp_event);

/// An event in an allocator.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mp_event {
    pub struct_size: usize,
    pub kind: u32,
    pub error: mp_error,
    pub address: *const c_void,
    pub from: *const c_void,
    pub size: usize,
    pub align: usize,
    pub old_size: usize,
}

pub const MP_ALLOCATED: u32 = 1;
pub const MP_GREW: u32 = 2;
pub const MP_RESIZED: u32 = 3;
pub const MP_FREED: u32 = 4;
pub const MP_FAILED: u32 = 5;

pub const MP_DOUBLE_FREE: u32 = 1;
pub const MP_FOREIGN: u32 = 2;
pub const MP_INTERIOR: u32 = 3;
pub const MP_WRONG_LAYOUT: u32 = 4;
pub const MP_OVERFLOW: u32 = 5;
pub const MP_WRITTEN_AFTER_FREE: u32 = 6;
pub const MP_LEAK: u32 = 7;
pub const MP_OVERLAP: u32 = 8;
pub const MP_FORGED: u32 = 9;
pub const MP_DAMAGED: u32 = 10;

/// A position of a stack.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mp_mark {
    pub words: [usize; 6],
}
