//! Models of the shells that threads share: see also those of `sync`.

mod atomic_linear;
mod growth;
mod lock_free;
mod locked;
mod remote_free;
mod trim;
