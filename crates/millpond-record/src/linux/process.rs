//! What a process owns in a recording: its files, streams and numbers. In a child of `fork`, the kernel zeroes this
//! memory, and the child begins anew; a child of `vfork`, which shares its parent's memory, continues as its parent.

use core::{
    cell::UnsafeCell,
    ptr::null_mut,
    sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::*},
};

use millpond_trace::raw::{
    Call, Control, FIRST, Header, Kind, LIMIT, MAGIC, OVER, SANDBOX, StreamWriter, UNIT,
};

use super::{
    clock::ticks,
    files,
    path::Path,
    real,
    sys::{self, File},
    thread::Thread,
};

/// The part of a recording that belongs to one process; all zeros at first and after a `fork`.
#[repr(C)]
pub(crate) struct Process {
    state: AtomicU32,
    /// The number of this process image.
    number: AtomicU32,
    header: AtomicPtr<Header>,
    /// The stream created last.
    streams: AtomicPtr<StreamWriter>,
    lane_count: AtomicU32,
    thread_count: AtomicU32,
    /// Number of units written out.
    unit_count: AtomicU64,
}

/// Values of [`Process::state`]: not initialised; being initialised; recording; recording has stopped.
const NEW: u32 = 0;
const STARTING: u32 = 1;
const RUNNING: u32 = 2;
const STOPPED: u32 = 3;

/// Like all statics, kept by `fork`.
static CONTROL: AtomicPtr<Control> = AtomicPtr::new(null_mut());
/// The number of the first process with this program, plus one.
static IMAGE: AtomicU32 = AtomicU32::new(0);

/// The initial contents of windows. In a cell, so that it takes no space in the library's file; never changed.
struct Zeros(UnsafeCell<[u8; UNIT]>);

// SAFETY: only read.
unsafe impl Sync for Zeros {}

static ZEROS: Zeros = Zeros(UnsafeCell::new([0; UNIT]));

/// Bytes of a header in its file.
const PAGE: usize = 4096;

/// Returns the page that all processes of the recording share. There must be a recording.
pub(crate) fn control() -> &'static Control {
    // SAFETY: the pointer is set before there is a `Process`; the page is never unmapped, is inherited by children, and
    // consists of atomics.
    unsafe { &*CONTROL.load(Relaxed) }
}

/// Joins this recording: everything is recorded as part of it from now on.
pub(crate) fn join(control: &'static Control) {
    CONTROL.store((&raw const *control).cast_mut(), Relaxed);
}

impl Process {
    /// Returns whether recording has stopped permanently.
    pub(crate) fn has_stopped(&self) -> bool {
        self.state.load(Relaxed) == STOPPED
    }

    /// Returns whether the process is being recorded. The first call starts recording.
    pub(crate) fn is_running(&self) -> bool {
        loop {
            match self.state.load(Acquire) {
                RUNNING => return true,
                STOPPED => return false,
                STARTING => sys::wait_a_little(),
                _ if self.state.compare_exchange(NEW, STARTING, Acquire, Relaxed).is_ok() => {
                    let state = if self.start().is_ok() { RUNNING } else { STOPPED };
                    self.state.store(state, Release);
                }
                _ => {}
            }
        }
    }

    /// Notes that the process ends normally. Makes system calls only if `calls` is true.
    pub(crate) fn end(&self, calls: bool) {
        if self.state.load(Acquire) == RUNNING {
            let header = self.header();
            if calls {
                files::copy(c"/proc/self/maps", &Path::live(self.number.load(Relaxed), b".maps.end"));
                sample(header);
            }
            header.ended.store(ticks(), Release);
        }
    }

    /// Stops recording in a sandbox, without a system call.
    pub(crate) fn bar(&self) {
        match self.state.load(Acquire) {
            RUNNING => self.stop(SANDBOX),
            // A child of `fork`, which has no files yet and cannot create any.
            NEW if self.state.compare_exchange(NEW, STOPPED, AcqRel, Relaxed).is_ok() => {
                control().sandboxed.fetch_add(1, Relaxed);
            }
            _ => {}
        }
    }

