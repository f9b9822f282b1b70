//! The time of single operations.

use std::time::{Duration, Instant};

/// The time of each operation, in ticks of the processor's time stamp counter.
pub type Tails = Vec<u32>;

/// Times operations, if enabled.
pub trait Clock {
    fn time<R>(&mut self, operation: impl FnOnce() -> R) -> R;
}

pub struct Untimed;

impl Clock for Untimed {
    #[inline(always)]
    fn time<R>(&mut self, operation: impl FnOnce() -> R) -> R {
        operation()
    }
}

impl Clock for &mut Tails {
    #[inline(always)]
    fn time<R>(&mut self, operation: impl FnOnce() -> R) -> R {
        let start = ticks();
        let result = operation();
        self.push((ticks() - start).min(u64::from(u32::MAX)) as u32);
        result
    }
}

#[cfg(target_arch = "x86_64")]
fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn ticks() -> u64 {
    use std::sync::OnceLock;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

pub fn ticks_per_nanosecond() -> f64 {
    let (start, first) = (Instant::now(), ticks());
    while start.elapsed() < Duration::from_millis(20) {}
    (ticks() - first) as f64 / start.elapsed().as_nanos() as f64
}
