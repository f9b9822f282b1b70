//! The raw layout of a recording, which the recorder writes while a program runs and `millpond` then converts to a
//! trace.
//!
//! The recorder and the program `millpond` that reads its files are always from the same build, so this is not a public
//! interface, and older versions cannot be read: [`VERSION`] only detects a mismatch.
//!
//! A recording is one directory. Its entry `live` is a link to memory (`/dev/shm`) if there is any:
//!
//! | file | what |
//! |---|---|
//! | `live/control` | [`Control`]: shared by all processes of the recording |
//! | `live/N` | process image number N: [`Header`] in the first unit, then one unit per stream, its [`Window`] |
//! | `N` | units that were written out from full windows |
//! | `live/execs` | [`Exec`]: programs that a process was about to become or to start |
//! | `live/N.exe`, `live/N.cmdline`, `live/N.maps`, `live/N.maps.end` | copies from `/proc/self` |
//!
//! A *stream* is a sequence of records that one thread at a time writes; when that thread ends, another takes it over.
//! Its window is mapped from a file, so that nothing is lost if the program is killed. A full window is written out as
//! one unit, and is then reused with the next sequence number. If a reader finds the same sequence number twice in a
//! stream, it uses the unit with more records: writing was interrupted.

use core::{
    mem::{offset_of, size_of},
    sync::atomic::{AtomicU32, AtomicU64},
};

/// The version of the layout; changes with every change in this file.
pub const VERSION: u32 = 2;

/// The first eight bytes of the control file and of every `live/N`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"mpraw\0\0\0") | (VERSION as u64) << 48;

/// The environment variable that tells the recorder where its directory is.
pub const DIRECTORY: &str = "MILLPOND_RECORD";

/// The longest path of a directory that the recorder accepts.
pub const LONGEST_DIRECTORY: usize = 400;

/// Bytes in a window, which are written out at once. A multiple of every page size in use.
pub const UNIT: usize = 64 * 1024;

/// Records that fit into one unit.
pub const RECORDS: usize = (UNIT - size_of::<Window>()) / size_of::<Record>();

/// Number of entries in a stream's table of callers. An index has 12 bits in a record.
pub const CALLERS: usize = 1 << 12;

/// State shared by all processes of a recording.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Control {
    /// [`MAGIC`].
    pub magic: AtomicU64,
    /// Max bytes that may be written out in total.
    pub limit: AtomicU64,
    /// Bytes that were written out, or would have been without the limit.
    pub written: AtomicU64,
    /// Number of process images so far, which is the number of the next one.
    pub processes: AtomicU32,
    /// Nonzero if the recording is over.
    pub stop: AtomicU32,
    /// Number of processes that were not recorded because they were in a sandbox when they started.
    pub sandboxed: AtomicU32,
    /// Number of records in `live/execs` so far, which is the number of the next one.
    pub execs: AtomicU32,
    /// The last process that was about to become a program and could not be noted in `live/execs`; 0: none.
    pub unwritten: AtomicU32,
    /// Ticks before that call.
    pub unwritten_ticks: AtomicU64,
    /// The value of `Seccomp_filters` in `/proc/self/status` of the process that started the recording.
    pub filters: AtomicU32,
}

/// Information about one process image, which begins with one call of `exec` or `fork`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Header {
    /// [`MAGIC`], stored last.
    pub magic: AtomicU64,
    /// The process identifier.
    pub process: AtomicU32,
    /// The process identifier of the parent.
    pub parent: AtomicU32,
    /// The number of the first image with this program and these arguments: its own number, or that of an earlier image
    /// after a `fork`.
    pub image: AtomicU32,
    /// Ticks when recording began.
    pub started: AtomicU64,
    /// Ticks when the process called `exit`; 0 if it did not.
    pub ended: AtomicU64,
    /// Ticks when recording stopped before the program did; 0 if it did not. Later events are incomplete.
    pub stopped: AtomicU64,
    /// The reason why recording stopped: an error number of the operating system, [`LIMIT`] or [`OVER`].
    pub reason: AtomicU32,
    /// Ticks for logging 1,024 consecutive events, measured at the start; 0 after a `fork`.
    pub ticks_per_1024: AtomicU32,
    /// Nanoseconds of CPU time spent on starting to record, creating windows and writing them out.
    pub spent: AtomicU64,
    /// Nanoseconds of CPU time (user and system) when recording began.
    pub cpu_first: AtomicU64,
    /// Nanoseconds of CPU time at the last measurement: when writing out and at the end.
    pub cpu_last: AtomicU64,
    /// Nanoseconds of CPU time in the operating system when recording began, and at the last measurement.
    pub system_first: AtomicU64,
    /// See [`system_first`](Self::system_first).
    pub system_last: AtomicU64,
    /// Page faults served without disk access when recording began, and at the last measurement.
    pub faults_first: AtomicU64,
    /// See [`faults_first`](Self::faults_first).
    pub faults_last: AtomicU64,
    /// Bytes of anonymous resident memory when recording began, and the max observed; 0: unknown.
    pub anonymous_first: AtomicU64,
    /// See [`anonymous_first`](Self::anonymous_first).
    pub anonymous_most: AtomicU64,
    /// The address of the `malloc` that the recorder calls; 0 after a `fork`.
    pub malloc: AtomicU64,
}