    fn start(&self) -> Result<(), u32> {
        let begin = sys::thread_time();
        let number = control().processes.fetch_add(1, Relaxed);
        let file = File::open(&Path::live(number, b""), libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)?;
        // SAFETY: `ZEROS` is longer than that.
        unsafe { file.write(ZEROS.0.get().cast(), PAGE, 0)? };
        let header = file.map(PAGE, 0, false)?.cast::<Header>();
        drop(file);
        self.number.store(number, Relaxed);
        self.header.store(header, Relaxed);
        let header = self.header();
        let (process, parent) = sys::process_numbers();
        header.process.store(process, Relaxed);
        header.parent.store(parent, Relaxed);
        header.started.store(ticks(), Relaxed);
        sample(header);
        header.cpu_first.store(header.cpu_last.load(Relaxed), Relaxed);
        header.system_first.store(header.system_last.load(Relaxed), Relaxed);
        header.faults_first.store(header.faults_last.load(Relaxed), Relaxed);
        header.anonymous_first.store(header.anonymous_most.load(Relaxed), Relaxed);
        if IMAGE.load(Relaxed) == 0 {
            IMAGE.store(number + 1, Relaxed);
            files::copy_link(c"/proc/self/exe", &Path::live(number, b".exe"));
            files::copy(c"/proc/self/cmdline", &Path::live(number, b".cmdline"));
            files::copy(c"/proc/self/maps", &Path::live(number, b".maps"));
            header.ticks_per_1024.store(try_out(), Relaxed);
            header.malloc.store(real::MALLOC.get().map_or(0, |malloc| malloc as usize as u64), Relaxed);
        }
        header.image.store(IMAGE.load(Relaxed) - 1, Relaxed);
        header.spent.store(sys::thread_time().wrapping_sub(begin), Relaxed);
        header.magic.store(MAGIC, Release);
        Ok(())
    }

