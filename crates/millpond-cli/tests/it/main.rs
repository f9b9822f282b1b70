//! The program `millpond` as its users meet it.

mod json;
mod refusals;
mod replay;
mod support;
mod trial;
