//! Pointers to allocators are allocators: a parent may be borrowed, reference-counted or boxed.

use super::{Allocator, Inspect, delegate_allocator, delegate_inspect};

delegate_allocator!([A: Allocator + ?Sized] &A: |this| **this);
#[cfg(feature = "alloc")]
delegate_allocator!([A: Allocator + ?Sized] alloc::boxed::Box<A>: |this| **this);
#[cfg(feature = "alloc")]
delegate_allocator!([A: Allocator + ?Sized] alloc::rc::Rc<A>: |this| **this);
#[cfg(feature = "alloc")]
delegate_allocator!([A: Allocator + ?Sized] alloc::sync::Arc<A>: |this| **this);

delegate_inspect!([A: Inspect + ?Sized] &A: |this| **this);
#[cfg(feature = "alloc")]
delegate_inspect!([A: Inspect + ?Sized] alloc::boxed::Box<A>: |this| **this);
#[cfg(feature = "alloc")]
delegate_inspect!([A: Inspect + ?Sized] alloc::rc::Rc<A>: |this| **this);
#[cfg(feature = "alloc")]
delegate_inspect!([A: Inspect + ?Sized] alloc::sync::Arc<A>: |this| **this);