    fn header(&self) -> &'static Header {
        // SAFETY: the pointer is set when recording starts in the process; the header is never unmapped and consists of
        // atomics.
        unsafe { &*self.header.load(Relaxed) }
    }

    /// Stops recording permanently, for this reason.
    fn stop(&self, reason: u32) {
        let header = self.header();
        if header.stopped.compare_exchange(0, ticks(), AcqRel, Relaxed).is_ok() {
            header.reason.store(reason, Relaxed);
        }
        self.state.store(STOPPED, Release);
    }

    /// Returns a stream with room for any event for this thread: its current one, or another. If there is none,
    /// recording stops.
    ///
    /// # Safety
    ///
    /// `thread` must be the calling thread, with its signals blocked.
    pub(crate) unsafe fn stream_for(&self, thread: *mut Thread) -> Option<*mut StreamWriter> {
        let begin = sys::thread_time();
        // SAFETY: the caller guarantees that the thread is the calling one, and that the stream belongs to it.
        let stream = unsafe { self.find_stream(thread) };
        self.header().spent.fetch_add(sys::thread_time().wrapping_sub(begin), Relaxed);
        stream.map_err(|reason| self.stop(reason)).ok()
    }

    /// # Safety
    ///
    /// As for [`Self::stream_for`].
    unsafe fn find_stream(&self, thread: *mut Thread) -> Result<*mut StreamWriter, u32> {
        // SAFETY: only its thread uses a stream, and it is never unmapped.
        unsafe {
            let mut stream = (*thread).stream;
            if !stream.is_null() && !(*stream).is_lost() {
                self.make_room(stream)?;
                return Ok(stream);
            }
            stream = self.take_stream()?;
            self.make_room(stream)?;
            (*stream).hand_to(self.number_of(thread), ticks());
            (*thread).stream = stream;
            Ok(stream)
        }
    }

    /// Returns the thread's number in this process.
    ///
    /// # Safety
    ///
    /// `thread` must be the calling thread.
    unsafe fn number_of(&self, thread: *mut Thread) -> u32 {
        let process = self.number.load(Relaxed) + 1;
        // SAFETY: the caller guarantees that the thread is the calling one, and that the stream belongs to it.
        unsafe {
            if (*thread).process != process {
                (*thread).process = process;
                (*thread).number = self.thread_count.fetch_add(1, Relaxed);
            }
            (*thread).number
        }
    }

    /// Takes a stream that no thread uses, or creates one.
    fn take_stream(&self) -> Result<*mut StreamWriter, u32> {
        let mut stream = self.streams.load(Acquire);
        // SAFETY: streams are never unmapped; the fields used here are atomic.
        while let Some(free) = unsafe { stream.as_ref() } {
            if free.taken.load(Relaxed) == 0 && free.taken.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
                return Ok(stream);
            }
            stream = free.next.load(Relaxed);
        }
        self.new_stream()
    }

    fn new_stream(&self) -> Result<*mut StreamWriter, u32> {
        let number = self.lane_count.fetch_add(1, Relaxed);
        let offset = (UNIT * (number as usize + 1)) as u64;
        let file = File::open(&self.live(), libc::O_RDWR)?;
        // SAFETY: `ZEROS` is longer than that.
        unsafe { file.write(ZEROS.0.get().cast(), FIRST, offset)? };
        let window = file.map(UNIT, offset, false)?;
        let stream = sys::forgetful::<StreamWriter>()?;
        // SAFETY: a new stream is all zeros; until it is in the list, only this thread uses it.
        unsafe {
            (*stream).number = number;
            (*stream).taken.store(1, Relaxed);
            (*stream).set_window(window.cast());
            let mut next = self.streams.load(Relaxed);
            loop {
                (*stream).next.store(next, Relaxed);
                match self.streams.compare_exchange_weak(next, stream, Release, Relaxed) {
                    Ok(_) => return Ok(stream),
                    Err(now) => next = now,
                }
            }
        }
    }

    /// Makes room in a stream for any event.
    ///
    /// # Safety
    ///
    /// The stream must belong to the calling thread.
    unsafe fn make_room(&self, stream: *mut StreamWriter) -> Result<(), u32> {
        // SAFETY: the caller guarantees that the thread is the calling one, and that the stream belongs to it.
        let stream = unsafe { &mut *stream };
        if stream.has_room() {
            return Ok(());
        }
        sample(self.header());
        if stream.is_grown() { self.write_out(stream) } else { self.grow(stream) }
    }

    /// Grows the stream's window to four times its memory.
    fn grow(&self, stream: &mut StreamWriter) -> Result<(), u32> {
        let (before, offset) = (stream.memory(), UNIT * (stream.number as usize + 1));
        let after = (before * 4).min(UNIT);
        let file = File::open(&self.live(), libc::O_RDWR)?;
        // SAFETY: `ZEROS` has the length of a unit.
        unsafe { file.write(ZEROS.0.get().cast(), after - before, (offset + before) as u64)? };
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

    /// Returns the path of the file of windows.
    fn live(&self) -> Path {
        Path::live(self.number.load(Relaxed), b"")
    }
}

/// Updates the resources used by the process.
fn sample(header: &Header) {
    let used = sys::used();
    header.cpu_last.store(sys::process_time(), Relaxed);
    header.system_last.store(used.system_ns, Relaxed);
    header.faults_last.store(used.page_faults, Relaxed);
    header.anonymous_most.fetch_max(files::anonymous_memory(), Relaxed);
}

/// Measures the ticks for logging 1,024 consecutive events, in separate memory; returns 0 if there is none.
fn try_out() -> u32 {
    let (Ok(stream), Ok(window)) = (sys::forgetful::<StreamWriter>(), sys::forgetful::<[u8; FIRST]>()) else {
        return 0;
    };
    let mut best = u64::MAX;
    // SAFETY: both are new, all zeros, and not used afterwards.
    unsafe {
        (*stream).set_window(window.cast());
        for _ in 0..8 {
            (*stream).log_any(&Call { kind: Kind::Free, address: 0, size: 0, align: 0, caller: 1 }, ticks());
            let begin = ticks();
            for address in 0..128 {
                core::hint::black_box((*stream).log(Kind::Free, address, 0, 1, ticks));
            }
            best = best.min(ticks().wrapping_sub(begin));
            (*stream).start_anew();
        }
        sys::give_back(window);
        sys::give_back(stream);
    }
    (best * 8).min(u32::MAX as u64) as u32
}
