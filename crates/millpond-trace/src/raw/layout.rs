//! The files of a recording, and the structures in them.

use core::{
    mem::{offset_of, size_of},
    sync::atomic::{AtomicU32, AtomicU64},
};

use super::record::Record;

/// The version of the layout; changes with every change in this file.
pub const VERSION: u32 = 6;

/// The first eight bytes of the control file and of every `live/N`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"mpraw\0\0\0") | (VERSION as u64) << 48;

/// The environment variable that tells the recorder where its directory is.
pub const DIRECTORY: &str = "MILLPOND_RECORD";

/// The environment variable that tells the recorder which descriptors it inherits: those of `live/control`, of `reserve` and
/// of its own library, 0 for none; then flags, and the process that called `exec`, 0 if unknown.
pub const FILES: &str = "MILLPOND_FILES";

/// Flag in [`FILES`]: the process is in a sandbox.
pub const IN_SANDBOX: u32 = 1;

/// Flag in [`FILES`]: the clock of the processor must not be read.
pub const WITHOUT_CLOCK: u32 = 2;

/// Flag in [`FILES`]: the program was counted in [`Control::missing`].
pub const COUNTED: u32 = 4;

/// The longest path of a directory that the recorder accepts.
pub const LONGEST_DIRECTORY: usize = 400;

/// Bytes in a window, which are written out at once. A multiple of every page size in use.
pub const UNIT: usize = 64 * 1024;

/// Records that fit into one unit.
pub const RECORDS: usize = (UNIT - size_of::<Window>()) / size_of::<Record>();

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
    /// Number of programs that could not be noted in `live/execs` when they were started and do not record.
    pub missing: AtomicU32,
    /// The last process that was about to become a program and could not be noted in `live/execs`; 0: none.
    pub unwritten: AtomicU32,
    /// Ticks before that call.
    pub unwritten_ticks: AtomicU64,
    /// Nonzero if a process needs the units of `reserve` or [`clock`](Self::clock), so that `millpond` must be quick.
    pub urgent: AtomicU32,
    /// Number of units of `reserve` that were taken, which is the number of the next one.
    pub taken: AtomicU32,
    /// Number of units of `reserve` that can be used: `millpond` has reserved room for them on the disk.
    pub ready: AtomicU32,
    /// The error number because of which `millpond` cannot provide more units; 0: none.
    pub refused: AtomicU32,
    /// The process that `millpond` has started.
    pub first: AtomicU32,
    /// Ticks and the nanoseconds since 1970 when recording began.
    pub begin_ticks: AtomicU64,
    /// See [`begin_ticks`](Self::begin_ticks).
    pub begin_unix_ns: AtomicU64,
    /// Ticks a moment ago, and the nanoseconds from the beginning to then: a clock that `millpond` keeps, for processes
    /// that must not read that of the processor.
    pub clock: AtomicU64,
    /// See [`clock`](Self::clock).
    pub clock_ns: AtomicU64,
    /// The time that was given last to a process that must not read the clock.
    pub last: AtomicU64,
    /// The value of `Seccomp_filters` in `/proc/self/status` of the process that started the recording.
    pub filters: AtomicU32,
    /// Max frames of the stack of an allocation; 0: only the address of the caller.
    pub frames: AtomicU32,
    /// Nonzero if frees have stacks too.
    pub free_stacks: AtomicU32,
    /// Every stack of this number is compared with what the compiler's library finds; 0: none.
    pub check_every: AtomicU32,
    /// Nonzero if the trace has the addresses of blocks, and their usable sizes.
    pub addresses: AtomicU32,
    /// Number of stacks that were compared, and of those that differed.
    pub compared: AtomicU64,
    /// See [`compared`](Self::compared).
    pub different: AtomicU64,
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
    /// Ticks spent on finding stacks, estimated from some of them.
    pub stack_ticks: AtomicU64,
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

/// [`Header::reason`]: the process could not continue in `reserve`, and was in a sandbox, where a system call of the
/// recorder could have killed it.
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

/// Resources that a process had used at a point in time, seen from outside.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The time.
    pub ticks: u64,
    /// The number of the process image.
    pub image: u64,
    /// Resident bytes.
    pub resident: u64,
    /// Anonymous resident bytes.
    pub anonymous: u64,
    /// Number of page faults since the process started, of both kinds.
    pub page_faults: u64,
    /// Nanoseconds of CPU time since the process started.
    pub cpu_ns: u64,
}

/// The name of a thread, seen from outside.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadName {
    /// The number of the process image.
    pub image: u32,
    /// The number of the thread in the system.
    pub thread: u32,
    /// The name, padded with zeros.
    pub name: [u8; 16],
}

/// A mark that was set from outside.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OuterMark {
    /// The time.
    pub ticks: u64,
    /// The name, padded with zeros.
    pub name: [u8; 120],
}

