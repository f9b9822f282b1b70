//! `operator new` and `operator delete` of C++, in all their forms.
//!
//! The operators of the standard library call `malloc` and `free`. These do the same, so that an event tells which
//! operator was called, and is logged once. Where they cannot, they jump to the real operator: if there is no memory, as
//! that calls the program's handler or throws an exception, which must not pass through a frame of this library; and if
//! the program replaces an operator, as the others are then defined by it.

#![allow(non_snake_case, reason = "the names that C++ gives to the operators")]

use core::{
    arch::naked_asm,
    ffi::c_void,
    ptr::null_mut,
    sync::atomic::{AtomicU32, Ordering::*},
};

use millpond_trace::raw::{self, ALIGNED, Kind, NEW, NEW_ARRAY, NOTHROW, SIZED};

use super::{
    log,
    module::Module,
    real::{self, Real},
    stacks::{self, Site},
};

/// An operator, whose arguments depend on its form.
type Operator = unsafe extern "C" fn();

/// Defines operators: each calls its hook with its arguments and, as the fourth, the site of the call, and jumps to the
/// real operator if the hook returns null.
macro_rules! operators {
    ($($name:ident = $hook:ident::<{ $call:expr }>;)*) => {
        $(
            /// Exported under this name only in the shared library: see the documentation of the crate.
            ///
            /// # Safety
            ///
            /// As for the operator of C++.
            #[unsafe(naked)]
            #[cfg_attr(millpond_preload, unsafe(no_mangle))]
            pub unsafe extern "C" fn $name() {
                #[cfg(target_arch = "x86_64")]
                naked_asm!(
                    "push rdi", "push rsi", "push rdx",
                    "lea rcx, [rsp + 24]",
                    "mov r8, rbp",
                    "call {hook}",
                    "pop rdx", "pop rsi", "pop rdi",
                    "test rax, rax",
                    "jz 2f",
                    "ret",
                    "2:",
                    "push rdi", "push rsi", "push rdx",
                    "lea rdi, [rip + {real}]",
                    "call {find}",
                    "pop rdx", "pop rsi", "pop rdi",
                    "jmp rax",
                    hook = sym $hook::<{ $call }>,
                    real = sym places::$name,
                    find = sym find,
                );
                #[cfg(target_arch = "aarch64")]
                naked_asm!(
                    "stp x0, x1, [sp, #-32]!",
                    "stp x2, x30, [sp, #16]",
                    "mov x3, x30",
                    "bl {hook}",
                    "mov x9, x0",
                    "ldp x2, x30, [sp, #16]",
                    "ldp x0, x1, [sp], #32",
                    "cbz x9, 2f",
                    "mov x0, x9",
                    "ret",
                    "2:",
                    "stp x0, x1, [sp, #-32]!",
                    "stp x2, x30, [sp, #16]",
                    "adrp x0, {real}",
                    "add x0, x0, :lo12:{real}",
                    "bl {find}",
                    "mov x16, x0",
                    "ldp x2, x30, [sp, #16]",
                    "ldp x0, x1, [sp], #32",
                    "br x16",
                    hook = sym $hook::<{ $call }>,
                    real = sym places::$name,
                    find = sym find,
                );
            }
        )*

        /// The real operators.
        #[expect(non_upper_case_globals, reason = "the names that C++ gives to the operators")]
        mod places {
            use super::{Operator, Real};

            $(pub(super) static $name: Real<Operator> = Real::new(
                match core::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => c"",
                },
            );)*
        }

        /// All real operators.
        static ALL: &[&Real<Operator>] = &[$(&places::$name),*];
    };
}

operators! {
    _Znwm = new::<{ NEW }>;
    _Znam = new::<{ NEW_ARRAY }>;
    _ZnwmRKSt9nothrow_t = new::<{ NEW | NOTHROW }>;
    _ZnamRKSt9nothrow_t = new::<{ NEW_ARRAY | NOTHROW }>;
    _ZnwmSt11align_val_t = new_aligned::<{ NEW | ALIGNED }>;
    _ZnamSt11align_val_t = new_aligned::<{ NEW_ARRAY | ALIGNED }>;
    _ZnwmSt11align_val_tRKSt9nothrow_t = new_aligned::<{ NEW | ALIGNED | NOTHROW }>;
    _ZnamSt11align_val_tRKSt9nothrow_t = new_aligned::<{ NEW_ARRAY | ALIGNED | NOTHROW }>;
    _ZdlPv = delete::<{ NEW }>;
    _ZdaPv = delete::<{ NEW_ARRAY }>;
    _ZdlPvm = delete::<{ NEW | SIZED }>;
    _ZdaPvm = delete::<{ NEW_ARRAY | SIZED }>;
    _ZdlPvRKSt9nothrow_t = delete::<{ NEW | NOTHROW }>;
    _ZdaPvRKSt9nothrow_t = delete::<{ NEW_ARRAY | NOTHROW }>;
    _ZdlPvSt11align_val_t = delete::<{ NEW | ALIGNED }>;
    _ZdaPvSt11align_val_t = delete::<{ NEW_ARRAY | ALIGNED }>;
    _ZdlPvmSt11align_val_t = delete::<{ NEW | SIZED | ALIGNED }>;
    _ZdaPvmSt11align_val_t = delete::<{ NEW_ARRAY | SIZED | ALIGNED }>;
    _ZdlPvSt11align_val_tRKSt9nothrow_t = delete::<{ NEW | ALIGNED | NOTHROW }>;
    _ZdaPvSt11align_val_tRKSt9nothrow_t = delete::<{ NEW_ARRAY | ALIGNED | NOTHROW }>;
}

