//! What a trace that was converted from another file does not say, and which commands therefore refuse it.

use anyhow::{Result, bail};
use millpond_trace::{Lack, Origin, Reader};

/// Returns what a lack means, as the object of "does not say".
fn clause(lack: Lack) -> &'static str {
    match lack {
        Lack::Threads => "which thread made a call",
        Lack::Times => "when a call was made",
        Lack::Clock => "when a call was made more exactly than to some 10 ms",
        Lack::Order => "the order of calls",
        Lack::Lifetimes => "how long a block lived",
        Lack::Peak => "what was live at the peak",
        Lack::Sizes => "the sizes of single blocks (they are averages of a call stack)",
        Lack::Counts => "how many blocks there were (that is estimated from samples)",
        Lack::Freed => "which blocks were freed (so all figures are of live blocks)",
        Lack::FreeSites => "where blocks were freed",
        Lack::Resizes => "which blocks were resized",
        Lack::Stacks => "call stacks beyond the caller",
    }
}

/// Returns the name of a lack in JSON.
pub(crate) fn word(lack: Lack) -> &'static str {
    match lack {
        Lack::Threads => "threads",
        Lack::Times => "times",
        Lack::Clock => "clock",
        Lack::Order => "order",
        Lack::Lifetimes => "lifetimes",
        Lack::Peak => "peak",
        Lack::Sizes => "sizes",
        Lack::Counts => "counts",
        Lack::Freed => "freed",
        Lack::FreeSites => "free_sites",
        Lack::Resizes => "resizes",
        Lack::Stacks => "stacks",
    }
}

/// Says where a trace comes from and what it lacks; `None` for a recording.
pub(crate) fn sentence(origin: Origin) -> Option<String> {
    let clauses: Vec<_> = origin.lacks().iter().map(|&lack| clause(lack)).collect();
    let program = origin.program()?;
    Some(format!("converted from a file of {program}, which does not say {}", listed(&clauses)))
}

/// Joins clauses by commas, and the last by "or".
fn listed(clauses: &[&str]) -> String {
    match clauses {
        [] => "anything".into(),
        [only] => (*only).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

/// Returns an error if a trace lacks something that a command needs.
pub(crate) fn require(reader: &Reader, command: &str, needs: &[Lack]) -> Result<()> {
    let origin = reader.summary().resources.origin();
    let missing: Vec<_> =
        needs.iter().filter(|&&lack| origin.has_no(lack)).map(|&lack| clause(lack)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "the trace was converted from a file of {}, which does not say {}, as {command} needs it: `millpond show` shows \
         what is known, and `millpond record` records the rest",
        origin.program().unwrap_or_default(),
        listed(&missing)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_a_sentence() {
        assert_eq!(sentence(Origin::Recorded), None);
        let expected = "converted from a file of mtrace, which does not say which thread made a call, when a call was \
                        made or call stacks beyond the caller";
        assert_eq!(sentence(Origin::Mtrace).unwrap(), expected);
    }
}
