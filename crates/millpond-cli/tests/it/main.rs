//! The program `millpond` as its users meet it.

mod json;
mod record;
mod refusals;
mod replay;
mod support;
mod trial;
mod verdict;
