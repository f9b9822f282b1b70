//! The formats.

use clap::ValueEnum;

/// A format of another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// What heaptrack records, before or after its interpreter (.raw.zst, .zst, .gz).
    Heaptrack,
    /// What mtrace() of the GNU C library writes (MALLOC_TRACE).
    Mtrace,
    /// A heap profile of jemalloc (heap_v2).
    Jemalloc,
    /// What valgrind --tool=dhat or dhat-rs writes.
    Dhat,
}

impl Format {
    /// Returns the format of a file that begins with these bytes, if one of them does.
    pub(super) fn detect(beginning: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(beginning);
        let text = text.trim_start();
        let is_version = |rest: &str| rest.chars().all(|digit| digit.is_ascii_hexdigit() || digit == ' ');
        match text.strip_prefix("v ").and_then(|rest| rest.lines().next()) {
            Some(version) if is_version(version) => Some(Self::Heaptrack),
            _ if text.starts_with("heap_v2/") => Some(Self::Jemalloc),
            _ if text.starts_with("= Start") || text.starts_with("@ ") => Some(Self::Mtrace),
            _ if text.starts_with('{') && text.contains("dhatFileVersion") => Some(Self::Dhat),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_beginning() {
        let detect = |text: &str| Format::detect(text.as_bytes());
        assert_eq!(detect("v 10400 3\nX a"), Some(Format::Heaptrack));
        assert_eq!(detect("= Start\n@ a:[0x1] + 0x2 0x3"), Some(Format::Mtrace));
        assert_eq!(detect("heap_v2/524288\n  t*: 1: 2"), Some(Format::Jemalloc));
        assert_eq!(detect("{\n\"dhatFileVersion\":2,"), Some(Format::Dhat));
        assert_eq!(detect("v for vendetta\n"), None);
        assert_eq!(detect("{\"a\": 1}"), None);
        assert_eq!(detect(""), None);
    }
}
