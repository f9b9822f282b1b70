//! Primitives for data that threads share: links that are set once, reference counts, thread indices, slot states, free
//! lists, the growth barrier. They do not depend on pools or shells.

pub(crate) mod cache_padded;
pub(crate) mod growth_barrier;
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) mod models;
pub(crate) mod mpsc_free_list;
pub(crate) mod once_link;
pub(crate) mod ordering;
mod ref_count;
#[cfg(target_has_atomic = "64")]
mod segmented_array;
#[cfg(target_has_atomic = "64")]
mod slot_free_lists;
mod slot_index;
#[cfg(target_has_atomic = "64")]
mod slot_state;
pub(crate) mod thread_index;
pub(crate) mod treiber_stack;

pub use ref_count::{AtomicRefCount, LocalRefCount, RefCount};
#[cfg(target_has_atomic = "64")]
pub(crate) use segmented_array::SegmentedArray;
#[cfg(target_has_atomic = "64")]
pub(crate) use slot_free_lists::{BATCH_SIZE, FreeLink, SlotFreeLists, SlotStorage};
pub(crate) use slot_index::{MAX_SEGMENTS, SlotIndex, segment_len};
#[cfg(target_has_atomic = "64")]
pub(crate) use slot_state::SlotState;
