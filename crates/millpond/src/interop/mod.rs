//! Conversion to and from the allocator traits of other crates. The adapters are newtypes, because blanket
//! implementations are not possible, and methods of the same name in two traits would be ambiguous.
//!
//! In each module, `Exported` makes a Millpond allocator implement that trait, and `Imported` makes an allocator with
//! that trait a parent. [`Global`] is for the program's global allocator.
//!
//! | module | trait | feature | used by |
//! |---|---|---|---|
//! | `api2_02` | that of allocator-api2 0.2 | `allocator-api2-02` | hashbrown, bumpalo |
//! | `api2_04` | that of allocator-api2 0.4 | `allocator-api2-04` | talc, blink-alloc, plurality |
//! | `nightly` | that of the standard library | `nightly` | `Vec`, `Box`, `BTreeMap` of the standard library; requires a nightly compiler |
//!
//! ```
//! # #[cfg(feature = "allocator-api2-02")] {
//! use hashbrown::{DefaultHashBuilder, HashMap};
//! use millpond::{Classes, Inspect, Local, interop::api2_02::Exported};
//!
//! let pool = Local::new(Classes::new());
//! let mut map = HashMap::with_hasher_in(DefaultHashBuilder::default(), Exported(&pool));
//! map.insert("answer", 42);
//! assert_ne!(pool.stats().live, 0);
//! # }
//! ```

#[cfg(any(feature = "allocator-api2-02", feature = "allocator-api2-04", feature = "nightly"))]
mod adapters;
mod global;

#[cfg(any(feature = "allocator-api2-02", feature = "allocator-api2-04", feature = "nightly"))]
use adapters::adapters;
pub use global::Global;

/// The trait of allocator-api2 0.2, which hashbrown and bumpalo use.
#[cfg(feature = "allocator-api2-02")]
pub mod api2_02 {
    super::adapters!(allocator_api2_02::alloc);
}

/// The trait of allocator-api2 0.4, which talc, blink-alloc and plurality use.
#[cfg(feature = "allocator-api2-04")]
pub mod api2_04 {
    super::adapters!(allocator_api2_04::alloc);
}

/// The trait of the standard library, on a nightly compiler.
#[cfg(feature = "nightly")]
pub mod nightly {
    super::adapters!(core::alloc);
}
