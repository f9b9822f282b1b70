#![allow(missing_docs, dead_code)]
extern crate self as unused;
#[path = "it/again.rs"]
mod again;
#[path = "it/damaged.rs"]
mod damaged;
#[path = "it/forged.rs"]
mod forged;
#[path = "it/marked.rs"]
mod marked;
#[path = "it/misuse.rs"]
mod misuse;
