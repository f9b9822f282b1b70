//! The one door to atomics.
//!
//! Nothing else in this crate names `core::sync::atomic` (`cargo xtask tidy` checks it), so that a model checker
//! can be put behind this door and see the real code.

pub(crate) use core::hint::spin_loop;
pub(crate) use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
