//! Traits that handles forward to their values.

/// Implements the traits of a value for a handle that dereferences to it. The arguments are the parameters of the
/// handle other than `T` and `M`, and optionally further bounds of `M`.
macro_rules! forward_to_value {
    ($handle:ident $(, $more:ident: $bound:path)?; $($memory:tt)*) => {
        impl<T: ?Sized $(, $more: $bound)?, M: Allocator $($memory)*> AsRef<T> for $handle<'_, T $(, $more)?, M> {
            fn as_ref(&self) -> &T {
                self
            }
        }

        impl<T: ?Sized $(, $more: $bound)?, M: Allocator $($memory)*> core::borrow::Borrow<T>
            for $handle<'_, T $(, $more)?, M>
        {
            fn borrow(&self) -> &T {
                self
            }
        }

        impl<T: core::fmt::Debug + ?Sized $(, $more: $bound)?, M: Allocator $($memory)*> core::fmt::Debug
            for $handle<'_, T $(, $more)?, M>
        {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<T: core::fmt::Display + ?Sized $(, $more: $bound)?, M: Allocator $($memory)*> core::fmt::Display
            for $handle<'_, T $(, $more)?, M>
        {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<T: ?Sized $(, $more: $bound)?, M: Allocator $($memory)*> core::fmt::Pointer
            for $handle<'_, T $(, $more)?, M>
        {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                (&raw const **self).fmt(f)
            }
        }

        impl<T: PartialEq + ?Sized $(, $more: $bound)?, M: Allocator $($memory)*> PartialEq
            for $handle<'_, T $(, $more)?, M>
        {
            fn eq(&self, other: &Self) -> bool {
                **self == **other
            }
        }

        impl<T: Eq + ?Sized $(, $more: $bound)?, M: Allocator $($memory)*> Eq for $handle<'_, T $(, $more)?, M> {}

        impl<T: PartialOrd + ?Sized $(, $more: $bound)?, M: Allocator $($memory)*> PartialOrd
            for $handle<'_, T $(, $more)?, M>
        {
            fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
                (**self).partial_cmp(&**other)
            }
        }

        impl<T: Ord + ?Sized $(, $more: $bound)?, M: Allocator $($memory)*> Ord for $handle<'_, T $(, $more)?, M> {
            fn cmp(&self, other: &Self) -> core::cmp::Ordering {
                (**self).cmp(&**other)
            }
        }

        impl<T: core::hash::Hash + ?Sized $(, $more: $bound)?, M: Allocator $($memory)*> core::hash::Hash
            for $handle<'_, T $(, $more)?, M>
        {
            fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
                (**self).hash(state);
            }
        }
    };
}

pub(crate) use forward_to_value;
