//! Calls two functions of AddressSanitizer's runtime, if the program has it.
//!
//! Whether it does is not known when this crate is compiled. So the functions are named as weak symbols, which the
//! linker may leave undefined, in which case their address is zero: on Linux, on x86-64 and aarch64. Elsewhere nothing
//! happens.
//!
//! The sanitizer has one mark for eight bytes, and ignores bytes that share one with a neighbour. So for blocks of odd
//! sizes, a few bytes are not hidden.
//!
//! Source: `sanitizer/asan_interface.h` of LLVM's compiler-rt.

use super::Tool;

/// A function that marks a number of bytes from an address on.
type Marking = unsafe extern "C" fn(usize, usize);

/// Returns the addresses of the functions that forbid access to memory and that allow it; zeros if the sanitizer is not
/// part of the program.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn runtime() -> [usize; 2] {
    let (forbid, allow);
    // SAFETY: two addresses are read from the linker's table.
    unsafe {
        core::arch::asm!(
            ".weak __asan_poison_memory_region",
            ".weak __asan_unpoison_memory_region",
            "mov {}, qword ptr [rip + __asan_poison_memory_region@GOTPCREL]",
            "mov {}, qword ptr [rip + __asan_unpoison_memory_region@GOTPCREL]",
            out(reg) forbid,
            out(reg) allow,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    [forbid, allow]
}

/// Returns the addresses of the functions that forbid access to memory and that allow it; zeros if the sanitizer is not
/// part of the program.
#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
fn runtime() -> [usize; 2] {
    let (forbid, allow);
    // SAFETY: two addresses are read from the linker's table.
    unsafe {
        core::arch::asm!(
            ".weak __asan_poison_memory_region",
            ".weak __asan_unpoison_memory_region",
            "adrp {0}, :got:__asan_poison_memory_region",
            "ldr {0}, [{0}, :got_lo12:__asan_poison_memory_region]",
            "adrp {1}, :got:__asan_unpoison_memory_region",
            "ldr {1}, [{1}, :got_lo12:__asan_unpoison_memory_region]",
            out(reg) forbid,
            out(reg) allow,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    [forbid, allow]
}

/// Returns zeros: there is no sanitizer.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn runtime() -> [usize; 2] {
    [0, 0]
}

/// Calls the function at an address, unless that is zero.
///
/// # Safety
///
/// The address is one that [`runtime`] returned. The memory belongs to the guard and, if the function forbids access,
/// nothing accesses it.
unsafe fn mark(function: usize, start: usize, size: usize) {
    // SAFETY: the address is zero, which is `None`, or that of a function of this type.
    if let Some(mark) = unsafe { core::mem::transmute::<usize, Option<Marking>>(function) } {
        // SAFETY: the caller guarantees that the memory may be marked.
        unsafe { mark(start, size) };
    }
}

/// AddressSanitizer.
pub(super) struct AddressSanitizer;

impl Tool for AddressSanitizer {
    fn on_alloc(&self, start: usize, size: usize, _: usize) {
        self.make_undefined(start, size);
    }

    fn on_grow(&self, start: usize, _: usize, new: usize) {
        self.make_undefined(start, new);
    }

    /// Does nothing: the sanitizer knows only the blocks of malloc.
    fn on_free(&self, _: usize, _: usize) {}

    fn make_noaccess(&self, start: usize, size: usize) {
        let [forbid, _] = runtime();
        // SAFETY: the memory belongs to the guard, and nothing may access it.
        unsafe { mark(forbid, start, size) };
    }

    fn make_undefined(&self, start: usize, size: usize) {
        let [_, allow] = runtime();
        // SAFETY: the memory belongs to the guard, and may be accessed.
        unsafe { mark(allow, start, size) };
    }
}
