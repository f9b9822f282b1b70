//! Information about the recorded process: [`Start`] at the beginning of a trace file, [`Summary`] at its end.

use crate::file::{
    bytes::{Bytes, put, put_text},
    resources::Resources,
    tables::Module,
};

/// Information that is known when a recording starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Path of the executable.
    pub program: String,
    /// The command-line arguments, beginning with the program's name.
    pub arguments: Vec<String>,
    /// Process identifier.
    pub process: u32,
    /// Process identifier of the parent.
    pub parent: u32,
    /// Time at which recording began, in nanoseconds since 1970.
    pub unix_ns: u64,
}

/// How a recording ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// The process ended normally.
    #[default]
    Exited,
    /// The process was killed, called `_exit` or became another program. Everything up to that point is in the trace.
    Cut,
    /// The size limit was reached or the disk was full; later events are missing.
    Full,
    /// Recording stopped before the process did, for the reason in [`Summary::stopped`]; later events are missing.
    Stopped,
}

impl Ending {
    /// Returns whether the trace contains everything until the end of the process.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Exited | Self::Cut)
    }
}

/// Parts of the summary that a [`Writer`](crate::Writer) cannot count by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// See [`Summary::wall_ns`].
    pub wall_ns: u64,
    /// See [`Summary::cpu_ns`].
    pub cpu_ns: u64,
    /// See [`Summary::unknown_frees`].
    pub unknown_frees: u64,
    /// See [`Summary::overlaps`].
    pub overlaps: u64,
    /// See [`Summary::failed`].
    pub failed: u64,
    /// See [`Summary::ending`].
    pub ending: Ending,
    /// See [`Summary::stopped`].
    pub stopped: String,
    /// See [`Summary::allocator`].
    pub allocator: String,
    /// See [`Summary::served_by`].
    pub served_by: String,
    /// See [`Summary::resources`].
    pub resources: Resources,
}

/// Information that is known when a recording has ended.
///
/// Invariants, checked when a trace is opened: `events = allocations + frees`, `resizes ≤ allocations`,
/// `live_at_end = allocations − resizes − frees`, `peak_blocks ≤ slots ≤ allocations − resizes`,
/// `threads ≤ events`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of events in the trace.
    pub events: u64,
    /// Number of allocating calls, as valgrind counts them: [`Op::Allocate`](crate::Op::Allocate) and
    /// [`Op::Resize`](crate::Op::Resize).
    pub allocations: u64,
    /// Number of blocks freed.
    pub frees: u64,
    /// Number of resizes among the allocations.
    pub resizes: u64,
    /// Total bytes requested, as valgrind counts them: a resize adds its new size. Saturates at `u64::MAX`.
    pub requested: u64,
    /// Max requested bytes live at the same time.
    pub peak_bytes: u64,
    /// Number of blocks live when [`peak_bytes`](Self::peak_bytes) was first reached.
    pub peak_blocks: u64,
    /// Max blocks live at the same time; all slots are below it.
    pub slots: u32,
    /// Number of threads; all thread numbers are below it.
    pub threads: u32,
    /// Number of blocks never freed.
    pub live_at_end: u64,
    /// Nanoseconds for which the process was recorded.
    pub wall_ns: u64,
    /// Nanoseconds of CPU time (user and system) of the process while it was recorded; 0 if unknown.
    pub cpu_ns: u64,
    /// Number of frees and reallocs of unknown addresses. They are not among the events.
    pub unknown_frees: u64,
    /// Number of allocations at an address that seemed to be live.
    pub overlaps: u64,
    /// Number of calls that returned NULL. They are not among the events.
    pub failed: u64,
    /// How the recording ended.
    pub ending: Ending,
    /// Number of stacks in [`Stacks`](crate::Stacks), including the empty one; 0 in traces of version 1.
    pub stacks: u32,
    /// Number of sections with rows of tables; 0 in traces of version 1.
    pub tables: u32,
    /// The reason why recording stopped before the process did, as a clause; empty if it did not.
    pub stopped: String,
    /// An allocator in the program other than that of the C library: its name or file, and where it is; empty if there
    /// is none. Some of its blocks may be missing in the trace. Always empty in traces of version 1.
    pub allocator: String,
    /// The allocator that served the recorded calls: its name or file; empty if unknown.
    pub served_by: String,
    /// Resources that the process used.
    pub resources: Resources,
}

