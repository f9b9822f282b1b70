//! The program `millpond`, as users run it.

mod advice;
mod anonymize;
mod archive;
mod check;
mod diff;
mod export;
mod extras;
mod gains;
mod import;
mod json;
mod live;
mod pasted;
mod planted;
mod query;
mod record;
mod refusals;
mod replay;
mod report;
mod show;
mod support;
mod top;
mod r#try;
mod verdict;
