//! Which types of this layer are safe to be seen after a panic: those that own values, if the values are; as `Box`, `Rc` and
//! `Vec` of the standard library. What is not named here is as its parts are.

use core::panic::{RefUnwindSafe, UnwindSafe};

use super::*;
use crate::{base::unwind_safe, sync::RefCount, traits::Allocator};

impl<T: UnwindSafe + ?Sized, M: Allocator + RefUnwindSafe + ?Sized> UnwindSafe for PoolBox<'_, T, M> {}
impl<T: RefUnwindSafe + ?Sized, M: Allocator + RefUnwindSafe + ?Sized> RefUnwindSafe for PoolBox<'_, T, M> {}
impl<T: UnwindSafe + ?Sized, A: Allocator + RefUnwindSafe> UnwindSafe for ThinBox<'_, T, A> {}
impl<T: RefUnwindSafe + ?Sized, A: Allocator + RefUnwindSafe> RefUnwindSafe for ThinBox<'_, T, A> {}

unwind_safe! {
    [T: RefUnwindSafe + ?Sized, C: RefCount, M: Allocator + RefUnwindSafe + ?Sized] PoolRef<'_, T, C, M>;
    [T: RefUnwindSafe + ?Sized, C: RefCount, M: Allocator + RefUnwindSafe + ?Sized] PoolWeak<'_, T, C, M>;
}
