//! How memory is cut: the pools, pure data structures over chunks that they are given.

mod blocks;
mod buddy;
mod bump;
mod chunks;
mod classes;
mod debug;
mod kinds;
mod linear;
mod posts;
mod sign_post;
mod stack;
mod tlsf;

pub use blocks::{
    AnySize, Blocks, Compact, Config, Fixed, For, KnownShape, Lifo, Magazine, Marked, Shape, Strategy,
};
pub use buddy::{Buddy, BuddyError};
pub use classes::{Classes, ClassesError};
pub(crate) use kinds::MOST_KINDS;
pub(crate) use kinds::OneKind;
pub use kinds::{Kinds, KnownKinds, Sorter};
pub use linear::Linear;
pub use sign_post::SignPost;
pub use stack::{Mark, Stack};
pub use tlsf::{Direct, Front, Pockets, Tlsf};
