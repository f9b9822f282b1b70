//! Formats numbers for people.

use crate::estimate::Estimate;

/// Formats a share from 0 to 1 with two or three significant digits. A share below 1 is never shown as 100 %, and a
/// share above 0 never as 0 %.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p <= 0.0 => "0 %".into(),
        p if p < 0.01 => "less than 0.01 %".into(),
        p if p < 1.0 => format!("{p:.2} %"),
        p if p < 9.95 => format!("{p:.1} %"),
        p if p < 99.0 => format!("{p:.0} %"),
        p if p < 99.99 => format!("{:.2} %", (p * 100.0).floor() / 100.0),
        p if p < 100.0 => "more than 99.99 %".into(),
        p => format!("{p:.0} %"),
    }
}

/// Formats bytes in units of powers of 1,024, as for pages, limits and block sizes.
pub(crate) fn bytes(bytes: f64) -> String {
    const UNITS: [(&str, f64); 5] = [
        ("B", 1.0),
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("TiB", 1_099_511_627_776.0),
    ];
    scaled(bytes, &UNITS)
}

/// Formats a range in the style of `format`: `3.1 to 4.5 %`. Only one figure, if both ends read the same.
pub(crate) fn range(estimate: Estimate, format: impl Fn(f64) -> String) -> String {
    let (least, most) = (format(estimate.least), format(estimate.most));
    if least == most {
        return format!("about {most}");
    }
    match (least.rsplit_once(' '), most.rsplit_once(' ')) {
        (Some((number, unit)), Some((_, other))) if unit == other => format!("{number} to {most}"),
        _ => format!("{least} to {most}"),
    }
}

/// Formats nanoseconds in a suitable unit.
pub(crate) fn time(nanoseconds: f64) -> String {
    scaled(nanoseconds, &[("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)])
}

/// Formats three digits in the largest unit that leaves one before the point.
fn scaled(value: f64, units: &[(&str, f64)]) -> String {
    let size = value.abs();
    let &(unit, scale) = units.iter().rfind(|(_, scale)| size >= *scale * 0.9995).unwrap_or(&units[0]);
    let value = value / scale;
    let whole = scale == 1.0 && value.fract() == 0.0;
    let digits = if whole || value.abs() >= 99.95 {
        0
    } else if value.abs() >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}")
}

/// Formats a number with commas between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number and what it counts, in the plural unless it is one.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = match noun {
        _ if number == 1 => "",
        noun if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {noun}{plural}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_keep_their_meaning_at_the_edges() {
        let texts = [0.0, 0.00001, 0.0042, 0.0416, 0.4, 0.99654, 0.99999, 1.0].map(percent);
        let expected =
            ["0 %", "less than 0.01 %", "0.42 %", "4.2 %", "40 %", "99.65 %", "more than 99.99 %", "100 %"];
        assert_eq!(texts, expected);
    }

    #[test]
    fn ranges_share_a_unit_if_possible() {
        let range = |least, most| super::range(Estimate { median: least, least, most }, percent);
        assert_eq!(range(0.031, 0.045), "3.1 to 4.5 %");
        assert_eq!(range(0.0311, 0.0312), "about 3.1 %");
        let time = super::range(Estimate { median: 1.0, least: 900.0, most: 2000.0 }, time);
        assert_eq!(time, "900 ns to 2.00 us");
    }

    #[test]
    fn sizes_times_and_counts() {
        assert_eq!(
            [0.0, 999.0, 1024.0, 28_000_000.0, 1_048_550.0, 1.5e9].map(bytes),
            ["0 B", "999 B", "1.00 KiB", "26.7 MiB", "1.00 MiB", "1.40 GiB"]
        );
        assert_eq!([3.24, 12_345_678.0, -250.0].map(time), ["3.24 ns", "12.3 ms", "-250 ns"]);
        assert_eq!([7, 1000, 2_935_000].map(count), ["7", "1,000", "2,935,000"]);
        assert_eq!(counted(1, "process") + &counted(2, "process"), "1 process2 processes");
        assert_eq!(counted(1, "thread") + &counted(2, "block"), "1 thread2 blocks");
    }
}
