//! Which types of this layer are safe to be seen after a panic: those that own values, if the values are; as `Box`, `Rc` and
//! `Vec` of the standard library. What is not named here is as its parts are.

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
