//! Resources that the recorded process used, as far as known: a list of keys and values, so that a later version can
//! add one without making traces unreadable.

use crate::file::{
    bytes::{Bytes, put},
    origin::Origin,
};

/// Resources that a process used while it was recorded; `None` if unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Nanoseconds of CPU time that recording took within the process, estimated.
    pub recording_ns: Option<u64>,
    /// Bytes of anonymous resident memory when recording began.
    pub anonymous_first: Option<u64>,
    /// Max bytes of anonymous resident memory observed. Samples are taken every few thousand events and at the end.
    pub anonymous_most: Option<u64>,
    /// Number of page faults served without reading from a disk.
    pub page_faults: Option<u64>,
    /// Nanoseconds of CPU time in the operating system.
    pub system_ns: Option<u64>,
    /// The exit status, as `waitpid` returns it.
    pub exit_status: Option<u64>,
    /// The number of the trace's [`Origin`], if it is no recording.
    pub origin: Option<u64>,
}

impl Resources {
    /// Returns the keys and values.
    fn facts(&mut self) -> [(u64, &mut Option<u64>); 7] {
        [
            (1, &mut self.recording_ns),
            (2, &mut self.anonymous_first),
            (3, &mut self.anonymous_most),
            (4, &mut self.page_faults),
            (5, &mut self.system_ns),
            (6, &mut self.exit_status),
            (7, &mut self.origin),
        ]
    }

    /// Returns where the trace comes from.
    pub fn origin(&self) -> Origin {
        self.origin.map_or(Origin::Recorded, Origin::from_number)
    }

    /// Appends the number of known values, and the key and value of each.
    pub(crate) fn put(mut self, out: &mut Vec<u8>) {
        let facts = self.facts();
        put(out, facts.iter().filter(|(_, fact)| fact.is_some()).count() as u64);
        for (key, fact) in facts {
            if let Some(value) = *fact {
                put(out, key);
                put(out, value);
            }
        }
    }

    /// Reads what [`put`](Self::put) has written; skips values with unknown keys.
    pub(crate) fn take(bytes: &mut Bytes<'_>) -> Option<Self> {
        let mut resources = Self::default();
        for _ in 0..bytes.number()? {
            let (key, value) = (bytes.number()?, bytes.number()?);
            if let Some((_, fact)) = resources.facts().into_iter().find(|(known, _)| *known == key) {
                *fact = Some(value);
            }
        }
        Some(resources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_survive_and_unknown_ones_are_skipped() {
        for facts in [
            Resources::default(),
            Resources { page_faults: Some(7), ..Resources::default() },
            Resources { recording_ns: Some(0), system_ns: Some(u64::MAX), ..Resources::default() },
        ] {
            let mut bytes = Vec::new();
            facts.put(&mut bytes);
            let mut rest = Bytes(&bytes);
            assert_eq!(Resources::take(&mut rest), Some(facts));
            assert!(rest.is_empty());
            bytes[0] += 2;
            for (key, value) in [(0, 5), (1 << 40, 6)] {
                put(&mut bytes, key);
                put(&mut bytes, value);
            }
            assert_eq!(Resources::take(&mut Bytes(&bytes)), Some(facts));
        }
        for cut_off in [&[][..], &[1], &[1, 1]] {
            assert_eq!(Resources::take(&mut Bytes(cut_off)), None);
        }
    }
}
