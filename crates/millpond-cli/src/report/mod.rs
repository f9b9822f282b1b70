//! The reports: as text, as JSON for programs, or as an HTML page.

mod about;
mod advice_json;
mod advice_text;
mod anonymized;
mod frames;
mod help;
mod json;
mod overview_json;
mod overview_text;
mod page;
mod table;
mod text;

pub(crate) use self::{
    advice_json::advice as advice_json,
    advice_text::advice as advice_text,
    anonymized::text as anonymized_text,
    help::{AFTER_BUNDLED, BEFORE_BUNDLED},
    json::{Trace, VERSION, analysis as json, trace as trace_json, verified as verified_json},
    overview_json::overview as overview_json,
    overview_text::overview as overview_text,
    page::page,
    text::{analysis as text, verified as verified_text},
};
