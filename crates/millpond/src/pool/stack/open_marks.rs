//! Which marks of a [`Stack`](super::Stack) are valid. In debug builds each mark has an identity, and the stack keeps
//! the identities of the outermost open marks. In release builds marks are not checked; the number of open marks is
//! known in every build.

/// How many open marks are checked.
const CHECKED: usize = if cfg!(debug_assertions) { 16 } else { 0 };

/// The identity of a mark: how many marks are open, including it, and a number that no other mark of that depth has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MarkId {
    depth: usize,
    number: usize,
}

/// The open marks of a stack.
///
/// # Invariants
///
/// * `open[..depth]` are the numbers of the open marks, up to `CHECKED` of them.
pub(super) struct OpenMarks {
    open: [usize; CHECKED],
    depth: usize,
    made: usize,
}

impl OpenMarks {
    pub(super) const NONE: Self = Self { open: [0; CHECKED], depth: 0, made: 0 };

    /// Opens a mark. `stack` is the address of the stack, so that marks of other stacks have other numbers.
    #[inline]
    pub(super) fn open(&mut self, stack: usize) -> MarkId {
        if CHECKED == 0 {
            self.depth += 1;
            return MarkId { depth: self.depth, number: 0 };
        }
        self.made += 1;
        // Fibonacci hashing keeps addresses and counts apart.
        let number = stack ^ self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize);
        if let Some(open) = self.open.get_mut(self.depth) {
            *open = number;
        }
        self.depth += 1;
        MarkId { depth: self.depth, number }
    }

    /// Closes a mark and all marks opened since. Returns whether it was open, as far as that is checked.
    #[inline]
    pub(super) fn close(&mut self, id: &MarkId) -> bool {
        if CHECKED == 0 {
            self.depth = id.depth - 1;
            return true;
        }
        let known = self.open.get(id.depth - 1).is_none_or(|&open| open == id.number);
        let open = id.depth <= self.depth && known;
        self.depth = id.depth - 1;
        open
    }

    /// Returns whether any mark is open.
    pub(super) fn any_open(&self) -> bool {
        self.depth != 0
    }

    /// Closes all marks.
    pub(super) fn close_all(&mut self) {
        self.depth = 0;
    }
}
