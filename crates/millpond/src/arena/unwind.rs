//! Unwind safety of the types of this layer. Types that own values are unwind safe if the values are, like `Box`,
//! `Rc` and `Vec` in the standard library. Types that are not listed here get the automatic implementations.

use core::panic::RefUnwindSafe;

use super::*;
use crate::{base::unwind_safe, traits::Allocator};

unwind_safe! {
    [M: Allocator + RefUnwindSafe] DropArena<'_, M>;
}

#[cfg(feature = "alloc")]
unwind_safe! {
    [M: Allocator + RefUnwindSafe, F: RefUnwindSafe] ArenaPool<M, F>;
}
