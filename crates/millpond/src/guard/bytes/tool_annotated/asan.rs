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

/// A function that marks a number of bytes from an address on.
type Marking = unsafe extern "C" fn(usize, usize);

/// Returns the function of the sanitizer's runtime with this name, if there is one.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
macro_rules! runtime {
    ($name:literal) => {{
        let address: usize;
        // SAFETY: an address is read from the linker's table.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            core::arch::asm!(
                concat!(".weak ", $name),
                concat!("mov {}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                out(reg) address,
                options(pure, nomem, nostack, preserves_flags),
            );
            #[cfg(target_arch = "aarch64")]
            core::arch::asm!(
                concat!(".weak ", $name),
                concat!("adrp {0}, :got:", $name),
                concat!("ldr {0}, [{0}, :got_lo12:", $name, "]"),
                out(reg) address,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        // SAFETY: the address is zero, which is `None`, or that of the function, which has this type.
        unsafe { core::mem::transmute::<usize, Option<Marking>>(address) }
    }};
}

/// Returns `None`: there is no runtime.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
macro_rules! runtime {
    ($name:literal) => {
        None::<Marking>
    };
}

pub(super) fn make_noaccess(start: usize, size: usize) {
    if let Some(poison) = runtime!("__asan_poison_memory_region") {
        // SAFETY: the memory belongs to the guard, and nothing may access it.
        unsafe { poison(start, size) };
    }
}

pub(super) fn make_undefined(start: usize, size: usize) {
    if let Some(unpoison) = runtime!("__asan_unpoison_memory_region") {
        // SAFETY: the memory belongs to the guard, and may be accessed.
        unsafe { unpoison(start, size) };
    }
}

pub(super) fn on_alloc(start: usize, size: usize, _: usize) {
    make_undefined(start, size);
}

pub(super) fn grow(start: usize, _: usize, new: usize) {
    make_undefined(start, new);
}

/// Does nothing: the sanitizer knows only the blocks of malloc.
pub(super) fn on_free(_: usize, _: usize) {}
