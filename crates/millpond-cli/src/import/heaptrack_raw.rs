//! Files that heaptrack writes in the recorded process: with the addresses of code and of blocks.

use std::collections::HashSet;

use anyhow::{Context, Result, bail};
use foldhash::fast::FixedState;
use millpond_trace::{Module, Origin};

use super::{
    builder::Builder,
    heaptrack::{clock, command, letter, numbered},
    lines::{Fields, Lines},
    modules::segment,
};

/// What the lines so far have said.
pub(super) struct Raw {
    /// Whether texts are preceded by their length.
    has_lengths: bool,
    page: u64,
    program: String,
    stacks: Vec<u32>,
    /// The first addresses and paths of the modules that are known: they are listed again whenever one is added.
    modules: HashSet<(u64, String), FixedState>,
}

impl Raw {
    /// Begins with the line that names the program.
    pub(super) fn new(has_lengths: bool, page: u64, line: &str) -> Result<Self> {
        let program = text(has_lengths, &mut Fields(line))?.to_owned();
        Ok(Self { has_lengths, page, program, stacks: Vec::new(), modules: HashSet::default() })
    }

    pub(super) fn read(mut self, lines: &mut Lines, builder: &mut Builder<'_>) -> Result<()> {
        builder.origin = Origin::HeaptrackRaw;
        builder.start.program.clone_from(&self.program);
        while let Some(line) = lines.next()? {
            if let Some((letter, rest)) = letter(&line)? {
                self.line(letter, &mut Fields(rest), builder)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, letter: &str, fields: &mut Fields<'_>, builder: &mut Builder<'_>) -> Result<()> {
        match letter {
            "X" => command(fields.0, builder),
            "I" => self.page = fields.hex()?,
            "m" => self.module(fields, builder)?,
            "t" => {
                let (address, parent) = (fields.hex()?, fields.hex()?);
                let parent = numbered(&self.stacks, parent)?.copied().unwrap_or(0);
                // It has subtracted 1 from return addresses.
                self.stacks.push(builder.stack(parent, address, false)?);
            }
            "+" => {
                let (size, stack, address) = (fields.hex()?, fields.hex()?, fields.hex()?);
                let stack = numbered(&self.stacks, stack)?.copied().unwrap_or(0);
                builder.allocate(stack, size, address)?;
            }
            "-" => builder.free(0, fields.hex()?)?,
            "c" => clock(fields, builder)?,
            "R" => builder.sample(fields.hex()?.saturating_mul(self.page))?,
            "S" | "A" | "#" => {}
            _ => bail!("it begins with {letter:?}, which heaptrack does not write"),
        }
        Ok(())
    }

    /// Reads a module: its path, the address to which those in the file are relative, and its segments.
    fn module(&mut self, fields: &mut Fields<'_>, builder: &mut Builder<'_>) -> Result<()> {
        let path = text(self.has_lengths, fields)?;
        if path == "-" {
            return Ok(());
        }
        let path = if path == "x" { self.program.clone() } else { path.to_owned() };
        let base = fields.hex()?;
        while let Some(address) = fields.next_hex()? {
            let size = fields.hex()?;
            let start = base.wrapping_add(address);
            if self.modules.insert((start, path.clone())) {
                let found = segment(&path, address);
                // If the file cannot be read: as linkers mostly arrange it for code.
                let offset =
                    found.map_or(address, |found| (address - found.address).wrapping_add(found.offset));
                let end = start.saturating_add(size);
                builder.module(Module { start, end, offset, path: path.clone(), ..Module::default() })?;
            }
        }
        Ok(())
    }
}

/// Reads a text, which is the next word if it has no length.
fn text<'a>(has_length: bool, fields: &mut Fields<'a>) -> Result<&'a str> {
    if has_length { fields.sized_text() } else { fields.word().context("a text is missing") }
}
