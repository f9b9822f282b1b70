//! What an event says about its call: the number of its stack, or the address of the caller. Stacks are walked on x86-64
//! only.

#[cfg(target_arch = "x86_64")]
mod check;
#[cfg(target_arch = "x86_64")]
mod memory;
#[cfg(target_arch = "x86_64")]
mod walked;

#[cfg(target_arch = "x86_64")]
pub(crate) use millpond_unwind::Walker;

#[cfg(target_arch = "x86_64")]
pub(crate) use self::{
    memory::{pause, resume, walker_of},
    walked::{after_unload, before_unload, of_allocation, of_free, prepare},
};

/// Where a hook was called from: on x86-64, the address of the return address, and rbp; on aarch64, the return address
/// itself.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Site {
    at: usize,
    #[cfg(target_arch = "x86_64")]
    frame: usize,
}

/// Returns what is logged as the caller of an allocation.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(crate) fn of_allocation(site: Site) -> usize {
    site.at
}

/// Returns what is logged as the caller of a free.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(crate) fn of_free(site: Site) -> usize {
    site.at
}
