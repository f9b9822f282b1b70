//! Sizes on the command line: `500M`, `2G`, `2GiB`.

/// Parses a number of bytes, with k, M, G or T for powers of 1,000, as sizes are printed, or Ki, Mi, Gi or Ti for
/// powers of 1,024.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let expected = || "expected a number of bytes, such as 500M or 2G".to_owned();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text[digits.len()..].trim_end_matches('B');
    let (unit, base) = unit.strip_suffix('i').map_or((unit, 1000_u64), |unit| (unit, 1024));
    let power = match unit {
        "" if base == 1000 => 0,
        "K" | "k" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return Err(expected()),
    };
    let number: u64 = digits.parse().map_err(|_| expected())?;
    number.checked_mul(base.pow(power)).ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_are_numbers_with_a_unit() {
        assert_eq!(parse_size("0"), Ok(0));
        assert_eq!(parse_size("1500"), Ok(1500));
        assert_eq!(parse_size("3k"), Ok(3000));
        assert_eq!(parse_size("3Ki"), Ok(3072));
        assert_eq!(parse_size("500M"), Ok(500_000_000));
        assert_eq!(parse_size("2GB"), Ok(2_000_000_000));
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        for wrong in ["", "G", "-1", "1.5G", "1X", "10 M", "1i", "99999999999T", "99999999999999999999"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
