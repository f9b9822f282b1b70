//! The parent that notices lost blocks, which is part of the library.

pub(crate) use millpond::testing::TrackingParent;
