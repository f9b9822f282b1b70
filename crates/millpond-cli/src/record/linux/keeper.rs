//! What `millpond` does while recorded processes run: it keeps a clock for those that must not read the processor's, and
//! units of the reserve for those that cannot write files any more; and it samples all of them.

use std::{
    fs::File,
    io,
    mem::offset_of,
    os::{fd::AsRawFd, unix::fs::FileExt},
    sync::{
        atomic::Ordering::Relaxed,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result};
use millpond_trace::raw::{Control, FromBytes, UNIT};

use super::{launch::Moment, sampler::Sampler};

/// How often the clock is set, and how often while a process needs it or the reserve.
const IDLE: Duration = Duration::from_millis(10);
const URGENT: Duration = Duration::from_millis(1);
/// How often processes are sampled.
const SAMPLES: Duration = Duration::from_millis(100);
/// Units that are kept ahead of use, and while they are being used: a thread fills one in about 100 µs.
const AHEAD: u32 = 16;
const URGENT_AHEAD: u32 = 128;

/// A thread that does this until the value is dropped.
pub(super) struct Keeper {
    /// Closed to end the thread.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread, for the control file and the reserve of a recording that began at this moment.
    pub(super) fn start(control: File, reserve: File, sampler: Sampler, begin: Moment) -> Result<Self> {
        let mut work = Work { control, reserve, sampler, next_sample: 0, begin, ready: 0 };
        work.set(offset_of!(Control, begin_ticks), &begin.ticks.to_ne_bytes())
            .and_then(|()| work.set(offset_of!(Control, begin_unix_ns), &begin.unix_ns.to_ne_bytes()))
            .context("could not prepare the recording")?;
        work.turn().context("could not prepare the recording")?;
        let (end, ended) = mpsc::channel();
        let keep = move || {
            let mut interval = IDLE;
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                // Without this file, nothing is recorded either.
                interval = if work.turn().unwrap_or(false) { URGENT } else { IDLE };
            }
        };
        let thread = std::thread::Builder::new().name("keeper".into()).spawn(keep);
        Ok(Self { end: Some(end), thread: Some(thread.context("could not start a thread")?) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic in the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

struct Work {
    control: File,
    reserve: File,
    sampler: Sampler,
    /// Nanoseconds from the beginning to the next sample.
    next_sample: u64,
    begin: Moment,
    /// Units of the reserve that can be used.
    ready: u32,
}

impl Work {
    /// Does once what is to be done; returns whether a process waits for it.
    fn turn(&mut self) -> io::Result<bool> {
        let now = Moment::now();
        let since = now.since(&self.begin);
        self.set(offset_of!(Control, clock_ns), &since.to_ne_bytes())?;
        self.set(offset_of!(Control, clock), &now.ticks.to_ne_bytes())?;
        let mut page = [0; size_of::<Control>()];
        self.control.read_exact_at(&mut page, 0)?;
        let control = Control::from_bytes(&page).unwrap_or_default();
        let urgent = control.urgent.load(Relaxed) != 0;
        let wanted = control.taken.load(Relaxed).saturating_add(if urgent { URGENT_AHEAD } else { AHEAD });
        let most = (control.limit.load(Relaxed) / UNIT as u64).min(u32::MAX.into()) as u32;
        let wanted = wanted.min(most.max(1));
        if wanted > self.ready && control.refused.load(Relaxed) == 0 {
            match self.allocate(wanted) {
                0 => {
                    self.ready = wanted;
                    self.set(offset_of!(Control, ready), &wanted.to_ne_bytes())?;
                }
                // A signal for the program arrived: next time.
                libc::EINTR => {}
                // What was promised ahead of use need not be kept.
                error if control.taken.load(Relaxed) >= self.ready => {
                    self.set(offset_of!(Control, refused), &error.to_ne_bytes())?;
                }
                _ => {}
            }
        }
        if since >= self.next_sample {
            self.next_sample = since + SAMPLES.as_nanos() as u64;
            self.sampler.sample(control.processes.load(Relaxed), now.ticks)?;
        }
        Ok(urgent)
    }

    fn set(&self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.control.write_all_at(bytes, offset as u64)
    }

    /// Makes this many units usable; returns 0 or an error number.
    fn allocate(&self, units: u32) -> i32 {
        let (from, to) = (i64::from(self.ready) * UNIT as i64, i64::from(units) * UNIT as i64);
        // SAFETY: the descriptor is that of an open file.
        unsafe { libc::posix_fallocate(self.reserve.as_raw_fd(), from, to - from) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keeper_sets_the_clock_and_keeps_units_ahead_of_use() {
        let (control, reserve) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        control.write_all_at(&[0; 4096], 0).unwrap();
        control.write_all_at(&(1_u64 << 40).to_ne_bytes(), offset_of!(Control, limit) as u64).unwrap();
        let read = || {
            let mut page = [0; 4096];
            control.read_exact_at(&mut page, 0).unwrap();
            Control::from_bytes(&page).unwrap()
        };
        let wait_for = |done: &dyn Fn(&Control) -> bool| {
            for _ in 0..2000 {
                if done(&read()) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            panic!("{:?}", read());
        };
        let begin = Moment::now();
        let directory = tempfile::tempdir().unwrap();
        let sampler = Sampler::new(directory.path()).unwrap();
        let files = [&control, &reserve].map(|file| file.try_clone().unwrap());
        let [own_control, own_reserve] = files;
        let keeper = Keeper::start(own_control, own_reserve, sampler, begin).unwrap();
        let first = read();
        assert_eq!(first.ready.load(Relaxed), AHEAD);
        assert_eq!(reserve.metadata().unwrap().len(), u64::from(AHEAD) * UNIT as u64);
        wait_for(&|now| {
            now.clock.load(Relaxed) > first.clock.load(Relaxed) && now.clock_ns.load(Relaxed) > 0
        });
        let set =
            |offset: usize, value: u32| control.write_all_at(&value.to_ne_bytes(), offset as u64).unwrap();
        set(offset_of!(Control, urgent), 1);
        set(offset_of!(Control, taken), 300);
        wait_for(&|now| now.ready.load(Relaxed) == 300 + URGENT_AHEAD);
        assert_eq!(reserve.metadata().unwrap().len(), u64::from(300 + URGENT_AHEAD) * UNIT as u64);
        drop(keeper);
        let last = read();
        std::thread::sleep(3 * IDLE);
        assert_eq!(read().clock.load(Relaxed), last.clock.load(Relaxed), "it has ended");
    }
}
