//! Which types of this layer are safe to be seen after a panic: those that own values, if the values are; as `Box`, `Rc` and
//! `Vec` of the standard library. What is not named here is as its parts are.

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
