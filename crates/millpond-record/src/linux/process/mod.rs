//! What a process owns in a recording: its files, streams and numbers. In a child of `fork`, the kernel zeroes this
//! memory, and the child begins anew; a child of `vfork`, which shares its parent's memory, continues as its parent.

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::*};

use millpond_trace::raw::{FIRST, HEADER_FOLLOWS, Header, Kind, LoggedCall, MAGIC, StreamWriter};

use super::{
    clock::{self, ticks},
    control::control,
    files, inherit,
    path::Path,
    real, reserve,
    sys::{self, File},
};

#[cfg(target_arch = "x86_64")]
mod stacks;
mod streams;
mod texts;

pub(crate) use streams::text;

/// The part of a recording that belongs to one process; all zeros at first and after a `fork`.
#[repr(C)]
pub(crate) struct Process {
    state: AtomicU32,
    /// The number of this process image.
    number: AtomicU32,
    header: AtomicPtr<Header>,
    /// The stream created last.
    streams: AtomicPtr<StreamWriter>,
    stream_count: AtomicU32,
    thread_count: AtomicU32,
    /// Number of units written out.
    unit_count: AtomicU64,
    /// Whether files cannot be used any more, so that streams continue in the reserve.
    confined: AtomicU32,
    #[cfg(target_arch = "x86_64")]
    unloads: stacks::Unloads,
    /// Memory for streams that are created when none can be mapped. In a cell, because their threads change them.
    spares: streams::Spares,
}

/// Values of [`Process::state`]: not initialised; being initialised; recording; recording has stopped.
const NEW: u32 = 0;
const STARTING: u32 = 1;
const RUNNING: u32 = 2;
const STOPPED: u32 = 3;

/// The number of the first process image with this program, plus one. Like all statics, kept by `fork`.
static IMAGE: AtomicU32 = AtomicU32::new(0);
/// The identifier of the process that started recording last: in a child of `fork`, that of its parent.
static LAST: AtomicU32 = AtomicU32::new(0);

/// Bytes of a header in its file.
const PAGE: usize = 4096;

impl Process {
    /// Returns whether recording has stopped permanently.
    pub(crate) fn has_stopped(&self) -> bool {
        self.state.load(Relaxed) == STOPPED
    }

    /// Returns whether the process is being recorded. The first call starts recording, without system calls if `calls`
    /// is false.
    pub(crate) fn is_running(&self, calls: bool) -> bool {
        loop {
            match self.state.load(Acquire) {
                RUNNING => return true,
                STOPPED => return false,
                STARTING => sys::wait_a_little(calls),
                _ if self.state.compare_exchange(NEW, STARTING, Acquire, Relaxed).is_ok() => {
                    match self.start(calls) {
                        Ok(()) => self.state.store(RUNNING, Release),
                        Err(_) => self.set_stopped(),
                    }
                }
                _ => {}
            }
        }
    }

    /// Notes that the process ends normally. Makes system calls only if `calls` is true.
    pub(crate) fn end(&self, calls: bool) {
        if self.state.load(Acquire) == RUNNING {
            let header = self.header();
            self.describe_end(calls);
            if calls {
                sample(header);
            }
            header.ended.store(clock::now(), Release);
        }
    }

    fn start(&self, calls: bool) -> Result<(), u32> {
        let begin = if calls { sys::thread_time() } else { 0 };
        let number = control().processes.fetch_add(1, Relaxed);
        let is_child = IMAGE.load(Relaxed) != 0;
        let header = match if calls { file_of_header(number) } else { Err(0) } {
            Ok(header) => header,
            // A child of a process that cannot use files any more, or a program that it has started.
            Err(error) => {
                self.confined.store(1, Relaxed);
                header_in_reserve(number, calls).map_err(|other| if error == 0 { other } else { error })?
            }
        };
        self.number.store(number, Relaxed);
        self.header.store(header, Relaxed);
        let header = self.header();
        header.started.store(clock::now(), Relaxed);
        header.parent.store(LAST.load(Relaxed), Relaxed);
        if !is_child {
            header.process.store(inherit::process(), Relaxed);
        }
        if calls {
            let (process, parent) = sys::process_numbers();
            LAST.store(process, Relaxed);
            header.process.store(process, Relaxed);
            header.parent.store(parent, Relaxed);
            first_sample(header);
        }
        if !is_child {
            IMAGE.store(number + 1, Relaxed);
            self.describe(calls);
            if calls {
                header.ticks_per_1024.store(try_out(), Relaxed);
            }
            header.malloc.store(real::MALLOC.get().map_or(0, |malloc| malloc as usize as u64), Relaxed);
        }
        header.image.store(IMAGE.load(Relaxed) - 1, Relaxed);
        if calls {
            header.spent.store(sys::thread_time().wrapping_sub(begin), Relaxed);
        }
        // They may be paused in the parent of this process.
        #[cfg(target_arch = "x86_64")]
        super::stacks::resume();
        header.magic.store(MAGIC, Release);
        Ok(())
    }

