//! Time: the processor's own counter where there is one that all its cores share.

/// Ticks of a clock that never goes back and that all threads and processes of the machine share. Their length is
/// for the reader of the recording to find out, by looking at this and at another clock twice.
#[inline(always)]
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has a time-stamp counter.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(target_arch = "aarch64")]
    {
        let ticks: u64;
        // SAFETY: Linux lets programs read the virtual counter.
        unsafe {
            core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags))
        }
        ticks
    }
}
