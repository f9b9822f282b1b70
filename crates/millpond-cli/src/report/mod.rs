//! What is printed: for people, or as JSON for programs.

mod help;
mod json;
mod table;
mod text;

pub(crate) use self::{
    help::{AFTER_BUNDLED, BEFORE_BUNDLED},
    json::{findings as json, verified as verified_json},
    text::{findings as text, verified as verified_text},
};
