//! The steps that workers perform: the events of a trace, reduced to what an allocator sees.

use std::alloc::Layout;

use millpond_trace::Op;

/// The largest block that can be replayed: as much as a 64-bit process can address.
pub(crate) const LARGEST: u64 = 1 << 47;

/// Size and alignment of a block in one word: the size in the lower 48 bits, the exponent of the alignment in the upper
/// eight, and between them the route that a replay may give to the block.
///
/// A C program does not tell `malloc` which alignment it needs. The size of every type is a multiple of its alignment,
/// so the largest power of two that divides the size, at most 16 (which `malloc` guarantees), is enough for any value
/// of that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Request(u64);

impl Request {
    const SHIFT: u32 = 56;
    const ROUTE: u32 = 48;

    /// Creates a request from a size, which is at most [`LARGEST`]. If the size is zero, the alignment is 1.
    pub(crate) fn of_size(size: u64) -> Self {
        let power = if size == 0 { 0 } else { size.trailing_zeros().min(4) };
        Self(u64::from(power) << Self::SHIFT | size)
    }

    /// Creates a request with an explicit alignment, a power of two.
    fn aligned(size: u64, align: u32) -> Self {
        Self(u64::from(align.trailing_zeros()) << Self::SHIFT | size)
    }

    /// Returns the request of an event; `align` 0 means the guarantee of `malloc`.
    pub(crate) fn recorded(size: u64, align: u32) -> Result<Self, TooLarge> {
        match align {
            _ if size > LARGEST => Err(TooLarge(size)),
            0 => Ok(Self::of_size(size)),
            _ => Ok(Self::aligned(size, align)),
        }
    }

    /// Returns the bytes requested.
    #[inline(always)]
    pub(crate) fn size(self) -> usize {
        (self.0 & ((1 << Self::ROUTE) - 1)) as usize
    }

    /// Returns the route: 0 for none, otherwise the number of a part of the replay that serves some blocks only.
    #[inline(always)]
    pub(crate) fn route(self) -> u8 {
        (self.0 >> Self::ROUTE) as u8
    }

    /// Returns the request with another route.
    pub(crate) fn with_route(self, route: u8) -> Self {
        Self(self.0 & !(0xff << Self::ROUTE) | u64::from(route) << Self::ROUTE)
    }

    /// Returns the alignment requested.
    #[inline(always)]
    pub(crate) fn align(self) -> usize {
        1 << (self.0 >> Self::SHIFT)
    }

    /// Returns the request with at least this size, which is at most [`LARGEST`].
    #[inline(always)]
    pub(crate) fn at_least(self, size: usize) -> Self {
        if self.size() >= size { self } else { Self(self.0 & !((1 << Self::ROUTE) - 1) | size as u64) }
    }

    /// Returns the request as a `Layout`.
    #[inline(always)]
    pub(crate) fn layout(self) -> Layout {
        // SAFETY: the size is below 2^48, because `size` has no more bits, and the alignment below 2^32: `aligned` takes a
        // power of two that is a `u32`, `of_size` one up to 16, and `from_bytes` checks it. So their sum is at most
        // `isize::MAX`.
        unsafe { Layout::from_size_align_unchecked(self.size(), self.align()) }
    }
}

/// An event that requests more than any process can have.
#[derive(Debug, thiserror::Error)]
#[error("the trace has a block of {0} bytes, more than a process can address: record again")]
pub(crate) struct TooLarge(u64);

/// The operation on a slot.
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

/// One event as a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The request; [`Kind::Free`] does not use it.
    pub(crate) request: Request,
    /// The block.
    pub(crate) slot: u32,
    /// The operation.
    pub(crate) kind: Kind,
    /// The thread of the replay that performs it.
    pub(crate) worker: u16,
}

impl Step {
    /// Bytes of an encoded step.
    pub(crate) const BYTES: usize = 16;

    /// Returns the step for an event. No known call requests zeroed *and* aligned memory; alignment would take
    /// precedence.
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

    /// Encodes the step for the pipe.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let word = u64::from(self.slot) | u64::from(self.kind as u8) << 32 | u64::from(self.worker) << 48;
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.request.0.to_le_bytes());
        bytes[8..].copy_from_slice(&word.to_le_bytes());
        bytes
    }

    /// Decodes a step from the pipe; `None` if no step has this encoding.
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
    fn natural_alignment() {
        for (size, align) in [(1, 1), (2, 2), (12, 4), (24, 8), (32, 16), (4096, 16), (0, 1)] {
            let request = Request::of_size(size);
            assert_eq!((request.size() as u64, request.align()), (size, align));
        }
        assert_eq!(Request::recorded(100, 64).unwrap().layout(), Layout::from_size_align(100, 64).unwrap());
    }

    #[test]
    fn routes_change_nothing_else() {
        let request = Request::recorded(LARGEST, 1 << 31).unwrap();
        let routed = request.with_route(255).with_route(200);
        assert_eq!((request.route(), routed.route()), (0, 200));
        assert_eq!((routed.size(), routed.align()), (request.size(), request.align()));
        let step = Step { request: routed, ..Step::new(Op::Free { slot: 1 }).unwrap() };
        assert_eq!(Step::from_bytes(&step.to_bytes()), Some(step));
    }

    #[test]
    fn steps_round_trip() {
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
    fn invalid_bytes_are_refused() {
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
