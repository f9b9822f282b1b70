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
//! | `reserve` | units for processes that cannot make system calls or files any more: see below |
//! | `live/N.maps.seen` | the last copy of `/proc/PID/maps` that `millpond` made |
//! | `samples`, `threads` | [`Sample`], [`ThreadName`]: what `millpond` sees of the processes from outside |
//! | `marks` | [`OuterMark`]: marks that were set from outside |
//! | `live/execs` | [`Exec`]: programs that a process was about to become or to start |
//! | `live/N.nodes` | units of [`Node`]s: the frames of all stacks in events of process image N |
//! | `live/N.unloads`, `live/N.maps.0`, … | [`Unloaded`], and copies of `/proc/self/maps` that were made before |
//! | `live/N.exe`, `live/N.cmdline`, `live/N.maps`, `live/N.maps.end` | copies from `/proc/self` |
//!
//! A *stream* is a sequence of records that one thread at a time writes; when that thread ends, another takes it over.
//! Its window is mapped from a file, so that nothing is lost if the program is killed. A full window is written out as
//! one unit, and is then reused with the next sequence number. If a reader finds the same sequence number twice in a
//! stream, it uses the unit with more records: writing was interrupted.
//!
//! Every process maps the file `reserve`, of which `millpond` keeps some units ahead of use allocated on the disk. A process
//! that has entered a sandbox, has given up its rights, has changed its root directory or has reached a limit takes units
//! from there, one after the other, and needs no system call for that. A child of `fork` in a sandbox has its [`Header`] in
//! such a unit too, and nodes and tables for stacks are there as well.
//!
//! [`StreamWriter`] writes streams without allocating, [`Units`] and [`StreamReader`] read them, and [`Tail`] reads them
//! while they are written.

#[cfg(all(feature = "file", unix))]
mod decoder;
mod layout;
#[cfg(all(feature = "file", unix))]
mod reader;
mod record;
#[cfg(all(feature = "file", unix))]
mod tail;
#[cfg(test)]
#[cfg(all(feature = "file", unix))]
mod tests;
#[cfg(all(feature = "file", unix))]
mod units;
mod writer;

#[cfg(all(feature = "file", unix))]
pub use self::{
    decoder::{Decoder, Event, Note},
    reader::{StreamReader, Unit},
    tail::Tail,
    units::{NodeUnits, Reserve, Units},
};
pub use self::{
    layout::{
        COUNTED, CUT, Control, DIRECTORY, Exec, FILES, FromBytes, GUESSED, HEADER_FOLLOWS, Header,
        IN_SANDBOX, INTERRUPTED, LIMIT, LONGEST_DIRECTORY, LOST_CHILD, MAGIC, MEMORY_FOLLOWS, NODE_UNITS,
        NODES, NODES_FOLLOW, Node, OVER, OuterMark, RECORDS, RECORDS_FOLLOW, SANDBOX, SOME_CHILD, STOP_AT,
        Sample, TEXT_FOLLOWS, TEXTS, ThreadName, UNIT, Unloaded, VERSION, WITHOUT_CLOCK, Window,
    },
    record::{
        ALIGNED, CALLERS, Decoded, Kind, NEW, NEW_ARRAY, NOTE, NOTHROW, NoteKind, Record, SIZED,
        caller_index, caller_of_stack, stack_of_caller, with_call, without_call,
    },
    writer::{FIRST, LoggedCall, StreamWriter},
};
