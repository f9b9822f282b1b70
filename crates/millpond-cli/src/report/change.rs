//! Formats a change in comparison with a baseline, as a share.

use crate::{
    analysis::Change,
    estimate::Estimate,
    units::{self, percent},
};

/// Formats a change in a share.
pub(super) fn changed(change: Change) -> String {
    match change {
        Change::Same => "no difference".into(),
        Change::Less(share) => format!("{} less", units::range(share.map(|share| share.min(1.0)), percent)),
        Change::More(share) if share.least >= 1.0 => {
            let times = share.map(|share| share + 1.0);
            format!("{} times as much", units::range(times, |times| format!("{times:.1}")))
        }
        Change::More(share) => format!("{} more", units::range(share, percent)),
        Change::Unclear(Estimate { least, most, .. }) => {
            let side = |share: f64| match share {
                share if share < 0.0 => format!("{} less", percent(-share)),
                share => format!("{} more", percent(share)),
            };
            format!("cannot tell: {} to {}", side(least), side(most))
        }
    }
}
