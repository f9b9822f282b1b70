//! System calls, made directly: the program may have functions of its own called `open` or `write`, and those of the
//! C library are points at which a thread can be cancelled, which `malloc` is not.

use core::{ffi::c_void, mem::size_of, ptr::null_mut};

use crate::path::Path;

/// The error number of the call that just failed, never 0.
fn error() -> u32 {
    // SAFETY: every thread has an `errno`.
    match unsafe { *libc::__errno_location() } {
        0 => libc::EIO as u32,
        error => error as u32,
    }
}

/// Holds back all signals of this thread, and puts both them and `errno` back when dropped: what the recorder does
/// in between can be neither interrupted by a handler that allocates, nor noticed by the program.
pub(crate) struct Quiet {
    errno: i32,
    mask: u64,
}

impl Quiet {
    /// Until this is dropped.
    pub(crate) fn begin() -> Self {
        let (all, mut mask) = (u64::MAX, 0_u64);
        // SAFETY: every thread has an `errno`; the kernel's signal mask has eight bytes.
        unsafe {
            let errno = *libc::__errno_location();
            libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const all, &raw mut mask, 8);
            Self { errno, mask }
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // SAFETY: as in `begin`.
        unsafe {
            let nothing = null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const self.mask, nothing, 8);
            *libc::__errno_location() = self.errno;
        }
    }
}

/// A file descriptor, held for moments only: programs close all they find, and count on getting the lowest.
pub(crate) struct File(i64);

impl File {
    /// Opens a file, with `O_CLOEXEC` added to the flags. Files made are for their owner alone.
    pub(crate) fn open(path: &Path, flags: i32) -> Result<Self, u32> {
        let flags = flags | libc::O_CLOEXEC;
        // SAFETY: a path ends with a zero byte.
        let number =
            unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0o600) } as i64;
        if number < 0 { Err(error()) } else { Ok(Self(number)) }
    }

    /// Writes all of `length` bytes at `from`, or fails with an error number.
    ///
    /// # Safety
    ///
    /// There must be that many.
    pub(crate) unsafe fn write(&self, from: *const u8, length: usize, offset: u64) -> Result<(), u32> {
        if offset + length as u64 > largest_file() {
            return Err(libc::EFBIG as u32);
        }
        let mut done = 0;
        while done < length {
            // SAFETY: the caller's promise.
            let count = unsafe {
                let (from, length) = (from.add(done), length - done);
                libc::syscall(libc::SYS_pwrite64, self.0, from, length, offset + done as u64)
            };
            match count {
                1.. => done += count as usize,
                0 => return Err(libc::EIO as u32),
                _ if error() == libc::EINTR as u32 => {}
                _ => return Err(error()),
            }
        }
        Ok(())
    }

    /// Reads what there is next, up to the length of `to`; 0 at the end or when that fails.
    pub(crate) fn read(&self, to: &mut [u8]) -> usize {
        // SAFETY: the slice is writable.
        let count = unsafe { libc::syscall(libc::SYS_read, self.0, to.as_mut_ptr(), to.len()) };
        count.max(0) as usize
    }

    /// Maps a part of the file, shared with all who do. Stays for ever, but only if `inherited` in a child of `fork`.
    pub(crate) fn map(&self, length: usize, offset: u64, inherited: bool) -> Result<*mut u8, u32> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, at an address of the kernel's choice.
        unsafe {
            let start = libc::mmap(
                null_mut(),
                length,
                protection,
                libc::MAP_SHARED,
                self.0 as i32,
                offset as libc::off_t,
            );
            if start == libc::MAP_FAILED {
                return Err(error());
            }
            if !inherited {
                libc::madvise(start, length, libc::MADV_DONTFORK);
            }
            Ok(start.cast())
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this value's own.
        unsafe { libc::syscall(libc::SYS_close, self.0) };
    }
}

/// Fresh memory, all zero, for one `T`; in a child of `fork` it is all zero again. `T` must be valid so.
pub(crate) fn forgetful<T>() -> Result<*mut T, u32> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, at an address of the kernel's choice.
    unsafe {
        let start = libc::mmap(null_mut(), size_of::<T>(), protection, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return Err(error());
        }
        if libc::madvise(start, size_of::<T>(), libc::MADV_WIPEONFORK) != 0 {
            let error = error();
            give_back(start.cast::<T>());
            return Err(error);
        }
        Ok(start.cast())
    }
}

/// Unmaps what [`forgetful`] gave.
///
/// # Safety
///
/// Nothing may use it any more.
pub(crate) unsafe fn give_back<T>(memory: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(memory.cast::<c_void>(), size_of::<T>()) };
}

/// How large the process may make a file: beyond that, writing would kill it.
fn largest_file() -> u64 {
    // SAFETY: `limit` is a valid place for the answer.
    unsafe {
        let mut limit = core::mem::zeroed::<libc::rlimit64>();
        let nothing = null_mut::<libc::rlimit64>();
        match libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_FSIZE, nothing, &raw mut limit) {
            0 => limit.rlim_cur,
            _ => u64::MAX,
        }
    }
}

/// Nanoseconds of CPU time that this process has used.
pub(crate) fn process_time() -> u64 {
    nanoseconds(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Nanoseconds of CPU time that this thread has used.
pub(crate) fn thread_time() -> u64 {
    nanoseconds(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn nanoseconds(clock: libc::clockid_t) -> u64 {
    // SAFETY: `time` is a valid place for the answer.
    unsafe {
        let mut time = core::mem::zeroed::<libc::timespec>();
        libc::syscall(libc::SYS_clock_gettime, clock, &raw mut time);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}

/// What a process has used of the machine.
pub(crate) struct Used {
    /// Nanoseconds of CPU time within the operating system.
    pub(crate) system_ns: u64,
    /// Page faults that were served without reading from a disk.
    pub(crate) page_faults: u64,
}

/// What this process has used since it was made.
pub(crate) fn used() -> Used {
    // SAFETY: `usage` is a valid place for the answer, for which all zero is a valid value.
    let usage = unsafe {
        let mut usage = core::mem::zeroed::<libc::rusage>();
        libc::syscall(libc::SYS_getrusage, libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let system = usage.ru_stime;
    let system_ns = system.tv_sec as u64 * 1_000_000_000 + system.tv_usec as u64 * 1000;
    Used { system_ns, page_faults: usage.ru_minflt as u64 }
}

/// The numbers of this process and of its parent, not remembered from before a `fork`.
pub(crate) fn process_numbers() -> (u32, u32) {
    // SAFETY: these calls only answer.
    unsafe { (libc::syscall(libc::SYS_getpid) as u32, libc::syscall(libc::SYS_getppid) as u32) }
}

/// Lets another thread run.
pub(crate) fn wait_a_little() {
    // SAFETY: always allowed.
    unsafe { libc::syscall(libc::SYS_sched_yield) };
}
