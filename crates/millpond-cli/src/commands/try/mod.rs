//! `millpond try`: records, replays and advises in one command.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};
use millpond_trace::Reader;

use self::{
    input::Input,
    runs::{Pair, children_time},
};
use crate::{
    analysis::{self, Analysis, Prediction, Study},
    cli,
    estimate::Estimate,
    live::{Ending, Lineup, Timed},
    record::{self, Recording, StackOptions},
    replay::Library,
    report::{self, Tried},
    terminal, trace,
};

mod input;
mod runs;

/// Runs the program, then reports on standard error, because standard output belongs to the program.
pub(crate) fn run(arguments: cli::Try) -> Result<ExitCode> {
    if arguments.output.as_deref() == Some("-".as_ref()) {
        bail!(
            "the trace of `millpond try` cannot go to standard output: give it a file, or use `millpond record -o -`"
        );
    }
    let lineup = arguments.live.then(|| Lineup::new(&arguments.command, &arguments.preload)).transpose()?;
    let scratch = tempfile::tempdir().context("cannot make a directory for the trace")?;
    let path = arguments.output.clone().unwrap_or_else(|| scratch.path().join("try.mpt"));
    let repeats = arguments.live || arguments.runs.is_some();
    let mut input = repeats.then(|| Input::repeatable(!arguments.live)).transpose()?;
    let options = options(&arguments, &path);
    let before = children_time();
    let (recording, cost) = match (arguments.runs, &mut input) {
        (Some(runs), Some(input)) => runs::record(&options, runs, input)?,
        _ => (record::run(&options)?, None),
    };
    let recorded = children_time() - before;
    for line in notes(&recording, arguments.process.is_some(), arguments.output.is_some()) {
        terminal::eprint(&line);
    }
    let replayable = reader(&recording, &path)?;
    // The open file is all that is needed, so no file is left behind, even if what follows is interrupted.
    drop(scratch);
    let timed = lineup.map(|lineup| time(lineup, &recording, &arguments, &mut input)).transpose();
    let (timed, untimed) = match timed {
        Ok(timed) => (timed, None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let measured = timed.as_ref().and_then(|timed| cost_of_recording(&recording, recorded, timed));
    let settings = cli::Settings { baseline: arguments.settings.baseline.trusted(), ..arguments.settings };
    let (analysis, predicted, unjudged) = match replayable {
        Err(reason) => (None, None, reason),
        Ok(mut reader) => judge(&mut reader, settings, cost.or(measured), timed.as_ref())?,
    };
    let tried = Tried {
        analysis: analysis.as_ref(),
        unjudged,
        program: trace::printable(trace::last_part(&recording.program)),
        timed,
        untimed,
        predicted,
        others: recording.traces.len() + recording.others.len() - usize::from(recording.chosen().is_some()),
        has_no_input: matches!(input, Some(Input::Empty)),
    };
    tell(&tried, arguments.json)?;
    Ok(recording.exit_code())
}

/// Returns how the program is recorded.
fn options(arguments: &cli::Try, path: &Path) -> record::Options {
    record::Options {
        command: arguments.command.clone(),
        output: path.to_owned(),
        force: arguments.force,
        aside: arguments.json,
        max_size: None,
        process: arguments.process.clone(),
        one: arguments.output.is_none(),
        no_args: arguments.no_args,
        // Only a trace that is kept needs stacks; without them, recording costs less.
        stacks: if arguments.output.is_some() { StackOptions::default() } else { StackOptions::callers() },
        addresses: false,
    }
}

/// Returns the trace to judge, or why there is none; `None` if that was said already.
fn reader(recording: &Recording, path: &Path) -> Result<Result<Reader, Option<String>>> {
    let Some(judged) = recording.chosen() else { return Ok(Err(None)) };
    if judged.summary.events == 0 {
        let name = &judged.name;
        let reason = format!("{name} did not allocate anything through malloc: there is nothing to gain");
        return Ok(Err(Some(reason)));
    }
    if let Some(reason) = analysis::incomplete(&judged.summary) {
        return Ok(Err(Some(format!("no verdict: {reason}"))));
    }
    let processes = trace::processes(path)?;
    Ok(Ok(processes.reader(processes.one(None)?)?))
}

/// Times the program under all allocators, unless a signal has ended it or stopped the recording.
fn time(
    lineup: Lineup,
    recording: &Recording,
    arguments: &cli::Try,
    input: &mut Option<Input>,
) -> Result<Timed> {
    if let Some(signal) = recording.interrupted.or(recording.signal()) {
        bail!("{} was ended by signal {signal}", recording.program);
    }
    let expected = Ending::Exited(recording.status.code().unwrap_or_default());
    let rewind = || input.as_mut().map_or(Ok(()), Input::rewind);
    lineup.time(arguments.settings.rounds, expected, rewind)
}

/// Returns what recording cost the judged process, according to the runs without it.
fn cost_of_recording(recording: &Recording, recorded: f64, timed: &Timed) -> Option<Estimate> {
    let runs = timed.own.iter().chain(&timed.control);
    let pairs: Vec<_> = runs.map(|run| Pair { recorded, plain: run.cpu_ns }).collect();
    let judged = recording.chosen()?;
    Some(runs::cost(judged.summary.cpu_ns as f64, !recording.is_alone(), &pairs))
}

/// What the replay found: the analysis, what it predicts for each library, and why there is no verdict.
type Judged = (Option<Analysis>, Option<Vec<Prediction>>, Option<String>);

/// Replays a trace, also against the libraries that the program was timed under.
fn judge(
    reader: &mut Reader,
    settings: cli::Settings,
    cost: Option<Estimate>,
    timed: Option<&Timed>,
) -> Result<Judged> {
    let study = Study { cost, ..Study::new(reader, &settings)? };
    if let Some(exclusion) = &study.exclusion {
        return Ok((None, None, Some(format!("no verdict: {exclusion}"))));
    }
    let libraries = |timed: &Timed| -> Vec<Library> {
        timed.others.iter().map(|(contender, _)| contender.library.clone()).collect()
    };
    let predicted = timed.map(|timed| study.predict(reader, &settings, &libraries(timed))).transpose()?;
    Ok((Some(study.replay(reader, settings)?), predicted, None))
}

/// Reports the results, as text separated from the program's output by a line.
fn tell(tried: &Tried<'_>, as_json: bool) -> Result<()> {
    if as_json {
        return terminal::print(&report::tried_json(tried)?);
    }
    if let Some(reason) = &tried.unjudged {
        terminal::eprint(reason);
    }
    if let Some(reason) = &tried.untimed {
        terminal::eprint(&format!("not timed: {reason}"));
    }
    for text in [tried.analysis.map(report::text), report::live_text(tried)].into_iter().flatten() {
        terminal::print_aside("\n")?;
        terminal::print_aside(&text)?;
    }
    Ok(())
}

/// Reports what is judged, what was not recorded, and where the trace is; `is_named` says whether the user has named the
/// process.
fn notes(recording: &Recording, is_named: bool, kept: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(judged) = recording.chosen().filter(|_| !recording.is_alone()) {
        let process = judged.start.process;
        let why = if is_named { "" } else { ", which has the most events" };
        lines.push(format!("this report is about {} (process {process}){why}", judged.name));
    }
    lines.extend(record::about(recording));
    if kept && !recording.traces.is_empty() {
        lines.push(format!("the trace is kept in {}", recording.path.display()));
    }
    lines
}
