//! Sizes on the command line: `500M`, `2G`.

/// Bytes, with K, M, G or T for powers of 1,024.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let power = match text[digits.len()..].trim_end_matches('B').trim_end_matches('i') {
        "" => 0,
        "K" | "k" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return Err("expected a number of bytes, such as 500M or 2G".into()),
    };
    let number: u64 =
        digits.parse().map_err(|_| "expected a number of bytes, such as 500M or 2G".to_owned())?;
    number.checked_mul(1 << (10 * power)).ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_are_numbers_with_a_unit() {
        assert_eq!(parse_size("0"), Ok(0));
        assert_eq!(parse_size("1500"), Ok(1500));
        assert_eq!(parse_size("3k"), Ok(3072));
        assert_eq!(parse_size("500M"), Ok(500 << 20));
        assert_eq!(parse_size("2G"), Ok(2 << 30));
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        for wrong in ["", "G", "-1", "1.5G", "1X", "10 M", "99999999999T", "99999999999999999999"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
