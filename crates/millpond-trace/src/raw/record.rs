//! Records of 16 bytes: the unit in which events and what belongs to them are logged.

/// Number of entries in a stream's table of callers. An index has 12 bits in a record.
pub const CALLERS: usize = 1 << 12;

/// One record of 16 bytes: the kind in the upper four bits; the functions that create records document the rest.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record(pub [u64; 2]);

/// The kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// See [`Record::mark`].
    Mark = 1,
    /// See [`Record::caller`].
    Caller = 2,
    /// See [`Record::extra`].
    Extra = 3,
    /// A block was allocated; its bytes are uninitialised.
    Allocate = 4,
    /// A block was allocated; its bytes are zero.
    AllocateZeroed = 5,
    /// An allocation returned null.
    Failed = 6,
    /// A block is about to be freed.
    Free = 7,
    /// A block is about to be resized.
    ResizeStart = 8,
    /// The resize that this thread started last has returned. Address 0: it failed, or, if the size is 0, freed the
    /// block.
    ResizeEnd = 9,
    /// See [`Record::note`].
    Note = 10,
    /// See [`Record::text`].
    Text = 11,
    /// See [`Record::usable`].
    Usable = 12,
}

/// What a note says about the thread of the events around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum NoteKind {
    /// It has logged its first event. The number is that of the thread in the system, and the text is its name.
    ThreadStart = 1,
    /// It ends. The text is its name.
    ThreadEnd = 2,
    /// It has reached a point that the program names.
    Mark = 3,
}

/// Max bytes in the text of a note.
pub const NOTE: usize = 4 * TEXT;

/// Bytes of text in one record.
pub(super) const TEXT: usize = 15;

/// Mask of the 48 bits of an address; the bits above are a tag that the hardware ignores.
const ADDRESS: u64 = (1 << 48) - 1;

impl Record {
    /// Creates a mark: the events that follow are of `thread`, and their times are relative to `ticks`. The first
    /// record of every unit is a mark.
    pub const fn mark(thread: u32, ticks: u64) -> Self {
        Self([thread as u64 | (Kind::Mark as u64) << 60, ticks])
    }

    /// Creates a record that assigns this address, or the stack of [`caller_of_stack`], to its index in the table of
    /// callers, replacing any other there.
    pub const fn caller(address: u64) -> Self {
        Self([(Kind::Caller as u64) << 60, address])
    }

    /// Creates a record with the size and requested alignment of the next event; alignment 0: default.
    pub const fn extra(align: u32, size: u64) -> Self {
        Self([align as u64 | (Kind::Extra as u64) << 60, size])
    }

    /// Creates a record with the usable bytes of the block of the next event.
    pub const fn usable(bytes: u64) -> Self {
        Self([(Kind::Usable as u64) << 60, bytes])
    }

    /// Creates a note, whose text of `length` bytes is in the records that follow.
    pub const fn note(kind: NoteKind, number: u32, length: u8, ticks: u64) -> Self {
        Self([number as u64 | (length as u64) << 32 | (kind as u64) << 40 | (Kind::Note as u64) << 60, ticks])
    }

    /// Creates a part of a note's text: its first bytes, up to 15.
    pub fn text(text: &[u8]) -> Self {
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        let (first, second) = text.split_at(text.len().min(7));
        Self([word(first) | (Kind::Text as u64) << 60, word(second.get(..8).unwrap_or(second))])
    }

    /// Creates an event, `offset` ticks after the last mark.
    #[inline(always)]
    pub const fn event(kind: Kind, address: u64, caller: usize, offset: u32, size: u32) -> Self {
        let first = address & ADDRESS | (caller as u64) << 48 | (kind as u64) << 60;
        Self([first, offset as u64 | (size as u64) << 32])
    }

    /// Decodes the record; returns `None` if it is invalid.
    pub const fn decode(self) -> Option<Decoded> {
        let Self([first, second]) = self;
        let kind = match first >> 60 {
            1 => return Some(Decoded::Mark { thread: first as u32, ticks: second }),
            2 => return Some(Decoded::Caller { address: second }),
            3 => return Some(Decoded::Extra { align: first as u32, size: second }),
            4 => Kind::Allocate,
            5 => Kind::AllocateZeroed,
            6 => Kind::Failed,
            7 => Kind::Free,
            8 => Kind::ResizeStart,
            9 => Kind::ResizeEnd,
            10 => {
                let kind = match (first >> 40) as u8 {
                    1 => NoteKind::ThreadStart,
                    2 => NoteKind::ThreadEnd,
                    3 => NoteKind::Mark,
                    _ => return None,
                };
                let (number, length) = (first as u32, (first >> 32) as u8);
                return Some(Decoded::Note { kind, number, length, ticks: second });
            }
            11 => return Some(Decoded::Text { bytes: text_of(first, second) }),
            12 => return Some(Decoded::Usable { bytes: second }),
            _ => return None,
        };
        let caller = (first >> 48) as usize % CALLERS;
        let size = (second >> 32) as u32;
        Some(Decoded::Event { kind, address: first & ADDRESS, caller, offset: second as u32, size })
    }
}

