//! Programs to look at.

use std::{
    fs,
    io::{Write as _, stderr},
    path::{Path, PathBuf},
    process::Command,
};

use millpond_symbols::{Module, Options, Symbolizer, Symbols, build_id};

/// Reports what is not tested, even when the test passes.
pub(crate) fn skipped(what: &str, why: &str) {
    let said = writeln!(stderr(), "SKIPPED: {what}, because {why}");
    said.unwrap();
}

/// Runs a tool, whose absence or failure is returned as an error.
pub(crate) fn run(tool: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(tool)
        .args(arguments)
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .map_err(|error| format!("{tool}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(text) } else { Err(format!("{tool} {arguments:?}: {complaint}")) }
}

/// Runs a tool that must be there.
pub(crate) fn must_run(tool: &str, arguments: &[&str]) -> String {
    run(tool, arguments).unwrap_or_else(|reason| panic!("{reason}"))
}

/// A program from `tests/programs` that ran.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// An address in an inlined function, in an instruction.
    pub(crate) address: u64,
    /// The lines of that instruction, and of the calls that lead to it.
    pub(crate) lines: Vec<u32>,
    /// The executable mappings.
    pub(crate) modules: Vec<Module>,
}

/// Compiles `inlined` with optimisation and debug information, and runs it.
pub(crate) fn program(folder: &Path, compiler: &str, options: &[&str]) -> Result<Program, String> {
    let path = folder.join("program");
    let source = if compiler == "rustc" { "inlined.rs" } else { "inlined.cc" };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(source);
    let (source, output) = (source.to_str().unwrap(), path.to_str().unwrap());
    let common: &[&str] = if compiler == "rustc" {
        &["-O", "-g", "--edition", "2024", source, "-o", output]
    } else {
        &["-O2", "-g", "-rdynamic", "-Wl,--build-id", source, "-o", output]
    };
    run(compiler, &[common, options].concat())?;
    Ok(ran(path))
}

/// Runs such a program.
pub(crate) fn ran(path: PathBuf) -> Program {
    let said = must_run(path.to_str().unwrap(), &[]);
    let word = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let address = u64::from_str_radix(word("address ").trim(), 16).unwrap() - 1;
    let lines = word("lines ").split_whitespace().map(|line| line.parse().unwrap()).collect();
    Program { path, address, lines, modules: modules(&said) }
}

/// Returns the executable mappings of files in a copy of `/proc/PID/maps`.
pub(crate) fn modules(maps: &str) -> Vec<Module> {
    let module = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [range, "r-xp", offset, _, _, path] = words[..] else { return None };
        let (start, end) = range.split_once('-')?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        Some(Module {
            path: path.into(),
            build_id: build_id(path.as_ref()).ok().flatten(),
            start: number(start)?,
            end: number(end)?,
            offset: number(offset)?,
        })
    };
    maps.lines().filter_map(module).collect()
}

impl Program {
    /// Returns its own module.
    pub(crate) fn module(&self) -> &Module {
        self.modules.iter().find(|module| module.path == self.path).unwrap()
    }

    /// Looks its address up.
    pub(crate) fn resolve(&self, options: Options) -> Symbols {
        Symbolizer::new(options).resolve(self.module(), &[self.address])
    }

    /// Returns the frames of its address.
    pub(crate) fn frames(&self, options: Options) -> Vec<(String, String, u32)> {
        frames(&self.resolve(options), self.address)
    }

    /// The frames of its address are the three functions, in the right lines.
    #[track_caller]
    pub(crate) fn assert_inlined(&self, options: Options) {
        let frames = self.frames(options);
        let functions: Vec<_> = frames.iter().map(|frame| &*frame.0).collect();
        let is_rust = frames[0].1.ends_with(".rs");
        let expected = if is_rust {
            ["here", "middle", "outermost"]
        } else {
            // Of a static function that is inlined everywhere, g++ has no name with parameters.
            ["deep::Inner<int>::here(int)", "middle", "outermost"]
        };
        assert_eq!(functions.len(), 3, "{frames:?}");
        for (function, expected) in functions.iter().zip(expected) {
            let fits = if is_rust {
                function.ends_with(expected)
            } else {
                function.trim_end_matches("(int)") == expected.trim_end_matches("(int)")
            };
            assert!(fits, "{frames:?}");
        }
        assert_eq!(frames.iter().map(|frame| frame.2).collect::<Vec<_>>(), self.lines);
        assert!(frames.iter().all(|frame| frame.1.contains("tests/programs/inlined.")), "{frames:?}");
    }
}

/// Returns the frames of an address, to be compared.
pub(crate) fn frames(symbols: &Symbols, address: u64) -> Vec<(String, String, u32)> {
    symbols.frames(address).map(|frame| (frame.function.into(), frame.file.into(), frame.line)).collect()
}

/// Options that find nothing outside of the module's file and the folders.
pub(crate) fn only(debug_dirs: &[&Path]) -> Options {
    Options {
        debug_dirs: debug_dirs.iter().map(|&folder| folder.into()).collect(),
        system_debug_dir: "/nonexistent".into(),
        ..Options::default()
    }
}

/// Moves the debug information of a program to a file, which is returned.
pub(crate) fn split(program: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let (program, to) = (program.to_str().unwrap(), to.to_str().unwrap());
    must_run("objcopy", &["--only-keep-debug", program, to]);
    must_run("strip", &["--strip-all", program]);
}
