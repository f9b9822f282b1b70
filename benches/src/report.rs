//! The results of a benchmark, as a table and as rows of a CSV file.

use std::fmt::Write as _;

/// A benchmark.
pub struct Mix {
    pub name: &'static str,
    pub what: &'static str,
    /// Measures all contenders.
    pub run: fn() -> Vec<Case>,
}

/// A measure of each contender.
#[derive(Clone, Copy)]
pub struct Measure {
    pub name: &'static str,
    pub unit: &'static str,
}

/// Returns measures in the same unit.
pub const fn measures<const N: usize>(unit: &'static str, names: [&'static str; N]) -> [Measure; N] {
    let mut all = [Measure { name: "", unit }; N];
    let mut index = 0;
    while index < N {
        all[index].name = names[index];
        index += 1;
    }
    all
}

/// The samples of all contenders in one situation. The first contender is the baseline.
pub struct Case {
    /// The title of the situation; empty if the mix has only one case.
    title: String,
    measures: &'static [Measure],
    rows: Vec<Row>,
}

struct Row {
    name: String,
    /// For each measure, one sample per round.
    samples: Vec<Vec<f64>>,
}

impl Case {
    pub fn new(title: impl Into<String>, measures: &'static [Measure]) -> Self {
        Self { title: title.into(), measures, rows: Vec::new() }
    }

    /// Returns the case with a prefix in its title.
    pub fn titled(self, words: &str) -> Self {
        Self { title: format!("{words}, {}", self.title), ..self }
    }

    /// Adds a row for each contender, unless they already have rows.
    pub fn name_rows<N: Into<String>>(&mut self, names: impl Iterator<Item = N>) {
        if self.rows.is_empty() {
            names.for_each(|name| _ = self.row(name));
        }
    }

    /// Adds a row and returns its index.
    pub fn row(&mut self, name: impl Into<String>) -> usize {
        self.rows.push(Row { name: name.into(), samples: vec![Vec::new(); self.measures.len()] });
        self.rows.len() - 1
    }

    /// Adds a sample of one measure, unless it is not a number.
    pub fn add(&mut self, row: usize, measure: usize, sample: f64) {
        if !sample.is_nan() {
            self.rows[row].samples[measure].push(sample);
        }
    }

    /// Adds a row with one sample of each measure.
    pub fn add_row(&mut self, name: impl Into<String>, samples: impl IntoIterator<Item = f64>) {
        let row = self.row(name);
        samples.into_iter().enumerate().for_each(|(measure, sample)| self.add(row, measure, sample));
    }

    /// Runs all contenders in turn: `sample` returns one sample of each of the first `N` measures. Each round starts
    /// with another contender.
    pub fn take_turns<const N: usize>(&mut self, rounds: usize, mut sample: impl FnMut(usize) -> [f64; N]) {
        for round in 0..rounds {
            for turn in 0..self.rows.len() {
                let row = (turn + round) % self.rows.len();
                let samples = sample(row);
                samples.into_iter().enumerate().for_each(|(measure, value)| self.add(row, measure, value));
            }
        }
    }

    /// Returns the table: the median of each measure; for the first measure also the quartiles and the ratio to the
    /// baseline.
    pub fn table(&self) -> String {
        let mut text = if self.title.is_empty() { String::new() } else { format!("  {}\n", self.title) };
        let titles: String = self.measures.iter().map(|measure| format!("{:>11}", measure.name)).collect();
        let _ = writeln!(text, "  {:<34}{titles}{:>18}{:>9}", "", "quartiles", "ratio");
        for row in &self.rows {
            let medians = row.samples.iter().map(|samples| match Quartiles::of(samples) {
                Some(found) => format!("{:>11}", rounded(found.median)),
                None => format!("{:>11}", "-"),
            });
            let _ = write!(text, "  {:<34}{}", row.name, medians.collect::<String>());
            if let (Some(of), Some(ratio)) = (Quartiles::of(&row.samples[0]), self.ratio(row, 0)) {
                let quartiles = format!("{} to {}", rounded(of.low), rounded(of.high));
                let _ = write!(text, "{quartiles:>18}{:>9.2}", ratio.median);
            }
            text.push('\n');
        }
        text
    }

