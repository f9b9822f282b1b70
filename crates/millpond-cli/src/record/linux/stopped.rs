//! Explains why recording stopped before the process did, and how to avoid it.

use std::{io, sync::atomic::Ordering::Relaxed};

use millpond_trace::{
    Ending,
    raw::{Header, LIMIT, OVER, SANDBOX},
};

use crate::units::bytes;

/// Returns the reason as a clause; `None` if recording did not stop early. `limit` is how many bytes were allowed.
pub(super) fn reason(header: &Header, limit: u64) -> Option<(Ending, String)> {
    if header.stopped.load(Relaxed) == 0 {
        return None;
    }
    Some(match header.reason.load(Relaxed) {
        LIMIT => {
            let limit = bytes(limit as f64);
            let what =
                format!("it reached the limit of {limit} for temporary data: give a larger --max-size");
            (Ending::Full, what)
        }
        OVER => (Ending::Stopped, "the program had ended while this process still ran".into()),
        SANDBOX => {
            let what = "the program entered a sandbox (seccomp), which might have killed it for a system call of the \
                        recorder, and had no address space left to continue without: raise its limit (ulimit -v), or \
                        record it with its sandbox turned off";
            (Ending::Stopped, what.into())
        }
        number => of_error(number as i32),
    })
}

/// Returns the same for an error of the system.
fn of_error(number: i32) -> (Ending, String) {
    let (ending, why) = match number {
        libc::EACCES | libc::EPERM => (
            Ending::Stopped,
            "the program gave up its rights (as by setuid or a sandbox), and may not write to the recorder's files any more: record \
             it as the user that it becomes",
        ),
        libc::ENOENT | libc::ENOTDIR => (
            Ending::Stopped,
            "the program went where the recorder's files are not (as by chroot): record it without that",
        ),
        libc::ENOSPC | libc::EDQUOT => (
            Ending::Full,
            "there is no room left in the directory for temporary files or in /dev/shm: set TMPDIR to a larger disk",
        ),
        libc::EFBIG => (Ending::Full, "the program may not write larger files: raise its limit (ulimit -f)"),
        libc::EMFILE | libc::ENFILE => {
            (Ending::Stopped, "the program may not open more files: raise its limit (ulimit -n)")
        }
        libc::ENOMEM => {
            (Ending::Stopped, "the program may not have more memory: raise its limit (ulimit -v)")
        }
        _ => (Ending::Stopped, "of an error"),
    };
    (ending, format!("{why} ({})", io::Error::from_raw_os_error(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reason: u32) -> (Ending, String) {
        let header = Header::default();
        header.stopped.store(1, Relaxed);
        header.reason.store(reason, Relaxed);
        self::reason(&header, 655_360).unwrap()
    }

    #[test]
    fn every_reason_is_told_with_a_remedy() {
        assert_eq!(reason(&Header::default(), 1), None);
        let (ending, text) = told(LIMIT);
        assert!(ending == Ending::Full && text.contains("640 KiB") && text.contains("--max-size"), "{text}");
        assert!(told(SANDBOX).1.contains("turned off"));
        assert!(told(libc::EACCES as u32).1.contains("as the user"));
        assert!(told(libc::ENOENT as u32).1.contains("chroot"));
        let (ending, text) = told(libc::EFBIG as u32);
        assert!(ending == Ending::Full && text.contains("(File too large"), "{text}");
        assert!(told(libc::EIO as u32).1.starts_with("of an error (Input/output"));
    }
}
