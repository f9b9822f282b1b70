//! System calls, made directly: the program may have functions of its own called `open` or `write`, and those of the
//! C library are points at which a thread can be cancelled, which `malloc` is not.

use core::{
    arch::asm,
    ffi::c_long,
    mem::{MaybeUninit, size_of},
};

use crate::{path::Path, sandbox};

/// Makes a system call; gives what the kernel answers: an error number is negative. `errno` stays as it is.
///
/// # Safety
///
/// That of the system call.
pub(crate) unsafe fn call(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let answer: isize;
    // SAFETY: the caller's promise; the kernel changes no other registers than these.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!(
            "syscall",
            inlateout("rax") number as isize => answer,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
        #[cfg(target_arch = "aarch64")]
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a as isize => answer,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    answer
}

/// The answer, or the error number that it is.
fn checked(answer: isize) -> Result<usize, u32> {
    if (-4095..0).contains(&answer) { Err(-answer as u32) } else { Ok(answer as usize) }
}

/// What a system call with pointers to nothing else is given for its further arguments.
const NO: usize = 0;

/// The current directory, for calls that take a directory and a path.
const HERE: usize = libc::AT_FDCWD as usize;

/// Holds back all signals of this thread, and puts both them and `errno` back when dropped: what the recorder does
/// in between can be neither interrupted by a handler that allocates, nor noticed by the program.
pub(crate) struct Quiet {
    errno: i32,
    mask: u64,
}

impl Quiet {
    /// Until this is dropped. `None` in a sandbox, where no system calls can be made.
    pub(crate) fn begin() -> Option<Self> {
        if !sandbox::begin_calls() {
            return None;
        }
        // SAFETY: every thread has an `errno`.
        Some(unsafe { Self { errno: *libc::__errno_location(), mask: set_signals(u64::MAX) } })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // SAFETY: as in `begin`.
        unsafe {
            set_signals(self.mask);
            *libc::__errno_location() = self.errno;
        }
        sandbox::end_calls();
    }
}

/// Holds back these signals of this thread, and no others; gives those that were held back before.
///
/// # Safety
///
/// A mask that leaves signals in must be put back.
unsafe fn set_signals(mask: u64) -> u64 {
    let mut before = 0_u64;
    let (new, old) = ((&raw const mask) as usize, (&raw mut before) as usize);
    // SAFETY: the kernel's signal mask has eight bytes.
    unsafe { call(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK as usize, new, old, 8, NO, NO]) };
    before
}

/// A file descriptor, held for moments only: programs close all they find, and count on getting the lowest.
pub(crate) struct File(usize);

impl File {
    /// Opens a file, with `O_CLOEXEC` added to the flags. Files made are for their owner alone.
    pub(crate) fn open(path: &Path, flags: i32) -> Result<Self, u32> {
        let flags = flags | libc::O_CLOEXEC;
        let path = path.as_ptr() as usize;
        // SAFETY: a path ends with a zero byte.
        let answer = unsafe { call(libc::SYS_openat, [HERE, path, flags as usize, 0o600, NO, NO]) };
        checked(answer).map(Self)
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
            let at = (offset + done as u64) as usize;
            // SAFETY: the caller's promise.
            let answer = unsafe {
                call(libc::SYS_pwrite64, [self.0, from.add(done) as usize, length - done, at, NO, NO])
            };
            match checked(answer) {
                Ok(0) => return Err(libc::EIO as u32),
                Ok(count) => done += count,
                Err(error) if error == libc::EINTR as u32 => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what there is next, up to the length of `to`; 0 at the end or when that fails.
    pub(crate) fn read(&self, to: &mut [u8]) -> usize {
        let place = to.as_mut_ptr() as usize;
        // SAFETY: the slice is writable.
        let answer = unsafe { call(libc::SYS_read, [self.0, place, to.len(), NO, NO, NO]) };
        checked(answer).unwrap_or(0)
    }

    /// Maps a part of the file, shared with all who do. Stays for ever, but only if `inherited` in a child of `fork`.
    pub(crate) fn map(&self, length: usize, offset: u64, inherited: bool) -> Result<*mut u8, u32> {
        let start = map(length, libc::MAP_SHARED, self.0, offset as usize)?;
        if !inherited {
            // SAFETY: the mapping is this function's own.
            unsafe { call(libc::SYS_madvise, [start, length, libc::MADV_DONTFORK as usize, NO, NO, NO]) };
        }
        Ok(start as *mut u8)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this value's own.
        unsafe { call(libc::SYS_close, [self.0, NO, NO, NO, NO, NO]) };
    }
}

/// A new mapping, at an address of the kernel's choice.
fn map(length: usize, flags: i32, file: usize, offset: usize) -> Result<usize, u32> {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    // SAFETY: where nothing is mapped yet.
    checked(unsafe { call(libc::SYS_mmap, [NO, length, protection, flags as usize, file, offset]) })
}

/// Fresh memory, all zero, for one `T`; in a child of `fork` it is all zero again. `T` must be valid so.
pub(crate) fn forgetful<T>() -> Result<*mut T, u32> {
    let start = map(size_of::<T>(), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, usize::MAX, NO)?;
    let advice = libc::MADV_WIPEONFORK as usize;
    // SAFETY: the mapping is this function's own.
    unsafe {
        let answer = call(libc::SYS_madvise, [start, size_of::<T>(), advice, NO, NO, NO]);
        checked(answer).inspect_err(|_| give_back(start as *mut T))?;
    }
    Ok(start as *mut T)
}

/// Unmaps what [`forgetful`] gave.
///
/// # Safety
///
/// Nothing may use it any more.
pub(crate) unsafe fn give_back<T>(memory: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_munmap, [memory as usize, size_of::<T>(), NO, NO, NO, NO]) };
}

