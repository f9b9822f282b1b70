//! Direct system calls. The program may define its own functions named `open` or `write`, and those of the C library
//! are cancellation points, which `malloc` must not be.

use core::{
    arch::asm,
    cell::UnsafeCell,
    ffi::c_long,
    mem::{MaybeUninit, size_of},
};

use millpond_trace::raw::UNIT;

use super::{path::Path, sandbox, wipe};

/// Makes a system call; returns the result of the kernel, in which error numbers are negative. Does not change `errno`.
///
/// # Safety
///
/// As for the system call.
pub(crate) unsafe fn call(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let answer: isize;
    // SAFETY: the caller upholds the requirements of the system call; the kernel changes only these registers.
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

/// Converts the result of a system call; errors are error numbers.
fn checked(answer: isize) -> Result<usize, u32> {
    if (-4095..0).contains(&answer) { Err(-answer as u32) } else { Ok(answer as usize) }
}

/// Stands for unused arguments of a system call.
const NO: usize = 0;

/// The current directory, for calls that take a directory and a path.
const HERE: usize = libc::AT_FDCWD as usize;

/// Blocks all signals of this thread; restores the signal mask and `errno` when dropped. Meanwhile, the recorder cannot
/// be interrupted by a handler that allocates, and the program does not notice its work. In a sandbox, where no system
/// calls can be made, this does nothing.
pub(crate) struct Quiet(Option<Before>);

/// The state of the thread before.
struct Before {
    errno: i32,
    mask: u64,
}

impl Quiet {
    /// Blocks signals until the value is dropped, except in a sandbox.
    pub(crate) fn begin() -> Self {
        if !sandbox::begin_calls() {
            return Self(None);
        }
        // SAFETY: `__errno_location` returns a valid pointer on every thread.
        Self(Some(unsafe { Before { errno: *libc::__errno_location(), mask: set_signals(u64::MAX) } }))
    }

    /// Returns whether the thread may make system calls until the value is dropped.
    pub(crate) fn may_call(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let Some(Before { errno, mask }) = self.0 else { return };
        // SAFETY: as in `begin`.
        unsafe {
            set_signals(mask);
            *libc::__errno_location() = errno;
        }
        sandbox::end_calls();
    }
}

/// Sets the signal mask of this thread; returns the previous one.
///
/// # Safety
///
/// The previous mask must be restored.
unsafe fn set_signals(mask: u64) -> u64 {
    let mut before = 0_u64;
    let (new, old) = ((&raw const mask) as usize, (&raw mut before) as usize);
    // SAFETY: the kernel's signal mask has eight bytes, and both pointers are to values of that size.
    unsafe { call(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK as usize, new, old, 8, NO, NO]) };
    before
}

/// A file descriptor, which is kept open only briefly, because programs close unknown descriptors and rely on getting
/// the lowest number.
pub(crate) struct File(usize);

impl File {
    /// Opens a file, with `O_CLOEXEC` added to the flags. Created files are accessible only to their owner.
    pub(crate) fn open(path: &Path, flags: i32) -> Result<Self, u32> {
        let flags = flags | libc::O_CLOEXEC;
        let path = path.as_ptr() as usize;
        // SAFETY: a `Path` ends with a zero byte.
        let answer = unsafe { call(libc::SYS_openat, [HERE, path, flags as usize, 0o600, NO, NO]) };
        checked(answer).map(Self)
    }

    /// Returns an open file by its descriptor.
    pub(crate) fn of(descriptor: usize) -> Self {
        Self(descriptor)
    }

    /// Keeps the file open for this process and the programs that it becomes or starts; returns its descriptor, the lowest
    /// that is free from `least` on.
    pub(crate) fn keep_open(self, least: usize) -> Result<usize, u32> {
        // SAFETY: the call makes a new descriptor.
        checked(unsafe { call(libc::SYS_fcntl, [self.0, libc::F_DUPFD as usize, least, NO, NO, NO]) })
    }

