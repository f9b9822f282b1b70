//! Queries of a worker to the system about itself, without allocation.

use std::{fs, io::Read};

/// Pins this process to one CPU, the last that it may use. If that fails, the replay still works, with a larger spread.
pub(super) fn pin() {
    #[cfg(target_os = "linux")]
    // SAFETY: an all-zero set is empty, and the calls get its actual size and write only to it.
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of_val(&allowed), &mut allowed) != 0 {
            return;
        }
        let last = (0..libc::CPU_SETSIZE as usize).rfind(|&cpu| libc::CPU_ISSET(cpu, &allowed));
        if let Some(cpu) = last {
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cpu, &mut one);
            libc::sched_setaffinity(0, size_of_val(&one), &one);
        }
    }
}

/// Returns the CPU time of this thread in nanoseconds, user and system.
pub(super) fn cpu_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes, and every Unix system has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Returns the page faults served without a disk, and the nanoseconds of CPU time in the kernel, of this process so
/// far.
pub(super) fn faults() -> (u64, u64) {
    // SAFETY: `usage` is valid for writes, and an all-zero `rusage` is a valid value.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let system = usage.ru_stime;
    (usage.ru_minflt as u64, system.tv_sec as u64 * 1_000_000_000 + system.tv_usec as u64 * 1000)
}

/// Resets the peak of resident memory; `false` if the system does not allow it.
pub(super) fn reset_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Returns the resident memory in bytes: now, and the peak since [`reset_peak`].
pub(super) fn resident() -> Option<(u64, u64)> {
    let mut text = [0; 8192];
    let length = fs::File::open("/proc/self/status").and_then(|mut file| file.read(&mut text)).ok()?;
    let text = str::from_utf8(&text[..length]).ok()?;
    let field = |name| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes * 1024)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn peak_includes_freed_memory() {
        const SIZE: usize = 64 << 20;
        assert!(reset_peak());
        let (before, _) = resident().unwrap();
        drop(std::hint::black_box(vec![1_u8; SIZE]));
        let (now, peak) = resident().unwrap();
        assert!(peak >= before + SIZE as u64 * 9 / 10, "{before} {now} {peak}");
    }

    #[test]
    fn cpu_time_increases() {
        let start = cpu_time();
        while cpu_time() == start {}
        assert!(cpu_time() > start);
    }
}
