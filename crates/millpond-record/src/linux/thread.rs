//! The recorder's state of a thread, in thread-local memory that exists from the thread's first instruction to its
//! last, without allocation.
//!
//! Access to Rust's thread-locals would go through a function of the dynamic linker, which may itself call `malloc`
//! after a `dlopen`. So the variable is declared in assembly, with the access model for libraries that are loaded at
//! the start ("initial exec", which takes two instructions).

use millpond_trace::raw::StreamWriter;

#[cfg(target_arch = "x86_64")]
use super::stacks::Walker;

/// The state of a thread. All zeros at the start of a thread; unchanged by `fork`.
#[repr(C)]
pub(crate) struct Thread {
    /// The stream to which the thread logs; null if it has none.
    pub(crate) stream: *mut StreamWriter,
    /// What the stacks of this thread are found with; null if it has no stream, or no memory.
    #[cfg(target_arch = "x86_64")]
    pub(crate) walker: *const Walker,
    /// The process in which `number` was assigned, plus one.
    pub(crate) process: u32,
    /// The thread's number in the recording.
    pub(crate) number: u32,
    /// Whether the recorder will be notified of the thread's end.
    pub(crate) watched: bool,
    /// Whether the thread is ending: it must not keep a stream.
    pub(crate) ending: bool,
    /// Whether the thread is looking up a real function.
    pub(crate) resolving: bool,
    /// Counts allocations, to do something extra at times.
    #[cfg(target_arch = "x86_64")]
    pub(crate) turn: u8,
    /// Whether the thread is changing its stream while its signals are not blocked.
    pub(crate) busy: bool,
    /// Whether the thread is determining the usable size of a block, for which the allocator may allocate.
    pub(crate) sizing: bool,
}

mod place {
    core::arch::global_asm!(
        ".pushsection .tbss,\"awT\",%nobits",
        ".globl millpond_thread",
        ".hidden millpond_thread",
        ".type millpond_thread, %object",
        ".size millpond_thread, 32",
        ".p2align 4",
        "millpond_thread:",
        ".zero 32",
        ".popsection",
    );

    const _: () = assert!(size_of::<super::Thread>() <= 32 && align_of::<super::Thread>() <= 16);

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn address() -> *mut super::Thread {
        let place: *mut super::Thread;
        // SAFETY: adds the variable's offset to the thread pointer, which is also stored where it points to.
        unsafe {
            core::arch::asm!(
                "mov {place}, qword ptr [rip + millpond_thread@GOTTPOFF]",
                "add {place}, qword ptr fs:[0]",
                place = out(reg) place,
                options(pure, readonly, nostack),
            );
        }
        place
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    pub(super) fn address() -> *mut super::Thread {
        let place: *mut super::Thread;
        // SAFETY: adds the variable's offset to the thread pointer.
        unsafe {
            core::arch::asm!(
                "adrp {place}, :gottprel:millpond_thread",
                "ldr {place}, [{place}, #:gottprel_lo12:millpond_thread]",
                "mrs {base}, tpidr_el0",
                "add {place}, {place}, {base}",
                place = out(reg) place,
                base = out(reg) _,
                options(pure, readonly, nostack),
            );
        }
        place
    }
}

/// Returns the state of the calling thread.
#[inline(always)]
pub(crate) fn current() -> *mut Thread {
    place::address()
}
