//! The streams of a process: who writes them, and where their windows are.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicU32, Ordering::*, fence},
};

use millpond_trace::raw::{FIRST, LIMIT, NoteKind, OVER, StreamWriter, UNIT, Window};

use super::{Process, sample};
#[cfg(target_arch = "x86_64")]
use crate::linux::stacks;
use crate::linux::{
    clock,
    control::control,
    path::Path,
    reserve,
    sys::{self, File, Quiet},
    thread::Thread,
};

/// Number of streams that can be created without memory from the system.
const SPARES: u32 = 32;

/// Memory for streams; all zeros in a child of `fork`.
pub(super) struct Spares(UnsafeCell<[StreamWriter; SPARES as usize]>);

// SAFETY: each stream is handed out once.
unsafe impl Sync for Spares {}

/// Number of spares that were handed out, in this process and those that it was forked from: the thread that called
/// `fork` still has the address of its parent's stream.
static USED_SPARES: AtomicU32 = AtomicU32::new(0);

impl Process {
    /// Returns a stream with room for any event for this thread: its current one, or another. If there is none,
    /// recording stops.
    ///
    /// # Safety
    ///
    /// `thread` must be the calling thread, and must not use its stream meanwhile.
    pub(crate) unsafe fn stream_for(&self, thread: *mut Thread, quiet: &Quiet) -> Option<*mut StreamWriter> {
        let calls = quiet.may_call();
        let begin = if calls { sys::thread_time() } else { 0 };
        // SAFETY: the caller guarantees that the thread is the calling one, and that the stream belongs to it.
        let stream = unsafe { self.find_stream(thread, calls) };
        if calls {
            self.header().spent.fetch_add(sys::thread_time().wrapping_sub(begin), Relaxed);
        }
        stream.map_err(|reason| self.stop(reason)).ok()
    }

    /// # Safety
    ///
    /// As for [`Self::stream_for`].
    unsafe fn find_stream(&self, thread: *mut Thread, calls: bool) -> Result<*mut StreamWriter, u32> {
        // SAFETY: only its thread uses a stream, and it is never unmapped.
        unsafe {
            let mut stream = (*thread).stream;
            let has_stream = !stream.is_null() && !(*stream).is_lost();
            if !has_stream {
                stream = self.take_stream(calls)?;
                self.make_room(stream, calls)?;
                let is_new = self.give_number(thread);
                (*stream).hand_to((*thread).number, clock::now());
                if is_new {
                    self.make_room(stream, calls)?;
                    let (number, name) = if calls { sys::thread() } else { (0, [0; 16]) };
                    (*stream).note(NoteKind::ThreadStart, number, text(&name), clock::now());
                }
            }
            self.make_room(stream, calls)?;
            (*thread).stream = stream;
            #[cfg(target_arch = "x86_64")]
            if !has_stream || (*thread).walker.is_null() {
                (*thread).walker = stacks::walker_of(&*stream, calls);
            }
            Ok(stream)
        }
    }

    /// Gives the thread a number in this process; returns whether it had none.
    ///
    /// # Safety
    ///
    /// `thread` must be the calling thread.
    unsafe fn give_number(&self, thread: *mut Thread) -> bool {
        let process = self.number.load(Relaxed) + 1;
        // SAFETY: the caller guarantees that the thread is the calling one.
        unsafe {
            let is_new = (*thread).process != process;
            if is_new {
                (*thread).process = process;
                (*thread).number = self.thread_count.fetch_add(1, Relaxed);
            }
            is_new
        }
    }

