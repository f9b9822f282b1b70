//! Finds programs that were started while recording and left nothing behind.

use std::{
    collections::HashMap, ffi::OsStr, os::unix::ffi::OsStrExt, path::Path, sync::atomic::Ordering::Relaxed,
};

use millpond_trace::raw::Exec;

use super::{image::Image, inspect, program::Program};
use crate::record::{obstacle::Obstacle, recording::Escape};

/// The programs that processes were to become or to start, without those that failed and those that were recorded.
pub(super) fn find(execs: &[Exec], images: &[Image]) -> Vec<Escape> {
    let mut last_image: HashMap<u32, u64> = HashMap::new();
    for image in images {
        let started = image.header.started.load(Relaxed);
        let last = last_image.entry(image.process()).or_default();
        *last = started.max(*last);
    }
    let mut escaped: Vec<Exec> = Vec::new();
    for exec in execs {
        if exec.failed != 0 {
            escaped.retain(|other| (other.process, other.ticks) != (exec.process, exec.ticks));
        } else if last_image.get(&exec.process).is_none_or(|&started| started < exec.ticks) {
            escaped.push(*exec);
        }
    }
    escaped.iter().map(escape).collect()
}

fn escape(exec: &Exec) -> Escape {
    let length = exec.path.iter().position(|&byte| byte == 0).unwrap_or(exec.path.len());
    let program = Path::new(OsStr::from_bytes(&exec.path[..length])).to_owned();
    let found = Program::find(program.as_os_str()).ok();
    let obstacle = found.and_then(|found| inspect::before(&found.binary)).unwrap_or(Obstacle::NotLoaded);
    Escape { program, process: exec.process, obstacle }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(process: u32, ticks: u64, failed: u32) -> Exec {
        let mut path = [0; 496];
        path[..7].copy_from_slice(b"/bin/sh");
        Exec { ticks, process, failed, path }
    }

    #[test]
    fn what_failed_is_no_escape_and_what_left_nothing_is_one() {
        let found = find(&[exec(1, 10, 0), exec(1, 10, 1), exec(2, 10, 0)], &[]);
        let [escape] = &found[..] else { panic!("{} found", found.len()) };
        assert_eq!((escape.process, escape.program.as_path()), (2, Path::new("/bin/sh")));
        assert_eq!(escape.obstacle, Obstacle::NotLoaded);
    }
}
