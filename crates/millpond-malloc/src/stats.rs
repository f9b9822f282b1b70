//! Statistics of the heap, as numbers and in three forms of text.

use core::fmt::{self, Write};

use crate::{
    classes::{self, SIZES},
    depot,
    descriptor::Descriptor,
    format::Format,
    settings, unit,
};

/// What the heap has, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Address space of the region that was ever used.
    pub mapped: usize,
    /// Memory in spans and large blocks.
    pub used: usize,
    /// Memory in no span and no block that was not returned to the system.
    pub dirty: usize,
    /// Free blocks that threads share. The blocks in the magazines of threads are not counted as free.
    pub free: usize,
}

/// What the blocks of one size have, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// The size of these blocks.
    pub size: usize,
    /// Memory in their spans.
    pub used: usize,
    /// Free blocks that threads share.
    pub free: usize,
}

/// Returns statistics of the heap. Takes each lock for a moment, so the parts may be of different moments. O(spans with
/// free blocks).
#[must_use]
pub fn stats() -> Stats {
    let free = by_class().map(|class| class.free).sum();
    let unit::Footprint { used, dirty, mapped } = unit::footprint();
    Stats { mapped, used, dirty, free }
}

/// Returns statistics of each size of which there are blocks, smallest first; large blocks are not among them.
pub fn by_class() -> impl Iterator<Item = ClassStats> {
    (1..classes::COUNT)
        .map(|class| {
            let depot = depot::lock(class);
            ClassStats { size: SIZES[class] as usize, used: depot.used_bytes(), free: depot.free_bytes() }
        })
        .filter(|class| class.used != 0)
}

impl Format {
    /// Writes statistics of the heap. Nothing is allocated unless `out` does so.
    ///
    /// # Errors
    ///
    /// Returns the error of `out`.
    pub fn write(self, out: &mut dyn Write) -> fmt::Result {
        match self {
            Self::Text => text(out),
            Self::Json => json(out),
            Self::Prometheus => prometheus(out),
        }
    }
}

fn text(out: &mut dyn Write) -> fmt::Result {
    let Stats { mapped, used, dirty, free } = stats();
    writeln!(out, "{:>13} bytes of address space used so far", mapped)?;
    writeln!(out, "{used:>13} in spans and large blocks")?;
    writeln!(out, "{free:>13} of these in free blocks, without those that threads keep")?;
    writeln!(out, "{dirty:>13} free, and not returned to the system")?;
    writeln!(out, "{:>8} {:>13} {:>13}", "size", "in spans", "free")?;
    for ClassStats { size, used, free } in by_class() {
        writeln!(out, "{size:>8} {used:>13} {free:>13}")?;
    }
    Ok(())
}

fn json(out: &mut dyn Write) -> fmt::Result {
    let Stats { mapped, used, dirty, free } = stats();
    let mode = settings::mode().name();
    write!(
        out,
        r#"{{"mode":"{mode}","mapped":{mapped},"used":{used},"dirty":{dirty},"free":{free},"classes":["#
    )?;
    for (index, ClassStats { size, used, free }) in by_class().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(out, r#"{comma}{{"size":{size},"used":{used},"free":{free}}}"#)?;
    }
    writeln!(out, "]}}")
}

fn prometheus(out: &mut dyn Write) -> fmt::Result {
    let Stats { mapped, used, dirty, free } = stats();
    for (name, help, value) in [
        ("mapped", "Address space of the region that was ever used.", mapped),
        ("used", "Memory in spans and large blocks.", used),
        ("dirty", "Free memory that was not returned to the system.", dirty),
        ("free", "Free blocks that threads share.", free),
    ] {
        head(out, name, help)?;
        writeln!(out, "millpond_malloc_{name}_bytes {value}")?;
    }
    head(out, "class_used", "Memory in the spans of a size of blocks.")?;
    for ClassStats { size, used, .. } in by_class() {
        writeln!(out, "millpond_malloc_class_used_bytes{{size=\"{size}\"}} {used}")?;
    }
    head(out, "class_free", "Free blocks of a size that threads share.")?;
    for ClassStats { size, free, .. } in by_class() {
        writeln!(out, "millpond_malloc_class_free_bytes{{size=\"{size}\"}} {free}")?;
    }
    Ok(())
}

/// Writes the two lines in front of a metric.
fn head(out: &mut dyn Write, name: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP millpond_malloc_{name}_bytes {help}\n# TYPE millpond_malloc_{name}_bytes gauge")
}

/// Writes statistics to a file; returns whether all could be written.
pub(crate) fn write_to(file: libc::c_int, format: Format) -> bool {
    let mut descriptor = Descriptor::new(file);
    format.write(&mut descriptor).and_then(|()| descriptor.flush()).is_ok()
}

/// Writes statistics at the end of the program, if they are asked for.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = at_exit;

extern "C" fn at_exit() {
    if let Some(format) = settings::stats_at_exit() {
        // If standard error cannot be written to, there is no place for a message.
        write_to(2, format);
    }
}