    /// The columns of [`Case::csv`].
    pub const COLUMNS: &str =
        "theme,mix,case,contender,measure,unit,median,low,high,ratio,ratio_low,ratio_high,rounds";

    /// Returns a line for each contender and measure.
    pub fn csv(&self, theme: &str, mix: &str) -> String {
        let mut text = String::new();
        for (index, measure) in self.measures.iter().enumerate() {
            for row in &self.rows {
                let Some(of) = Quartiles::of(&row.samples[index]) else { continue };
                let ratio = self.ratio(row, index).map_or([f64::NAN; 3], |of| [of.median, of.low, of.high]);
                let figures = [of.median, of.low, of.high].into_iter().chain(ratio).map(rounded);
                let words = [theme, mix, &self.title, &row.name, measure.name, measure.unit].map(quoted);
                let cells: Vec<String> = words.into_iter().chain(figures).collect();
                let _ = writeln!(text, "{},{}", cells.join(","), row.samples[index].len());
            }
        }
        text
    }

    /// Returns the ratio of a contender to the baseline, computed within each round.
    fn ratio(&self, row: &Row, measure: usize) -> Option<Quartiles> {
        let baseline = &self.rows.first()?.samples[measure];
        let ratios = row.samples[measure].iter().zip(baseline).map(|(mine, base)| mine / base);
        Quartiles::of(&ratios.collect::<Vec<_>>())
    }
}

/// Returns the median and the quartiles of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Quartiles {
    low: f64,
    median: f64,
    high: f64,
}

impl Quartiles {
    fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |quarters: usize| sorted[last * quarters / 4];
        Some(Self { low: at(1), median: sorted[sorted.len() / 2], high: at(3) })
    }
}

/// Formats four significant digits, and all digits before the point; empty if the value is not a number.
fn rounded(value: f64) -> String {
    if !value.is_finite() {
        return String::new();
    }
    let before = if value.abs() < 1.0 { 0 } else { value.abs().log10() as usize + 1 };
    format!("{value:.*}", 4_usize.saturating_sub(before.max(1)))
}

/// Formats a field of a CSV file, quoted if necessary.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[Measure] = &[Measure { name: "time", unit: "ns" }, Measure { name: "worst", unit: "ns" }];

    fn case() -> Case {
        let mut case = Case::new("one, \"two\"", TWO);
        case.name_rows(["base", "other"].into_iter());
        case.name_rows(["not", "again"].into_iter());
        // Each round takes twice as long as the previous one; the other contender always takes three times as long.
        let mut round = [1.0, 1.0];
        case.take_turns(5, |row| {
            round[row] *= 2.0;
            [round[row] * [1.0, 3.0][row]]
        });
        case.add(1, 1, 1234.56);
        case
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        let lines: Vec<String> = case().csv("theme", "mix").lines().map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "theme,mix,\"one, \"\"two\"\"\",base,time,ns,8.000,4.000,16.00,1.000,1.000,1.000,5",
                "theme,mix,\"one, \"\"two\"\"\",other,time,ns,24.00,12.00,48.00,3.000,3.000,3.000,5",
                "theme,mix,\"one, \"\"two\"\"\",other,worst,ns,1235,1235,1235,,,,1",
            ]
        );
        assert!(lines.iter().all(|line| Case::COLUMNS.split(',').count() == 13 && line.contains("theme")));
    }

    #[test]
    fn table_has_a_line_for_each_contender() {
        let table = case().table();
        assert_eq!(table.lines().count(), 4, "{table}");
        assert!(table.contains("12.00 to 48.00     3.00"), "{table}");
    }

    #[test]
    fn four_significant_digits() {
        let figures = [0.012_345, 0.5, 1.0, 12.345_6, 99_999.4, f64::NAN].map(rounded);
        assert_eq!(figures, ["0.012", "0.500", "1.000", "12.35", "99999", ""]);
    }
}
