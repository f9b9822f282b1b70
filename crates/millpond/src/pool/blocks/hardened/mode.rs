//! The modes of hardening, as types.

/// What a [`Hardened`](super::Hardened) free list does in addition to recording the state of each block: [`Light`] or [`Full`].
pub trait Hardening: private::Sealed {}

/// Nothing in addition: see [`Hardened`](super::Hardened).
#[derive(Clone, Copy, Debug)]
pub struct Light;

/// Erases blocks, checks them, and holds them back: see [`Hardened`](super::Hardened).
#[derive(Clone, Copy, Debug)]
pub struct Full;

impl Hardening for Light {}
impl Hardening for Full {}

mod private {
    pub trait Sealed {
        /// Whether blocks are erased, checked and held back.
        const FULL: bool;
    }
    impl Sealed for super::Light {
        const FULL: bool = false;
    }
    impl Sealed for super::Full {
        const FULL: bool = true;
    }
}
