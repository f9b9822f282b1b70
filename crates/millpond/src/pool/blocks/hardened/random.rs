//! Random numbers that cannot be predicted from earlier ones.
//!
//! Source: Bernstein, "ChaCha, a variant of Salsa20" (2008), with 8 rounds.

/// A generator with a secret key.
pub(super) struct Random {
    key: [u32; 8],
    counter: u64,
    /// The current output, of which `left` words have not been used.
    words: [u32; 16],
    left: usize,
}

impl Random {
    pub(super) const fn new(key: [u32; 8]) -> Self {
        Self { key, counter: 0, words: [0; 16], left: 0 }
    }

    /// Returns a number below `end`, which is at most 2³² and not zero. Each number is as likely as the others, up to a
    /// difference of `end` / 2³².
    #[inline]
    pub(super) fn below(&mut self, end: usize) -> usize {
        if self.left == 0 {
            self.refill();
        }
        self.left -= 1;
        ((u64::from(self.words[self.left]) * end as u64) >> 32) as usize
    }

    /// Brings values into a random order.
    pub(super) fn shuffle(&mut self, values: &mut [usize]) {
        for end in (2..=values.len()).rev() {
            values.swap(end - 1, self.below(end));
        }
    }

    #[cold]
    fn refill(&mut self) {
        self.words = block(&self.key, self.counter);
        self.counter = self.counter.wrapping_add(1);
        self.left = self.words.len();
    }
}

/// Returns the block of output with this number.
fn block(key: &[u32; 8], counter: u64) -> [u32; 16] {
    let mut state = [0; 16];
    state[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    state[4..12].copy_from_slice(key);
    state[12..14].copy_from_slice(&[counter as u32, (counter >> 32) as u32]);
    let mut words = state;
    for _ in 0..4 {
        for column in 0..4 {
            quarter_round(&mut words, [column, column + 4, column + 8, column + 12]);
        }
        for diagonal in 0..4 {
            let at = |row: usize| 4 * row + (diagonal + row) % 4;
            quarter_round(&mut words, [at(0), at(1), at(2), at(3)]);
        }
    }
    core::array::from_fn(|at| words[at].wrapping_add(state[at]))
}

fn quarter_round(words: &mut [u32; 16], [a, b, c, d]: [usize; 4]) {
    for (add, to, bits) in [(b, d, 16), (d, b, 12), (b, d, 8), (d, b, 7)] {
        let sum = if to == d { a } else { c };
        words[sum] = words[sum].wrapping_add(words[add]);
        words[to] = (words[to] ^ words[sum]).rotate_left(bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first bytes of ChaCha8 for a key and a nonce of zeros (the test vectors of the eSTREAM portfolio).
    #[test]
    fn output_is_that_of_chacha8() {
        let words = block(&[0; 8], 0);
        assert_eq!(words[..4], [0x2fef_003e, 0xd640_5f89, 0xe8b8_5b7f, 0xa1a5_091f]);
    }

    #[test]
    fn shuffled_values_are_the_same_values() {
        let mut random = Random::new([7; 8]);
        let mut values: [usize; 64] = core::array::from_fn(|at| at);
        random.shuffle(&mut values);
        assert!(!values.is_sorted());
        values.sort_unstable();
        assert!(values.into_iter().eq(0..64));
        assert!((0..1000).map(|_| random.below(3)).all(|number| number < 3));
    }
}
