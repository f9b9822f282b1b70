//! Models of everything that threads share: small programs that loom runs in every order of their steps, and shuttle
//! in many random ones. Each names its bound.
//!
//! ```text
//! RUSTFLAGS="--cfg loom"    cargo test -p millpond --release --lib models
//! RUSTFLAGS="--cfg shuttle" cargo test -p millpond --release --lib models
//! ```
//!
//! A model that ends in `…_is_caught` runs broken code and must fail: it shows that the model beside it can.

mod handles;
mod linear;
mod list;
mod lock_free;
mod locked;
mod returned;
