//! Files of valgrind's DHAT and of dhat-rs: for each call stack, sums over its blocks.
//!
//! The trace has the blocks in three steps: first those that are live neither at the peak nor at the end, then those at
//! the peak, then those at the end. So both sums are those of the file; no other order is known.

use std::{borrow::Cow, io::Read};

use anyhow::{Context, Result, ensure};
use millpond_trace::Origin;
use serde::Deserialize;

use super::{builder::Builder, entry::Blocks};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    dhat_file_version: u32,
    /// Whether lifetimes were recorded, which is so for blocks of memory.
    #[serde(default)]
    bklt: bool,
    #[serde(default)]
    cmd: String,
    #[serde(default)]
    pid: u32,
    pps: Vec<Entry>,
    ftbl: Vec<String>,
}

/// Bytes and blocks of one call stack: in all, at the peak, at the end.
#[derive(Deserialize)]
struct Entry {
    tb: u64,
    tbk: u64,
    gb: u64,
    gbk: u64,
    eb: u64,
    ebk: u64,
    /// The frames, innermost first.
    fs: Vec<usize>,
}

/// The blocks of an entry, by when they are live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    neither: Blocks,
    peak: Blocks,
    both: Blocks,
    end: Blocks,
}

impl Entry {
    /// Finds out how many blocks are live at the peak and at the end, as few as possible; `None` if the sums contradict
    /// each other. The least number fits unless bytes are left for blocks that it leaves none of; then one more does.
    fn parts(&self) -> Option<Parts> {
        let least = self.gbk.checked_add(self.ebk)?.saturating_sub(self.tbk);
        let most = self.gbk.min(self.ebk);
        (least..=most).take(2).find_map(|count| self.parts_with(count))
    }

    fn parts_with(&self, count: u64) -> Option<Parts> {
        let (peak, end) = (self.gbk.checked_sub(count)?, self.ebk.checked_sub(count)?);
        let neither = self.tbk.checked_add(count)?.checked_sub(self.gbk)?.checked_sub(self.ebk)?;
        let least = self.gb.checked_add(self.eb)?.saturating_sub(self.tb);
        let bytes = if count == 0 {
            0
        } else if peak == 0 {
            self.gb
        } else if end == 0 {
            self.eb
        } else {
            least
        };
        let blocks = |count, bytes: Option<u64>| {
            let bytes = bytes?;
            (count > 0 || bytes == 0).then_some(Blocks { count, bytes })
        };
        Some(Parts {
            neither: blocks(neither, self.tb.checked_add(bytes)?.checked_sub(self.gb)?.checked_sub(self.eb))?,
            peak: blocks(peak, self.gb.checked_sub(bytes))?,
            both: blocks(count, Some(bytes))?,
            end: blocks(end, self.eb.checked_sub(bytes))?,
        })
    }
}

pub(super) fn read(file: impl Read, builder: &mut Builder<'_>) -> Result<()> {
    builder.origin = Origin::Dhat;
    let file: File =
        serde_json::from_reader(file).context("it is not JSON as DHAT writes it about heap blocks")?;
    ensure!(file.dhat_file_version == 2, "version {} of the format is unknown", file.dhat_file_version);
    ensure!(file.bklt, "it does not count blocks of memory: DHAT was run with --mode=copy or --mode=ad-hoc");
    builder.start.arguments = file.cmd.split_whitespace().map(str::to_owned).collect();
    builder.start.program = builder.start.arguments.first().cloned().unwrap_or_default();
    builder.start.process = file.pid;
    for (number, text) in (1..).zip(&file.ftbl) {
        let (function, path, line) = frame(text);
        builder.names(number, [(&*function, path, line)])?;
    }
    let mut entries = Vec::new();
    for (number, entry) in file.pps.iter().enumerate() {
        let parts =
            entry.parts().with_context(|| format!("the sums of entry {number} contradict each other"))?;
        let mut stack = 0;
        for &frame in entry.fs.iter().rev() {
            ensure!(frame < file.ftbl.len(), "entry {number} has a frame that is not in the table");
            stack = builder.stack(stack, frame as u64 + 1, false)?;
        }
        parts.neither.pass(stack, builder)?;
        entries.push((stack, parts));
    }
    let mut at_peak = Vec::new();
    for &(stack, parts) in &entries {
        parts.both.allocate(stack, builder)?;
        at_peak.extend(parts.peak.allocate(stack, builder)?);
    }
    for slot in at_peak {
        builder.free_slot(0, slot)?;
    }
    for (stack, parts) in entries {
        parts.end.allocate(stack, builder)?;
    }
    Ok(())
}

