//! The files of one process image: facts about the process, and where the records of its streams are.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
};

use anyhow::{Context, Result};
use millpond_trace::{
    Module,
    raw::{FromBytes, Header, MAGIC, Node, NodeUnits, Reserve, StreamReader, TEXTS, UNIT, Units, Unloaded},
};

use super::{merge::Merge, stacks::Stacks};
use crate::trace;

/// One process image: the time of a process from a `fork` or `exec` to the next `exec` or its end.
pub(super) struct Image {
    /// Its number in the recording.
    pub(super) number: u32,
    pub(super) header: Rc<Header>,
    /// The file that contains the `malloc` behind the recorder; empty if unknown.
    pub(super) malloc: String,
    /// Ticks that logging 1,024 events takes in this program; 0 if unknown.
    pub(super) ticks_per_1024: u32,
    /// Path of the executable.
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    /// The modules at the start, and those after each change with its time in ticks.
    pub(super) modules: Vec<Module>,
    pub(super) changes: Vec<(u64, Vec<Module>)>,
    /// Units in the reserve, and the files of windows and of written units.
    reserved: Units,
    reserved_nodes: NodeUnits,
    live: PathBuf,
    units: PathBuf,
}

impl Image {
    /// Opens the image of this number in the directory of a recording; `None` if it could not start recording.
    pub(super) fn open(directory: &Path, number: u32, reserve: &mut Reserve) -> Option<Self> {
        let live = |number: u32, suffix: &str| directory.join(format!("live/{number}{suffix}"));
        let header_of = |number: u32| {
            header(&live(number, "")).map(Rc::new).or_else(|| reserve.headers.get(&number).cloned())
        };
        let header = header_of(number)?;
        let first = header.image.load(Relaxed);
        let (ticks_per_1024, malloc) = header_of(first)
            .map_or((0, 0), |first| (first.ticks_per_1024.load(Relaxed), first.malloc.load(Relaxed)));
        let reserved = reserve.units.remove(&number).unwrap_or_default();
        let reserved_nodes = reserve.nodes.remove(&number).unwrap_or_default();
        let read = |number: u32, suffix: &str| {
            let bytes = fs::read(live(number, suffix)).unwrap_or_default();
            let which = TEXTS.iter().position(|&text| text == suffix && bytes.is_empty());
            let bytes = which.map_or(bytes, |which| reserve.text(number, which as u32));
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let unloads = fs::read(live(number, ".unloads")).unwrap_or_default();
        let end = read(number, ".maps.end");
        let end = if end.is_empty() { read(number, ".maps.seen") } else { end };
        let (mut modules, mut changes) = (self::modules(&end), Vec::new());
        let unloads = Unloaded::all(&unloads).filter(|unloaded| unloaded.ticks != 0);
        for unloaded in unloads.collect::<Vec<_>>().into_iter().rev() {
            let copy = |which: u64| self::modules(&read(number, &format!(".maps.{}", unloaded.maps + which)));
            // What is loaded later may be in the same place as what was unloaded.
            changes.extend([(unloaded.ticks, united(copy(1), modules)), (unloaded.ticks, copy(1))]);
            modules = copy(0);
        }
        changes.reverse();
        let modules = united(modules, self::modules(&read(first, ".maps")));
        let malloc = modules.iter().find(|module| (module.start..module.end).contains(&malloc));
        let malloc = malloc.map_or_else(String::new, |module| module.path.clone());
        let arguments: Vec<_> = read(first, ".cmdline").split_terminator('\0').map(str::to_owned).collect();
        let units = directory.join(number.to_string());
        let (program, live) = (read(first, ".exe"), live(number, ""));
        Some(Self {
            number,
            header,
            malloc,
            ticks_per_1024,
            program,
            arguments,
            modules,
            changes,
            reserved,
            reserved_nodes,
            live,
            units,
        })
    }

    /// Returns the name of the program, without its directory.
    pub(super) fn name(&self) -> String {
        trace::name_of(&self.program, &self.arguments)
    }

    /// Returns whether this is its number, its name, or the name of its file.
    pub(super) fn is_called(&self, name: &str) -> bool {
        name.parse() == Ok(self.process()) || self.name() == name || trace::last_part(&self.program) == name
    }

    /// Returns the process number.
    pub(super) fn process(&self) -> u32 {
        self.header.process.load(Relaxed)
    }

    /// Returns the CPU time that the process used, in nanoseconds, as far as it is known.
    pub(super) fn cpu_ns(&self) -> u64 {
        self.header.cpu_last.load(Relaxed).saturating_sub(self.header.cpu_first.load(Relaxed))
    }

    /// Returns the stacks.
    pub(super) fn stacks(&self) -> Result<Stacks> {
        Ok(Stacks::new(self.nodes()?))
    }

    /// Returns the nodes of the stacks.
    pub(super) fn nodes(&self) -> Result<Vec<Node>> {
        let path = self.live.with_extension("nodes");
        let mut nodes = self.reserved_nodes.clone();
        let added = if path.exists() { nodes.add(&path) } else { Ok(()) };
        let nodes = added.and_then(|()| nodes.read());
        nodes.with_context(|| format!("could not read {}", path.display()))
    }

    /// Returns the number of records: at least that of events.
    pub(super) fn records(&self) -> Result<u64> {
        Ok(self.streams()?.iter().map(StreamReader::records).sum())
    }

    /// Counts the events.
    pub(super) fn events(&self) -> Result<u64> {
        Merge::new(self.streams()?)?.count()
    }

    /// Returns whether there are no events, as far as they can be read.
    pub(super) fn is_empty(&self) -> bool {
        self.streams().and_then(Merge::new).is_ok_and(|events| events.is_empty())
    }

    /// Returns the streams with all their units in order.
    pub(super) fn streams(&self) -> Result<Vec<StreamReader>> {
        let mut units = self.reserved.clone();
        let what = |path: &Path| format!("could not read {}", path.display());
        if self.live.exists() {
            units.add(&self.live, UNIT as u64).with_context(|| what(&self.live))?;
        }
        if self.units.exists() {
            units.add(&self.units, 0).with_context(|| what(&self.units))?;
        }
        Ok(units.into_streams())
    }
}

/// Returns the header in a file of windows, if the process has written it.
fn header(path: &Path) -> Option<Header> {
    let mut start = [0; size_of::<Header>()];
    File::open(path).and_then(|file| file.read_exact_at(&mut start, 0)).ok()?;
    Header::from_bytes(&start).filter(|header| header.magic.load(Relaxed) == MAGIC)
}

/// Returns modules, and others that are not in their place, by address.
fn united(mut modules: Vec<Module>, others: Vec<Module>) -> Vec<Module> {
    let count = modules.len();
    for module in others {
        if !modules[..count].iter().any(|other| other.start < module.end && module.start < other.end) {
            modules.push(module);
        }
    }
    modules.sort_by_key(|module| module.start);
    modules
}

/// Returns the executable mappings in a copy of `/proc/self/maps`.
fn modules(maps: &str) -> Vec<Module> {
    let module = |line: &str| {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let executable = words.next()?.contains('x');
        let offset = words.next()?;
        let path = words.nth(2)?.trim_start();
        let number = |text| u64::from_str_radix(text, 16).ok();
        let module = Module {
            start: number(start)?,
            end: number(end)?,
            offset: number(offset)?,
            path: path.to_owned(),
            ..Module::default()
        };
        (executable && !path.is_empty()).then_some(module)
    };
    maps.lines().filter_map(module).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executable_mappings_with_a_file_are_modules() {
        let maps = "\
            55d0c0a00000-55d0c0a04000 r--p 00000000 fe:00 1311 /usr/bin/a program\n\
            55d0c0a04000-55d0c0a18000 r-xp 00004000 fe:00 1311                       /usr/bin/a program\n\
            7f0000000000-7f0000001000 r-xp 00000000 00:00 0 \n\
            7fff2b5f2000-7fff2b5f4000 r-xp 00000000 00:00 0                          [vdso]\n";
        let found = modules(maps);
        let program = Module {
            start: 0x55d0_c0a0_4000,
            end: 0x55d0_c0a1_8000,
            offset: 0x4000,
            path: "/usr/bin/a program".into(),
            ..Module::default()
        };
        assert_eq!(found[0], program);
        assert_eq!((found.len(), found[1].path.as_str()), (2, "[vdso]"));
    }
}