    /// Writes all `length` bytes at `from`, or returns an error number.
    ///
    /// # Safety
    ///
    /// `from` must point to `length` bytes.
    pub(crate) unsafe fn write(&self, from: *const u8, length: usize, offset: u64) -> Result<(), u32> {
        if offset + length as u64 > limit(libc::RLIMIT_FSIZE as usize) {
            return Err(libc::EFBIG as u32);
        }
        let mut done = 0;
        while done < length {
            let at = (offset + done as u64) as usize;
            // SAFETY: the caller guarantees that `from` points to `length` bytes.
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

    /// Writes this many zeros, up to [`UNIT`].
    pub(crate) fn write_zeros(&self, length: usize, offset: u64) -> Result<(), u32> {
        /// In a cell, so that it takes no space in the library's file; never changed.
        struct Zeros(UnsafeCell<[u8; UNIT]>);
        // SAFETY: only read.
        unsafe impl Sync for Zeros {}
        static ZEROS: Zeros = Zeros(UnsafeCell::new([0; UNIT]));
        // SAFETY: the array is at least that long.
        unsafe { self.write(ZEROS.0.get().cast(), length.min(UNIT), offset) }
    }

    /// Reserves room in the file, which reads as zeros where nothing was written.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn reserve(&self, length: usize, offset: u64) -> Result<(), u32> {
        if offset + length as u64 > limit(libc::RLIMIT_FSIZE as usize) {
            return Err(libc::EFBIG as u32);
        }
        // SAFETY: the call changes the file only.
        let answer = unsafe { call(libc::SYS_fallocate, [self.0, 0, offset as usize, length, NO, NO]) };
        checked(answer).map(|_| ())
    }

    /// Reads the next bytes, up to the length of `to`; returns their number, which is 0 at the end and on failure.
    pub(crate) fn read(&self, to: &mut [u8]) -> usize {
        let place = to.as_mut_ptr() as usize;
        // SAFETY: the slice is writable.
        let answer = unsafe { call(libc::SYS_read, [self.0, place, to.len(), NO, NO, NO]) };
        checked(answer).unwrap_or(0)
    }

    /// Maps a part of the file, shared with other processes. The mapping is permanent; children of `fork` have it only
    /// if `inherited` is true.
    pub(crate) fn map(&self, length: usize, offset: u64, inherited: bool) -> Result<*mut u8, u32> {
        let start = map(length, libc::MAP_SHARED, self.0, offset as usize)?;
        if !inherited {
            // SAFETY: the mapping was just created and is not used elsewhere.
            unsafe { call(libc::SYS_madvise, [start, length, libc::MADV_DONTFORK as usize, NO, NO, NO]) };
        }
        Ok(start as *mut u8)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: this value owns the descriptor.
        unsafe { call(libc::SYS_close, [self.0, NO, NO, NO, NO, NO]) };
    }
}

/// Creates a mapping at an address chosen by the kernel.
fn map(length: usize, flags: i32, file: usize, offset: usize) -> Result<usize, u32> {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    // SAFETY: the kernel chooses addresses where nothing is mapped.
    checked(unsafe { call(libc::SYS_mmap, [NO, length, protection, flags as usize, file, offset]) })
}

/// Allocates zeroed memory for one `T`; in a child of `fork`, it is zeroed again. All zeros must be a valid `T`.
pub(crate) fn forgetful<T>() -> Result<*mut T, u32> {
    forgetful_bytes(size_of::<T>()).map(<*mut u8>::cast)
}

/// Allocates this many bytes in the same way. In a sandbox, this must only be called when recording starts.
pub(crate) fn forgetful_bytes(bytes: usize) -> Result<*mut u8, u32> {
    let start = map(bytes, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, usize::MAX, NO)?;
    if sandbox::is_inside() {
        return if wipe::in_children(start as *mut u8, bytes) { Ok(start as *mut u8) } else { Err(0) };
    }
    let advice = libc::MADV_WIPEONFORK as usize;
    // SAFETY: the mapping was just created and is not used elsewhere.
    unsafe {
        let answer = call(libc::SYS_madvise, [start, bytes, advice, NO, NO, NO]);
        checked(answer).inspect_err(|_| {
            call(libc::SYS_munmap, [start, bytes, NO, NO, NO, NO]);
        })?;
    }
    Ok(start as *mut u8)
}

/// Unmaps memory returned by [`forgetful`].
///
/// # Safety
///
/// The memory must not be used afterwards.
pub(crate) unsafe fn give_back<T>(memory: *mut T) {
    // SAFETY: the memory was mapped by `forgetful`, and the caller guarantees that it is not used afterwards.
    unsafe { call(libc::SYS_munmap, [memory as usize, size_of::<T>(), NO, NO, NO, NO]) };
}

/// Returns a limit of the process, such as that for the size of a file, beyond which a write would kill the process;
/// `u64::MAX`: none.
pub(crate) fn limit(resource: usize) -> u64 {
    let mut limit = MaybeUninit::<libc::rlimit64>::uninit();
    // SAFETY: `limit` is valid for the result, and is read only on success.
    unsafe {
        match call(libc::SYS_prlimit64, [0, resource, NO, limit.as_mut_ptr() as usize, NO, NO]) {
            0 => limit.assume_init().rlim_cur,
            _ => u64::MAX,
        }
    }
}

/// Returns the limit of the address space; `u64::MAX`: none, or not known, because that takes a system call and `calls` is
/// false.
pub(crate) fn limit_of_addresses(calls: bool) -> u64 {
    if calls { limit(libc::RLIMIT_AS as usize) } else { u64::MAX }
}

/// Reads the target of a symbolic link, as far as it fits; returns the number of bytes, 0 on failure.
pub(crate) fn read_link(path: &Path, to: &mut [u8]) -> usize {
    let (path, place) = (path.as_ptr() as usize, to.as_mut_ptr() as usize);
    // SAFETY: a `Path` ends with a zero byte, and the slice is writable.
    let answer = unsafe { call(libc::SYS_readlinkat, [HERE, path, place, to.len(), NO, NO]) };
    checked(answer).unwrap_or(0).min(to.len())
}

/// Returns the nanoseconds of CPU time that this process has used.
pub(crate) fn process_time() -> u64 {
    nanoseconds(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Returns the nanoseconds of CPU time that this thread has used.
pub(crate) fn thread_time() -> u64 {
    nanoseconds(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn nanoseconds(clock: libc::clockid_t) -> u64 {
    // SAFETY: `time` is valid for the result.
    unsafe {
        let mut time = core::mem::zeroed::<libc::timespec>();
        let place = (&raw mut time) as usize;
        call(libc::SYS_clock_gettime, [clock as usize, place, NO, NO, NO, NO]);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}

/// Resources that a process has used.
pub(crate) struct Used {
    /// Nanoseconds of CPU time in the operating system.
    pub(crate) system_ns: u64,
    /// Number of page faults served without reading from a disk.
    pub(crate) page_faults: u64,
}

/// Returns the resources that this process has used since it was created.
pub(crate) fn used() -> Used {
    // SAFETY: `usage` is valid for the result, and all zeros are a valid value.
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

/// Returns whether the program may read the processor's clock. A program can renounce that for itself and the programs
/// that it starts.
pub(crate) fn has_clock() -> bool {
    let mut mode: i32 = 0;
    let place = (&raw mut mode) as usize;
    // SAFETY: `mode` is valid for the result; it is unchanged if the system does not support the call.
    unsafe { call(libc::SYS_prctl, [libc::PR_GET_TSC as usize, place, NO, NO, NO, NO]) };
    mode != libc::PR_TSC_SIGSEGV
}

/// Returns the identifiers of this process and of its parent, without caching them across a `fork`.
pub(crate) fn process_numbers() -> (u32, u32) {
    // SAFETY: these calls only return values.
    unsafe { (call(libc::SYS_getpid, [NO; 6]) as u32, call(libc::SYS_getppid, [NO; 6]) as u32) }
}

/// Returns the number of this thread in the system, and its name, padded with zeros.
pub(crate) fn thread() -> (u32, [u8; 16]) {
    let mut name = [0_u8; 16];
    // SAFETY: `name` has the length that the system writes at most.
    unsafe {
        let place = name.as_mut_ptr() as usize;
        call(libc::SYS_prctl, [libc::PR_GET_NAME as usize, place, NO, NO, NO, NO]);
        (call(libc::SYS_gettid, [NO; 6]) as u32, name)
    }
}

/// Lets time pass: yields to another thread if `calls` is true, or else makes no system call.
pub(crate) fn wait_a_little(calls: bool) {
    if calls {
        // SAFETY: `sched_yield` is always safe to call.
        unsafe { call(libc::SYS_sched_yield, [NO; 6]) };
    } else {
        core::hint::spin_loop();
    }
}
