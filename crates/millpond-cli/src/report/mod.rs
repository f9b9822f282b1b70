//! The reports: as text, or as JSON for programs.

mod help;
mod json;
mod table;
mod text;

pub(crate) use self::{
    help::{AFTER_BUNDLED, BEFORE_BUNDLED},
    json::{analysis as json, verified as verified_json},
    text::{analysis as text, verified as verified_text},
};
