//! Client requests of valgrind: a few instructions without effect, which valgrind recognizes.
//!
//! The instructions and the numbers of requests will not change: see "The Client Request mechanism" and "Client
//! Requests" in valgrind's manual, and its `valgrind.h` and `memcheck.h`. On processors other than x86-64 and aarch64,
//! and for tools other than memcheck, nothing happens.

/// A block is handed out, as if by malloc.
const MALLOC_LIKE: usize = 0x1301;
/// A block is freed, as if by free.
const FREE_LIKE: usize = 0x1302;
/// A block was resized in place.
const RESIZED: usize = 0x130b;
/// The letters M and C: memory must not be accessed; may be accessed and is uninitialized; is initialized.
const NO_ACCESS: usize = 0x4D43_0000;
const UNDEFINED: usize = NO_ACCESS + 1;
const DEFINED: usize = NO_ACCESS + 2;

/// Sends a request to valgrind, if the program runs in it. No request that is used here returns anything.
#[cfg(target_arch = "x86_64")]
fn request(what: usize, with: [usize; 4]) {
    let message = [what, with[0], with[1], with[2], with[3], 0];
    // SAFETY: the rotations add up to twice the width of a word, and a register is exchanged with itself. Valgrind
    // reads the message and writes `rdx`.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") message.as_ptr(),
            inout("rdx") 0usize => _,
            options(nostack),
        );
    }
}

/// Sends a request to valgrind, if the program runs in it.
#[cfg(target_arch = "aarch64")]
fn request(what: usize, with: [usize; 4]) {
    let message = [what, with[0], with[1], with[2], with[3], 0];
    // SAFETY: the rotations add up to twice the width of a word, and a register is combined with itself. Valgrind reads
    // the message and writes `x3`.
    unsafe {
        core::arch::asm!(
            "ror x12, x12, #3",
            "ror x12, x12, #13",
            "ror x12, x12, #51",
            "ror x12, x12, #61",
            "orr x10, x10, x10",
            in("x4") message.as_ptr(),
            inout("x3") 0usize => _,
            options(nostack),
        );
    }
}

/// Does nothing: valgrind is not supported on this processor.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn request(_: usize, _: [usize; 4]) {}

/// The tool memcheck of valgrind.
pub(super) struct Valgrind;

impl super::Tool for Valgrind {
    fn on_alloc(&self, start: usize, size: usize, written: usize) {
        request(MALLOC_LIKE, [start, size, 0, 0]);
        request(DEFINED, [start, written, 0, 0]);
    }

    fn on_grow(&self, start: usize, old: usize, new: usize) {
        request(RESIZED, [start, old, new, 0]);
    }

    fn on_free(&self, start: usize, _: usize) {
        request(FREE_LIKE, [start, 0, 0, 0]);
    }

    fn make_noaccess(&self, start: usize, size: usize) {
        request(NO_ACCESS, [start, size, 0, 0]);
    }

    fn make_undefined(&self, start: usize, size: usize) {
        request(UNDEFINED, [start, size, 0, 0]);
    }
}
