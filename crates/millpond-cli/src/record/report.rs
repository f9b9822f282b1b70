//! Reports on standard error what was recorded, what was not, and why.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    error::RecordError,
    recording::{Escape, Other, Recording, Trace},
};
use crate::{
    analysis, terminal,
    units::{bytes, counted, range, time},
};

/// Max number of other processes, and of escaped programs, that are listed individually.
const TOLD: usize = 4;
/// CPU time in nanoseconds from which another program that used it is mentioned.
const WORTH_MENTION: u64 = 20_000_000;

/// Prints the whole report about a recording.
pub(crate) fn all(recording: &Recording) {
    for line in lines(recording) {
        terminal::eprint(&line);
    }
}

fn lines(recording: &Recording) -> Vec<String> {
    let mut lines = Vec::new();
    let file = recording.path.display();
    if let Some(trace) = recording.chosen() {
        lines.push(format!("recorded {}: {file}{}", trace_line(trace), size(trace)));
        lines.extend(cost(trace));
        lines.extend(allocator(trace));
    }
    lines.extend(incomplete(recording));
    lines.extend(about(recording));
    lines
}

/// Reports on a recording without its traces: what ended the program, what is missing, and which other processes there
/// were.
pub(crate) fn about(recording: &Recording) -> Vec<String> {
    let mut lines = Vec::new();
    let until = "what it did until then is recorded";
    let ended = |signal| format!("{}; {until}", ended_by(&recording.program, signal));
    lines.extend(recording.signal().map(ended));
    if let Some((path, error)) = &recording.error {
        lines.push(format!("{} {error}", path.display()));
    }
    lines.extend(recording.chosen().and_then(own_arenas));
    lines.extend(also(recording));
    lines.extend(others(recording));
    if recording.failed > 0 {
        lines.push(format!(
            "{} could not be recorded: no files could be made in the directory for temporary files or in /dev/shm, because \
             there was no room, no permission, or no file descriptor left",
            counted(recording.failed as u64, "process")
        ));
    }
    if recording.sandboxed > 0 {
        lines.push(format!(
            "{} could not be recorded: a sandbox (seccomp) might have killed them for it",
            counted(recording.sandboxed as u64, "process")
        ));
    }
    if recording.missing > 0 {
        let each = if recording.missing == 1 { "which" } else { "each of which" };
        let programs = counted(recording.missing as u64, "program");
        lines.push(format!("not recorded: {programs}, {each} {}", RecordError::NotInherited));
    }
    lines.extend(escaped(&recording.escaped));
    let [compared, different] = recording.compared;
    if compared > 0 {
        lines.push(format!("{} compared, {different} of them different", counted(compared, "stack")));
    }
    lines
}

/// Describes what is wrong with traces.
fn incomplete(recording: &Recording) -> Vec<String> {
    let traces = recording.traces.iter().filter(|trace| !trace.summary.stopped.is_empty());
    let line = |trace: &Trace| {
        let (path, reason) = (recording.path.display(), &trace.summary.stopped);
        let process = format!("{} (process {}) in ", trace.name, trace.start.process);
        let process = if recording.traces.len() > 1 { &*process } else { "" };
        format!("{process}{path} is not complete: recording stopped because {reason}")
    };
    let mut lines: Vec<_> = traces.clone().take(TOLD).map(line).collect();
    let more = traces.count() - lines.len();
    if more > 0 {
        lines.push(format!("and {} not complete", counted(more as u64, "more process")));
    }
    lines
}

fn trace_line(trace: &Trace) -> String {
    let summary = &trace.summary;
    format!(
        "{} ({}) of {}, process {}, {}, {}",
        counted(summary.events, "event"),
        counted(summary.allocations, "allocation"),
        trace.name,
        trace.start.process,
        counted(summary.threads.into(), "thread"),
        time(summary.wall_ns as f64),
    )
}

/// Describes how much room a trace takes.
fn size(trace: &Trace) -> String {
    let each = trace.bytes as f64 / trace.summary.events.max(1) as f64;
    format!(", {}, {each:.1} bytes per event", bytes(trace.bytes as f64))
}

/// Lists the other processes in the file, in one line.
fn also(recording: &Recording) -> Option<String> {
    let others = match recording.chosen() {
        Some(_) => recording.traces.get(1..)?,
        None => &recording.traces,
    };
    let others: Vec<_> = others.iter().map(Other::from).collect();
    if others.is_empty() {
        return None;
    }
    let size = if recording.bytes > 0 {
        format!(", {} in all", bytes(recording.bytes as f64))
    } else {
        String::new()
    };
    let file = recording.path.display();
    let groups = groups(&others);
    let hint = "`millpond show` lists them, and --process selects one by its name or number";
    let busiest = busiest(recording.chosen(), &groups);
    Some(format!("{} also in {file}{size}: {}; {hint}{busiest}", total(&others), list(&groups)))
}

/// Names the allocator that served the program, if it is not that of glibc.
fn allocator(trace: &Trace) -> Option<String> {
    let allocator = &trace.summary.allocator;
    (!allocator.is_empty())
        .then(|| format!("its calls were served not by glibc's allocator but by {allocator}"))
}

