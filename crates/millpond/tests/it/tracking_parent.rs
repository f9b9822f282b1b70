//! The parent that notices what is lost, which is part of the library.

pub(crate) use millpond::testing::TrackingParent;
