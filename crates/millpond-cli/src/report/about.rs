//! What all reports as text have in common.

use std::fmt::Write as _;

use millpond_trace::{Ending, Lack, Summary};

use crate::{
    lacking,
    query::Selection,
    units::{self, bytes, count, counted},
};

pub(super) const BOLD: anstyle::Style = anstyle::Style::new().bold();
/// Max number of characters of a command line that are shown.
const LINE: usize = 100;

/// Describes what was recorded, in a few lines, with an additional one about the process or its threads.
pub(super) fn recording(command_line: &str, summary: &Summary, more: Option<String>) -> String {
    let cpu = match summary.cpu_ns {
        0 => "CPU time unknown".into(),
        cpu => format!("{} of CPU time", units::time(cpu as f64)),
    };
    let mut text = format!(
        "{BOLD}{}{BOLD:#}\n{}, {}, {cpu}\n",
        shortened(command_line, LINE),
        counted(summary.events, "event"),
        counted(summary.allocations, "allocation"),
    );
    let origin = summary.resources.origin();
    if !origin.has_no(Lack::Peak) {
        let (live, blocks) = (bytes(summary.peak_bytes as f64), counted(summary.peak_blocks, "block"));
        let _ = writeln!(text, "at the peak {live} live in {blocks}");
    }
    if let Some(sentence) = lacking::sentence(origin) {
        let _ = writeln!(text, "{sentence}");
    }
    if let Some(more) = more {
        let _ = writeln!(text, "{more}");
    }
    for (number, what) in [
        (summary.unknown_frees, "frees or reallocs of blocks whose allocation was not recorded, left out"),
        (summary.overlaps, "addresses handed out again without a recorded free"),
    ] {
        if number > 0 {
            let _ = writeln!(text, "{what}: {}", count(number));
        }
    }
    match summary.ending {
        Ending::Exited => {}
        _ if !summary.stopped.is_empty() => {
            let _ = writeln!(text, "recording stopped because {}: the rest is missing", summary.stopped);
        }
        Ending::Cut => text.push_str(
            "the program was killed, or ended without its exit handlers: what it did until then is recorded\n",
        ),
        Ending::Full | Ending::Stopped => {
            text.push_str("recording stopped before the program did: the rest is missing\n")
        }
    }
    text
}

/// Says that a report is about some blocks alone.
pub(super) fn selection(selection: &Selection) -> String {
    format!(
        "all of this is about the blocks with {} alone; the whole recording has {} and {}",
        selection.options,
        counted(selection.of_allocations, "allocation"),
        bytes(selection.of_bytes as f64),
    )
}

/// Returns the title of a list, which says how many of how many there are.
pub(super) fn title(title: &str, shown: usize, all: usize) -> String {
    let of = if all > shown { format!(" ({shown} of {})", count(all as u64)) } else { String::new() };
    format!("{BOLD}{title}{of}{BOLD:#}\n")
}

/// Shortens a line to at most `most` characters and three dots.
pub(super) fn shortened(line: &str, most: usize) -> String {
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}