/// A frame in a stack. Its place in the file is the number of the stack that it and its callers make.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The return address in the frame; the upper bits are [`GUESSED`] and [`INTERRUPTED`]. 0: there is no such node.
    pub address: u64,
    /// The number of the caller's stack; 0: none; [`CUT`]: not known.
    pub parent: u32,
    /// Not used.
    pub reserved: u32,
}

/// [`Node::parent`]: the callers are not known.
pub const CUT: u32 = 1;

/// [`Node::address`]: the frame, or one between it and the innermost, was found without unwinding information.
pub const GUESSED: u64 = 1 << 63;

/// [`Node::address`]: the address of the instruction before which a signal interrupted the program.
pub const INTERRUPTED: u64 = 1 << 62;

/// A record of a library that was unloaded: its addresses may have another meaning afterwards.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unloaded {
    /// Ticks afterwards.
    pub ticks: u64,
    /// The number of the copy of `/proc/self/maps` that was made before.
    pub maps: u64,
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
    /// What follows: [`RECORDS_FOLLOW`] or another constant below it; 0 in a unit that was never written.
    pub valid: AtomicU32,
    /// The number of the process image; only in `reserve`.
    pub image: AtomicU32,
}

/// [`Window::valid`]: a unit of records.
pub const RECORDS_FOLLOW: u32 = 1;

/// [`Window::valid`]: a unit of `reserve` in which the [`Header`] of a process follows that could not create a file.
pub const HEADER_FOLLOWS: u32 = 2;

/// [`Window::valid`]: a unit of nodes; the sequence number is that of the unit among those of the process.
pub const NODES_FOLLOW: u32 = 3;

/// [`Window::valid`]: memory of a process, in this unit of `reserve` and the next ones, `used` of them altogether.
pub const MEMORY_FOLLOWS: u32 = 4;

/// [`Window::valid`]: a text about a process, of `used` bytes. The number of the stream is its place in [`TEXTS`]; a long
/// text continues in the unit with the next sequence number.
pub const TEXT_FOLLOWS: u32 = 5;

/// Texts about a process image, by what the names of their files end with: copies from `/proc/self`.
pub const TEXTS: [&str; 4] = [".exe", ".cmdline", ".maps", ".maps.end"];

/// Nodes that fit into one unit.
pub const NODES: usize = (UNIT - size_of::<Window>()) / size_of::<Node>();

/// Max units of nodes of a process.
pub const NODE_UNITS: u32 = 4096;

/// Types that can be copied from the bytes of a file.
///
/// # Safety
///
/// Every sequence of bytes must be a valid value of the type. If it is `Copy`, it must have no padding.
pub unsafe trait FromBytes: Sized {
    /// Iterates over the values in a file; ignores an incomplete one at the end.
    fn all(bytes: &[u8]) -> impl Iterator<Item = Self> {
        bytes.chunks_exact(size_of::<Self>()).filter_map(Self::from_bytes)
    }

    /// Returns the bytes of the value.
    fn to_bytes(&self) -> &[u8]
    where
        Self: Copy,
    {
        // SAFETY: the value has that many bytes; the types that are copied have no padding.
        unsafe { core::slice::from_raw_parts((&raw const *self).cast(), size_of::<Self>()) }
    }

    /// Reads a value from the first bytes; returns `None` if there are too few.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let first = bytes.get(..size_of::<Self>())?;
        // SAFETY: the slice is as long as the type, of which every sequence of bytes is a valid value.
        Some(unsafe { first.as_ptr().cast::<Self>().read_unaligned() })
    }
}

// SAFETY: consists of integers.
unsafe impl FromBytes for Control {}
// SAFETY: consists of integers.
unsafe impl FromBytes for Header {}
// SAFETY: consists of integers.
unsafe impl FromBytes for Window {}
// SAFETY: consists of integers, without padding.
unsafe impl FromBytes for Exec {}
// SAFETY: consists of integers, without padding.
unsafe impl FromBytes for Node {}
// SAFETY: consists of integers, without padding.
unsafe impl FromBytes for Unloaded {}
// SAFETY: consists of integers, without padding.
unsafe impl FromBytes for Record {}
// SAFETY: consists of integers, without padding.
unsafe impl FromBytes for OuterMark {}
// SAFETY: consists of integers, without padding.
unsafe impl FromBytes for ThreadName {}
// SAFETY: consists of integers, without padding.
unsafe impl FromBytes for Sample {}

/// Offset of [`Control::stop`] in the control file.
pub const STOP_AT: u64 = offset_of!(Control, stop) as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_records_fit() {
        assert_eq!(size_of::<Window>() + RECORDS * size_of::<Record>(), UNIT);
        assert_eq!(size_of::<Window>() + NODES * size_of::<Node>(), UNIT);
        assert_eq!(size_of::<Exec>(), 512);
        assert!(size_of::<Header>() <= 4096 && size_of::<Control>() <= 4096, "one page each");
    }
}
