//! Files of `mtrace()`, a part of the GNU C library: a line for each call, with the address of the caller. They have no
//! times, so all events are at time 0, in the order of the file.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use millpond_trace::{Module, Origin};

use super::{
    builder::Builder,
    lines::{Fields, Lines, hex},
    modules::{Segment, segment},
};

/// Addresses are relative to their file, so the files are laid out by this distance.
const APART: u64 = 1 << 40;

/// What the lines so far have said.
#[derive(Default)]
struct Mtrace {
    /// The first address of each file.
    files: HashMap<String, u64>,
    /// The block that is being resized.
    resizing: Option<u64>,
}

pub(super) fn read(lines: &mut Lines, builder: &mut Builder<'_>) -> Result<()> {
    builder.origin = Origin::Mtrace;
    let mut file = Mtrace::default();
    while let Some(line) = lines.next()? {
        if line.starts_with('=') || line.trim().is_empty() {
            continue;
        }
        let (place, rest) = match line.strip_prefix("@ ") {
            Some(rest) => {
                let (place, rest) = rest.split_once("] ").context("the address of the caller has no end")?;
                (Some(place), rest)
            }
            None => (None, line.as_str()),
        };
        let stack = place.map_or(Ok(0), |place| file.stack(place, builder))?;
        file.event(stack, &mut Fields(rest), builder)?;
    }
    Ok(())
}

impl Mtrace {
    /// Returns the stack for a caller: `FILE:(FUNCTION+0xOFFSET)[0xADDRESS`, the part in round brackets if known, and
    /// without anything before the address if not even the file is.
    fn stack(&mut self, place: &str, builder: &mut Builder<'_>) -> Result<u32> {
        let (name, address) = place.rsplit_once('[').context("the caller has no address")?;
        let address = hex(address)?;
        if name.is_empty() {
            return builder.stack(0, address, true);
        }
        let (path, function) = name.rsplit_once(":(").unwrap_or((name.trim_end_matches(':'), ""));
        let start = match self.files.get(path) {
            Some(&start) => start,
            None => {
                let start = (self.files.len() as u64 + 1).saturating_mul(APART);
                self.files.insert(path.to_owned(), start);
                let all = Segment { address: 0, size: APART, offset: 0 };
                let Segment { address, size, offset } = segment(path, address).unwrap_or(all);
                let (first, path) = (start.saturating_add(address % APART), path.to_owned());
                builder.module(Module {
                    start: first,
                    end: first.saturating_add(size),
                    offset,
                    path,
                    ..Module::default()
                })?;
                start
            }
        };
        let address = start.saturating_add(address % APART);
        let function = function.split("+0x").next().unwrap_or_default();
        if !function.is_empty() {
            builder.names(address - 1, [(function, "", 0)])?;
        }
        builder.stack(0, address, true)
    }

    fn event(&mut self, stack: u32, fields: &mut Fields<'_>, builder: &mut Builder<'_>) -> Result<()> {
        let sign = fields.word().context("what was called is missing")?;
        let word = fields.word().context("the address of the block is missing")?;
        // A null pointer.
        let address = if word == "(nil)" { 0 } else { hex(word)? };
        match sign {
            "+" | ">" if address == 0 => {
                self.resizing = None;
                builder.outcome.failed += 1;
            }
            "+" => builder.allocate(stack, fields.hex()?, address)?,
            "-" => builder.free(stack, address)?,
            "<" => self.resizing = Some(address),
            ">" => {
                let size = fields.hex()?;
                match self.resizing.take() {
                    Some(old) => builder.resize(stack, old, address, size)?,
                    None => bail!("a block was resized, and the line before does not say which"),
                }
            }
            "!" => {
                self.resizing = None;
                builder.outcome.failed += 1;
            }
            _ => bail!("mtrace does not write {sign:?}"),
        }
        Ok(())
    }
}
