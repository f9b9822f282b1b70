//! Settings: read once from the environment, when the heap is created.

use core::{
    ffi::CStr,
    sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::*},
    time::Duration,
};

use crate::format::Format;

/// How much the heap checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Mode {
    /// Checks nothing that costs an instruction on the hot path.
    Fast = 0,
    /// Detects double, invalid, interior and unaligned frees of addresses in the heap, and ends the program.
    Checked = 1,
    /// Also detects frees of addresses outside of the heap, by a wrong function and with a wrong size; hands out blocks
    /// in random order; puts guard pages around large blocks, and delays their reuse.
    Light = 2,
    /// Also detects overflows and writes after free, erases freed blocks and delays their reuse.
    Full = 3,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Fast, Self::Checked, Self::Light, Self::Full];

    /// Returns the name by which the environment chooses the mode.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Checked => "checked",
            Self::Light => "light",
            Self::Full => "full",
        }
    }
}

unsafe extern "C" {
    /// `getenv`, which returns null in a program with more rights than its user.
    fn secure_getenv(name: *const libc::c_char) -> *const libc::c_char;
}

static MODE: AtomicU8 = AtomicU8::new(Mode::Checked as u8);
/// Milliseconds.
static DECAY: AtomicU32 = AtomicU32::new(500);
static HUGE_PAGES: AtomicBool = AtomicBool::new(true);
/// The form of the statistics at the end of the program, plus 1; 0: none.
static STATS: AtomicU8 = AtomicU8::new(0);

/// Returns the mode of the heap.
#[inline(always)]
pub(crate) fn mode() -> Mode {
    match MODE.load(Relaxed) {
        0 => Mode::Fast,
        2 => Mode::Light,
        3 => Mode::Full,
        _ => Mode::Checked,
    }
}

/// Returns whether the mode is [`Mode::Light`] or [`Mode::Full`].
#[inline(always)]
pub(crate) fn hardened() -> bool {
    MODE.load(Relaxed) >= Mode::Light as u8
}

/// Returns whether the mode is [`Mode::Full`].
#[inline(always)]
pub(crate) fn full() -> bool {
    MODE.load(Relaxed) == Mode::Full as u8
}

/// Returns the time after which free units that were not needed are returned to the system, in milliseconds.
pub(crate) fn decay() -> u64 {
    DECAY.load(Relaxed).into()
}

/// Sets that time: 0 returns them at the next look at the clock.
pub(crate) fn set_decay(time: Duration) {
    DECAY.store(u32::try_from(time.as_millis()).unwrap_or(u32::MAX), Relaxed);
}

/// Returns whether the region may have huge pages.
pub(crate) fn huge_pages() -> bool {
    HUGE_PAGES.load(Relaxed)
}

/// Reads the settings. A program with more rights than its user ignores the environment. An unknown value is reported,
/// and the default is used.
pub(crate) fn read() {
    with(c"MILLPOND_MALLOC", "fast, checked, light or full", |value| {
        let mode = Mode::ALL.into_iter().find(|mode| mode.name().as_bytes() == value);
        MODE.store(mode.map_or(MODE.load(Relaxed), |mode| mode as u8), Relaxed);
        mode.is_some()
    });
    with(c"MILLPOND_MALLOC_DECAY_MS", "a number of milliseconds", |value| {
        let milliseconds = core::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
        DECAY.store(milliseconds.unwrap_or(DECAY.load(Relaxed)), Relaxed);
        milliseconds.is_some()
    });
    with(c"MILLPOND_MALLOC_HUGE_PAGES", "on or off", |value| {
        HUGE_PAGES.store(value != b"off", Relaxed);
        matches!(value, b"on" | b"off")
    });
    with(c"MILLPOND_MALLOC_STATS", "text, json or prometheus", |value| {
        let format = Format::of(value);
        STATS.store(format.map_or(0, |format| format as u8 + 1), Relaxed);
        format.is_some()
    });
}

/// Returns the form in which statistics are written at the end of the program, if they are. Not read from the
/// environment then: other threads may still be running, and change it.
pub(crate) fn stats_at_exit() -> Option<Format> {
    let stats = STATS.load(Relaxed);
    [Format::Text, Format::Json, Format::Prometheus].into_iter().find(|&format| format as u8 + 1 == stats)
}

/// Passes the value of a variable of the environment, if it is not empty, to a function, and reports it if that returns
/// `false`.
fn with(name: &CStr, allowed: &str, set: impl FnOnce(&[u8]) -> bool) {
    // SAFETY: the name is a C string; no thread changes the environment when the heap is created.
    let value = unsafe { secure_getenv(name.as_ptr()) };
    if value.is_null() {
        return;
    }
    // SAFETY: the system returned a C string, which is used at once.
    let value = unsafe { CStr::from_ptr(value) }.to_bytes();
    if !value.is_empty() && !set(value) {
        let name = name.to_str().unwrap_or_default();
        crate::misuse::print(format_args!("{name} must be {allowed}; using the default"));
    }
}
