//! Sources: allocators that have no parent in this crate.
//!
//! A source never prints, never panics and never calls user code.

mod buffer;
mod cursor;
#[cfg(feature = "alloc")]
mod heap;
#[cfg(all(feature = "std", any(unix, windows)))]
mod mapped_region;
mod null;
#[cfg(all(feature = "std", any(unix, windows)))]
mod numa;
#[cfg(all(feature = "std", any(unix, windows)))]
mod os;
#[cfg(all(feature = "std", any(unix, windows)))]
mod pages;
#[cfg(all(feature = "std", any(unix, windows)))]
mod reserved_region;
mod space;
#[cfg(all(feature = "std", any(unix, windows)))]
mod tuned;
#[cfg(target_arch = "wasm32")]
mod wasm;

pub use buffer::{Buffer, StaticBuffer};
pub(crate) use cursor::Cursor;
#[cfg(feature = "alloc")]
pub use heap::Heap;
#[cfg(all(feature = "std", any(unix, windows)))]
pub use mapped_region::MappedRegion;
pub use null::NullAllocator;
#[cfg(all(feature = "std", any(unix, windows)))]
pub use numa::Numa;
#[cfg(all(feature = "std", unix))]
pub(crate) use os::{at_fork, fork};
#[cfg(all(feature = "std", any(unix, windows)))]
pub use pages::Pages;
#[cfg(all(feature = "std", any(unix, windows)))]
pub use reserved_region::ReservedRegion;
#[cfg(all(feature = "std", any(unix, windows)))]
pub use tuned::TunedPages;
#[cfg(target_arch = "wasm32")]
pub use wasm::WasmPages;

/// The parent of a shell that does not name one: [`Heap`] with the feature `alloc`, otherwise [`NullAllocator`].
#[cfg(feature = "alloc")]
pub type DefaultParent = Heap;
/// The parent of a shell that does not name one: `Heap` with the feature `alloc`, otherwise [`NullAllocator`].
#[cfg(not(feature = "alloc"))]
pub type DefaultParent = NullAllocator;

/// The value of [`DefaultParent`].
#[cfg(feature = "alloc")]
pub(crate) const DEFAULT_PARENT: DefaultParent = Heap;
/// The value of [`DefaultParent`].
#[cfg(not(feature = "alloc"))]
pub(crate) const DEFAULT_PARENT: DefaultParent = NullAllocator;
