//! From addresses to frames.

use std::path::PathBuf;

use crate::{
    cache::Cache,
    dwarf::{self, Dwarf},
    elf, guard,
    locate::Located,
    module::Module,
    options::Options,
    symbol_table::{MiniDebugInfo, SymbolTable},
    table::{Builder, Frames, Table},
};

/// Where the names of a module come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Debug information in this file: functions, inlined calls, files and lines.
    DebugInfo(PathBuf),
    /// The symbol table of this file: functions.
    SymbolTable(PathBuf),
    /// No file has names.
    Nothing,
}

/// The frames of the addresses of a module.
#[derive(Debug)]
pub struct Symbols {
    module: Module,
    table: Table,
    origin: Origin,
    notes: Vec<String>,
}

impl Symbols {
    /// Returns the frames at an address, innermost first; none if the address was not looked up or has no name.
    pub fn frames(&self, address: u64) -> Frames<'_> {
        // No offset is as large as this one.
        self.table.frames(self.module.file_offset(address).unwrap_or(u64::MAX))
    }

    /// Returns where the names come from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns what stood in the way of more names, in words: files of another build, servers that do not answer.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Finds the frames of addresses.
#[derive(Debug, Default)]
pub struct Symbolizer {
    options: Options,
}

impl Symbolizer {
    /// Returns one that looks for names as the options say.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Returns the frames of addresses in a module. Addresses outside of it have none.
    pub fn resolve(&self, module: &Module, addresses: &[u64]) -> Symbols {
        let mut offsets: Vec<_> =
            addresses.iter().filter_map(|&address| module.file_offset(address)).collect();
        offsets.sort_unstable();
        offsets.dedup();
        let located = guard::without_panic(|| Located::new(module, &self.options)).unwrap_or_default();
        let cache = Cache::new(&self.options, module);
        let identity = located.identity();
        let known = cache.as_ref().and_then(|cache| cache.read(&identity)).unwrap_or_default();
        let table = if offsets.iter().all(|&offset| known.has(offset)) {
            known
        } else {
            // What was known is kept, as long as that is not much more than what is asked for.
            let old: Vec<_> = known.offsets().take(offsets.len().max(KEPT)).collect();
            offsets.extend(old);
            offsets.sort_unstable();
            offsets.dedup();
            let table = guard::without_panic(|| look_up(&located, module, &offsets)).unwrap_or_default();
            if let Some(cache) = &cache {
                cache.write(&identity, &table);
            }
            table
        };
        Symbols { origin: origin(&located), module: module.clone(), table, notes: located.notes }
    }
}

/// Offsets of earlier look-ups that are kept in a cache.
const KEPT: usize = 1 << 20;

/// Returns the frames at offsets, which ascend.
fn look_up(located: &Located, module: &Module, offsets: &[u64]) -> Table {
    let objects: Vec<_> = located.files.iter().filter_map(|file| file.object().ok()).collect();
    let mut builder = Builder::new();
    let shift = objects.iter().find_map(|object| elf::address_shift(object, module));
    let mini = objects.iter().find_map(MiniDebugInfo::of);
    let symbols = SymbolTable::new(objects.iter(), mini.as_ref());
    let shared = located.shared.as_ref().and_then(|file| file.object().ok());
    let debug = located.dwarf().and_then(|file| file.object().ok());
    let dwarf = debug.as_ref().map(|object| Dwarf::new(object, shared.as_ref()));
    let context = dwarf.as_ref().and_then(|dwarf| dwarf.context().ok());
    for &offset in offsets {
        builder.place(offset);
        if let Some(shift) = shift {
            dwarf::add_frames(context.as_ref(), &symbols, offset.wrapping_add(shift), &mut builder);
        }
    }
    builder.finish()
}

fn origin(located: &Located) -> Origin {
    match (located.dwarf(), located.files.first()) {
        (Some(file), _) => Origin::DebugInfo(file.path.clone()),
        (None, Some(file)) => Origin::SymbolTable(file.path.clone()),
        (None, None) => Origin::Nothing,
    }
}
