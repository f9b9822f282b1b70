//! Primitives for data that threads share: locks, links that are set once, reference counts, thread indices, slot
//! states, free lists, the growth barrier. They do not depend on pools or shells.

pub(crate) mod cache_padded;
pub(crate) mod growth_barrier;
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) mod models;
pub(crate) mod mpsc_free_list;
pub(crate) mod once_link;
pub(crate) mod ordering;
#[cfg(feature = "std")]
mod parking_lock;
mod ref_count;
#[cfg(target_has_atomic = "64")]
mod segmented_array;
#[cfg(target_has_atomic = "64")]
mod slot_free_lists;
mod slot_index;
#[cfg(target_has_atomic = "64")]
mod slot_state;
mod spin_lock;
pub(crate) mod thread_index;
mod ticket_lock;
pub(crate) mod treiber_stack;

#[cfg(feature = "std")]
pub use parking_lock::ParkingLock;
#[cfg(all(test, loom))]
pub(crate) use parking_lock::RawParkingLock;
pub use ref_count::{AtomicRefCount, LocalRefCount, RefCount};
#[cfg(target_has_atomic = "64")]
pub(crate) use segmented_array::SegmentedArray;
#[cfg(target_has_atomic = "64")]
pub(crate) use slot_free_lists::{BATCH_SIZE, FreeLink, SlotFreeLists, SlotStorage};
pub(crate) use slot_index::{MAX_SEGMENTS, SlotIndex, segment_len};
#[cfg(target_has_atomic = "64")]
pub(crate) use slot_state::SlotState;
pub use spin_lock::SpinLock;
#[cfg(all(test, loom))]
pub(crate) use ticket_lock::RawTicketLock;
pub use ticket_lock::TicketLock;

/// The default lock of shells: [`ParkingLock`] with the feature `std`, otherwise [`SpinLock`].
#[cfg(feature = "std")]
pub type DefaultLock = ParkingLock;
/// The default lock of shells: `ParkingLock` with the feature `std`, otherwise [`SpinLock`].
#[cfg(not(feature = "std"))]
pub type DefaultLock = SpinLock;
