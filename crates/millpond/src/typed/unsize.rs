//! Conversion of handles of sized values to handles of an unsized type, such as a trait object.
//!
//! The language coerces pointers; `CoerceUnsized`, which extends this to handles, is unstable. Therefore a macro lets
//! the compiler coerce a raw pointer. A closure written by the caller would be unsound: it could return a pointer to
//! a part of the value, or to something that the value refers to, and the handle would then own that.

/// A handle whose value can be converted to an unsized type by [`unsize!`](crate::unsize).
///
/// Implemented by [`PoolBox`](crate::PoolBox), [`ThinBox`](crate::typed::ThinBox), [`PoolRc`](crate::PoolRc),
/// [`PoolArc`](crate::PoolArc) and [`PoolWeak`](crate::typed::PoolWeak). The trait is safe to implement: callers of
/// [`coerce`](Self::coerce) have to uphold a contract, implementations do not.
pub trait CoerceUnsize: Sized {
    /// The type of the value before the conversion.
    type Value: ?Sized;

    /// The type of the handle after the conversion to `U`.
    type Handle<U: ?Sized>;

    /// Converts the handle to one of another type of value. The value itself stays the same.
    ///
    /// # Safety
    ///
    /// `coerce` must return its argument, either unchanged or after an unsizing coercion.
    unsafe fn coerce<U: ?Sized>(self, coerce: impl FnOnce(*mut Self::Value) -> *mut U) -> Self::Handle<U>;
}

/// Converts a handle to one of an unsized type, such as a trait object or a slice.
///
/// This is to the handles of pools what the coercion from `Box<T>` to `Box<dyn Trait>` is to `Box`. The macro takes a
/// handle and a type and evaluates to a handle of the same value with that type. It accepts every [`CoerceUnsize`],
/// which all handles of pools implement. The only cost is that the handle becomes one word longer.
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
/// let slice: PoolArc<[u8]> = unsize!(arrays.alloc_rc([1, 2, 3]) => [u8]);
/// assert_eq!(slice.len(), 3);
/// ```
///
/// A trait object can be converted to one of a supertrait:
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
/// The macro accepts only what the compiler can coerce. It does not follow `Deref` or `Borrow`, nor does it convert
/// to a part of the value:
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
/// The references in a value must outlive the trait object:
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
/// The handle expression is not inside an `unsafe` block:
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
        // The handle and the type of the caller are evaluated outside of the `unsafe` block.
        match ($handle, $crate::__Unsized::<$unsized>::TYPE) {
            // SAFETY: the closure returns its argument, and the only coercion that can change a raw pointer here is
            // the unsizing one. The names in this arm are those of this macro.
            (handle, to) => unsafe { $crate::__coerce(handle, to, |value| value) },
        }
    };
}

/// A type as a value, which a macro can pass on.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "only a macro names it")]
pub struct Unsized<U: ?Sized>(core::marker::PhantomData<*mut U>);

impl<U: ?Sized> Unsized<U> {
    /// The only value of the type.
    pub const TYPE: Self = Self(core::marker::PhantomData);
}

/// Calls [`CoerceUnsize::coerce`] with all types known before the closure is type-checked.
///
/// # Safety
///
/// Same as for [`CoerceUnsize::coerce`].
#[doc(hidden)]
#[inline]
pub unsafe fn coerce<H: CoerceUnsize, U: ?Sized>(
    handle: H,
    _: Unsized<U>,
    coerce: impl FnOnce(*mut H::Value) -> *mut U,
) -> H::Handle<U> {
    // SAFETY: the caller guarantees that `coerce` returns its argument, unchanged or after an unsizing coercion.
    unsafe { handle.coerce(coerce) }
}
