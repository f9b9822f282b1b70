//! Finds programs that were started during the recording and left no files.

use std::{
    collections::HashMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
};

use millpond_trace::raw::{Exec, LOST_CHILD, SOME_CHILD};

use super::{image::Image, inspect, program::Program};
use crate::record::{error::RecordError, recording::Escape};

/// Returns the programs that processes were about to become or to start, without those that failed and those that were
/// recorded. `otherwise` is the reason if the files of a program do not reveal one.
pub(super) fn find(execs: &[Exec], images: &[Image], otherwise: &RecordError) -> Vec<Escape> {
    let mut last_image: HashMap<u32, u64> = HashMap::new();
    for image in images {
        let started = image.header.started.load(Relaxed);
        let last = last_image.entry(image.process()).or_default();
        *last = started.max(*last);
    }
    let recorded = |exec: &&Exec| last_image.get(&exec.process).is_some_and(|&last| last >= exec.ticks);
    let escaped = execs.iter().filter(|exec| exec.process != 0 && exec.failed == 0 && !recorded(exec));
    escaped.filter_map(|exec| escape(exec, otherwise)).collect()
}

/// Returns an escape, unless it is a child of unknown number that nothing prevents from being recorded.
fn escape(exec: &Exec, otherwise: &RecordError) -> Option<Escape> {
    let length = exec.path.iter().position(|&byte| byte == 0).unwrap_or(exec.path.len());
    let program = match length {
        0 => PathBuf::from("another program"),
        _ => Path::new(OsStr::from_bytes(&exec.path[..length])).to_owned(),
    };
    let found = Program::find(program.as_os_str()).ok();
    let error = found.and_then(|found| inspect::before(&found.binary));
    let error = match exec.process {
        SOME_CHILD => error?,
        _ => error.unwrap_or_else(|| otherwise.clone()),
    };
    let process = (exec.process < LOST_CHILD).then_some(exec.process);
    Some(Escape { program, process, error })
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
        let found = find(&[exec(1, 10, 1), exec(0, 0, 0), exec(2, 10, 0)], &[], &RecordError::NotLoaded);
        let [escape] = &found[..] else { panic!("{} found", found.len()) };
        assert_eq!((escape.process, escape.program.as_path()), (Some(2), Path::new("/bin/sh")));
        assert_eq!(escape.error, RecordError::NotLoaded);
    }

    #[test]
    fn of_children_without_a_number_those_that_cannot_be_recorded_have_escaped() {
        let found = find(&[exec(SOME_CHILD, 10, 0), exec(LOST_CHILD, 10, 0)], &[], &RecordError::NotLoaded);
        let [escape] = &found[..] else { panic!("{} found", found.len()) };
        assert_eq!(escape.process, None);
    }
}
