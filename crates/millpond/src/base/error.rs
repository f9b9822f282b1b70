//! The error type of allocators.

use core::fmt;

/// The reason why an allocator has no block.
///
/// Callers can distinguish these: [`Exhausted`](Self::Exhausted) and [`Limit`](Self::Limit) may be temporary,
/// [`Unsupported`](Self::Unsupported) is permanent, [`InPlace`](Self::InPlace) means that moving the block may help,
/// and [`Os`](Self::Os) carries the error code of the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllocError {
    /// No memory is left; there may be some again when blocks are freed.
    Exhausted,
    /// A limit is reached; there may be room again when blocks are freed.
    Limit,
    /// The allocator never serves this size or alignment.
    Unsupported,
    /// The block cannot have this size or alignment in place; elsewhere it may.
    InPlace,
    /// The operating system refused, with this error code (`errno` on Unix, `GetLastError` on Windows).
    Os(i32),
}

impl AllocError {
    /// Converts the error to a number that fits a register. On 32-bit systems a code of the operating system keeps its
    /// lower 30 bits.
    pub(crate) fn to_word(self) -> usize {
        match self {
            Self::Exhausted => 0,
            Self::Unsupported => 1,
            Self::Limit => 3,
            Self::InPlace => 5,
            Self::Os(code) => 2 | (code.cast_unsigned() as usize) << 2,
        }
    }

    /// Converts a number back to the error.
    pub(crate) fn from_word(to_word: usize) -> Self {
        match to_word {
            0 => Self::Exhausted,
            1 => Self::Unsupported,
            3 => Self::Limit,
            5 => Self::InPlace,
            _ => Self::Os(((to_word >> 2) as u32).cast_signed()),
        }
    }
}

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted => f.write_str("no memory left in this allocator"),
            Self::Limit => f.write_str("the limit of this allocator is reached"),
            Self::Unsupported => f.write_str("this allocator never serves this size or alignment"),
            Self::InPlace => f.write_str("the block cannot be resized in place"),
            Self::Os(code) => write!(f, "the operating system provided no memory (error {code})"),
        }
    }
}

impl core::error::Error for AllocError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_round_trip_through_a_word() {
        for error in [
            AllocError::Exhausted,
            AllocError::Limit,
            AllocError::Unsupported,
            AllocError::InPlace,
            AllocError::Os(0),
            AllocError::Os(12),
        ] {
            assert_eq!(AllocError::from_word(error.to_word()), error);
        }
        #[cfg(target_pointer_width = "64")]
        assert_eq!(AllocError::from_word(AllocError::Os(i32::MIN).to_word()), AllocError::Os(i32::MIN));
    }
}
