//! The results of benchmarks, as CSV files: see `benches/src/report.rs`, which writes them.

/// The columns of each file.
const COLUMNS: &str =
    "theme,mix,case,contender,measure,unit,median,low,high,ratio,ratio_low,ratio_high,rounds";

/// A median and its quartiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// What was measured of one contender.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) mix: String,
    pub(super) case: String,
    pub(super) contender: String,
    pub(super) measure: String,
    pub(super) value: Spread,
    /// The ratio to the first contender.
    pub(super) ratio: Option<Spread>,
}

/// All results.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(super) rows: Vec<Row>,
    /// The compiler and the machine of each mix.
    machines: Vec<(String, String)>,
}

impl Results {
    /// Reads files, each with its name.
    pub(crate) fn parse<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, String> {
        let mut all = Self::default();
        for (name, text) in files {
            all.add(name, text).map_err(|why| format!("{name}: {why}"))?;
        }
        Ok(all)
    }

    fn add(&mut self, name: &str, text: &str) -> Result<(), String> {
        let mut lines = text.lines().skip_while(|line| line.starts_with('#'));
        if lines.next() != Some(COLUMNS) {
            return Err(format!("the columns must be {COLUMNS}"));
        }
        let machine = text.lines().nth(1).map_or("", |line| line.trim_start_matches("# "));
        self.machines.push((name.trim_end_matches(".csv").to_owned(), machine.to_owned()));
        for line in lines {
            self.rows.push(row(line).ok_or_else(|| format!("a line is not as it should be: {line}"))?);
        }
        Ok(())
    }

    /// The names of the mixes that there are results of.
    pub(crate) fn mixes(&self) -> impl Iterator<Item = &str> {
        self.machines.iter().map(|(mix, _)| mix.as_str())
    }

    /// The compiler and the machine of a mix.
    pub(super) fn machine(&self, mix: &str) -> &str {
        self.machines.iter().find(|(name, _)| name == mix).map_or("", |(_, machine)| machine)
    }
}

fn row(line: &str) -> Option<Row> {
    let fields = fields(line);
    let [_, mix, case, contender, measure, _, figures @ .., _] = &fields[..] else { return None };
    let figures: Vec<Option<f64>> = figures.iter().map(|figure| figure.parse().ok()).collect();
    let spread = |at: usize| {
        Some(Spread {
            median: (*figures.get(at)?)?,
            low: (*figures.get(at + 1)?)?,
            high: (*figures.get(at + 2)?)?,
        })
    };
    Some(Row {
        mix: mix.clone(),
        case: case.clone(),
        contender: contender.clone(),
        measure: measure.clone(),
        value: spread(0)?,
        ratio: spread(3),
    })
}

/// The fields of a line; one in quotes may have commas, and doubled quotes for quotes.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut in_quotes = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if in_quotes && characters.next_if_eq(&'"').is_some() => push(&mut fields, '"'),
            '"' => in_quotes = !in_quotes,
            ',' if !in_quotes => fields.push(String::new()),
            other => push(&mut fields, other),
        }
    }
    fields
}

fn push(fields: &mut [String], character: char) {
    if let Some(last) = fields.last_mut() {
        last.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_in_quotes_may_have_commas() {
        assert_eq!(fields("a,\"b, \"\"c\"\"\",,d"), ["a", "b, \"c\"", "", "d"]);
    }

    #[test]
    fn a_file_is_read() {
        let text = format!(
            "# pair: one\n# rustc 1, a machine\n{COLUMNS}\nblocks,pair,,\"A, B\",time,ns,2.0,1.5,3,1,1,1,63\n"
        );
        let results = Results::parse([("pair.csv", text.as_str())].into_iter()).expect("a file of results");
        let spread = |median, low, high| Spread { median, low, high };
        assert_eq!(results.machine("pair"), "rustc 1, a machine");
        assert_eq!(results.rows[0].contender, "A, B");
        assert_eq!(results.rows[0].value, spread(2.0, 1.5, 3.0));
        assert_eq!(results.rows[0].ratio, Some(spread(1.0, 1.0, 1.0)));
        assert!(Results::parse([("pair.csv", "theme,mix\n")].into_iter()).is_err());
        assert!(Results::parse([("pair.csv", &*format!("{COLUMNS}\na,b\n"))].into_iter()).is_err());
    }
}
