//! Why a trace allows no verdict: it does not contain all that the program did, or its allocator cannot be compared with.

use millpond_trace::{Ending, Summary};

use crate::{replay::LEAST_ROUNDS, units};

/// Returns why a trace is incomplete, and what to do, in one or two sentences; `None` if it is complete.
pub(crate) fn incomplete(summary: &Summary) -> Option<String> {
    if summary.ending.is_complete() {
        return None;
    }
    let part = "the recording has only the beginning of what the program did";
    Some(match (summary.stopped.as_str(), summary.ending) {
        ("", Ending::Full) => {
            format!(
                "{part}, because it reached its size limit or the disk was full. Record with a larger --max-size, or set TMPDIR to a larger disk."
            )
        }
        ("", _) => format!("{part}."),
        (reason, _) => format!("{part}: recording stopped because {reason}."),
    })
}

/// Returns why this number of rounds is too small, in two sentences; `None` if it is not.
pub(super) fn too_few(rounds: usize) -> Option<String> {
    (rounds < LEAST_ROUNDS).then(|| {
        format!(
            "{} cannot tell a difference from chance. Replay with --rounds {LEAST_ROUNDS} or more.",
            units::counted(rounds as u64, "round")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_recordings_are_judged() {
        for ending in [Ending::Exited, Ending::Cut] {
            assert_eq!(incomplete(&Summary { ending, ..Summary::default() }), None);
        }
        for ending in [Ending::Full, Ending::Stopped] {
            let part = Summary { ending, ..Summary::default() };
            assert!(incomplete(&part).unwrap().contains("only the beginning"));
            let part = Summary { stopped: "it snowed".into(), ..part };
            assert!(incomplete(&part).unwrap().ends_with("because it snowed."));
        }
    }
}
