//! Frames by DWARF.

use std::borrow::Cow;

use addr2line::{
    Context,
    gimli::{DwarfSections, EndianSlice, Error, RunTimeEndian},
};
use object::Object as _;

use crate::{
    elf::{self, Object},
    symbol_table::SymbolTable,
    table::Builder,
};

type Slice<'a> = EndianSlice<'a, RunTimeEndian>;
type Sections<'a> = DwarfSections<Cow<'a, [u8]>>;

/// The debug information of a module.
pub(crate) struct Dwarf<'a> {
    sections: Sections<'a>,
    /// The part that several modules share, as `dwz` makes it.
    shared: Option<Sections<'a>>,
    endian: RunTimeEndian,
}

impl<'a> Dwarf<'a> {
    /// Reads the sections of a file, and of the file that it shares parts with.
    pub(crate) fn new(object: &Object<'a>, shared: Option<&Object<'a>>) -> Self {
        let endian = if object.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        Self { sections: sections(object), shared: shared.map(sections), endian }
    }

    /// Returns the index for look-ups.
    pub(crate) fn context(&'a self) -> Result<Context<Slice<'a>>, Error> {
        let slice = |data: &'a Cow<'a, [u8]>| EndianSlice::new(data, self.endian);
        Context::from_dwarf(self.sections.borrow_with_sup(self.shared.as_ref(), slice))
    }
}

fn sections<'a>(object: &Object<'a>) -> Sections<'a> {
    let section = |id: addr2line::gimli::SectionId| elf::section(object, id.name()).unwrap_or_default();
    DwarfSections::load(|id| Ok::<_, Error>(section(id))).unwrap_or_default()
}

/// Adds the frames at an address to the last place of the table. A function that DWARF does not name is named by the
/// symbol table.
pub(crate) fn add_frames(
    context: Option<&Context<Slice<'_>>>,
    symbols: &SymbolTable<'_>,
    address: u64,
    builder: &mut Builder,
) {
    let mut has_frames = false;
    if let Some(Ok(mut frames)) = context.map(|context| context.find_frames(address).skip_all_loads()) {
        while let Ok(Some(frame)) = frames.next() {
            let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            let name = name.or_else(|| symbols.name(address).map(Cow::Borrowed)).unwrap_or_default();
            let location = frame.location.as_ref();
            let file = location.and_then(|location| location.file).unwrap_or_default();
            let line = location.and_then(|location| location.line).unwrap_or_default();
            builder.frame(&name, file, line);
            has_frames = true;
        }
    }
    if let Some(name) = symbols.name(address).filter(|_| !has_frames) {
        builder.frame(name, "", 0);
    }
}
