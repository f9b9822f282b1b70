//! Events of a trace: one for every call that allocated, resized or freed a block.

/// One call of the program to its allocator, in time order with all others of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since recording began.
    pub time: u64,
    /// The thread that made the call. Threads are numbered from 0 in order of appearance.
    pub thread: u32,
    /// The call stack, an index into [`Stacks`](crate::Stacks); 0 if unknown.
    pub stack: u32,
    /// The function that was called.
    pub call: Call,
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

/// The function by which a program allocated, resized or freed a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    /// The functions to which it belongs.
    pub family: Family,
    /// Whether the C++ operator is one that returns null instead of throwing.
    pub nothrow: bool,
    /// Whether the C++ operator that frees was passed the size of the block.
    pub sized: bool,
    /// Whether the C++ operator was passed an alignment.
    pub aligned: bool,
}

/// Functions that allocate, together with those that free what they have allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// `malloc`, `realloc`, `free` and the other functions of C.
    #[default]
    C,
    /// `operator new` and `operator delete`.
    New,
    /// `operator new[]` and `operator delete[]`.
    NewArray,
}

impl Call {
    /// Encodes the function in five bits: the family, then the flags.
    pub const fn to_byte(self) -> u8 {
        self.family as u8 | (self.nothrow as u8) << 2 | (self.sized as u8) << 3 | (self.aligned as u8) << 4
    }

    /// Decodes a function: the inverse of [`to_byte`](Self::to_byte).
    pub fn from_byte(byte: u8) -> Option<Self> {
        let family = match byte & 3 {
            0 => Family::C,
            1 => Family::New,
            2 => Family::NewArray,
            _ => return None,
        };
        if byte >= 1 << 5 {
            return None;
        }
        let flag = |bit: u8| byte >> bit & 1 == 1;
        Some(Self { family, nothrow: flag(2), sized: flag(3), aligned: flag(4) })
    }
}

/// When, where and how a program called its allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// Nanoseconds since recording began.
    pub time: u64,
    /// Any number that identifies the thread.
    pub thread: u32,
    /// A call stack that [`Writer::node`](crate::Writer::node) has returned, or 0.
    pub stack: u32,
    /// The function that was called.
    pub call: Call,
}

/// Everything about an event except time, thread and slot. A block of events has a table of its shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// The call stack, an index into [`Stacks`](crate::Stacks); 0 if unknown.
    pub stack: u32,
    /// The operation.
    pub verb: Verb,
    /// The function that was called.
    pub call: Call,
    /// The size requested; 0 for a free.
    pub size: u64,
}

/// The operation of a [`Shape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// See [`Op::Free`].
    Free,
    /// See [`Op::Resize`].
    Resize,
    /// See [`Op::Allocate`].
    Allocate {
        /// The alignment requested, a power of two; 0 is the default alignment of malloc.
        align: u32,
        /// Whether zeroed memory was requested.
        zeroed: bool,
    },
}

impl Shape {
    /// Returns the operation on a slot.
    #[inline]
    pub fn op(&self, slot: u32) -> Op {
        match self.verb {
            Verb::Free => Op::Free { slot },
            Verb::Resize => Op::Resize { slot, size: self.size },
            Verb::Allocate { align, zeroed } => Op::Allocate { slot, size: self.size, align, zeroed },
        }
    }
}

/// Optional facts about an allocation or resize; `None` if unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// The address of the block.
    pub address: Option<u64>,
    /// The bytes that the program may use, at least those that it requested.
    pub usable: Option<u64>,
    /// The number of allocations that a sampled one represents.
    pub weight: Option<u64>,
}

/// Receives the events of a trace in time order (see [`Reader::visit`](crate::Reader::visit)).
pub trait Visitor {
    /// Announces the shapes of the next block of events.
    fn shapes(&mut self, shapes: &[Shape]);

    /// Receives an event: nanoseconds since recording began, the thread, the shape as an index into the shapes announced
    /// last, and the slot of the memory block.
    fn event(&mut self, time: u64, thread: u32, shape: usize, slot: u32);

    /// Receives the optional facts about the next block of events: one for each allocation and resize in it. Called
    /// after [`shapes`](Self::shapes), and only if the trace has such facts.
    fn details(&mut self, details: &[Detail]) {
        let _ = details;
    }

    /// Announces an event of this thread on a block that is left out, if the trace is
    /// [narrowed](crate::Reader::narrow).
    fn left_out(&mut self, thread: u32) {
        let _ = thread;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_back() {
        let known: Vec<u8> = (0..=u8::MAX).filter(|&byte| Call::from_byte(byte).is_some()).collect();
        assert_eq!(known.len(), 3 * 8);
        for byte in known {
            assert_eq!(Call::from_byte(byte).map(Call::to_byte), Some(byte));
        }
    }
}
