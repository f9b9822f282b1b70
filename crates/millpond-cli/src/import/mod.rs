//! Files of other programs, converted to traces.
//!
//! None of them says everything that a recording does; [`Origin`](millpond_trace::Origin) knows what each lacks, and the
//! trace says where it comes from, so that no report shows a figure that its source does not have.

mod builder;
mod dhat;
mod entry;
mod format;
mod heaptrack;
mod heaptrack_raw;
mod jemalloc;
mod lines;
mod modules;
mod mtrace;

use std::{fs::File, io::BufReader, path::Path};

use anyhow::{Context, Result, ensure};
use millpond_trace::Summary;

pub(crate) use self::format::Format;
use self::{builder::Builder, lines::Lines};
use crate::output::Output;

/// Converts a file, whose format is detected unless it is given, and writes the trace.
pub(crate) fn import(path: &Path, format: Option<Format>, mut output: Output) -> Result<Summary> {
    let name = path.display();
    ensure!(!path.is_dir(), "{name} is a directory: give a file");
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    let mut lines = Lines::new(BufReader::new(file)).with_context(|| format!("cannot read {name}"))?;
    let found = Format::detect(lines.beginning()?);
    let format = format.or(found).with_context(|| {
        format!("{name} is no file of heaptrack, mtrace, jemalloc or DHAT: name its format with --from")
    })?;
    let mut builder = Builder::new(&mut output);
    let read = match format {
        Format::Heaptrack => heaptrack::read(&mut lines, &mut builder),
        Format::Mtrace => mtrace::read(&mut lines, &mut builder),
        Format::Jemalloc => jemalloc::read(&mut lines, &mut builder),
        Format::Dhat => dhat::read(lines.rest(), &mut builder),
    };
    let at = || match (format, lines.number()) {
        (Format::Dhat, _) | (_, 0) => name.to_string(),
        (_, number) => format!("{name}, line {number}"),
    };
    read.with_context(at)?;
    let summary = builder.finish()?;
    output.finish()?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One small file of each format.
    const FILES: [&str; 5] = [
        "v 10400 3\nX ./a b\nI 1000 5\ns 3 lib\ns 1 f\ni 7f10 1 2 0 b 2 1 c\nt 1 0\nt 1 1\na 40 2\n+ 0\nc a\n+ 0\n- 0\nR 5\n",
        "v 10400 3\nx 1 a\nX a\nI 1000 5\nm 1 -\nm 1 x 1000 0 770 1000 28d\nt 1500 0\nt 1600 1\n+ 64 2 5000\nc 5\n- 5000\n",
        "= Start\n@ ./a:(f+0x1)[0x11d5] + 0x50 0x64\n@ ./a:[0x11bc] < 0x50\n@ ./a:[0x11bc] > 0x60 0x1388\n@ [0x5] - 0x60\n",
        "heap_v2/64\n  t*: 2: 853 [9: 12994]\n@ 0x1235 0x1345\n  t*: 2: 853 [9: 12994]\n  t0: 2: 853 [9: 12994]\n\n\
         MAPPED_LIBRARIES:\n1000-2000 r-xp 00000000 fe:00 1  /a\n",
        "{\"dhatFileVersion\":2,\"mode\":\"heap\",\"bklt\":true,\"cmd\":\"a\",\"pid\":7,\"pps\":[{\"tb\":60,\"tbk\":6,\"gb\":30,\
         \"gbk\":3,\"eb\":20,\"ebk\":2,\"fs\":[2,1]}],\"ftbl\":[\"[root]\",\"0x1: f (a.c:3)\",\"0x2: ??? (in /b)\"]}",
    ];

    #[test]
    fn damaged_files_are_refused_or_read_but_nothing_panics() {
        let folder = tempfile::tempdir().unwrap();
        let (file, target) = (folder.path().join("file"), folder.path().join("trace"));
        let mut state = 7_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let (mut read, mut refused) = (0, 0);
        for round in 0..1500 {
            let mut bytes = FILES[round % FILES.len()].as_bytes().to_vec();
            // The first rounds are of undamaged files. A few digits more would be many blocks.
            for _ in 0..round.div_ceil(FILES.len()).min(3) {
                let at = random(bytes.len());
                match random(3) {
                    0 => bytes[at] = b"0f1 :[]-\n\xff\xc3,"[random(12)],
                    1 => bytes.truncate(at + 1),
                    _ => _ = bytes.remove(at.min(bytes.len() - 2)),
                }
                bytes.resize(bytes.len().max(2), b'0');
            }
            std::fs::write(&file, &bytes).unwrap();
            match import(&file, None, Output::create(&target, true).unwrap()) {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(read > 100 && refused > 100, "{read} {refused}");
    }
}
