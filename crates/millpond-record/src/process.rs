//! What a process owns in a recording: its files, its lanes, its numbers. A child of `fork` finds all of it forgotten,
//! because the kernel wipes the memory it is in, and begins anew; a child of `vfork`, which shares its parent's memory,
//! goes on as its parent.

use core::{
    cell::UnsafeCell,
    ptr::null_mut,
    sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::*},
};

use millpond_trace::raw::{Control, Header, Kind, LIMIT, MAGIC, OVER, SANDBOX, UNIT};

use crate::{
    clock::ticks,
    files,
    path::Path,
    real,
    stream::{FIRST, Stream},
    sys::{self, File},
    thread::Thread,
};

/// One process's part of the recording; all zero at first and after a `fork`.
#[repr(C)]
pub(crate) struct Process {
    state: AtomicU32,
    /// The number of this process image.
    number: AtomicU32,
    header: AtomicPtr<Header>,
    /// The lane made last.
    streams: AtomicPtr<Stream>,
    lane_count: AtomicU32,
    thread_count: AtomicU32,
    /// Units written out.
    unit_count: AtomicU64,
}

/// [`Process::state`]: nothing is there yet; it is being made; it is there; recording has stopped.
const NEW: u32 = 0;
const STARTING: u32 = 1;
const RUNNING: u32 = 2;
const STOPPED: u32 = 3;

/// Like all statics, kept by `fork`.
static CONTROL: AtomicPtr<Control> = AtomicPtr::new(null_mut());
/// The number of the first process with this program, plus one.
static IMAGE: AtomicU32 = AtomicU32::new(0);

/// What windows begin with. In a cell, so that it takes no space in the library's file; never changed.
struct Zeros(UnsafeCell<[u8; UNIT]>);

// SAFETY: only read.
unsafe impl Sync for Zeros {}

static ZEROS: Zeros = Zeros(UnsafeCell::new([0; UNIT]));

/// Bytes of a header in its file.
const PAGE: usize = 4096;

/// The page that all processes of the recording share. Only when there is a recording.
pub(crate) fn control() -> &'static Control {
    // SAFETY: set before there is a process to ask for it, never unmapped, inherited by children, and all atomic.
    unsafe { &*CONTROL.load(Relaxed) }
}

/// Whatever is recorded from here on is part of this recording.
pub(crate) fn join(control: &'static Control) {
    CONTROL.store((&raw const *control).cast_mut(), Relaxed);
}

impl Process {
    /// Whether recording has stopped for good.
    pub(crate) fn has_stopped(&self) -> bool {
        self.state.load(Relaxed) == STOPPED
    }

    /// Whether the process is being recorded. The first to ask makes all that is needed.
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

    /// Notes that the process ends in an orderly way; what takes system calls only if they can be made.
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

    /// Stops recording, without a system call, in a sandbox.
    pub(crate) fn bar(&self) {
        match self.state.load(Acquire) {
            RUNNING => self.stop(SANDBOX),
            // A child of `fork`, which has no files yet and cannot make any.
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
        // SAFETY: there are more zeros than that.
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
            header.malloc.store(real::malloc().map_or(0, |malloc| malloc as usize as u64), Relaxed);
        }
        header.image.store(IMAGE.load(Relaxed) - 1, Relaxed);
        header.spent.store(sys::thread_time().wrapping_sub(begin), Relaxed);
        header.magic.store(MAGIC, Release);
        Ok(())
    }

