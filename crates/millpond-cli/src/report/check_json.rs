//! The result of a check for programs: in JSON, whose fields are described in `JSON.md`; and in SARIF 2.1.0.

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    check_text::{conclusion, word},
    json::{Trace, VERSION, lines, trace},
};
use crate::{
    budget::{Checked, Item, Outcome},
    compare::Figure,
};

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    is_kept: bool,
    text: String,
    runs: Vec<Trace<'a>>,
    limits: Vec<Limit<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Limit<'a> {
    about: &'a str,
    figure: Figure,
    limit: u64,
    least: u64,
    most: u64,
    outcome: Outcome,
}

/// Returns the report as JSON.
pub(crate) fn check(checked: &Checked) -> serde_json::Result<String> {
    let limits = checked.items.iter().map(|item| Limit {
        about: &item.about,
        figure: item.figure,
        limit: item.limit,
        least: item.found.least,
        most: item.found.most,
        outcome: item.outcome,
    });
    lines(&Report {
        version: VERSION,
        is_kept: checked.with(Outcome::Exceeded).next().is_none(),
        text: conclusion(checked),
        runs: checked.runs.iter().map(|run| trace(&run.start, &run.summary, None)).collect(),
        limits: limits.collect(),
        notes: &checked.notes,
    })
}

/// Returns the limits that are not kept by all runs in SARIF: those that none keeps as errors, the others as notes. Each
/// is at the start of the budget, because a call stack has no place in the sources.
pub(crate) fn sarif(checked: &Checked) -> serde_json::Result<String> {
    let rules: Vec<_> = Figure::ALL
        .iter()
        .map(|figure| {
            json!({
                "id": figure.key(),
                "shortDescription": { "text": format!("The budget limits {}.", figure.name()) },
            })
        })
        .collect();
    let budget = checked.budget.to_string_lossy().replace(' ', "%20");
    let result = |item: &Item, level: &str| -> Value {
        let text = format!(
            "{}: {} are {}, and the budget is {}: {}",
            item.about,
            item.figure.name(),
            super::diff_text::range(item.found, |number| item.figure.format(number)),
            item.figure.format(item.limit),
            word(item)
        );
        json!({
            "ruleId": item.figure.key(),
            "level": level,
            "message": { "text": text },
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": { "uri": budget },
                    "region": { "startLine": 1 },
                },
                "logicalLocations": [{ "fullyQualifiedName": item.about }],
            }],
        })
    };
    let errors = checked.with(Outcome::Exceeded).map(|item| result(item, "error"));
    let results: Vec<_> =
        errors.chain(checked.with(Outcome::Unclear).map(|item| result(item, "note"))).collect();
    lines(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "millpond",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "results": results,
        }],
    }))
}
