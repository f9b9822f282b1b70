//! Memory pools: data structures that allocate blocks from the chunks that are added to them.

mod blocks;
mod boundary_tags;
mod buddy;
mod bump;
mod chunks;
mod classes;
mod debug;
mod linear;
mod sign_post;
mod size_classes;
mod stack;
mod tlsf;

pub use blocks::{
    AddressOrdered, BlockLayout, Blocks, Config, ConstBlockLayout, DynSize, Fixed, For, FreeList, Full,
    Hardened, Hardening, Lifo, Light, Magazine, Validated,
};
pub use buddy::{Buddy, BuddyError};
pub use classes::{Classes, ClassesError, HardenedClasses};
pub use linear::Linear;
pub use sign_post::SignPost;
pub(crate) use size_classes::MAX_CLASSES;
pub(crate) use size_classes::SingleClass;
pub use size_classes::{ClassMap, ConstSizeClasses, SizeClasses};
pub use stack::{Mark, Stack};
pub use tlsf::{NoQuickList, QuickList, Tlsf, WithQuickList};
