//! Runs the program: its input, output and errors are untouched, and signals are passed on.

use std::{
    ffi::OsString,
    io,
    mem::zeroed,
    os::unix::{ffi::OsStringExt, process::CommandExt},
    process::{Command, ExitStatus, Stdio},
    ptr::null_mut,
    sync::atomic::{AtomicI32, Ordering::SeqCst},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use millpond_trace::raw;

use super::program::Program;

/// Signals that end a program; they are meant for the program that is run, not for this one.
const PASSED_ON: [i32; 4] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP];

/// The process to which signals are passed on; 0: none.
static CHILD: AtomicI32 = AtomicI32::new(0);
/// The last signal that arrived while there was no process to pass it on to; 0: none.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Two clocks, read at the same moment.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) ticks: u64,
    instant: Instant,
    pub(super) unix_ns: u64,
}

impl Moment {
    pub(super) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The middle of the quickest of a few attempts, because this thread may be interrupted between the reads.
        let attempt = |_| {
            let (before, instant, after) =
                (millpond_record::ticks(), Instant::now(), millpond_record::ticks());
            (after.wrapping_sub(before), before.wrapping_add(after.wrapping_sub(before) / 2), instant)
        };
        let (_, ticks, instant) =
            (0..8).map(attempt).min_by_key(|&(width, ..)| width).unwrap_or_else(|| attempt(0));
        Self { ticks, instant, unix_ns: since.as_nanos() as u64 }
    }

    /// Returns the nanoseconds from an earlier moment to this one.
    pub(super) fn since(&self, earlier: &Self) -> u64 {
        self.instant.saturating_duration_since(earlier.instant).as_nanos() as u64
    }

    /// Returns the nanoseconds per tick, measured from `self` to `later`.
    pub(super) fn tick_length(&self, later: &Self) -> f64 {
        let ticks = later.ticks.saturating_sub(self.ticks).max(1);
        later.since(self) as f64 / ticks as f64
    }
}

/// The result of running the program.
pub(super) struct Run {
    pub(super) status: ExitStatus,
    pub(super) process: u32,
    pub(super) begin: Moment,
    pub(super) end: Moment,
}

/// Runs a program with additional environment variables and this standard output, passes its number to `started`, and
/// waits for it.
pub(super) fn launch(
    program: &Program,
    arguments: &[OsString],
    variables: &[(&str, Vec<u8>)],
    output: Stdio,
    started: impl FnOnce(u32),
) -> io::Result<Run> {
    let mut command = Command::new(&program.path);
    command.arg0(&program.name).args(arguments).stdout(output);
    // If `millpond` is itself recorded, this is about that recording.
    command.env_remove(raw::FILES);
    for (name, value) in variables {
        command.env(name, <OsString as OsStringExt>::from_vec(value.clone()));
    }
    let begin = Moment::now();
    let mut child = command.spawn()?;
    CHILD.store(child.id() as i32, SeqCst);
    pass_on(SIGNAL.swap(0, SeqCst));
    started(child.id());
    let status = child.wait();
    CHILD.store(0, SeqCst);
    // The two clocks are compared over the whole run; a very short run would make the comparison inexact.
    let least = Duration::from_millis(5);
    std::thread::sleep(least.saturating_sub(begin.instant.elapsed()));
    Ok(Run { status: status?, process: child.id(), begin, end: Moment::now() })
}

/// Returns a signal that arrived after the program ended, which is therefore meant for this process.
pub(super) fn interrupted() -> Option<i32> {
    Some(SIGNAL.load(SeqCst)).filter(|&signal| signal != 0)
}

/// While this value lives, signals that would end this process are passed on to the program that it runs.
pub(super) struct Signals {
    before: Vec<(i32, libc::sigaction)>,
}

impl Signals {
    pub(super) fn pass_on() -> Self {
        let mut before = Vec::new();
        for signal in PASSED_ON {
            // SAFETY: an all-zero `sigaction` is valid, the pointers are valid or null, and the handler is
            // async-signal-safe.
            unsafe {
                let mut old = zeroed::<libc::sigaction>();
                libc::sigaction(signal, null_mut(), &raw mut old);
                // A signal that is ignored here stays ignored in the program, as with `nohup`.
                if old.sa_sigaction == libc::SIG_IGN {
                    continue;
                }
                let mut new = zeroed::<libc::sigaction>();
                new.sa_sigaction = handler as *const () as usize;
                new.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
                libc::sigaction(signal, &raw const new, null_mut());
                before.push((signal, old));
            }
        }
        Self { before }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (signal, old) in &self.before {
            // SAFETY: `old` is what `sigaction` returned for this signal, and the other pointer may be null.
            unsafe { libc::sigaction(*signal, old, null_mut()) };
        }
        SIGNAL.store(0, SeqCst);
    }
}

/// Passes on a signal that was sent to this process alone; the terminal sends its signals to the program as well.
extern "C" fn handler(signal: i32, information: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid pointer, because the handler was installed with `SA_SIGINFO`.
    let from_a_process = unsafe { (*information).si_code } <= 0;
    if CHILD.load(SeqCst) == 0 {
        SIGNAL.store(signal, SeqCst);
    } else if from_a_process {
        pass_on(signal);
    }
}

/// Sends a signal to the program, unless the signal is 0.
fn pass_on(signal: i32) {
    let child = CHILD.load(SeqCst);
    if child != 0 && signal != 0 {
        // SAFETY: `kill` is async-signal-safe; the child has not been waited for, so its number still belongs to it.
        unsafe { libc::kill(child, signal) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_tick_tells_later_times() {
        let pause = || std::thread::sleep(Duration::from_millis(20));
        let begin = Moment::now();
        pause();
        let middle = Moment::now();
        pause();
        let end = Moment::now();
        let told = (end.ticks - middle.ticks) as f64 * begin.tick_length(&middle);
        let true_length = end.instant.duration_since(middle.instant).as_nanos() as f64;
        assert!((told / true_length - 1.0).abs() < 0.01, "{told} {true_length}");
    }
}