    fn header(&self) -> &'static Header {
        // SAFETY: set when the process was started, never unmapped, and all atomic.
        unsafe { &*self.header.load(Relaxed) }
    }

    /// Stops recording for good, for this reason.
    fn stop(&self, reason: u32) {
        let header = self.header();
        if header.stopped.compare_exchange(0, ticks(), AcqRel, Relaxed).is_ok() {
            header.reason.store(reason, Relaxed);
        }
        self.state.store(STOPPED, Release);
    }

    /// A lane with room for any event, for this thread: the one it has, or another. If there is none to be had,
    /// recording stops.
    ///
    /// # Safety
    ///
    /// The thread must be the calling one, with its signals held back.
    pub(crate) unsafe fn stream_for(&self, thread: *mut Thread) -> Option<*mut Stream> {
        let begin = sys::thread_time();
        // SAFETY: the caller's promise.
        let stream = unsafe { self.find_stream(thread) };
        self.header().spent.fetch_add(sys::thread_time().wrapping_sub(begin), Relaxed);
        stream.map_err(|reason| self.stop(reason)).ok()
    }

    /// # Safety
    ///
    /// That of [`Self::stream_for`].
    unsafe fn find_stream(&self, thread: *mut Thread) -> Result<*mut Stream, u32> {
        // SAFETY: a lane is its thread's alone, and is never unmapped.
        unsafe {
            let mut stream = (*thread).stream;
            if !stream.is_null() && !(*stream).is_lost() {
                self.make_room(stream)?;
                return Ok(stream);
            }
            stream = self.take_stream()?;
            self.make_room(stream)?;
            (*stream).hand_to(self.number_of(thread));
            (*thread).stream = stream;
            Ok(stream)
        }
    }

    /// The thread's number in this process.
    ///
    /// # Safety
    ///
    /// The thread must be the calling one.
    unsafe fn number_of(&self, thread: *mut Thread) -> u32 {
        let process = self.number.load(Relaxed) + 1;
        // SAFETY: the caller's promise.
        unsafe {
            if (*thread).process != process {
                (*thread).process = process;
                (*thread).number = self.thread_count.fetch_add(1, Relaxed);
            }
            (*thread).number
        }
    }

    /// A lane that no thread has, or a new one.
    fn take_stream(&self) -> Result<*mut Stream, u32> {
        let mut stream = self.streams.load(Acquire);
        // SAFETY: lanes are never unmapped; the fields used here are atomic.
        while let Some(free) = unsafe { stream.as_ref() } {
            if free.taken.load(Relaxed) == 0 && free.taken.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
                return Ok(stream);
            }
            stream = free.next.load(Relaxed);
        }
        self.new_stream()
    }

    fn new_stream(&self) -> Result<*mut Stream, u32> {
        let number = self.lane_count.fetch_add(1, Relaxed);
        let offset = (UNIT * (number as usize + 1)) as u64;
        let file = File::open(&self.live(), libc::O_RDWR)?;
        // SAFETY: there are more zeros than that.
        unsafe { file.write(ZEROS.0.get().cast(), FIRST, offset)? };
        let window = file.map(UNIT, offset, false)?;
        let stream = sys::forgetful::<Stream>()?;
        // SAFETY: all zero is what a lane starts with; until it is in the list, it is this thread's alone.
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

    /// Makes room in a lane for any event.
    ///
    /// # Safety
    ///
    /// The lane must be the calling thread's.
    unsafe fn make_room(&self, stream: *mut Stream) -> Result<(), u32> {
        // SAFETY: the caller's promise.
        let stream = unsafe { &mut *stream };
        if stream.has_room() {
            return Ok(());
        }
        sample(self.header());
        if stream.is_grown() { self.write_out(stream) } else { self.grow(stream) }
    }

    /// Gives the lane's window four times the memory.
    fn grow(&self, stream: &mut Stream) -> Result<(), u32> {
        let (before, offset) = (stream.memory(), UNIT * (stream.number as usize + 1));
        let after = (before * 4).min(UNIT);
        let file = File::open(&self.live(), libc::O_RDWR)?;
        // SAFETY: there are a unit's zeros.
        unsafe { file.write(ZEROS.0.get().cast(), after - before, (offset + before) as u64)? };
        stream.set_memory(after);
        Ok(())
    }

    /// Writes the lane's window out, and starts it anew.
    fn write_out(&self, stream: &mut Stream) -> Result<(), u32> {
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
        // SAFETY: that much of the window is in use.
        unsafe { file.write(from, length, offset)? };
        stream.start_anew();
        Ok(())
    }

    /// The file of the windows.
    fn live(&self) -> Path {
        Path::live(self.number.load(Relaxed), b"")
    }
}

/// Notes what the process has used of the machine by now.
fn sample(header: &Header) {
    let used = sys::used();
    header.cpu_last.store(sys::process_time(), Relaxed);
    header.system_last.store(used.system_ns, Relaxed);
    header.faults_last.store(used.page_faults, Relaxed);
    header.anonymous_most.fetch_max(files::anonymous_memory(), Relaxed);
}

/// Ticks that logging 1,024 events in a row takes, in memory of its own; 0 if there is none.
fn try_out() -> u32 {
    let (Ok(stream), Ok(window)) = (sys::forgetful::<Stream>(), sys::forgetful::<[u8; FIRST]>()) else {
        return 0;
    };
    let mut best = u64::MAX;
    // SAFETY: both are new, all zero, and not used afterwards.
    unsafe {
        (*stream).set_window(window.cast());
        for _ in 0..8 {
            (*stream).log_any(&crate::stream::Event {
                kind: Kind::Free,
                address: 0,
                size: 0,
                align: 0,
                caller: 1,
            });
            let begin = ticks();
            for address in 0..128 {
                core::hint::black_box((*stream).log(Kind::Free, address, 0, 1));
            }
            best = best.min(ticks().wrapping_sub(begin));
            (*stream).start_anew();
        }
        sys::give_back(window);
        sys::give_back(stream);
    }
    (best * 8).min(u32::MAX as u64) as u32
}
