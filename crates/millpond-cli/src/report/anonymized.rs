//! What `millpond anonymize` has done, as text.

use std::path::Path;

use crate::{
    anonymize::Report,
    trace,
    units::{bytes, counted},
};

/// Returns the report.
pub(crate) fn text(report: &Report, output: &Path) -> String {
    let Report { processes, replaced, kept, searched, patterns } = report;
    let mut text = format!(
        "{}: {}, {} replaced by hashes with a key that is not kept, or left out\n\
         searched {} for {} and parts of texts: none is left\n",
        output.display(),
        counted(*processes as u64, "process"),
        counted(*replaced as u64, "text"),
        bytes(*searched as f64),
        counted(*patterns as u64, "text"),
    );
    if !kept.is_empty() {
        text.push_str("names of system libraries that were kept:\n");
        kept.iter().for_each(|name| text.push_str(&format!("  {}\n", trace::printable(name))));
    }
    text
}
