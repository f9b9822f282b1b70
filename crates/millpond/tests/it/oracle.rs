//! The oracle, which is part of the library.

pub(crate) use millpond::testing::Oracle;