/// Describes what recording cost, if that is known.
fn cost(trace: &Trace) -> Option<String> {
    let summary = &trace.summary;
    (summary.cpu_ns > 0 && summary.resources.recording_ns.is_some()).then(|| {
        let took = range(analysis::recording_cost(summary), time);
        format!("of its {} of CPU time, recording took {took} (estimated)", time(summary.cpu_ns as f64))
    })
}

/// Describes which signal ended the program.
pub(super) fn ended_by(program: &str, signal: i32) -> String {
    let (name, why) = match signal {
        2 => ("SIGINT", ""),
        4 => ("SIGILL", ""),
        6 => ("SIGABRT", ""),
        8 => ("SIGFPE", ""),
        7 => ("SIGBUS", ""),
        9 => ("SIGKILL", ": another process killed it, or the system did because memory ran out"),
        11 => ("SIGSEGV", ""),
        13 => ("SIGPIPE", ""),
        15 => ("SIGTERM", ""),
        24 => ("SIGXCPU", ": it reached its limit of CPU time (ulimit -t)"),
        25 => ("SIGXFSZ", ": it reached its limit for the size of a file (ulimit -f)"),
        31 => ("SIGSYS", ": its sandbox (seccomp) does not allow a system call that it made"),
        _ => ("", ""),
    };
    let named = if name.is_empty() { String::new() } else { format!(" ({name})") };
    format!("signal {signal}{named} ended {program}{why}")
}

/// Programs that by default serve most of their objects from their own memory.
fn own_arenas(trace: &Trace) -> Option<String> {
    let python = trace.start.program.rsplit('/').next()?.starts_with("python3");
    let told =
        std::env::var_os("PYTHONMALLOC").is_some_and(|value| value.to_string_lossy().starts_with("malloc"));
    (python && !told).then(|| {
        "python3 carves objects of up to 512 bytes out of memory of its own, and these are not recorded: to record them, set \
         PYTHONMALLOC=malloc in its environment"
            .to_owned()
    })
}

/// Processes of the same name.
struct Group<'a> {
    name: &'a str,
    processes: u64,
    events: u64,
    cpu_ns: u64,
    /// The number of one of these processes.
    process: u32,
}

/// Groups processes by name, those with the most events first.
fn groups(others: &[Other]) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    for Other { name, process, events, cpu_ns } in others {
        let group = Group { name, processes: 0, events: 0, cpu_ns: 0, process: *process };
        let group = groups.entry(name).or_insert(group);
        group.processes += 1;
        group.events += events;
        group.cpu_ns += cpu_ns;
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| Reverse(group.events));
    groups
}

/// Lists the processes that were not kept, in one line.
fn others(recording: &Recording) -> Option<String> {
    if recording.others.is_empty() {
        return None;
    }
    let groups = groups(&recording.others);
    let hint = "--process selects one by its name or number";
    let busiest = busiest(recording.chosen(), &groups);
    Some(format!("{} not kept: {}; {hint}{busiest}", total(&recording.others), list(&groups)))
}

/// Counts processes and their events.
fn total(others: &[Other]) -> String {
    let events = others.iter().map(|other| other.events).sum();
    format!("{} with {}", counted(others.len() as u64, "other process"), counted(events, "event"))
}

/// Lists the first groups.
fn list(groups: &[Group<'_>]) -> String {
    let named: Vec<_> = groups.iter().take(TOLD).map(group_line).collect();
    named.join(", ") + if groups.len() > TOLD { ", ..." } else { "" }
}

fn group_line(group: &Group<'_>) -> String {
    let events = counted(group.events, "event");
    match group.processes {
        1 => format!("{} (process {}, {events})", group.name, group.process),
        many => format!("{} ({}, {events})", group.name, counted(many, "process")),
    }
}

/// Names the processes that used most of the CPU time, if the chosen one used hardly any.
fn busiest(chosen: Option<&Trace>, groups: &[Group<'_>]) -> String {
    let busiest = groups.iter().max_by_key(|group| group.cpu_ns);
    let is_much = |chosen: &Trace, busiest: &Group<'_>| {
        busiest.cpu_ns > WORTH_MENTION
            && busiest.cpu_ns > 4 * chosen.summary.cpu_ns
            && busiest.name != chosen.name
    };
    match (chosen, busiest) {
        (Some(chosen), Some(busiest)) if is_much(chosen, busiest) => {
            let name = busiest.name;
            format!(". Most of the CPU time went into {name}: to see that, use --process {name}")
        }
        _ => String::new(),
    }
}

/// Lists the first escaped programs, one line each.
fn escaped(escapes: &[Escape]) -> Vec<String> {
    let line = |escape: &Escape| {
        let program = escape.program.display();
        let process = escape.process.map_or("a child".into(), |process| format!("process {process}"));
        format!("not recorded: {program} ({process}), which {}", escape.error)
    };
    let mut lines: Vec<_> = escapes.iter().take(TOLD).map(line).collect();
    if escapes.len() > TOLD {
        let more = counted((escapes.len() - TOLD) as u64, "more program");
        lines.push(format!("and {more} that did not load the recorder"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named_with_what_they_mean() {
        let text = ended_by("sort", 9);
        assert!(text.starts_with("signal 9 (SIGKILL) ended sort: another process killed it, or"), "{text}");
        assert!(ended_by("sort", 35).starts_with("signal 35 ended sort"));
    }
}