    /// Takes a stream that no thread uses, or creates one.
    fn take_stream(&self, calls: bool) -> Result<*mut StreamWriter, u32> {
        let mut stream = self.streams.load(Acquire);
        // SAFETY: streams are never unmapped; the fields used here are atomic.
        while let Some(free) = unsafe { stream.as_ref() } {
            if free.taken.load(Relaxed) == 0 && free.taken.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
                return Ok(stream);
            }
            stream = free.next.load(Relaxed);
        }
        self.new_stream(calls)
    }

    fn new_stream(&self, calls: bool) -> Result<*mut StreamWriter, u32> {
        let number = self.stream_count.fetch_add(1, Relaxed);
        let live = if self.may_use_files(calls) { self.window_in_file(number) } else { Err(0) };
        let (window, memory) = match live {
            Ok(window) => (window, FIRST),
            Err(error) => (self.window_in_reserve(error, calls)?, UNIT),
        };
        let stream = self.memory_for_stream(calls)?;
        // SAFETY: a new stream is all zeros; until it is in the list, only this thread uses it.
        unsafe {
            (*stream).number = number;
            (*stream).taken.store(1, Relaxed);
            (*stream).set_window(window, memory);
            let mut next = self.streams.load(Relaxed);
            loop {
                (*stream).next.store(next, Relaxed);
                match self.streams.compare_exchange_weak(next, stream, Release, Relaxed) {
                    Ok(_) => break,
                    Err(now) => next = now,
                }
            }
            // Either this thread sees that the clock is forbidden, or `decline` sees the stream.
            fence(SeqCst);
            if clock::is_forbidden() || control().addresses.load(Relaxed) != 0 {
                (*stream).decline();
            }
        }
        Ok(stream)
    }

    /// Returns memory for a stream, all zeros.
    fn memory_for_stream(&self, calls: bool) -> Result<*mut StreamWriter, u32> {
        let mapped = if calls { sys::forgetful() } else { Err(libc::ENOMEM as u32) };
        mapped.or_else(|error| {
            let spare = USED_SPARES.fetch_add(1, Relaxed);
            if spare >= SPARES {
                USED_SPARES.store(SPARES, Relaxed);
                return Err(error);
            }
            // SAFETY: the index is below the length of the array.
            Ok(unsafe { self.spares.0.get().cast::<StreamWriter>().add(spare as usize) })
        })
    }

    /// Creates the window of a new stream in the file of windows.
    fn window_in_file(&self, stream: u32) -> Result<*mut Window, u32> {
        let offset = (UNIT * (stream as usize + 1)) as u64;
        let file = File::open(&self.live(), libc::O_RDWR)?;
        file.write_zeros(FIRST, offset)?;
        file.map(UNIT, offset, false).map(<*mut u8>::cast)
    }

    /// Takes a window from the reserve, because files cannot be used: for this reason, if it is just found out.
    pub(super) fn window_in_reserve(&self, reason: u32, calls: bool) -> Result<*mut Window, u32> {
        self.confined.store(1, Relaxed);
        reserve::take(self.number.load(Relaxed), calls).map_err(|error| match (error, reason) {
            (LIMIT | OVER, _) | (_, 0) => error,
            _ => reason,
        })
    }

    /// Returns whether the process can still use files, as far as is known.
    pub(super) fn may_use_files(&self, calls: bool) -> bool {
        calls && self.confined.load(Relaxed) == 0
    }

    /// Makes room in a stream for any event.
    ///
    /// # Safety
    ///
    /// The stream must belong to the calling thread.
    unsafe fn make_room(&self, stream: *mut StreamWriter, calls: bool) -> Result<(), u32> {
        // SAFETY: the caller guarantees that the thread is the calling one, and that the stream belongs to it.
        let stream = unsafe { &mut *stream };
        if stream.has_room() {
            return Ok(());
        }
        let mut reason = 0;
        if self.may_use_files(calls) {
            sample(self.header());
            let room = if stream.is_grown() { self.write_out(stream) } else { self.grow(stream) };
            match room {
                Ok(()) => {
                    #[cfg(target_arch = "x86_64")]
                    if !self.has_stopped() {
                        stacks::resume();
                    }
                    return Ok(());
                }
                Err(LIMIT | OVER) => return room,
                Err(error) => reason = error,
            }
        }
        let window = self.window_in_reserve(reason, calls)?;
        // SAFETY: the unit is never unmapped, and belongs to this stream alone.
        unsafe { stream.continue_in(window) };
        Ok(())
    }

    /// Grows the stream's window to four times its memory.
    fn grow(&self, stream: &mut StreamWriter) -> Result<(), u32> {
        let (before, offset) = (stream.memory(), UNIT * (stream.number as usize + 1));
        let after = (before * 4).min(UNIT);
        let file = File::open(&self.live(), libc::O_RDWR)?;
        file.write_zeros(after - before, (offset + before) as u64)?;
        stream.set_memory(after);
        Ok(())
    }

    /// Writes out the stream's window, and empties it.
    fn write_out(&self, stream: &mut StreamWriter) -> Result<(), u32> {
        let (control, unit) = (control(), UNIT as u64);
        if control.stop.load(Relaxed) != 0 {
            return Err(OVER);
        }
        if control.written.fetch_add(unit, Relaxed) + unit > control.limit.load(Relaxed) {
            return Err(LIMIT);
        }
        let offset = self.unit_count.fetch_add(1, Relaxed) * unit;
        let path = Path::units(self.number.load(Relaxed));
        let file = File::open(&path, libc::O_WRONLY | libc::O_CREAT)?;
        let (from, length) = stream.contents();
        // SAFETY: the used part of the window has that many bytes.
        unsafe { file.write(from, length, offset)? };
        stream.start_anew();
        Ok(())
    }

    /// Makes all threads log slowly, by a clock that can be read.
    pub(crate) fn decline(&self) {
        fence(SeqCst);
        let mut stream = self.streams.load(Acquire);
        // SAFETY: streams are never unmapped; the fields used here are atomic.
        while let Some(one) = unsafe { stream.as_ref() } {
            one.decline();
            stream = one.next.load(Relaxed);
        }
    }

    /// Returns the path of the file of windows.
    fn live(&self) -> Path {
        Path::live(self.number.load(Relaxed), b"")
    }
}

/// Returns a name without the zeros after it.
pub(crate) fn text(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == 0).next().unwrap_or_default()
}
