//! Says on standard error what was recorded, and what was not and why.

use std::time::Duration;

use super::recording::{Recording, Trace};

/// Other processes that are told one by one.
const TOLD: usize = 8;

/// All that there is to say about a recording.
pub(super) fn all(recording: &Recording) {
    for line in lines(recording) {
        eprintln!("millpond: {line}");
    }
}

fn lines(recording: &Recording) -> Vec<String> {
    let mut lines = Vec::new();
    let others = &recording.traces[usize::from(recording.program().is_some())..];
    if let Some(trace) = recording.program() {
        lines.push(format!("recorded {}", trace_line(trace)));
        lines.extend(cost(trace));
    }
    if let Some((path, obstacle)) = &recording.obstacle {
        lines.push(format!("{} {obstacle}", path.display()));
    }
    for trace in others.iter().take(TOLD) {
        lines.push(format!("also {}", trace_line(trace)));
    }
    if others.len() > TOLD {
        lines.push(format!("and {} more traces of other processes beside it", others.len() - TOLD));
    }
    for trace in &recording.traces {
        if let Some(reason) = &trace.stopped {
            lines.push(format!(
                "{} is not complete: recording stopped because {reason}",
                trace.path.display()
            ));
        }
    }
    if recording.failed > 0 {
        let what =
            "could not be recorded: no files could be made for them in the temporary directory or /dev/shm";
        lines.push(format!("{} processes {what}", recording.failed));
    }
    lines
}

fn trace_line(trace: &Trace) -> String {
    let summary = &trace.summary;
    let events = summary.events.max(1) as f64;
    format!(
        "{} events ({} allocations) of {}, process {}, {}, {:.1?}: {}, {}, {:.1} bytes per event",
        number(summary.events),
        number(summary.allocations),
        trace.start.program.rsplit('/').next().unwrap_or_default(),
        trace.start.process,
        if summary.threads == 1 {
            "1 thread".into()
        } else {
            format!("{} threads", number(summary.threads.into()))
        },
        Duration::from_nanos(summary.wall_ns),
        trace.path.display(),
        size(trace.bytes),
        trace.bytes as f64 / events,
    )
}

/// What recording cost, where that can be told.
fn cost(trace: &Trace) -> Option<String> {
    let (cost, total) = (trace.summary.resources.recording_ns? as f64, trace.summary.cpu_ns as f64);
    let own = total - cost;
    let time = Duration::from_nanos(cost as u64);
    (own > 0.0)
        .then(|| format!("recording added about {time:.1?} to its CPU time, or {:.1} %", cost / own * 100.0))
}

/// A number with its thousands apart.
fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes, short.
pub(super) fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1000), "1,000");
        assert_eq!(number(12_345_678), "12,345,678");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(5 << 40), "5.0 TiB");
        assert_eq!(size(u64::MAX), "16777216.0 TiB");
    }
}
