#![doc = include_str!("../../FORMAT.md")]

/// The first bytes of every trace. Some of them detect transfers that changed line ends or dropped a bit.
pub const MAGIC: [u8; 8] = *b"\x93MPT\r\n\x1a\n";

/// The version that [`Writer`](crate::Writer) writes, and the latest that [`Reader`](crate::Reader) reads.
pub const VERSION: u32 = 2;

/// The last bytes of every complete trace.
pub const END_MARK: [u8; 4] = *b"MPTE";

/// The last bytes of every complete file with several traces.
pub const ARCHIVE_MARK: [u8; 4] = *b"MPTA";

/// Max events in one block.
pub const EVENTS_PER_BLOCK: usize = 65_536;

/// Max bytes in the start section and in the summary before compression.
pub const TEXT_LIMIT: usize = 8 << 20;

/// Max bytes in a section after its head.
pub const PAYLOAD_LIMIT: usize = 16 << 20;
