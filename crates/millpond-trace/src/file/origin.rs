//! Where a trace comes from, and what it cannot say because of that.

/// Where a trace comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A recording.
    #[default]
    Recorded,
    /// A file of heaptrack's interpreter.
    Heaptrack,
    /// A file that heaptrack wrote in the recorded process.
    HeaptrackRaw,
    /// A file of `mtrace()`, a part of the GNU C library.
    Mtrace,
    /// A heap profile of jemalloc.
    Jemalloc,
    /// A file of DHAT.
    Dhat,
    /// A heap profile of jemalloc of the live blocks alone.
    JemallocLive,
    /// A format that only later versions know.
    Other,
}

/// Something that a trace does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The threads of events: all have the same.
    Threads,
    /// The times of events: all are 0.
    Times,
    /// The times of events in less than steps of some 10 milliseconds.
    Clock,
    /// The order of events.
    Order,
    /// Which block a free frees, and so how long it lived.
    Lifetimes,
    /// What was live when most bytes were.
    Peak,
    /// The sizes of single blocks: all of a call stack have about the average.
    Sizes,
    /// How many blocks there were: the number is estimated from a sample.
    Counts,
    /// The blocks that were freed.
    Freed,
    /// The call stacks of frees.
    FreeSites,
    /// Resizes: the block is freed, and another is allocated.
    Resizes,
    /// Call stacks: only the caller is known.
    Stacks,
}

impl Origin {
    /// All, by their number in a trace.
    const ALL: [Self; 8] = [
        Self::Recorded,
        Self::Heaptrack,
        Self::HeaptrackRaw,
        Self::Mtrace,
        Self::Jemalloc,
        Self::Dhat,
        Self::JemallocLive,
        Self::Other,
    ];

    /// Returns the number that stands for it in a trace.
    pub const fn to_number(self) -> u64 {
        self as u64
    }

    /// Returns the origin with a number.
    pub fn from_number(number: u64) -> Self {
        Self::ALL.into_iter().find(|origin| origin.to_number() == number).unwrap_or(Self::Other)
    }

    /// Returns the name of the program that has made the file; `None` for a recording.
    pub const fn program(self) -> Option<&'static str> {
        match self {
            Self::Recorded => None,
            Self::Heaptrack | Self::HeaptrackRaw => Some("heaptrack"),
            Self::Mtrace => Some("mtrace"),
            Self::Jemalloc | Self::JemallocLive => Some("jemalloc"),
            Self::Dhat => Some("DHAT"),
            Self::Other => Some("another program"),
        }
    }

    /// Returns what it does not say.
    pub const fn lacks(self) -> &'static [Lack] {
        use Lack::{
            Clock, Counts, FreeSites, Freed, Lifetimes, Order, Peak, Resizes, Sizes, Stacks, Threads, Times,
        };
        match self {
            Self::Recorded => &[],
            Self::Heaptrack => &[Threads, Clock, Lifetimes, FreeSites, Resizes],
            Self::HeaptrackRaw => &[Threads, Clock, FreeSites, Resizes],
            Self::Mtrace => &[Threads, Times, Stacks],
            Self::Dhat => &[Threads, Times, Order, Lifetimes, Sizes, FreeSites, Resizes],
            Self::Jemalloc => &[Threads, Times, Order, Lifetimes, Peak, Sizes, Counts, FreeSites, Resizes],
            Self::JemallocLive | Self::Other => {
                &[Threads, Times, Order, Lifetimes, Peak, Sizes, Counts, Freed, FreeSites, Resizes]
            }
        }
    }

    /// Returns whether it does not say this.
    pub fn has_no(self, lack: Lack) -> bool {
        self.lacks().contains(&lack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_come_back() {
        for (number, origin) in (0..).zip(Origin::ALL) {
            assert_eq!((origin.to_number(), Origin::from_number(number)), (number, origin));
        }
        assert_eq!(Origin::from_number(99), Origin::Other);
        assert!(Origin::Recorded.lacks().is_empty());
    }
}
