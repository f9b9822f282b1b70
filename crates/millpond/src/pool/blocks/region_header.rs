//! The header of a region: see [`AddressOrdered`](super::AddressOrdered).

use crate::{
    base::address::{WORD, align_up, recover},
    pool::chunks::HEADER_SIZE,
};

/// The header of a region. It begins where the header of the chunk (`chunks::HEADER_SIZE`) ends; it is followed by the
/// summary and the bits, both for as many blocks as the largest region could hold.
#[repr(C)]
pub(super) struct Header {
    /// The address of the first block.
    pub(super) first: usize,
    /// The next region on the list, or zero.
    pub(super) next: usize,
    /// Whether the region is current or on the list: 1 if so. Not a `bool`, because it may have been overwritten.
    pub(super) listed: usize,
}

/// Returns the number of words of bits in a region.
pub(super) const fn words(size: usize, region: usize) -> usize {
    (region / size).div_ceil(64)
}

/// Returns the number of bytes of a region's header, including its summary and its bits.
pub(super) const fn header_size(size: usize, region: usize) -> usize {
    let words = words(size, region);
    size_of::<Header>() + (words.div_ceil(64) + words) * 8
}

/// Returns the header of the region at an address.
pub(super) fn header_of(base: usize) -> *mut Header {
    recover(base + HEADER_SIZE)
}

const _: () = assert!(align_up(size_of::<Header>(), WORD) == size_of::<Header>());
