//! What a trace is made of: one [`Event`] for every call that began, resized or ended a block.

/// One call of the malloc family, in time order with all others of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since recording began.
    pub time: u64,
    /// The thread that made the call: 0 is the first one seen, numbers are dense.
    pub thread: u32,
    /// Return address into the code that made the call; 0 when unknown.
    pub caller: u64,
    /// What was done.
    pub op: Op,
}

/// What an event did. Blocks are named by their slot instead of their address.
///
/// A block keeps its slot while it is live. A new block takes the slot freed last, or the next one never used
/// when none is free, so slots stay below [`Summary::slots`](crate::Summary::slots), the most blocks live at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A block comes to life.
    Allocate {
        /// The block's name until it is freed.
        slot: u32,
        /// Bytes asked for; may be 0.
        size: u64,
        /// What `memalign` and its kin were asked for, a power of two; 0 is malloc's own guarantee.
        align: u32,
        /// Whether the memory was asked to be zero (`calloc`).
        zeroed: bool,
    },
    /// A live block is gone.
    Free {
        /// The block's name.
        slot: u32,
    },
    /// A live block has a new size, and perhaps a new address. The event has the time at which the call returned.
    Resize {
        /// The block's name, before and after.
        slot: u32,
        /// The new size in bytes.
        size: u64,
    },
}
