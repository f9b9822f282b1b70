//! Budgets as files, in TOML.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, anyhow, bail, ensure};
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::compare::Figure;

/// The version of the file.
const VERSION: u32 = 1;

/// Max values of figures.
pub(super) type Limits = BTreeMap<Figure, u64>;

/// What a program may allocate.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    version: u32,
    /// The whole program.
    #[serde(default)]
    pub(super) total: Limits,
    /// Some call stacks.
    #[serde(default, rename = "site", skip_serializing_if = "Vec::is_empty")]
    pub(super) sites: Vec<Entry>,
}

/// What some call stacks may allocate together.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Those that have a function with this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function: Option<String>,
    /// Those that have this pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<String>,
    #[serde(flatten)]
    pub(super) limits: Limits,
}

/// Which call stacks an entry is about.
pub(super) enum Matcher<'a> {
    All,
    Function(&'a str),
    Pattern(Regex),
}

impl Budget {
    pub(super) fn new(functions: Vec<String>) -> Self {
        let entry = |function| Entry { function: Some(function), ..Entry::default() };
        Self { version: VERSION, total: Limits::new(), sites: functions.into_iter().map(entry).collect() }
    }

    /// Reads a budget.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        let budget: Self = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map(|before| format!(", line {}", before.matches('\n').count() + 1));
            anyhow!("{name}{}: {}", line.unwrap_or_default(), error.message())
        })?;
        ensure!(
            budget.version == VERSION,
            "{name} is a budget of version {}, and this millpond knows version {VERSION}",
            budget.version
        );
        let has_limits =
            !budget.total.is_empty() || budget.sites.iter().any(|entry| !entry.limits.is_empty());
        ensure!(has_limits, "{name} has no limits: write some below [total], such as allocations = 1000");
        budget.matchers().with_context(|| name.to_string())?;
        Ok(budget)
    }

    /// Returns the file's text.
    pub(crate) fn text(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// Returns what each entry is about, the whole program first.
    pub(super) fn matchers(&self) -> Result<Vec<Matcher<'_>>> {
        let matchers = self.sites.iter().map(|entry| match (&entry.function, &entry.site) {
            (Some(function), None) => Ok(Matcher::Function(function)),
            (None, Some(site)) => {
                let pattern = Regex::new(site).map_err(|error| {
                    let text = error.to_string();
                    anyhow!("site = {site:?}: {}", text.lines().last().unwrap_or_default())
                });
                Ok(Matcher::Pattern(pattern?))
            }
            _ => bail!("each [[site]] needs `function` or `site`, and not both"),
        });
        std::iter::once(Ok(Matcher::All)).chain(matchers).collect()
    }

    /// Iterates over the figures that have a limit.
    pub(super) fn figures(&self) -> impl Iterator<Item = Figure> {
        self.limits().flat_map(|(_, limits)| limits.keys().copied())
    }

    /// Iterates over the limits, those of the whole program first, with words for what each is about.
    pub(super) fn limits(&self) -> impl Iterator<Item = (String, &Limits)> {
        let about = |entry: &Entry| match (&entry.function, &entry.site) {
            (Some(function), _) => format!("function {function}"),
            (None, site) => format!("site {}", site.as_deref().unwrap_or_default()),
        };
        let sites = self.sites.iter().map(move |entry| (about(entry), &entry.limits));
        std::iter::once(("whole program".to_owned(), &self.total)).chain(sites)
    }
}
