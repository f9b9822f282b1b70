//! The forms in which statistics are written.

/// A form of statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A table for people.
    Text,
    /// An object of JSON, in one line.
    Json,
    /// The text format of Prometheus, with the names `millpond_malloc_…`.
    Prometheus,
}

impl Format {
    /// Returns the format with a name: `text`, `json` or `prometheus`.
    #[must_use]
    pub fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"text" => Some(Self::Text),
            b"json" => Some(Self::Json),
            b"prometheus" => Some(Self::Prometheus),
            _ => None,
        }
    }
}