/// Returns the bytes of a part of a text.
const fn text_of(first: u64, second: u64) -> [u8; TEXT] {
    let mut bytes = [0; TEXT];
    let mut at = 0;
    while at < TEXT {
        bytes[at] = if at < 7 { (first >> (8 * at)) as u8 } else { (second >> (8 * (at - 7))) as u8 };
        at += 1;
    }
    bytes
}

/// A decoded record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the functions of `Record` that make these say it")]
pub enum Decoded {
    Mark { thread: u32, ticks: u64 },
    Caller { address: u64 },
    Extra { align: u32, size: u64 },
    Event { kind: Kind, address: u64, caller: usize, offset: u32, size: u32 },
    Note { kind: NoteKind, number: u32, length: u8, ticks: u64 },
    Text { bytes: [u8; TEXT] },
    Usable { bytes: u64 },
}

/// A bit above all addresses in code: set if a caller is not an address but the number of a stack, which is a [`Node`] in
/// the file of nodes.
///
/// [`Node`]: super::Node
const STACK: u64 = 1 << 55;

/// Returns what is logged as the caller for a stack.
#[inline(always)]
pub const fn caller_of_stack(stack: u32) -> usize {
    STACK as usize | stack as usize
}

/// Returns the number of the stack that was logged as the caller; `None` if an address was.
pub const fn stack_of_caller(caller: u64) -> Option<u32> {
    if caller & STACK == 0 { None } else { Some(caller as u32) }
}

/// Bits of an address in code: above them, a caller has the code of the function that it called.
const CODE: u32 = 56;

/// The code of `operator new` and `operator delete` of C++, to which flags are added: see `Call::to_byte` of this crate.
pub const NEW: u8 = 1;

/// The code of `operator new[]` and `operator delete[]`.
pub const NEW_ARRAY: u8 = 2;

/// A flag of the code of an operator that returns null instead of throwing.
pub const NOTHROW: u8 = 1 << 2;

/// A flag of the code of an operator that frees and was passed the size of the block.
pub const SIZED: u8 = 1 << 3;

/// A flag of the code of an operator that was passed an alignment.
pub const ALIGNED: u8 = 1 << 4;

/// Adds the code of the function that a caller called (`Call::to_byte` of this crate) to the caller's address. The
/// sum is logged as the caller, so that a record of an event needs no room for it.
#[inline(always)]
pub const fn with_call(caller: usize, call: u8) -> usize {
    caller | ((call as u64) << CODE) as usize
}

/// Returns a caller's address and the code of the function that it called: the inverse of [`with_call`].
pub const fn without_call(caller: u64) -> (u64, u8) {
    (caller & ((1 << CODE) - 1), (caller >> CODE) as u8)
}

/// Returns the index of a caller's address in the table of callers that writer and reader keep for each stream.
#[inline(always)]
pub const fn caller_index(address: u64) -> usize {
    (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - CALLERS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_an_address_or_a_stack() {
        let caller = with_call(caller_of_stack(u32::MAX), 0xff);
        let (caller, call) = without_call(caller as u64);
        assert_eq!((stack_of_caller(caller), call), (Some(u32::MAX), 0xff));
        assert_eq!(stack_of_caller(0x7fff_ffff_ffff), None);
        let places: std::collections::BTreeSet<_> =
            (1..1000).map(|stack| caller_index(caller_of_stack(stack) as u64)).collect();
        assert!(places.len() > 850, "stacks are spread over the table: {}", places.len());
    }

    #[test]
    fn records_say_what_they_were_told() {
        let top = ADDRESS;
        for kind in [
            Kind::Allocate,
            Kind::AllocateZeroed,
            Kind::Failed,
            Kind::Free,
            Kind::ResizeStart,
            Kind::ResizeEnd,
        ] {
            for (address, caller, offset, size) in
                [(0, 0, 0, 0), (top, CALLERS - 1, u32::MAX, u32::MAX), (16, 5, 7, 9)]
            {
                let expected = Decoded::Event { kind, address, caller, offset, size };
                assert_eq!(Record::event(kind, address, caller, offset, size).decode(), Some(expected));
            }
        }
        let mark = Record::mark(u32::MAX, u64::MAX).decode();
        assert_eq!(mark, Some(Decoded::Mark { thread: u32::MAX, ticks: u64::MAX }));
        assert_eq!(Record::caller(u64::MAX).decode(), Some(Decoded::Caller { address: u64::MAX }));
        let extra = Record::extra(1 << 31, u64::MAX).decode();
        assert_eq!(extra, Some(Decoded::Extra { align: 1 << 31, size: u64::MAX }));
        assert_eq!(Record::usable(u64::MAX).decode(), Some(Decoded::Usable { bytes: u64::MAX }));
        assert_eq!(Record::default().decode(), None);
        assert_eq!(Record([u64::MAX; 2]).decode(), None);
    }

    #[test]
    fn tags_above_the_address_are_dropped() {
        let tagged = 0xab00_0000_0000_1230;
        let Some(Decoded::Event { address, kind, .. }) = Record::event(Kind::Free, tagged, 1, 0, 0).decode()
        else {
            panic!("an event");
        };
        assert_eq!((address, kind), (0x1230, Kind::Free));
    }

    #[test]
    fn every_caller_has_a_place() {
        for address in [0, 1, u64::MAX, 0x5555_5555_1234, 0x7fff_f7a3_0123] {
            assert!(caller_index(address) < CALLERS);
        }
    }
}
