//! Unwind safety of the types of this layer. Types that own values are unwind safe if the values are, like `Box`,
//! `Rc` and `Vec` in the standard library. Types that are not listed here get the automatic implementations.

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
