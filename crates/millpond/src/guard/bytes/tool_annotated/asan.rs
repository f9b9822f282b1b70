//! What AddressSanitizer is told, by two functions of its runtime, if the program has it.
//!
//! Whether it does is not known when this crate is compiled. So the functions are named as weak symbols, which the linker
//! may leave undefined, and then their address is zero: on Linux, on x86-64 and aarch64. Elsewhere nothing happens.
//!
//! The sanitizer has one mark for eight bytes, and leaves bytes alone that share one with a neighbour: so blocks of odd
//! sizes are hidden but for a few bytes.
//!
//! Source: `sanitizer/asan_interface.h` of LLVM's compiler-rt.

/// Marks so many bytes from an address.
type Marking = unsafe extern "C" fn(usize, usize);

/// The function of the sanitizer's runtime with this name, if there is one.
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
        // SAFETY: it is zero, which is none, or that of the function, which is of this type.
        unsafe { core::mem::transmute::<usize, Option<Marking>>(address) }
    }};
}

/// There is no runtime.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
macro_rules! runtime {
    ($name:literal) => {
        None::<Marking>
    };
}

pub(super) fn make_noaccess(start: usize, size: usize) {
    if let Some(poison) = runtime!("__asan_poison_memory_region") {
        // SAFETY: the memory is the guard's, and nobody is to touch it.
        unsafe { poison(start, size) };
    }
}

pub(super) fn make_undefined(start: usize, size: usize) {
    if let Some(unpoison) = runtime!("__asan_unpoison_memory_region") {
        // SAFETY: the memory is the guard's, and may be touched.
        unsafe { unpoison(start, size) };
    }
}

pub(super) fn on_alloc(start: usize, size: usize, _: usize) {
    make_undefined(start, size);
}

pub(super) fn grow(start: usize, _: usize, new: usize) {
    make_undefined(start, new);
}

/// The sanitizer knows no blocks but malloc's.
pub(super) fn on_free(_: usize, _: usize) {}
