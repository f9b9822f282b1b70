//! The reports: as text, as JSON for programs, or as an HTML page.

mod about;
mod advice_json;
mod advice_text;
mod anonymized;
mod change;
mod check_json;
mod check_junit;
mod check_text;
mod diff_folded;
mod diff_json;
mod diff_text;
mod fragmentation_text;
mod frames;
mod help;
mod json;
#[cfg(recorder)]
mod live_json;
#[cfg(recorder)]
mod live_text;
mod overview_json;
mod overview_text;
mod page;
mod table;
mod text;
mod top_json;
mod top_text;

#[cfg(feature = "parquet")]
pub(crate) use self::json::ending;
pub(crate) use self::{
    advice_json::advice as advice_json,
    advice_text::advice as advice_text,
    anonymized::text as anonymized_text,
    check_json::{check as check_json, sarif as check_sarif},
    check_junit::junit as check_junit,
    check_text::{budget, markdown as check_markdown, text as check_text},
    diff_folded::folded as diff_folded,
    diff_json::diff as diff_json,
    diff_text::diff as diff_text,
    help::{AFTER_BUNDLED, BEFORE_BUNDLED},
    json::{Trace, VERSION, analysis as json, trace as trace_json, verified as verified_json},
    overview_json::overview as overview_json,
    overview_text::overview as overview_text,
    page::page,
    text::{analysis as text, verified as verified_text},
    top_json::snapshot as top_json,
    top_text::{site as top_site, snapshot as top_text},
};
#[cfg(recorder)]
pub(crate) use self::{
    live_json::tried as tried_json,
    live_text::{Tried, live as live_text},
};
