//! What workers execute: a trace's events, boiled down to what an allocator gets to see.

use std::alloc::Layout;

use millpond_trace::Op;

/// The largest block that can be replayed: what a 64-bit process can address.
pub(crate) const LARGEST: u64 = 1 << 47;

/// Size and alignment of a block in one word: the size in the lower 56 bits, the power of the alignment above.
///
/// A C program does not tell `malloc` which alignment it needs. Every type's size is a multiple of its alignment, so the
/// largest power of two that divides the size, at most 16 as malloc guarantees, is enough for any value of that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Request(u64);

impl Request {
    const SHIFT: u32 = 56;

    /// A request by size alone. Where there are no bytes there is nothing to align.
    pub(crate) fn of_size(size: u64) -> Self {
        let power = if size == 0 { 0 } else { size.trailing_zeros().min(4) };
        Self(u64::from(power) << Self::SHIFT | size)
    }

    /// A request with an alignment of its own, a power of two.
    fn aligned(size: u64, align: u32) -> Self {
        Self(u64::from(align.trailing_zeros()) << Self::SHIFT | size)
    }

    /// What an event of a trace asks for; `align` 0 is malloc's own guarantee.
    pub(crate) fn recorded(size: u64, align: u32) -> Result<Self, TooLarge> {
        match align {
            _ if size > LARGEST => Err(TooLarge(size)),
            0 => Ok(Self::of_size(size)),
            _ => Ok(Self::aligned(size, align)),
        }
    }

    /// Bytes asked for.
    #[inline(always)]
    pub(crate) fn size(self) -> usize {
        (self.0 & ((1 << Self::SHIFT) - 1)) as usize
    }

    /// Alignment asked for.
    #[inline(always)]
    pub(crate) fn align(self) -> usize {
        1 << (self.0 >> Self::SHIFT)
    }

    /// The same as Rust's allocators want to hear it.
    #[inline(always)]
    pub(crate) fn layout(self) -> Layout {
        // SAFETY: every constructor but `from_bytes` bounds the size by `LARGEST` and takes a power of two below 2^32;
        // `from_bytes` checks the same.
        unsafe { Layout::from_size_align_unchecked(self.size(), self.align()) }
    }
}

/// An event asks for more than any process can have.
#[derive(Debug, thiserror::Error)]
#[error("the trace has a block of {0} bytes, more than a process can address: record again")]
pub(crate) struct TooLarge(u64);

/// What to do to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// `malloc`.
    Allocate,
    /// `calloc`.
    Zeroed,
    /// `memalign` and its kin.
    Aligned,
    /// `realloc` of a live block.
    Resize,
    /// `free`.
    Free,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// What is asked for; what was asked for last time does not matter to [`Kind::Free`].
    pub(crate) request: Request,
    /// Which block.
    pub(crate) slot: u32,
    /// What to do.
    pub(crate) kind: Kind,
    /// Which thread of the replay does it.
    pub(crate) worker: u16,
}

impl Step {
    /// Bytes of a step on its way to a worker.
    pub(crate) const BYTES: usize = 16;

    /// The step for an event. No known call asks for zeroed *and* specially aligned memory; alignment would win.
    pub(crate) fn new(op: Op) -> Result<Self, TooLarge> {
        let worker = 0;
        Ok(match op {
            Op::Allocate { slot, size, align, zeroed } => {
                let kind = match (align, zeroed) {
                    (0, false) => Kind::Allocate,
                    (0, true) => Kind::Zeroed,
                    _ => Kind::Aligned,
                };
                Self { request: Request::recorded(size, align)?, slot, kind, worker }
            }
            Op::Resize { slot, size } => {
                Self { request: Request::recorded(size, 0)?, slot, kind: Kind::Resize, worker }
            }
            Op::Free { slot } => Self { request: Request::of_size(0), slot, kind: Kind::Free, worker },
        })
    }

    /// For the pipe.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let word = u64::from(self.slot) | u64::from(self.kind as u8) << 32 | u64::from(self.worker) << 48;
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.request.0.to_le_bytes());
        bytes[8..].copy_from_slice(&word.to_le_bytes());
        bytes
    }

    /// From the pipe; `None` if no step looks like that.
    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let [request, word] =
            [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index])));
        let worker = (word >> 48) as u16;
        let kind = match word >> 32 & 0xffff {
            0 => Kind::Allocate,
            1 => Kind::Zeroed,
            2 => Kind::Aligned,
            3 => Kind::Resize,
            4 => Kind::Free,
            _ => return None,
        };
        let request = Request(request);
        let sound = request.size() as u64 <= LARGEST && request.0 >> Request::SHIFT < 32;
        sound.then_some(Self { request, slot: word as u32, kind, worker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natural_alignment_divides_the_size_and_stops_at_16() {
        for (size, align) in [(1, 1), (2, 2), (12, 4), (24, 8), (32, 16), (4096, 16), (0, 1)] {
            let request = Request::of_size(size);
            assert_eq!((request.size() as u64, request.align()), (size, align));
        }
        assert_eq!(Request::recorded(100, 64).unwrap().layout(), Layout::from_size_align(100, 64).unwrap());
    }

    #[test]
    fn steps_survive_the_pipe() {
        let ops = [
            Op::Allocate { slot: 7, size: LARGEST, align: 0, zeroed: false },
            Op::Allocate { slot: u32::MAX - 2, size: 0, align: 0, zeroed: true },
            Op::Allocate { slot: 1, size: 5, align: 1 << 31, zeroed: false },
            Op::Resize { slot: 3, size: 48 },
            Op::Free { slot: 9 },
        ];
        for op in ops {
            let step = Step { worker: 63, ..Step::new(op).unwrap() };
            assert_eq!(Step::from_bytes(&step.to_bytes()), Some(step));
        }
    }

    #[test]
    fn what_is_no_step_is_refused() {
        assert!(Step::new(Op::Resize { slot: 0, size: LARGEST + 1 }).is_err());
        assert_eq!(Step::from_bytes(&[255; 16]), None);
        let mut bytes = Step::new(Op::Free { slot: 1 }).unwrap().to_bytes();
        bytes[7] = 32;
        assert_eq!(Step::from_bytes(&bytes), None, "an alignment of 2^32");
        bytes[7] = 0;
        bytes[12] = 5;
        assert_eq!(Step::from_bytes(&bytes), None, "a kind that does not exist");
    }
}
