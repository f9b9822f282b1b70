//! Hashes with a key that exists only while a trace is written.

use std::hash::Hasher as _;

use anyhow::{Context, Result};
use siphasher::sip::SipHasher24;

use super::texts::Texts;

/// The first letters of each replaced text.
const PREFIX: &str = "anon-";
/// Addresses outside of modules are moved to here, above all modules.
const OUTSIDE: u64 = 1 << 46;

/// Replaces texts and addresses.
pub(super) struct Secret<'a> {
    texts: &'a Texts,
    key: [u8; 16],
    /// What is added to addresses of blocks, modulo 2⁶⁴: whole huge pages.
    shift: u64,
}

impl<'a> Secret<'a> {
    /// Chooses a key at random.
    pub(super) fn new(texts: &'a Texts) -> Result<Self> {
        let (mut key, mut shift) = ([0; 16], [0; 8]);
        getrandom::fill(&mut key).and_then(|()| getrandom::fill(&mut shift)).context("no random numbers")?;
        Ok(Self { texts, key, shift: u64::from_le_bytes(shift) << 21 >> 17 })
    }

    /// Returns what to write for a text: nothing for nothing, a public one as it is, and a hash of any other.
    pub(super) fn text(&self, text: &str) -> String {
        if text.is_empty() || self.texts.is_public(text) {
            return text.to_owned();
        }
        format!("{PREFIX}{:016x}", self.hash(text.as_bytes()))
    }

    /// Returns whether a text may be in the new trace.
    pub(super) fn has_made(&self, text: &str) -> bool {
        let is_hash = |digits: &str| {
            digits.len() == 16 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        };
        text.is_empty() || self.texts.is_public(text) || text.strip_prefix(PREFIX).is_some_and(is_hash)
    }

    /// Returns what to write for an address of code that is in no module.
    pub(super) fn code_address(&self, address: u64) -> u64 {
        OUTSIDE + (self.hash(&address.to_le_bytes()) & (OUTSIDE - 1))
    }

    /// Returns what to write for an address of a block: distances stay.
    pub(super) fn block_address(&self, address: u64) -> u64 {
        address.wrapping_add(self.shift)
    }

    fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(bytes);
        hasher.finish()
    }
}
