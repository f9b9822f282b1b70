//! Names of the frames in a trace.

use std::{
    collections::HashMap,
    env,
    fmt::{self, Write as _},
    path::PathBuf,
    rc::Rc,
};

use foldhash::fast::FixedState;
use millpond_symbols::{BuildId, Debuginfod, Module, Options, Symbolizer, Symbols};
use millpond_trace::{Frame, FrameKind, Stacks, Tables};

use crate::{cli, trace};

/// A function in a call stack: one that was executing, or one that was inlined there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Function {
    /// Its name, or the module and the offset in the module's file, if it has none.
    pub(crate) name: String,
    /// The source file; empty if unknown.
    pub(crate) file: String,
    /// The line in it; 0 if unknown.
    pub(crate) line: u32,
    /// Whether the name is that of the function.
    pub(crate) is_named: bool,
}

/// The name, and the file without its folders and the line as far as they are known.
impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (trace::last_part(&self.file), self.line) {
            ("", _) => write!(f, "{}", self.name),
            (file, 0) => write!(f, "{} ({file})", self.name),
            (file, line) => write!(f, "{} ({file}:{line})", self.name),
        }
    }
}

/// The functions of all frames in a trace.
pub(crate) struct Names {
    symbolizer: Symbolizer,
    /// Each function, file and line once, and its number.
    functions: Vec<Rc<Function>>,
    numbers: HashMap<Rc<Function>, u32, FixedState>,
    /// For each frame of the trace, its functions, innermost first; at least one.
    frames: Vec<Vec<u32>>,
    /// What stood in the way of more names, in words.
    pub(crate) notes: Vec<String>,
}

impl Names {
    /// Looks up the names of all frames.
    pub(crate) fn new(tables: &Tables, places: &cli::Places) -> Self {
        let mut names = Self {
            symbolizer: Symbolizer::new(options(places)),
            functions: Vec::new(),
            numbers: HashMap::default(),
            frames: Vec::new(),
            notes: Vec::new(),
        };
        names.extend(tables);
        names
    }

    /// Looks up the names of the frames that were added to the same tables since the last call.
    pub(crate) fn extend(&mut self, tables: &Tables) {
        let fresh = &tables.stacks.frames()[self.frames.len()..];
        let mut addresses = vec![Vec::new(); tables.modules.len()];
        for frame in fresh {
            if let Some(module) = frame.module {
                addresses[module as usize].push(frame.instruction());
            }
        }
        let resolve = |(module, addresses): (&millpond_trace::Module, &Vec<u64>)| {
            if addresses.is_empty() {
                return None;
            }
            let symbols = self.symbolizer.resolve(&module_of(module), addresses);
            self.notes.extend_from_slice(symbols.notes());
            Some(symbols)
        };
        let symbols: Vec<_> = tables.modules.iter().zip(&addresses).map(resolve).collect();
        self.notes.sort();
        self.notes.dedup();
        let stated = stated(tables);
        for frame in fresh {
            let of_module = frame.module.and_then(|module| symbols[module as usize].as_ref());
            let functions = match stated.get(&frame.instruction()) {
                Some(functions) => functions.clone(),
                None => functions(frame, tables, of_module),
            };
            let functions = functions.into_iter().map(|function| self.number(function)).collect();
            self.frames.push(functions);
        }
    }

    /// Returns the number of a function, which is added if it is new.
    fn number(&mut self, function: Function) -> u32 {
        let fresh = self.functions.len() as u32;
        *self.numbers.entry(Rc::new(function)).or_insert_with_key(|function| {
            self.functions.push(Rc::clone(function));
            fresh
        })
    }

    /// Returns the numbers of the functions of a frame, innermost first.
    pub(crate) fn of(&self, frame: u32) -> &[u32] {
        &self.frames[frame as usize]
    }

    /// Iterates over the numbers of the frames in a stack, innermost first.
    pub(crate) fn frames_in(&self, stacks: &Stacks, stack: u32) -> impl Iterator<Item = u32> {
        let mut at = stack;
        std::iter::from_fn(move || {
            let node = stacks.nodes().get(at as usize).filter(|_| at != 0)?;
            at = node.parent;
            Some(node.frame)
        })
    }

    /// Iterates over the numbers of the functions in a stack, innermost first.
    pub(crate) fn in_stack(&self, stacks: &Stacks, stack: u32) -> impl Iterator<Item = u32> {
        self.frames_in(stacks, stack).flat_map(|frame| self.of(frame)).copied()
    }

    /// Returns the function with this number.
    pub(crate) fn function(&self, number: u32) -> &Function {
        &self.functions[number as usize]
    }

    /// Returns all functions in the order of their numbers.
    pub(crate) fn functions(&self) -> &[Rc<Function>] {
        &self.functions
    }
}

/// Returns the functions that the trace itself names, by address.
fn stated(tables: &Tables) -> HashMap<u64, Vec<Function>, FixedState> {
    let mut functions: HashMap<u64, Vec<Function>, FixedState> = HashMap::default();
    for symbol in &tables.symbols {
        let (name, file) = (trace::printable(&symbol.function), trace::printable(&symbol.file));
        let function = Function { name, file, line: symbol.line, is_named: true };
        functions.entry(symbol.address).or_default().push(function);
    }
    functions
}

/// Returns a stack as one line: its functions, innermost first.
pub(crate) fn text(stacks: &Stacks, names: &Names, stack: u32) -> String {
    let mut text = String::new();
    for number in names.in_stack(stacks, stack) {
        text.push_str(if text.is_empty() { "" } else { " < " });
        // A string takes all that is written to it.
        let _ = write!(text, "{}", names.function(number));
    }
    text
}

/// Returns the functions of a frame, innermost first; one without a name, if nothing is known.
fn functions(frame: &Frame, tables: &Tables, symbols: Option<&Symbols>) -> Vec<Function> {
    let place = || match frame.place(&tables.modules) {
        _ if frame.kind == FrameKind::Cut => "(cut off)".into(),
        Some((module, offset)) => format!("{}+{offset:#x}", trace::last_part(&module.path)),
        None => format!("{:#x}", frame.instruction()),
    };
    let found = symbols.into_iter().flat_map(|symbols| symbols.frames(frame.instruction()));
    let mut functions: Vec<_> = found
        .map(|found| Function {
            name: if found.function.is_empty() { place() } else { trace::printable(found.function) },
            file: trace::printable(found.file),
            line: found.line,
            is_named: !found.function.is_empty(),
        })
        .collect();
    if functions.is_empty() {
        functions.push(Function { name: trace::printable(&place()), ..Function::default() });
    }
    functions
}

/// Returns where to look for names.
fn options(places: &cli::Places) -> Options {
    let folder = |name: &str| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    Options {
        debug_dirs: places.debug_dir.clone(),
        debuginfod: if places.debuginfod { Debuginfod::from_environment() } else { None },
        cache: cache.map(|folder| folder.join("millpond/symbols")),
        ..Options::default()
    }
}

fn module_of(module: &millpond_trace::Module) -> Module {
    Module {
        path: PathBuf::from(&module.path),
        build_id: BuildId::new(&module.build_id),
        start: module.start,
        end: module.end,
        offset: module.offset,
    }
}