/// [`Header::reason`]: the size limit was reached.
pub const LIMIT: u32 = u32::MAX;

/// [`Header::reason`]: the recording was over while this process still ran.
pub const OVER: u32 = u32::MAX - 1;

/// [`Header::reason`]: the process was in a sandbox, where a system call of the recorder could have killed it.
pub const SANDBOX: u32 = u32::MAX - 2;

/// [`Exec::process`]: a child whose number only the C library knows, and whose environment loads the recorder.
pub const SOME_CHILD: u32 = u32::MAX;

/// [`Exec::process`]: such a child whose environment lacks the variables that load the recorder.
pub const LOST_CHILD: u32 = u32::MAX - 1;

/// A record of a call by which a process becomes another program, or starts one.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Exec {
    /// Ticks before the call.
    pub ticks: u64,
    /// The process that will run the program.
    pub process: u32,
    /// 0: the call is about to be made, or has succeeded; 1: it has failed.
    pub failed: u32,
    /// The path as passed, truncated if longer, padded with zeros.
    pub path: [u8; 496],
}

impl Exec {
    /// Iterates over the records in a file; ignores an incomplete one at the end.
    pub fn all(bytes: &[u8]) -> impl Iterator<Item = Self> {
        bytes.chunks_exact(size_of::<Self>()).map(|bytes| {
            // SAFETY: the slice is as long as the type, which consists of integers.
            unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() }
        })
    }
}

/// The head of a unit, before its records.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Window {
    /// The number of the stream.
    pub stream: AtomicU32,
    /// Number of earlier units of this stream.
    pub sequence: AtomicU32,
    /// Number of complete records.
    pub used: AtomicU32,
    /// 1; distinguishes an empty unit from one that was never written.
    pub valid: AtomicU32,
}

macro_rules! from_bytes {
    ($type:ty) => {
        impl $type {
            /// Reads a copy from bytes of a file; returns `None` if there are too few.
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                if bytes.len() < size_of::<Self>() {
                    return None;
                }
                // SAFETY: the slice is as long as the type, which consists of atomic integers.
                Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
            }
        }
    };
}

from_bytes!(Control);
from_bytes!(Header);
from_bytes!(Window);

/// Offset of [`Control::stop`] in the control file.
pub const STOP_AT: u64 = offset_of!(Control, stop) as u64;

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
}

/// Mask of the 48 bits of an address; the bits above are a tag that the hardware ignores.
const ADDRESS: u64 = (1 << 48) - 1;

impl Record {
    /// Creates a mark: the events that follow are of `thread`, and their times are relative to `ticks`. The first
    /// record of every unit is a mark.
    pub const fn mark(thread: u32, ticks: u64) -> Self {
        Self([thread as u64 | (Kind::Mark as u64) << 60, ticks])
    }

    /// Creates a record that assigns this address to its index in the table of callers, replacing any other address
    /// there.
    pub const fn caller(address: u64) -> Self {
        Self([(Kind::Caller as u64) << 60, address])
    }

    /// Creates a record with the size and requested alignment of the next event; alignment 0: default.
    pub const fn extra(align: u32, size: u64) -> Self {
        Self([align as u64 | (Kind::Extra as u64) << 60, size])
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
            _ => return None,
        };
        let caller = (first >> 48) as usize % CALLERS;
        let size = (second >> 32) as u32;
        Some(Decoded::Event { kind, address: first & ADDRESS, caller, offset: second as u32, size })
    }
}

/// A decoded record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the functions of `Record` that make these say it")]
pub enum Decoded {
    Mark { thread: u32, ticks: u64 },
    Caller { address: u64 },
    Extra { align: u32, size: u64 },
    Event { kind: Kind, address: u64, caller: usize, offset: u32, size: u32 },
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
    fn units_and_records_fit() {
        assert_eq!(size_of::<Window>() + RECORDS * size_of::<Record>(), UNIT);
        assert_eq!(size_of::<Exec>(), 512);
        assert!(size_of::<Header>() <= 4096 && size_of::<Control>() <= 4096, "one page each");
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
