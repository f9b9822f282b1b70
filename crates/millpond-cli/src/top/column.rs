//! The columns by which call sites can be sorted.

use clap::ValueEnum;

use super::snapshot::Figures;

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Column {
    /// Bytes of live blocks.
    Live,
    /// Number of live blocks.
    Blocks,
    /// Bytes by which live blocks grow per second.
    Growth,
    /// Calls per second that allocate or resize.
    Calls,
    /// Bytes requested per second.
    Bytes,
    /// Mean age of live blocks.
    Age,
    /// Bytes of live blocks of the selected generation.
    Selected,
}

impl Column {
    /// All columns, in the order of the table.
    pub(crate) const ALL: [Self; 7] =
        [Self::Live, Self::Blocks, Self::Growth, Self::Calls, Self::Bytes, Self::Age, Self::Selected];

    /// Returns the number by which sites are sorted.
    pub(crate) fn of(self, figures: &Figures) -> f64 {
        match self {
            Self::Live => figures.live_bytes.median,
            Self::Blocks => figures.live_blocks.median,
            Self::Growth => figures.growth.median,
            Self::Calls => figures.calls_rate,
            Self::Bytes => figures.bytes_rate,
            Self::Age => figures.age.map_or(-1.0, |age| age.median),
            Self::Selected => figures.selected_bytes.median,
        }
    }

    /// Returns whether it has figures that may be estimated.
    pub(crate) fn may_be_estimated(self) -> bool {
        !matches!(self, Self::Calls | Self::Bytes)
    }

    /// Returns its heading.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Blocks => "BLOCKS",
            Self::Growth => "GROWTH/s",
            Self::Calls => "CALLS/s",
            Self::Bytes => "BYTES/s",
            Self::Age => "AGE",
            Self::Selected => "SELECTED",
        }
    }
}
