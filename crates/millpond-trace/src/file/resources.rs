//! What the recorded process used of the machine, as far as that is known: facts in any number, each under a key, so that
//! a later version can add one without making traces unreadable.

use crate::file::bytes::{Bytes, put};

/// What a process used while it was recorded; `None` where the recording does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Nanoseconds of CPU time that recording took within the process, estimated.
    pub recording_ns: Option<u64>,
    /// Bytes of resident memory that belong to no file, when recording began.
    pub anonymous_first: Option<u64>,
    /// The most of these that were seen. Samples are taken every few thousand events and at the end.
    pub anonymous_most: Option<u64>,
    /// Page faults that were served without reading from a disk.
    pub page_faults: Option<u64>,
    /// Nanoseconds of CPU time within the operating system.
    pub system_ns: Option<u64>,
}

impl Resources {
    /// The facts by key, in the order of their keys: 1, 2, 3 ….
    fn facts(&mut self) -> [&mut Option<u64>; 5] {
        [
            &mut self.recording_ns,
            &mut self.anonymous_first,
            &mut self.anonymous_most,
            &mut self.page_faults,
            &mut self.system_ns,
        ]
    }

    /// Appends how many facts are known, and of each its key and its value.
    pub(crate) fn put(mut self, out: &mut Vec<u8>) {
        let facts = self.facts();
        put(out, facts.iter().filter(|fact| fact.is_some()).count() as u64);
        for (key, fact) in (1..).zip(facts) {
            if let Some(value) = *fact {
                put(out, key);
                put(out, value);
            }
        }
    }

    /// Takes what [`put`](Self::put) has written, without the facts whose keys are unknown.
    pub(crate) fn take(bytes: &mut Bytes<'_>) -> Option<Self> {
        let mut resources = Self::default();
        for _ in 0..bytes.number()? {
            let (key, value) = (bytes.number()?, bytes.number()?);
            let place = usize::try_from(key).ok().and_then(|key| key.checked_sub(1));
            if let Some(fact) = place.and_then(|place| resources.facts().into_iter().nth(place)) {
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
