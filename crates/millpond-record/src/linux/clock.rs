//! Time: the processor's counter, if there is one that all cores share.

/// Returns the ticks of a monotonic clock that all threads and processes of the machine share. The reader of the
/// recording determines their length by reading this and another clock twice.
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
        // SAFETY: Linux allows programs to read the virtual counter.
        unsafe {
            core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags))
        }
        ticks
    }
}