impl Start {
    /// Appends the bytes of the start section.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_text(out, &self.program);
        put(out, self.arguments.len() as u64);
        for argument in &self.arguments {
            put_text(out, argument);
        }
        for number in [u64::from(self.process), u64::from(self.parent), self.unix_ns] {
            put(out, number);
        }
    }

    /// Reads what [`put`](Self::put) has written; returns `None` for anything else.
    pub(crate) fn take(mut bytes: Bytes<'_>) -> Option<Self> {
        let program = bytes.text()?.to_owned();
        let count = bytes.number()?;
        let arguments = (0..count).map(|_| bytes.text().map(str::to_owned)).collect::<Option<_>>()?;
        let (process, parent, unix_ns) = (bytes.small()?, bytes.small()?, bytes.number()?);
        bytes.is_empty().then_some(Self { program, arguments, process, parent, unix_ns })
    }
}

impl Summary {
    /// Appends the bytes of the summary section.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let ending = match self.ending {
            Ending::Exited => 0,
            Ending::Cut => 1,
            Ending::Full => 2,
            Ending::Stopped => 3,
        };
        for number in [
            self.events,
            self.allocations,
            self.frees,
            self.resizes,
            self.requested,
            self.peak_bytes,
            self.peak_blocks,
            u64::from(self.slots),
            u64::from(self.threads),
            self.live_at_end,
            self.wall_ns,
            self.cpu_ns,
            self.unknown_frees,
            self.overlaps,
            self.failed,
            ending,
            u64::from(self.stacks),
            u64::from(self.tables),
        ] {
            put(out, number);
        }
        put_text(out, &self.stopped);
        put_text(out, &self.allocator);
        put_text(out, &self.served_by);
        self.resources.put(out);
    }

    /// Reads what [`put`](Self::put) has written, or the layout of version 1, which has the modules here; returns `None`
    /// for anything else.
    pub(crate) fn take(mut bytes: Bytes<'_>, version: u32) -> Option<(Self, Vec<Module>)> {
        let mut summary = Self {
            events: bytes.number()?,
            allocations: bytes.number()?,
            frees: bytes.number()?,
            resizes: bytes.number()?,
            requested: bytes.number()?,
            peak_bytes: bytes.number()?,
            peak_blocks: bytes.number()?,
            slots: bytes.small()?,
            threads: bytes.small()?,
            live_at_end: bytes.number()?,
            wall_ns: bytes.number()?,
            cpu_ns: bytes.number()?,
            unknown_frees: bytes.number()?,
            overlaps: bytes.number()?,
            failed: bytes.number()?,
            ending: match bytes.number()? {
                0 => Ending::Exited,
                1 => Ending::Cut,
                2 => Ending::Full,
                3 if version > 1 => Ending::Stopped,
                _ => return None,
            },
            ..Self::default()
        };
        let mut modules = Vec::new();
        if version == 1 {
            for _ in 0..bytes.number()? {
                modules.push(Module::take_v1(&mut bytes)?);
            }
        } else {
            summary.stacks = bytes.small()?;
            summary.tables = bytes.small()?;
            for text in [&mut summary.stopped, &mut summary.allocator, &mut summary.served_by] {
                *text = bytes.text()?.to_owned();
            }
            summary.resources = Resources::take(&mut bytes)?;
        }
        (bytes.is_empty() && summary.agrees()).then_some((summary, modules))
    }

    /// Returns whether the invariants hold.
    fn agrees(&self) -> bool {
        let Some(blocks) = self.allocations.checked_sub(self.resizes) else { return false };
        self.allocations.checked_add(self.frees) == Some(self.events)
            && blocks.checked_sub(self.frees) == Some(self.live_at_end)
            && self.peak_blocks <= u64::from(self.slots)
            && u64::from(self.slots) <= blocks
            && u64::from(self.threads) <= self.events
    }
}
