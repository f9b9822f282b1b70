//! Events of a trace: one [`Event`] for every call that allocated, resized or freed a block.

/// One call of the malloc family, in time order with all others of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since recording began.
    pub time: u64,
    /// The thread that made the call. Threads are numbered from 0 in order of appearance.
    pub thread: u32,
    /// Return address into the code that made the call; 0 if unknown.
    pub caller: u64,
    /// The operation.
    pub op: Op,
}

/// The operation of an event. Blocks are identified by slots instead of addresses.
///
/// A block keeps its slot while it is live. A new block takes the slot freed last, or, if none is free, the next unused
/// one. So all slots are below [`Summary::slots`](crate::Summary::slots), the max number of blocks live at the same
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A block was allocated.
    Allocate {
        /// The block's slot until it is freed.
        slot: u32,
        /// Bytes requested; may be 0.
        size: u64,
        /// The alignment passed to `memalign` and similar functions, a power of two; 0 is the default alignment of
        /// malloc.
        align: u32,
        /// Whether zeroed memory was requested (`calloc`).
        zeroed: bool,
    },
    /// A live block was freed.
    Free {
        /// The block's slot.
        slot: u32,
    },
    /// A live block was resized, and possibly moved. The time of the event is that at which the call returned.
    Resize {
        /// The block's slot, before and after.
        slot: u32,
        /// The new size in bytes.
        size: u64,
    },
}
