//! Why a trace allows no verdict: it does not contain all that the program allocated, or it is not from the allocator
//! that a verdict compares with.

use millpond_trace::{Ending, Summary};

/// Returns why there can be no verdict, and what to do, in one or two sentences; `None` if there can be one.
pub(crate) fn exclusion(summary: &Summary, program: &str) -> Option<String> {
    if !summary.ending.is_complete() {
        return Some(incomplete(summary));
    }
    (!summary.allocator.is_empty()).then(|| {
        format!(
            "{program} does not use glibc's allocator but {}. Its blocks may be missing from the recording, and what \
             they cost was not measured. Record {program} without that allocator.",
            summary.allocator
        )
    })
}

fn incomplete(summary: &Summary) -> String {
    let part = "the recording has only the beginning of what the program did";
    match (summary.stopped.as_str(), summary.ending) {
        ("", Ending::Full) => {
            format!(
                "{part}, because it reached its size limit or the disk was full. Record with a larger --max-size, or set TMPDIR to a larger disk."
            )
        }
        ("", _) => format!("{part}."),
        (reason, _) => format!("{part}: recording stopped because {reason}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_recording_of_glibc_is_judged() {
        for ending in [Ending::Exited, Ending::Cut] {
            assert_eq!(exclusion(&Summary { ending, ..Summary::default() }, "jq"), None);
        }
    }

    #[test]
    fn partial_recording_or_other_allocator_is_not() {
        for ending in [Ending::Full, Ending::Stopped] {
            let part = Summary { ending, ..Summary::default() };
            assert!(exclusion(&part, "jq").unwrap().contains("only the beginning"));
            let part = Summary { stopped: "it snowed".into(), ..part };
            assert!(exclusion(&part, "jq").unwrap().ends_with("because it snowed."));
        }
        let other = Summary { allocator: "libjemalloc.so.2".into(), ..Summary::default() };
        let told = exclusion(&other, "jq").unwrap();
        assert!(told.contains("jq does not use glibc's allocator but libjemalloc.so.2."), "{told}");
    }
}
