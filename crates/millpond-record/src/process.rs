//! What a process owns in a recording: its files, its lanes, its numbers. A child of `fork` finds all of it forgotten,
//! because the kernel wipes the memory it is in, and begins anew; a child of `vfork`, which shares its parent's memory,
//! goes on as its parent.

use core::{
    cell::UnsafeCell,
    ffi::c_void,
    ptr::null_mut,
    sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::*},
};

use millpond_trace::raw::{Control, Header, Kind, LIMIT, MAGIC, OVER, UNIT};

use crate::{
    clock::ticks,
    files::{self, Directory, Path},
    lane::{FIRST, Lane},
    sys::{self, File, Quiet},
    thread::{self, Thread},
};

/// One process's part of the recording; all zero at first and after a `fork`.
#[repr(C)]
pub(crate) struct Process {
    state: AtomicU32,
    /// The number of this process image.
    number: AtomicU32,
    header: AtomicPtr<Header>,
    /// The lane made last.
    lanes: AtomicPtr<Lane>,
    lane_count: AtomicU32,
    thread_count: AtomicU32,
    /// Units written out.
    unit_count: AtomicU64,
}

/// [`Process::state`]: nothing is there yet; being made; there; recording has stopped.
const NEW: u32 = 0;
const STARTING: u32 = 1;
const RUNNING: u32 = 2;
const STOPPED: u32 = 3;

/// Whether there is a recording at all: not known yet; being found out; yes; no. Like all statics, kept by `fork`.
static RECORDING: AtomicU32 = AtomicU32::new(UNKNOWN);
const UNKNOWN: u32 = 0;
const ASKING: u32 = 1;
const YES: u32 = 2;
const NO: u32 = 3;

static PROCESS: AtomicPtr<Process> = AtomicPtr::new(null_mut());
static CONTROL: AtomicPtr<Control> = AtomicPtr::new(null_mut());
/// The number of the first process with this program, plus one.
static IMAGE: AtomicU32 = AtomicU32::new(0);
/// The key whose destructor tells of a thread's end.
static KEY: AtomicU32 = AtomicU32::new(0);

/// What windows begin with. In a cell, so that it takes no space in the library's file; never changed.
struct Zeros(UnsafeCell<[u8; UNIT]>);

// SAFETY: only read.
unsafe impl Sync for Zeros {}

static ZEROS: Zeros = Zeros(UnsafeCell::new([0; UNIT]));

/// Bytes of a header in its file, and of the control file.
const PAGE: usize = 4096;

/// Whether nothing is to be recorded here, now or later.
pub(crate) fn is_off() -> bool {
    match RECORDING.load(Acquire) {
        // SAFETY: set before `RECORDING` was, and never unmapped.
        YES => unsafe { (*PROCESS.load(Relaxed)).state.load(Relaxed) == STOPPED },
        NO => true,
        _ => false,
    }
}

/// The process, if it is being recorded; the first call in a process makes all that is needed.
pub(crate) fn running() -> Option<&'static Process> {
    while RECORDING.load(Acquire) < YES {
        if RECORDING.compare_exchange(UNKNOWN, ASKING, Acquire, Relaxed).is_err() {
            sys::wait_a_little();
            continue;
        }
        // SAFETY: one thread at a time comes here, and none after an answer.
        let answer = unsafe { set_up() };
        RECORDING.store(answer, Release);
        if answer == UNKNOWN {
            return None;
        }
    }
    // SAFETY: never unmapped; all zero is valid, and all else is atomic.
    let process = unsafe { PROCESS.load(Relaxed).as_ref() }?;
    loop {
        match process.state.load(Acquire) {
            RUNNING => return Some(process),
            STOPPED => return None,
            STARTING => sys::wait_a_little(),
            _ => {
                if process.state.compare_exchange(NEW, STARTING, Acquire, Relaxed).is_ok() {
                    let state = if process.start().is_some() { RUNNING } else { STOPPED };
                    process.state.store(state, Release);
                }
            }
        }
    }
}

/// Finds out whether there is a recording, and joins it.
///
/// # Safety
///
/// Must not be called by two threads at once, nor again after it answered [`YES`].
unsafe fn set_up() -> u32 {
    // SAFETY: the caller's promise.
    match unsafe { files::remember_directory() } {
        Directory::TooEarly => return UNKNOWN,
        Directory::Unset => return NO,
        Directory::Known => {}
    }
    let control = File::open(&Path::control(), libc::O_RDWR).and_then(|file| file.map(PAGE, 0, true));
    let (Some(control), Some(process)) = (control, sys::forgetful::<Process>()) else { return NO };
    let control = control.cast::<Control>();
    let mut key = 0;
    // SAFETY: `millpond` has made the control file a page long; `key` is a valid place for the answer.
    unsafe {
        if (*control).magic.load(Relaxed) != MAGIC
            || libc::pthread_key_create(&raw mut key, Some(end_of_thread)) != 0
        {
            return NO;
        }
    }
    KEY.store(key, Relaxed);
    CONTROL.store(control, Relaxed);
    PROCESS.store(process, Relaxed);
    YES
}

