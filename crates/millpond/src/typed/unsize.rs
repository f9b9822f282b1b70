//! Handles of a sized value become handles of an unsized type, such as a trait object, of the same value.
//!
//! The language coerces pointers, and `CoerceUnsized`, which would let it coerce handles, is unstable. So a macro lets the
//! compiler coerce a raw pointer. A closure that a caller writes would not do: whatever it returned, a part of the value or
//! what the value refers to, the handle would own from then on.

/// A handle whose value can be seen as an unsized type: what [`unsize!`](crate::unsize) takes.
///
/// [`PoolBox`](crate::PoolBox), [`ThinBox`](crate::ThinBox), [`PoolRc`](crate::PoolRc), [`PoolArc`](crate::PoolArc) and
/// [`PoolWeak`](crate::PoolWeak) implement it. It is safe to implement: a caller of [`coerce`](Self::coerce) promises something, an
/// implementation promises nothing.
pub trait CoerceUnsize: Sized {
    /// The value's type now.
    type Value: ?Sized;

    /// The handle of the same value as a `U`.
    type Handle<U: ?Sized>;

    /// Changes the type of the value, not the value.
    ///
    /// # Safety
    ///
    /// `coerce` returns its argument, after an unsizing coercion or none.
    unsafe fn coerce<U: ?Sized>(self, coerce: impl FnOnce(*mut Self::Value) -> *mut U) -> Self::Handle<U>;
}

/// Makes a handle of an unsized type, such as a trait object or a slice, of a handle's value.
///
/// What `Box<T>` becomes `Box<dyn Trait>` by. It takes a handle and a type, and is an expression: the handle of the same
/// value, as that type. Works for every [`CoerceUnsize`], which all handles of pools are. Costs nothing but a word in the
/// handle.
///
/// ```
/// use core::fmt::Display;
/// use millpond::{ArcPool, Pool, PoolArc, PoolBox, PoolRc, RcPool, unsize};
///
/// let pool = Pool::new();
/// let shown: PoolBox<dyn Display> = unsize!(pool.alloc(7_u32) => dyn Display);
/// assert_eq!(shown.to_string(), "7");
///
/// let counted = RcPool::new();
/// let number: PoolRc<u32> = counted.alloc_rc(8);
/// let shown: PoolRc<dyn Display> = unsize!(number.clone() => dyn Display);
/// assert_eq!((shown.to_string(), PoolRc::strong_count(&number)), ("8".into(), 2));
///
/// let arrays = ArcPool::new();
/// let slice: PoolArc<[u8]> = unsize!(arrays.alloc_arc([1, 2, 3]) => [u8]);
/// assert_eq!(slice.len(), 3);
/// ```
///
/// A trait object becomes one of a supertrait:
///
/// ```
/// use core::{error::Error, fmt::Debug};
/// use millpond::{AllocError, Pool, unsize};
///
/// let pool = Pool::new();
/// let error = unsize!(pool.alloc(AllocError::Limit) => dyn Error);
/// let shown = unsize!(error => dyn Debug);
/// assert_eq!(format!("{shown:?}"), "Limit");
/// ```
///
/// Only what the compiler can coerce is accepted; what a value derefs to, borrows or contains is not the value:
///
/// ```compile_fail,E0308
/// use millpond::{Pool, unsize};
///
/// let pool = Pool::new();
/// let text = unsize!(pool.alloc(String::from("text")) => str); // error: a `String` is not a `str`
/// # // instead: let text = unsize!(pool.alloc(String::from("text")) => dyn AsRef<str>);
/// ```
///
/// ```compile_fail,E0277
/// use core::fmt::Display;
/// use millpond::{Pool, unsize};
///
/// let pool = Pool::new();
/// let shown = unsize!(pool.alloc([1, 2]) => dyn Display); // error: an array has no `Display`
/// # // instead: let shown = unsize!(pool.alloc(1) => dyn Display);
/// ```
///
/// Nothing that the value refers to may end before the trait object does:
///
/// ```compile_fail,E0597
/// use core::fmt::Display;
/// use millpond::{Pool, PoolBox, unsize};
///
/// let pool = Pool::new();
/// let shown: PoolBox<dyn Display + 'static>;
/// {
///     let text = String::from("gone");
///     shown = unsize!(pool.alloc(&text) => dyn Display); // error: `text` does not live long enough
/// #     // instead: shown = unsize!(pool.alloc(text) => dyn Display);
/// }
/// ```
///
/// The expression of the handle is no unsafe code:
///
/// ```compile_fail,E0133
/// use core::fmt::Display;
/// use millpond::{PoolBox, Pool, unsize};
///
/// let pool = Pool::new();
/// let number = PoolBox::into_raw(pool.alloc(7));
/// let shown = unsize!(PoolBox::from_raw_in(number, pool.memory()) => dyn Display); // error: it is unsafe
/// # // instead: let shown = unsize!(unsafe { PoolBox::from_raw_in(number, pool.memory()) } => dyn Display);
/// ```
#[macro_export]
macro_rules! unsize {
    ($handle:expr => $unsized:ty) => {
        // The caller's handle and type are outside of the unsafe block.
        $crate::__unsize!($handle, $crate::__Unsized::<$unsized>::TYPE)
    };
}

/// The part of [`unsize!`](crate::unsize) that is unsafe.
#[doc(hidden)]
#[macro_export]
macro_rules! __unsize {
    ($handle:expr, $to:expr) => {
        match ($handle, $to) {
            // SAFETY: the closure returns its argument; between two raw pointers no coercion but the unsizing one changes
            // anything. All names in here are those of this macro.
            (handle, to) => unsafe { $crate::__coerce(handle, to, |value| value) },
        }
    };
}

/// A type, as a value that a macro can pass on.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "only a macro names it")]
pub struct Unsized<U: ?Sized>(core::marker::PhantomData<*mut U>);

impl<U: ?Sized> Unsized<U> {
    /// The value.
    pub const TYPE: Self = Self(core::marker::PhantomData);
}

/// [`CoerceUnsize::coerce`] with all types known before the closure is looked at.
///
/// # Safety
///
/// As for [`CoerceUnsize::coerce`].
#[doc(hidden)]
#[inline]
pub unsafe fn coerce<H: CoerceUnsize, U: ?Sized>(
    handle: H,
    _: Unsized<U>,
    coerce: impl FnOnce(*mut H::Value) -> *mut U,
) -> H::Handle<U> {
    // SAFETY: the caller's promise is passed on.
    unsafe { handle.coerce(coerce) }
}