/// Allocates like `operator new` of the standard library; returns null if the real operator must do it.
unsafe extern "C" fn new<const CALL: u8>(size: usize, _: usize, _: usize, site: Site) -> *mut c_void {
    let Some(malloc) = real::MALLOC.get().filter(|_| are_standard()) else { return null_mut() };
    // SAFETY: `malloc` is always safe to call.
    let block = unsafe { malloc(size.max(1)) };
    if !block.is_null() {
        let caller = raw::with_call(stacks::of_allocation(site), CALL);
        log::event(Kind::Allocate, block as usize, size, caller);
    }
    block
}

/// Allocates like `operator new` with an alignment; returns null if the real operator must do it.
unsafe extern "C" fn new_aligned<const CALL: u8>(
    size: usize,
    align: usize,
    _: usize,
    site: Site,
) -> *mut c_void {
    let Some(aligned_alloc) = real::ALIGNED_ALLOC.get().filter(|_| are_standard()) else { return null_mut() };
    if !align.is_power_of_two() {
        return null_mut();
    }
    let Some(rounded) = size.max(1).checked_next_multiple_of(align) else { return null_mut() };
    // SAFETY: the alignment is a power of two, and the size a multiple of it.
    let block = unsafe { aligned_alloc(align.max(size_of::<usize>()), rounded) };
    if !block.is_null() {
        let caller = raw::with_call(stacks::of_allocation(site), CALL);
        log::slow(Kind::Allocate, block as usize, size, align, caller);
    }
    block
}

/// Frees like `operator delete` of the standard library; returns 0 if the real operator must do it.
unsafe extern "C" fn delete<const CALL: u8>(block: *mut c_void, _: usize, _: usize, site: Site) -> usize {
    let Some(free) = real::FREE.get().filter(|_| are_standard()) else { return 0 };
    if !block.is_null() && !real::is_spare(block) {
        log::event(Kind::Free, block as usize, 0, raw::with_call(stacks::of_free(site), CALL));
        // SAFETY: the program's call has the same requirements, and all operators are those of the standard library.
        unsafe { free(block) };
    }
    1
}

/// Returns the real operator for a call that the hook leaves to it; one that returns null if there is none.
unsafe extern "C" fn find(place: &Real<Operator>) -> Operator {
    unsafe extern "C" fn none() -> *mut c_void {
        null_mut()
    }
    // SAFETY: no code calls this as a function of that type, except an operator, which expects the same.
    let none = || unsafe { core::mem::transmute::<unsafe extern "C" fn() -> *mut c_void, Operator>(none) };
    place.get().or_else(|| place.find_in(c"libstdc++.so.6")).unwrap_or_else(none)
}

/// Whether all operators are those of the standard library: not known yet, yes, no.
static STANDARD: AtomicU32 = AtomicU32::new(UNKNOWN);
const UNKNOWN: u32 = 0;
const YES: u32 = 1;
const NO: u32 = 2;

/// Returns whether all operators are those of the standard library, or of the library that provides `malloc`.
#[inline(always)]
fn are_standard() -> bool {
    match STANDARD.load(Relaxed) {
        UNKNOWN => look(),
        known => known == YES,
    }
}

#[cold]
#[inline(never)]
fn look() -> bool {
    // Of a function that is not exported: the name of an operator leads to the program's own if it has one.
    let own = Module::of(look as *mut c_void);
    let malloc = real::MALLOC.get().and_then(|malloc| Module::of(malloc as *mut c_void));
    let is_standard = |real: &&Real<Operator>| {
        let first = real.first();
        // If the standard library is not in the global scope, neither is a replacement.
        let is_hooked = first.is_null() || Module::are_same(Module::of(first), own);
        let next = real.get().map(|real| Module::of(real as *mut c_void));
        is_hooked && next.is_none_or(|next| Module::are_same(next, malloc) || is_standard_library(next))
    };
    let standard = ALL.iter().all(is_standard);
    STANDARD.store(if standard { YES } else { NO }, Relaxed);
    standard
}

/// Returns whether a module is a standard library of C++.
fn is_standard_library(module: Option<Module>) -> bool {
    let is_its_name = |module: Module| {
        [&b"libstdc++.so"[..], b"libc++.so", b"libc++abi.so"]
            .iter()
            .any(|name| module.name().starts_with(name))
    };
    module.is_some_and(is_its_name)
}
