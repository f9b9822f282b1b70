//! Names of functions by symbol tables, where there is no debug information.

use std::io::Read as _;

use lzma_rust2::XzReader;
use object::{Object as _, ObjectSymbol, SymbolKind};

use crate::elf::{self, Object};

/// Max bytes of the symbol table in `.gnu_debugdata` after decompression, and max KiB of memory to decompress it.
const UNPACKED_LIMIT: u64 = 256 << 20;
const DECODER_LIMIT_KIB: u32 = 128 << 10;
/// How many symbols before an address are compared with it: more than functions overlap.
const OVERLAPS: usize = 16;

/// The functions of a module.
pub(crate) struct SymbolTable<'a> {
    /// Ascending by first address; one for each.
    functions: Vec<Function<'a>>,
}

#[derive(Clone, Copy)]
struct Function<'a> {
    start: u64,
    /// First address after it.
    end: u64,
    name: &'a str,
}

impl<'a> SymbolTable<'a> {
    /// Merges the tables of several files with the same addresses.
    pub(crate) fn new<'b>(
        objects: impl Iterator<Item = &'b Object<'a>>,
        mini: Option<&'b MiniDebugInfo>,
    ) -> Self
    where
        'a: 'b,
        'b: 'a,
    {
        let mut functions = Vec::new();
        for object in objects {
            functions.extend(object.symbols().filter_map(|symbol| function(&symbol)));
            functions.extend(object.dynamic_symbols().filter_map(|symbol| function(&symbol)));
        }
        if let Some(object) = mini.and_then(MiniDebugInfo::object) {
            functions.extend(object.symbols().filter_map(|symbol| function(&symbol)));
        }
        functions.sort_by_key(|function| (function.start, rank(function)));
        functions.dedup_by_key(|function| function.start);
        for index in 0..functions.len() {
            // A function without a size, as assembly has them, reaches to the next.
            if functions[index].end == functions[index].start {
                functions[index].end = functions.get(index + 1).map_or(u64::MAX, |next| next.start);
            }
        }
        Self { functions }
    }

    /// Returns the mangled name of the function at an address.
    pub(crate) fn name(&self, address: u64) -> Option<&'a str> {
        let after = self.functions.partition_point(|function| function.start <= address);
        let before = self.functions[..after].iter().rev().take(OVERLAPS);
        before.copied().find(|function| address < function.end).map(|function| function.name)
    }
}

fn function<'a>(symbol: &impl ObjectSymbol<'a>) -> Option<Function<'a>> {
    if symbol.kind() != SymbolKind::Text || !symbol.is_definition() {
        return None;
    }
    let name = symbol.name().ok()?;
    // Versions, as in `memcpy@@GLIBC_2.14`, are not part of the name.
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let (start, end) = (symbol.address(), symbol.address().saturating_add(symbol.size()));
    (!name.is_empty()).then_some(Function { start, end, name })
}

/// Orders names for the same address, the most telling first: one with a size, fewer underscores in front, short.
fn rank<'a>(function: &Function<'a>) -> (bool, usize, usize, &'a str) {
    let name = function.name;
    let underscores = if name.starts_with("_Z") || name.starts_with("_R") {
        0
    } else {
        name.len() - name.trim_start_matches('_').len()
    };
    (function.end == function.start, underscores, name.len(), name)
}

/// The symbol table that some distributions leave in stripped files, compressed.
pub(crate) struct MiniDebugInfo(Vec<u8>);

impl MiniDebugInfo {
    /// Unpacks that of a file; `None` if there is none, or it is damaged.
    pub(crate) fn of(object: &Object<'_>) -> Option<Self> {
        let packed = elf::section(object, ".gnu_debugdata")?;
        let reader = XzReader::new_mem_limit(&*packed, false, DECODER_LIMIT_KIB);
        let mut unpacked = Vec::new();
        reader.take(UNPACKED_LIMIT).read_to_end(&mut unpacked).ok()?;
        Some(Self(unpacked))
    }

    fn object(&self) -> Option<object::File<'_>> {
        object::File::parse(&*self.0).ok()
    }
}
