//! The rounds, in which all allocators take turns.

use std::{ffi::OsString, path::Path};

use anyhow::{Result, bail};

use super::{
    Absent, Contender, Lineup, Timed, bindings,
    runner::{self, Ending, Sample},
};
use crate::{terminal::Progress, trace};

/// A run of the program as it is, its repetition, or a run under another allocator.
enum Who {
    Own,
    Control,
    Other(Contender),
}

/// One that takes turns: its runs, or why it no longer takes part.
struct Turns {
    who: Who,
    runs: Result<Vec<Sample>, String>,
}

impl Lineup {
    /// Runs the program in this many rounds after a first one that does not count; each begins with another allocator.
    /// `rewind` is called before each run. The first run of all, which was recorded, ended like `expected`.
    pub(crate) fn time(
        self,
        rounds: u32,
        expected: Ending,
        mut rewind: impl FnMut() -> Result<()>,
    ) -> Result<Timed> {
        let others = self.contenders.iter().cloned().map(Who::Other);
        let mut turns: Vec<_> = [Who::Own, Who::Control]
            .into_iter()
            .chain(others)
            .map(|who| Turns { who, runs: Ok(Vec::new()) })
            .collect();
        let count = turns.len();
        let (progress, all) = (Progress::new("timing the program"), (rounds as u64 + 1) * count as u64);
        for round in 0..=rounds as usize {
            for turn in 0..count {
                progress.at((round * count + turn) as u64, all);
                let at = (round + turn) % count;
                if turns[at].runs.is_ok() {
                    rewind()?;
                    self.turn(&mut turns[at], round, expected)?;
                }
            }
        }
        Ok(self.timed(turns))
    }

    /// Runs the program once more, and adds what was measured unless the round does not count.
    fn turn(&self, turn: &mut Turns, round: usize, expected: Ending) -> Result<()> {
        let variables = match &turn.who {
            Who::Own | Who::Control => Vec::new(),
            Who::Other(contender) => variables(contender),
        };
        let (ending, sample) = runner::run(&self.program, &self.arguments, &variables)?;
        if ending != expected {
            let program = trace::printable(trace::last_part(&self.program.name.to_string_lossy()));
            match &turn.who {
                Who::Own | Who::Control => bail!(
                    "{program} {ending} when it ran again, and {expected} the first time: only a program that does the \
                     same each time can be timed"
                ),
                Who::Other(_) => {
                    let as_it_is = format!("as it is, it {expected}");
                    turn.runs = Err(format!("{program} {ending} under it in round {round}; {as_it_is}"));
                }
            }
        } else if let (Ok(runs), 1..) = (&mut turn.runs, round) {
            runs.push(sample);
        }
        Ok(())
    }

    fn timed(self, turns: Vec<Turns>) -> Timed {
        let mut timed = Timed {
            own_name: title(&self.own),
            own_library: self.own,
            own: Vec::new(),
            control: Vec::new(),
            others: Vec::new(),
            absent: self.absent,
        };
        for Turns { who, runs } in turns {
            match (who, runs) {
                (Who::Own, runs) => timed.own = runs.unwrap_or_default(),
                (Who::Control, runs) => timed.control = runs.unwrap_or_default(),
                (Who::Other(contender), Ok(runs)) => timed.others.push((contender, runs)),
                (Who::Other(contender), Err(why)) => {
                    timed.absent.push(Absent { name: contender.name, why });
                }
            }
        }
        timed
    }
}

/// Returns the environment variables by which a contender serves a program.
fn variables(contender: &Contender) -> Vec<(OsString, OsString)> {
    let library = &contender.library;
    let preload = ("LD_PRELOAD".into(), bindings::preload(library.path.as_os_str()));
    let more = library.variables.iter().map(|(name, value)| (name.into(), value.into()));
    [preload].into_iter().chain(more).collect()
}

/// Returns the name of the allocator in a file, for display.
fn title(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_glibc = name.starts_with("libc.so.") || name.starts_with("libc-");
    if is_glibc { "glibc".into() } else { trace::printable(&name) }
}
