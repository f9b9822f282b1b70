//! Executable mappings, into which addresses of code point.

use std::collections::BTreeMap;

use super::Row;
use crate::file::{
    bytes::{Bytes, put, put_text},
    section::Kind,
};

/// An executable mapping of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// Offset in the file at which the mapping begins.
    pub offset: u64,
    /// The mapped file.
    pub path: String,
    /// The build identifier in the file; empty if unknown.
    pub build_id: Vec<u8>,
    /// Nanoseconds from the start of recording until it was mapped; 0 if it was mapped before.
    pub loaded: u64,
    /// Nanoseconds from the start of recording until it was unmapped, if it was.
    pub unloaded: Option<u64>,
}

impl Module {
    /// Reads a module of a summary of version 1.
    pub(crate) fn take_v1(bytes: &mut Bytes<'_>) -> Option<Self> {
        Some(Self {
            start: bytes.number()?,
            end: bytes.number()?,
            offset: bytes.number()?,
            path: bytes.text()?.to_owned(),
            ..Self::default()
        })
    }
}

/// A row of the table of modules.
pub(crate) enum Change {
    Load(Module),
    Unload { module: u32, time: u64 },
}

impl Change {
    /// Updates the modules; returns `None` if there is no such module.
    pub(crate) fn apply(self, modules: &mut Vec<Module>) -> Option<()> {
        match self {
            Self::Load(module) => modules.push(module),
            Self::Unload { module, time } => modules.get_mut(module as usize)?.unloaded = Some(time),
        }
        Some(())
    }
}

impl Row for Change {
    const KIND: Kind = Kind::Modules;

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Load(module) => {
                put(out, 0);
                for number in [module.start, module.end, module.offset] {
                    put(out, number);
                }
                put_text(out, &module.path);
                put(out, module.build_id.len() as u64);
                out.extend_from_slice(&module.build_id);
                put(out, module.loaded);
                put(out, module.unloaded.map_or(0, |time| time.saturating_add(1)));
            }
            Self::Unload { module, time } => {
                put(out, 1);
                put(out, u64::from(*module));
                put(out, *time);
            }
        }
    }

    fn take(bytes: &mut Bytes<'_>) -> Option<Self> {
        match bytes.number()? {
            0 => {
                let module = Module::take_v1(bytes)?;
                let build_id = bytes.slice()?.to_vec();
                let (loaded, unloaded) = (bytes.number()?, bytes.number()?.checked_sub(1));
                Some(Self::Load(Module { build_id, loaded, unloaded, ..module }))
            }
            1 => Some(Self::Unload { module: bytes.small()?, time: bytes.number()? }),
            _ => None,
        }
    }
}

/// The modules that are mapped at the moment, by address.
#[derive(Default)]
pub(crate) struct Mapped(BTreeMap<u64, (u64, u32)>);

impl Mapped {
    /// Adds a module; it replaces those that were mapped at its addresses.
    pub(crate) fn insert(&mut self, module: &Module, number: u32) {
        while let Some((&start, _)) =
            self.0.range(..module.end).next_back().filter(|(_, (end, _))| *end > module.start)
        {
            self.0.remove(&start);
        }
        if module.start < module.end {
            self.0.insert(module.start, (module.end, number));
        }
    }

    /// Removes a module.
    pub(crate) fn remove(&mut self, number: u32) {
        self.0.retain(|_, (_, other)| *other != number);
    }

    /// Returns the module that contains an address.
    pub(crate) fn find(&self, address: u64) -> Option<u32> {
        let (_, &(end, number)) = self.0.range(..=address).next_back()?;
        (address < end).then_some(number)
    }
}
