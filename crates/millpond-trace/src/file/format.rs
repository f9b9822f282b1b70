#![doc = include_str!("../../FORMAT.md")]

/// The first bytes of every trace. The odd ones reveal transfers that changed line ends or dropped a bit.
pub const MAGIC: [u8; 8] = *b"\x93MPT\r\n\x1a\n";

/// The version that [`Writer`](crate::Writer) writes, and the latest that [`Reader`](crate::Reader) reads.
pub const VERSION: u32 = 2;

/// The last bytes of every whole trace.
pub const END_MARK: [u8; 4] = *b"MPTE";

/// Most events in one block.
pub const EVENTS_PER_BLOCK: usize = 65_536;

/// Most bytes of the start section and of the summary before compression.
pub const TEXT_LIMIT: usize = 8 << 20;

/// Most bytes of a section after its head.
pub const PAYLOAD_LIMIT: usize = 16 << 20;
