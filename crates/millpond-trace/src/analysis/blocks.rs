//! The live blocks, by slot.

/// A live block.
#[derive(Clone, Copy, Default)]
pub(super) struct Block {
    /// Time and number of the event that allocated it.
    pub(super) time: u64,
    pub(super) event: u64,
    pub(super) size: u64,
    pub(super) site: u32,
    thread: u16,
    /// How often it was resized, up to a limit.
    pub(super) resizes: u16,
}

/// The number of a thread in two bytes. Threads from 65,535 on share one number.
#[inline]
pub(super) fn short(thread: u32) -> u16 {
    thread.min(u32::from(u16::MAX)) as u16
}

impl Block {
    #[inline]
    pub(super) fn new(time: u64, event: u64, size: u64, site: u32, thread: u16) -> Self {
        Self { time, event, size, site, thread, resizes: 0 }
    }

    /// Returns the thread that allocated it.
    #[inline]
    pub(super) fn thread(&self) -> u16 {
        self.thread
    }
}
