//! Ranges on the command line: `64`, `1Ki..4Ki`, `..10us`, `kept`.

use std::{fmt, ops::RangeInclusive};

use crate::size::parse_size;

/// A range of bytes or nanoseconds, as it was written, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    text: String,
    pub(super) range: RangeInclusive<u64>,
}

/// What becomes of blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// They are freed after this time.
    Freed(Range),
    /// They are live at the end of the recording.
    Kept,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Freed(range) => range.fmt(f),
            Self::Kept => f.write_str("kept"),
        }
    }
}

/// Parses sizes.
pub(crate) fn parse_sizes(text: &str) -> Result<Range, String> {
    let example = "write a number of bytes such as 64, or a range such as 1Ki..4Ki, 1M.. or ..100";
    parse(text, |end| parse_size(end).ok()).map_err(|what| format!("{what}{example}"))
}

/// Parses times.
pub(crate) fn parse_times(text: &str) -> Result<Range, String> {
    let example = "write a range of times such as 1.5s..2s, 100ms.. or ..10us";
    // A single time would select next to nothing.
    let range = if text.contains("..") { parse(text, time) } else { Err(String::new()) };
    range.map_err(|what| format!("{what}{example}"))
}

/// Parses lifetimes.
pub(crate) fn parse_lifetime(text: &str) -> Result<Lifetime, String> {
    if text == "kept" {
        return Ok(Lifetime::Kept);
    }
    let range = parse_times(text).map_err(|what| format!("{what}, or kept"))?;
    Ok(Lifetime::Freed(range))
}

/// Parses a range, or a number as the range of itself. The error is a clause, or empty.
fn parse(text: &str, number: impl Fn(&str) -> Option<u64>) -> Result<Range, String> {
    let end = |text: &str, open: u64| match text {
        "" => Ok(open),
        text => number(text).ok_or_else(String::new),
    };
    let range = match text.split_once("..") {
        None => number(text).map(|number| number..=number).ok_or_else(String::new)?,
        Some(("", "")) => return Err(String::new()),
        Some((first, last)) => end(first, 0)?..=end(last.trim_start_matches('='), u64::MAX)?,
    };
    if range.is_empty() {
        return Err("its end is before its start; ".into());
    }
    Ok(Range { text: text.to_owned(), range })
}

/// Parses a single time.
pub(crate) fn parse_time(text: &str) -> Result<u64, String> {
    time(text).ok_or_else(|| "write a time such as 1.5s, 200ms or 2min".into())
}

/// Parses a time: a number and a unit.
fn time(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "min" => 60e9,
        _ => return None,
    };
    let is_plain = digits.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
    let number: f64 = digits.parse().ok().filter(|_| is_plain)?;
    Some((number * unit).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_both_ends() {
        let sizes = |text| parse_sizes(text).map(|range| range.range);
        assert_eq!(sizes("64"), Ok(64..=64));
        assert_eq!(sizes("1Ki..4Ki"), Ok(1024..=4096));
        assert_eq!(sizes("1M.."), Ok(1_000_000..=u64::MAX));
        assert_eq!(sizes("..100"), Ok(0..=100));
        assert_eq!(sizes("..=100"), Ok(0..=100));
        let times = |text| parse_times(text).map(|range| range.range);
        assert_eq!(times("1.5s..2s"), Ok(1_500_000_000..=2_000_000_000));
        assert_eq!(times("..10us"), Ok(0..=10_000));
        assert_eq!(times("1min.."), Ok(60_000_000_000..=u64::MAX));
        assert_eq!(parse_lifetime("kept"), Ok(Lifetime::Kept));
        assert!(matches!(parse_lifetime("1ms..2s"), Ok(Lifetime::Freed(_))));
    }

    #[test]
    fn errors_say_what_to_write() {
        for wrong in ["", "..", "many", "4..x", "-1..4", "1.5..2"] {
            let error = parse_sizes(wrong).unwrap_err();
            assert!(error.contains("such as 64"), "{wrong}: {error}");
        }
        for wrong in ["", "..", "5", "5s", "1..2", "1s..2h", "-1s..", "1e3s..", "1.2.3s.."] {
            let error = parse_times(wrong).unwrap_err();
            assert!(error.contains("1.5s..2s"), "{wrong}: {error}");
        }
        assert!(parse_sizes("9..8").unwrap_err().starts_with("its end is before its start; write"));
        assert!(parse_lifetime("never").unwrap_err().ends_with("or kept"));
    }
}
