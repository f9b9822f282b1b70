//! The one error that allocators return.

use core::fmt;

/// Why an allocator has no block to give.
///
/// The difference matters to callers: [`Exhausted`](Self::Exhausted) and [`Limit`](Self::Limit) may pass,
/// [`Unsupported`](Self::Unsupported) never does, [`InPlace`](Self::InPlace) says that moving the block may help, and
/// [`Os`](Self::Os) carries what the operating system said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllocError {
    /// No room is left; when blocks are freed there may be some again.
    Exhausted,
    /// A limit that somebody has set is reached; when blocks are freed there may be room again.
    Limit,
    /// This allocator never serves such a size or alignment.
    Unsupported,
    /// The block cannot have that size or alignment where it is; elsewhere it may.
    InPlace,
    /// The operating system refused, with this code (`errno` on Unix, `GetLastError` on Windows).
    Os(i32),
}

impl AllocError {
    /// The error as a number that fits a register. (On 32-bit systems a system's code keeps its lower 30 bits.)
    pub(crate) fn to_word(self) -> usize {
        match self {
            Self::Exhausted => 0,
            Self::Unsupported => 1,
            Self::Limit => 3,
            Self::InPlace => 5,
            Self::Os(code) => 2 | (code.cast_unsigned() as usize) << 2,
        }
    }

    /// The error that has this number.
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
            Self::Limit => f.write_str("this allocator may give no more"),
            Self::Unsupported => f.write_str("this allocator never serves such a size or alignment"),
            Self::InPlace => f.write_str("the block cannot have that size or alignment where it is"),
            Self::Os(code) => write!(f, "the operating system gave no memory (error {code})"),
        }
    }
}

impl core::error::Error for AllocError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_way_through_a_word() {
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
