//! Files of heaptrack: lines of a letter and fields, which are hexadecimal numbers. Those that its interpreter has written
//! are read here; those that come from the recorded process, by [`heaptrack_raw`](super::heaptrack_raw).
//!
//! A free says only which size and which call stack the block had that was allocated. Of several such blocks, the newest
//! is taken; so lifetimes are not known.

use anyhow::{Context, Result, bail};
use millpond_trace::Origin;

use super::{
    builder::Builder,
    heaptrack_raw::Raw,
    lines::{Fields, Lines},
};

/// The version of the format from which on texts are preceded by their length.
const SIZED_TEXTS: u64 = 3;

/// A size and a stack, and the slots of the live blocks that have both.
struct Info {
    size: u64,
    stack: u32,
    live: Vec<u32>,
}

/// What the lines so far have said. All lists are numbered from 1, except `infos`.
#[derive(Default)]
struct Interpreted {
    version: u64,
    texts: Vec<String>,
    /// The address of each frame.
    frames: Vec<u64>,
    stacks: Vec<u32>,
    infos: Vec<Info>,
    page: u64,
}

pub(super) fn read(lines: &mut Lines, builder: &mut Builder<'_>) -> Result<()> {
    let mut file = Interpreted { page: 4096, ..Interpreted::default() };
    builder.origin = Origin::Heaptrack;
    while let Some(line) = lines.next()? {
        let Some((letter, rest)) = letter(&line)? else { continue };
        let mut fields = Fields(rest);
        match letter {
            "x" => {
                let raw = Raw::new(file.version >= SIZED_TEXTS, file.page, rest)?;
                return raw.read(lines, builder);
            }
            _ => file.line(letter, &mut fields, builder)?,
        }
    }
    Ok(())
}

impl Interpreted {
    fn line(&mut self, letter: &str, fields: &mut Fields<'_>, builder: &mut Builder<'_>) -> Result<()> {
        match letter {
            "v" => {
                fields.hex()?;
                self.version = fields.next_hex()?.unwrap_or(1);
            }
            "X" => command(fields.0, builder),
            "I" => self.page = fields.hex()?,
            "s" => self.texts.push(if self.version >= SIZED_TEXTS {
                fields.sized_text()?.to_owned()
            } else {
                fields.0.trim_start().to_owned()
            }),
            "i" => self.frame(fields, builder)?,
            "t" => {
                let (frame, parent) = (fields.hex()?, fields.hex()?);
                let address =
                    numbered(&self.frames, frame)?.copied().context("a call stack without a frame")?;
                let parent = numbered(&self.stacks, parent)?.copied().unwrap_or(0);
                self.stacks.push(builder.stack(parent, address, false)?);
            }
            "a" => {
                let (size, stack) = (fields.hex()?, fields.hex()?);
                let stack = numbered(&self.stacks, stack)?.copied().unwrap_or(0);
                self.infos.push(Info { size, stack, live: Vec::new() });
            }
            "+" => {
                let info = self.info(fields)?;
                info.live.push(builder.allocate_slot(info.stack, info.size)?);
            }
            "-" => match self.info(fields)?.live.pop() {
                Some(slot) => builder.free_slot(0, slot)?,
                None => builder.outcome.unknown_frees += 1,
            },
            "c" => clock(fields, builder)?,
            "R" => builder.sample(fields.hex()?.saturating_mul(self.page))?,
            "S" | "A" | "#" => {}
            _ => bail!("it begins with {letter:?}, which heaptrack does not write"),
        }
        Ok(())
    }

    fn info(&mut self, fields: &mut Fields<'_>) -> Result<&mut Info> {
        let number = usize::try_from(fields.hex()?)?;
        self.infos.get_mut(number).context("it refers to a line that was not there yet")
    }

    /// Reads an address, its module, and the function and inlined functions there.
    fn frame(&mut self, fields: &mut Fields<'_>, builder: &mut Builder<'_>) -> Result<()> {
        let address = fields.hex()?;
        let module = fields.next_hex()?.unwrap_or(0);
        let mut functions = Vec::new();
        while let Some(function) = fields.next_hex()? {
            let file = fields.next_hex()?.unwrap_or(0);
            let line = fields.next_hex()?.unwrap_or(0);
            let (function, file) = (self.text(function)?, self.text(file)?);
            functions.push((function, file, u32::try_from(line).unwrap_or(0)));
        }
        let path = self.text(module)?;
        let place = format!("{address:#x} in {}", crate::trace::last_part(path));
        for (function, ..) in &mut functions {
            if function.is_empty() {
                *function = &place;
            }
        }
        if functions.is_empty() && !path.is_empty() {
            functions.push((&place, "", 0));
        }
        builder.names(address, functions)?;
        self.frames.push(address);
        Ok(())
    }

    fn text(&self, number: u64) -> Result<&str> {
        Ok(numbered(&self.texts, number)?.map_or("", String::as_str))
    }
}

/// Takes a line apart into its letter and the rest; `None` if it is empty.
pub(super) fn letter(line: &str) -> Result<Option<(&str, &str)>> {
    if line.is_empty() {
        return Ok(None);
    }
    line.split_at_checked(1).map(Some).context("it does not begin with a letter that heaptrack writes")
}

/// Returns the entry with a number from 1 on; `None` for 0.
pub(super) fn numbered<T>(list: &[T], number: u64) -> Result<Option<&T>> {
    let Some(number) = number.checked_sub(1) else { return Ok(None) };
    let entry = usize::try_from(number).ok().and_then(|number| list.get(number));
    entry.map(Some).context("it refers to a line that was not there yet")
}

/// Notes the command line.
pub(super) fn command(text: &str, builder: &mut Builder<'_>) {
    builder.start.arguments = text.split_whitespace().map(str::to_owned).collect();
    if builder.start.program.is_empty() {
        builder.start.program = builder.start.arguments.first().cloned().unwrap_or_default();
    }
}

/// Notes the time, which is in milliseconds.
pub(super) fn clock(fields: &mut Fields<'_>, builder: &mut Builder<'_>) -> Result<()> {
    builder.time = builder.time.max(fields.hex()?.saturating_mul(1_000_000));
    Ok(())
}
