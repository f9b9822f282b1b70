//! What a process notes about its stacks: their nodes, the time that they take, and the mappings before and after a
//! library was unloaded.

use core::sync::atomic::{AtomicU32, Ordering::*};

use millpond_trace::raw::{LIMIT, NODES_FOLLOW, Node, UNIT, Unloaded, Window};

use super::Process;
use crate::linux::{clock, control::control, files, path::Path, reserve, sys::File};

/// Max calls of `dlclose` for which mappings are copied.
const MOST_CLOSES: u32 = 256;

/// Calls of `dlclose`.
pub(super) struct Unloads {
    /// Number of those for which mappings were copied.
    closes: AtomicU32,
    /// Number of those that unloaded a library.
    unloads: AtomicU32,
}

impl Process {
    /// Adds ticks that were spent on finding stacks.
    pub(crate) fn add_stack_ticks(&self, ticks: u64) {
        // SAFETY: the header is never unmapped, and consists of atomics; there is none before recording starts.
        if let Some(header) = unsafe { self.header.load(Relaxed).as_ref() } {
            header.stack_ticks.fetch_add(ticks, Relaxed);
        }
    }

    /// Maps a unit of nodes of stacks: in the file of nodes or, if there can be none, in the reserve.
    pub(crate) fn nodes(&self, number: u32, calls: bool) -> Result<*mut Node, u32> {
        let unit = match if self.may_use_files(calls) { self.nodes_in_file(number) } else { Err(0) } {
            Err(LIMIT) => return Err(LIMIT),
            unit => unit.or_else(|reason| self.window_in_reserve(reason, calls))?,
        };
        // SAFETY: the unit is mapped, and nothing else is done with it than here, by other threads too.
        unsafe {
            (*unit).sequence.store(number, Relaxed);
            (*unit).valid.store(NODES_FOLLOW, Release);
            Ok(unit.add(1).cast())
        }
    }

    /// Returns memory that only this process image uses, all zeros, without a system call.
    pub(crate) fn memory_in_reserve(&self, bytes: usize, calls: bool) -> Result<*mut u8, u32> {
        reserve::memory(self.number.load(Relaxed), bytes, calls)
    }

    fn nodes_in_file(&self, number: u32) -> Result<*mut Window, u32> {
        let (control, unit) = (control(), UNIT as u64);
        if control.written.fetch_add(unit, Relaxed) + unit > control.limit.load(Relaxed) {
            return Err(LIMIT);
        }
        self.map_nodes(number).inspect_err(|_| {
            control.written.fetch_sub(unit, Relaxed);
        })
    }

    fn map_nodes(&self, number: u32) -> Result<*mut Window, u32> {
        let path = Path::live(self.number.load(Relaxed), b".nodes");
        let file = File::open(&path, libc::O_RDWR | libc::O_CREAT)?;
        let offset = u64::from(number) * UNIT as u64;
        file.reserve(UNIT, offset)?;
        file.map(UNIT, offset, false).map(<*mut u8>::cast)
    }

    /// Copies the list of mappings before a call of `dlclose`; returns the number of the copy, unless there are many.
    pub(crate) fn before_unload(&self, calls: bool) -> Option<u32> {
        let number = self.unloads.closes.load(Relaxed);
        if !calls || number >= MOST_CLOSES {
            return None;
        }
        let number = 2 * self.unloads.closes.fetch_add(1, Relaxed);
        files::copy(c"/proc/self/maps", &Path::maps(self.number.load(Relaxed), number));
        Some(number)
    }

    /// Copies it again after a call that has unloaded a library, and notes that.
    pub(crate) fn after_unload(&self, maps: u32, calls: bool) {
        if !calls {
            return;
        }
        let image = self.number.load(Relaxed);
        files::copy(c"/proc/self/maps", &Path::maps(image, maps + 1));
        let unloaded = Unloaded { ticks: clock::now(), maps: maps.into() };
        let offset = u64::from(self.unloads.unloads.fetch_add(1, Relaxed)) * size_of::<Unloaded>() as u64;
        if let Ok(file) = File::open(&Path::live(image, b".unloads"), libc::O_WRONLY | libc::O_CREAT) {
            // SAFETY: the record has that many bytes. Without it, addresses in the library have no names.
            let _ = unsafe { file.write((&raw const unloaded).cast(), size_of::<Unloaded>(), offset) };
        }
    }
}
