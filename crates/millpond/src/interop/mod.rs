//! The way to other people's allocator traits and back: newtypes, because blanket implementations are not possible, and
//! two traits with methods of one name would be in each other's way.
//!
//! In each module, `Exported` makes an allocator of Millpond one for that trait, and `Imported` makes one for that trait a
//! parent. [`Global`] makes one the program's own.
//!
//! | module | trait | feature | for |
//! |---|---|---|---|
//! | `api2_02` | that of allocator-api2 0.2 | `allocator-api2-02` | hashbrown, bumpalo |
//! | `api2_04` | that of allocator-api2 0.4 | `allocator-api2-04` | talc, blink-alloc, plurality |
//! | `nightly` | that of the standard library | `nightly` | `Vec`, `Box`, `BTreeMap` of the standard library; takes a nightly compiler |
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

/// The trait of allocator-api2 0.2, which hashbrown and bumpalo take.
#[cfg(feature = "allocator-api2-02")]
pub mod api2_02 {
    super::adapters!(allocator_api2_02::alloc);
}

/// The trait of allocator-api2 0.4, which talc, blink-alloc and plurality take.
#[cfg(feature = "allocator-api2-04")]
pub mod api2_04 {
    super::adapters!(allocator_api2_04::alloc);
}

/// The trait of the standard library, on a nightly compiler.
#[cfg(feature = "nightly")]
pub mod nightly {
    super::adapters!(core::alloc);
}