    fn header(&self) -> &'static Header {
        // SAFETY: the pointer is set when recording starts in the process; the header is never unmapped and consists of
        // atomics.
        unsafe { &*self.header.load(Relaxed) }
    }

    /// Returns the identifier of the process; 0 if it is not known, which takes a system call.
    pub(crate) fn identifier(&self) -> u32 {
        // SAFETY: the header is never unmapped, and consists of atomics; there is none before recording starts.
        unsafe { self.header.load(Relaxed).as_ref() }.map_or(0, |header| header.process.load(Relaxed))
    }

    /// Stops recording permanently, for this reason.
    fn stop(&self, reason: u32) {
        let header = self.header();
        if header.stopped.compare_exchange(0, clock::now(), AcqRel, Relaxed).is_ok() {
            header.reason.store(reason, Relaxed);
        }
        self.set_stopped();
    }

    fn set_stopped(&self) {
        self.state.store(STOPPED, Release);
        #[cfg(target_arch = "x86_64")]
        super::stacks::pause();
    }
}

/// Creates the file of a process image, and maps the header in it.
fn file_of_header(number: u32) -> Result<*mut Header, u32> {
    let file = File::open(&Path::live(number, b""), libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)?;
    file.write_zeros(PAGE, 0)?;
    file.map(PAGE, 0, false).map(<*mut u8>::cast)
}

/// Takes a unit of the reserve for the header of a process image.
fn header_in_reserve(number: u32, calls: bool) -> Result<*mut Header, u32> {
    let window = reserve::take(number, calls)?;
    // SAFETY: the unit is all zeros, belongs to this process, and has room for a window and a header.
    unsafe {
        (*window).valid.store(HEADER_FOLLOWS, Release);
        Ok(window.add(1).cast())
    }
}

/// Notes the resources that the process used before it was recorded.
fn first_sample(header: &Header) {
    sample(header);
    header.cpu_first.store(header.cpu_last.load(Relaxed), Relaxed);
    header.system_first.store(header.system_last.load(Relaxed), Relaxed);
    header.faults_first.store(header.faults_last.load(Relaxed), Relaxed);
    header.anonymous_first.store(header.anonymous_most.load(Relaxed), Relaxed);
}

/// Updates the resources used by the process.
fn sample(header: &Header) {
    let used = sys::used();
    header.cpu_last.store(sys::process_time(), Relaxed);
    header.system_last.store(used.system_ns, Relaxed);
    header.faults_last.store(used.page_faults, Relaxed);
    header.anonymous_most.fetch_max(files::anonymous_memory(), Relaxed);
}

/// Measures the ticks for logging 1,024 consecutive events, in separate memory; returns 0 if there is none, or no clock.
fn try_out() -> u32 {
    if clock::is_forbidden() {
        return 0;
    }
    let (Ok(stream), Ok(window)) = (sys::forgetful::<StreamWriter>(), sys::forgetful::<[u8; FIRST]>()) else {
        return 0;
    };
    let mut best = u64::MAX;
    // SAFETY: both are new, all zeros, and not used afterwards.
    unsafe {
        (*stream).set_window(window.cast(), FIRST);
        for _ in 0..8 {
            (*stream).log_any(
                &LoggedCall { kind: Kind::Free, address: 0, usable: 0, size: 0, align: 0, caller: 1 },
                ticks(),
            );
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
