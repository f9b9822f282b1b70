//! Unwind safety of the types of this layer. Types that own values are unwind safe if the values are, like `Box`,
//! `Rc` and `Vec` in the standard library. Types that are not listed here get the automatic implementations.

use core::panic::{RefUnwindSafe, UnwindSafe};

#[cfg(target_has_atomic = "64")]
use lock_api::RawMutex;

use super::*;
#[cfg(target_has_atomic = "64")]
use crate::base::unwind_safe;
use crate::traits::Allocator;

impl<T: UnwindSafe, A: Allocator + UnwindSafe> UnwindSafe for Slots<T, A> {}
impl<T: RefUnwindSafe, A: Allocator + RefUnwindSafe> RefUnwindSafe for Slots<T, A> {}

#[cfg(target_has_atomic = "64")]
unwind_safe! {
    [T: RefUnwindSafe, A: Allocator + RefUnwindSafe, L: RawMutex] SharedSlots<T, A, L>;
}