/// The page that all processes of the recording share. Only when there is a recording.
fn control() -> &'static Control {
    // SAFETY: set before there is a process to ask for it, never unmapped, inherited by children, and all atomic.
    unsafe { &*CONTROL.load(Relaxed) }
}

impl Process {
    fn start(&self) -> Option<()> {
        let number = control().processes.fetch_add(1, Relaxed);
        let file = File::open(&Path::live(number, b""), libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)?;
        // SAFETY: there are more zeros than that.
        if !unsafe { file.write(ZEROS.0.get().cast(), PAGE, 0) } {
            return None;
        }
        let header = file.map(PAGE, 0, false)?.cast::<Header>();
        drop(file);
        self.number.store(number, Relaxed);
        self.header.store(header, Relaxed);
        let header = self.header();
        let (process, parent) = sys::process_numbers();
        header.process.store(process, Relaxed);
        header.parent.store(parent, Relaxed);
        header.started.store(ticks(), Relaxed);
        let cpu = sys::cpu_time();
        header.cpu_first.store(cpu, Relaxed);
        header.cpu_last.store(cpu, Relaxed);
        if IMAGE.load(Relaxed) == 0 {
            IMAGE.store(number + 1, Relaxed);
            files::copy_link(c"/proc/self/exe", &Path::live(number, b".exe"));
            files::copy(c"/proc/self/cmdline", &Path::live(number, b".cmdline"));
            files::copy(c"/proc/self/maps", &Path::live(number, b".maps"));
            header.ticks_per_1024.store(try_out(), Relaxed);
        }
        header.image.store(IMAGE.load(Relaxed) - 1, Relaxed);
        header.magic.store(MAGIC, Release);
        Some(())
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

    /// A lane with room for any event, for this thread: the one it has, or another.
    ///
    /// # Safety
    ///
    /// The thread must be the calling one, with its signals held back.
    pub(crate) unsafe fn lane_for(&self, thread: *mut Thread) -> Option<*mut Lane> {
        let begin = ticks();
        // SAFETY: a lane is its thread's alone, and is never unmapped.
        let lane = unsafe {
            let lane = (*thread).lane;
            if lane.is_null() || (*lane).is_lost() {
                let lane = self.take_lane()?;
                self.make_room(lane)?;
                (*lane).hand_to(self.number_of(thread));
                (*thread).lane = lane;
                lane
            } else {
                self.make_room(lane)?;
                lane
            }
        };
        self.header().spent.fetch_add(ticks().wrapping_sub(begin), Relaxed);
        Some(lane)
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
    fn take_lane(&self) -> Option<*mut Lane> {
        let mut lane = self.lanes.load(Acquire);
        // SAFETY: lanes are never unmapped; the fields used here are atomic.
        while let Some(free) = unsafe { lane.as_ref() } {
            if free.taken.load(Relaxed) == 0 && free.taken.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
                return Some(lane);
            }
            lane = free.next.load(Relaxed);
        }
        self.new_lane()
    }

    fn new_lane(&self) -> Option<*mut Lane> {
        let number = self.lane_count.fetch_add(1, Relaxed);
        let offset = (UNIT * (number as usize + 1)) as u64;
        let window = File::open(&Path::live(self.number.load(Relaxed), b""), libc::O_RDWR).and_then(|file| {
            // SAFETY: there are more zeros than that.
            let written = unsafe { file.write(ZEROS.0.get().cast(), FIRST, offset) };
            if written { file.map(UNIT, offset, false) } else { None }
        });
        let (Some(window), Some(lane)) = (window, sys::forgetful::<Lane>()) else {
            self.stop(sys::error());
            return None;
        };
        // SAFETY: all zero is what a lane starts with; until it is in the list, it is this thread's alone.
        unsafe {
            (*lane).number = number;
            (*lane).taken.store(1, Relaxed);
            (*lane).set_window(window.cast());
            let mut next = self.lanes.load(Relaxed);
            loop {
                (*lane).next.store(next, Relaxed);
                match self.lanes.compare_exchange_weak(next, lane, Release, Relaxed) {
                    Ok(_) => break,
                    Err(now) => next = now,
                }
            }
        }
        self.header().lanes.store(self.lane_count.load(Relaxed), Relaxed);
        Some(lane)
    }

    /// Makes room in a lane for any event. If that fails, recording has stopped.
    ///
    /// # Safety
    ///
    /// The lane must be the calling thread's.
    unsafe fn make_room(&self, lane: *mut Lane) -> Option<()> {
        // SAFETY: the caller's promise.
        let lane = unsafe { &mut *lane };
        if lane.has_room() {
            return Some(());
        }
        let done = if lane.is_grown() { self.write_out(lane) } else { self.grow(lane) };
        done.map_err(|reason| self.stop(reason)).ok()
    }

    /// Gives the lane's window four times the memory.
    fn grow(&self, lane: &mut Lane) -> Result<(), u32> {
        let (before, offset) = (lane.memory(), UNIT * (lane.number as usize + 1));
        let after = (before * 4).min(UNIT);
        let file =
            File::open(&Path::live(self.number.load(Relaxed), b""), libc::O_RDWR).ok_or_else(sys::error)?;
        // SAFETY: there are a unit's zeros.
        if !unsafe { file.write(ZEROS.0.get().cast(), after - before, (offset + before) as u64) } {
            return Err(sys::error());
        }
        lane.set_memory(after);
        Ok(())
    }

    /// Writes the lane's window out, and starts it anew.
    fn write_out(&self, lane: &mut Lane) -> Result<(), u32> {
        let header = self.header();
        header.cpu_last.store(sys::cpu_time(), Relaxed);
        let control = control();
        if control.stop.load(Relaxed) != 0 {
            return Err(OVER);
        }
        if control.written.fetch_add(UNIT as u64, Relaxed) + UNIT as u64 > control.limit.load(Relaxed) {
            return Err(LIMIT);
        }
        let offset = self.unit_count.fetch_add(1, Relaxed) * UNIT as u64;
        if offset + UNIT as u64 > sys::largest_file() {
            return Err(libc::EFBIG as u32);
        }
        let path = Path::units(self.number.load(Relaxed));
        let file = File::open(&path, libc::O_WRONLY | libc::O_CREAT).ok_or_else(sys::error)?;
        let (from, length) = lane.contents();
        // SAFETY: that much of the window is in use.
        if !unsafe { file.write(from, length, offset) } {
            return Err(sys::error());
        }
        lane.start_anew();
        Ok(())
    }
}

/// Ticks that logging 1,024 events in a row takes, in memory of its own; 0 if there is none.
fn try_out() -> u32 {
    let (Some(lane), Some(window)) = (sys::forgetful::<Lane>(), sys::forgetful::<[u8; FIRST]>()) else {
        return 0;
    };
    let mut best = u64::MAX;
    // SAFETY: both are new, all zero, and not used afterwards.
    unsafe {
        (*lane).set_window(window.cast());
        for _ in 0..8 {
            (*lane).log_any(&crate::lane::Event {
                kind: Kind::Free,
                address: 0,
                size: 0,
                align: 0,
                caller: 1,
            });
            let begin = ticks();
            for address in 0..128 {
                core::hint::black_box((*lane).log(Kind::Free, address, 0, 1));
            }
            best = best.min(ticks().wrapping_sub(begin));
            (*lane).start_anew();
        }
        sys::give_back(window);
        sys::give_back(lane);
    }
    (best * 8).min(u32::MAX as u64) as u32
}

/// Asks to be told of this thread's end, once. Called with no lane half changed: this may call `calloc`.
///
/// # Safety
///
/// The thread must be the calling one.
pub(crate) unsafe fn watch(thread: *mut Thread) {
    // SAFETY: the caller's promise; the key was made before there were lanes.
    unsafe {
        if !(*thread).watched && !(*thread).lane.is_null() {
            (*thread).watched = true;
            libc::pthread_setspecific(KEY.load(Relaxed), thread.cast());
        }
    }
}

/// A thread ends: its lane is another's now. What it still does is logged event by event, in any lane that is free.
unsafe extern "C" fn end_of_thread(_: *mut c_void) {
    let thread = thread::current();
    let quiet = Quiet::begin();
    // SAFETY: this is the calling thread.
    unsafe {
        (*thread).ending = true;
        give_up_lane(thread);
    }
    drop(quiet);
}

/// Leaves the thread's lane to others.
///
/// # Safety
///
/// The thread must be the calling one, with its signals held back.
pub(crate) unsafe fn give_up_lane(thread: *mut Thread) {
    // SAFETY: the lane is this thread's until its last line here.
    unsafe {
        let lane = core::mem::replace(&mut (*thread).lane, null_mut());
        if let Some(lane) = lane.as_ref() {
            lane.taken.store(0, Release);
        }
    }
}

/// The process starts: it is recorded from here on, even if it never allocates.
#[cfg_attr(not(millpond_preload), allow(dead_code, reason = "runs in the recorded program"))]
extern "C" fn begin() {
    let quiet = Quiet::begin();
    running();
    drop(quiet);
}

/// The process ends in an orderly way. What is allocated or freed after this is still recorded.
#[cfg_attr(not(millpond_preload), allow(dead_code, reason = "runs in the recorded program"))]
extern "C" fn end() {
    if is_off() {
        return;
    }
    let quiet = Quiet::begin();
    // SAFETY: never unmapped; all zero is valid, and all else is atomic.
    if let Some(process) = unsafe { PROCESS.load(Acquire).as_ref() }
        && process.state.load(Acquire) == RUNNING
    {
        let header = process.header();
        files::copy(c"/proc/self/maps", &Path::live(process.number.load(Relaxed), b".maps.end"));
        header.cpu_last.store(sys::cpu_time(), Relaxed);
        header.ended.store(ticks(), Release);
    }
    drop(quiet);
}

#[cfg(millpond_preload)]
#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

#[cfg(millpond_preload)]
#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;