/// How large the process may make a file: beyond that, writing would kill it.
fn largest_file() -> u64 {
    let mut limit = MaybeUninit::<libc::rlimit64>::uninit();
    let resource = libc::RLIMIT_FSIZE as usize;
    // SAFETY: `limit` is a place for the answer, and is read only if there is one.
    unsafe {
        match call(libc::SYS_prlimit64, [0, resource, NO, limit.as_mut_ptr() as usize, NO, NO]) {
            0 => limit.assume_init().rlim_cur,
            _ => u64::MAX,
        }
    }
}

/// Where a symbolic link leads to, as much as fits; gives the number of bytes, 0 if that fails.
pub(crate) fn read_link(path: &Path, to: &mut [u8]) -> usize {
    let (path, place) = (path.as_ptr() as usize, to.as_mut_ptr() as usize);
    // SAFETY: a path ends with a zero byte, and the slice is writable.
    let answer = unsafe { call(libc::SYS_readlinkat, [HERE, path, place, to.len(), NO, NO]) };
    checked(answer).unwrap_or(0).min(to.len())
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
        let place = (&raw mut time) as usize;
        call(libc::SYS_clock_gettime, [clock as usize, place, NO, NO, NO, NO]);
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
        let place = (&raw mut usage) as usize;
        call(libc::SYS_getrusage, [libc::RUSAGE_SELF as usize, place, NO, NO, NO, NO]);
        usage
    };
    let system = usage.ru_stime;
    let system_ns = system.tv_sec as u64 * 1_000_000_000 + system.tv_usec as u64 * 1000;
    Used { system_ns, page_faults: usage.ru_minflt as u64 }
}

/// Whether a program may read the processor's own clock. It can give that up, and pass it on to those that it starts.
pub(crate) fn has_clock() -> bool {
    let mut mode: i32 = 0;
    let place = (&raw mut mode) as usize;
    // SAFETY: `mode` is a valid place for the answer; it stays as it is where there is no such question.
    unsafe { call(libc::SYS_prctl, [libc::PR_GET_TSC as usize, place, NO, NO, NO, NO]) };
    mode != libc::PR_TSC_SIGSEGV
}

/// The numbers of this process and of its parent, not remembered from before a `fork`.
pub(crate) fn process_numbers() -> (u32, u32) {
    // SAFETY: these calls only answer.
    unsafe { (call(libc::SYS_getpid, [NO; 6]) as u32, call(libc::SYS_getppid, [NO; 6]) as u32) }
}

/// Lets another thread run.
pub(crate) fn wait_a_little() {
    // SAFETY: always allowed.
    unsafe { call(libc::SYS_sched_yield, [NO; 6]) };
}