/// Takes apart what DHAT says about a frame: `0xADDRESS: FUNCTION (FILE:LINE)`, or `0xADDRESS: FUNCTION (in MODULE)`. A
/// function without a name is called by its address.
fn frame(text: &str) -> (Cow<'_, str>, &str, u32) {
    let (address, named) = match text.split_once(": ") {
        Some((address, rest)) if address.starts_with("0x") => (address, rest),
        _ => ("", text),
    };
    let Some((function, place)) = named.strip_suffix(')').and_then(|named| named.rsplit_once(" (")) else {
        return (named.into(), "", 0);
    };
    if let Some(module) = place.strip_prefix("in ") {
        let module = crate::trace::last_part(module);
        return match function {
            "???" => (format!("{address} in {module}").into(), "", 0),
            _ => (function.into(), "", 0),
        };
    }
    match numbered(place) {
        // dhat-rs adds the column.
        Some((file, last)) => {
            let (file, line) = numbered(file).unwrap_or((file, last));
            (function.into(), file, line)
        }
        None => (named.into(), "", 0),
    }
}

/// Takes `TEXT:NUMBER` apart.
fn numbered(text: &str) -> Option<(&str, u32)> {
    let (text, number) = text.rsplit_once(':')?;
    Some((text, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_apart() {
        let frame = |text| {
            let (function, file, line) = super::frame(text);
            (function.into_owned(), file, line)
        };
        assert_eq!(frame("0x48A7: main (a.c:12)"), ("main".into(), "a.c", 12));
        assert_eq!(frame("0x1: f(int) (in /lib/x.so)"), ("f(int)".into(), "", 0));
        assert_eq!(frame("0x1: ??? (in /lib/x.so)"), ("0x1 in x.so".into(), "", 0));
        assert_eq!(frame("0x1: a::b (src/main.rs:3:17)"), ("a::b".into(), "src/main.rs", 3));
        assert_eq!(frame("0x1: f(int)"), ("f(int)".into(), "", 0));
        assert_eq!(frame("[root]"), ("[root]".into(), "", 0));
    }

    #[test]
    fn blocks_have_the_sums_of_the_file() {
        for (tb, tbk, gb, gbk, eb, ebk) in [
            (100, 10, 0, 0, 0, 0),
            (100, 10, 30, 3, 20, 2),
            (100, 10, 100, 10, 100, 10),
            (100, 10, 100, 10, 10, 1),
            (100, 10, 60, 6, 90, 9),
            (100, 2, 60, 1, 60, 1),
            (7, 1, 7, 1, 0, 0),
        ] {
            let entry = Entry { tb, tbk, gb, gbk, eb, ebk, fs: Vec::new() };
            let Parts { neither, peak, both, end } = entry.parts().unwrap();
            let sum = |parts: &[Blocks]| {
                let add = |(count, bytes), part: &Blocks| (count + part.count, bytes + part.bytes);
                parts.iter().fold((0, 0), add)
            };
            assert_eq!(sum(&[neither, peak, both, end]), (tbk, tb));
            assert_eq!((sum(&[peak, both]), sum(&[both, end])), ((gbk, gb), (ebk, eb)));
        }
        let impossible = Entry { tb: 10, tbk: 1, gb: 10, gbk: 1, eb: 9, ebk: 1, fs: Vec::new() };
        assert_eq!(impossible.parts(), None);
    }
}
