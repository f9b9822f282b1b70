//! Where memory comes from: allocators that make it out of nothing of ours.
//!
//! A source never prints, never panics and never calls back.

mod buffer;
mod cursor;
#[cfg(feature = "alloc")]
mod heap;
mod nothing;
#[cfg(feature = "std")]
mod numa;
#[cfg(feature = "std")]
mod os;
#[cfg(feature = "std")]
mod pages;
#[cfg(feature = "std")]
mod region;
#[cfg(feature = "std")]
mod reserved;
#[cfg(feature = "std")]
mod tuned;

pub use buffer::{Buffer, StaticBuffer};
pub(crate) use cursor::Cursor;
#[cfg(feature = "alloc")]
pub use heap::Heap;
pub use nothing::Nothing;
#[cfg(feature = "std")]
pub use numa::Numa;
#[cfg(feature = "std")]
pub use pages::Pages;
#[cfg(feature = "std")]
pub use region::Region;
#[cfg(feature = "std")]
pub use reserved::Reserved;
#[cfg(feature = "std")]
pub use tuned::TunedPages;

/// The parent of a shell that names none: [`Heap`] with the feature `alloc`, else [`Nothing`].
#[cfg(feature = "alloc")]
pub type DefaultParent = Heap;
/// The parent of a shell that names none: `Heap` with the feature `alloc`, else [`Nothing`].
#[cfg(not(feature = "alloc"))]
pub type DefaultParent = Nothing;

/// The value of [`DefaultParent`].
#[cfg(feature = "alloc")]
pub(crate) const DEFAULT_PARENT: DefaultParent = Heap;
/// The value of [`DefaultParent`].
#[cfg(not(feature = "alloc"))]
pub(crate) const DEFAULT_PARENT: DefaultParent = Nothing;
