//! Records: what is known of each unit of the region.

/// What a run of units is used for. The first and the last record of a free run have a use, the first one of a large
/// block, that in whose unit a guarded block begins, and each of a span; the latter two also have the first unit of the
/// run. All others are [`Use::Inner`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Use {
    /// Never used, or inside a run.
    Inner = 0,
    /// Free; its contents are arbitrary, and parts of it may have no memory.
    Dirty,
    /// Free, without memory: its contents are zeros.
    Zero,
    /// Blocks of one class: see `span`.
    Span,
    /// One block.
    Large,
    /// One block between guard pages: see `guarded`.
    Guarded,
}

/// The functions that allocate a block, and free it. In the hardened modes a block of one family that is freed by
/// another ends the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Family {
    /// `malloc`, `free` and all others of C.
    Malloc = 0,
    /// `operator new` and `operator delete` of C++.
    New = 1,
    /// `operator new[]` and `operator delete[]` of C++.
    NewArray = 2,
}

/// Describes a unit.
#[repr(C)]
pub(crate) struct Record {
    /// The first unit of the run.
    pub(crate) first: u32,
    /// Number of units in the run.
    pub(crate) length: u32,
    /// Neighbours in a list of free runs or of spans; 0: none (unit 0 is never in use).
    pub(crate) previous: u32,
    pub(crate) next: u32,
    /// Free run: number of its units that have memory, as far as is known.
    pub(crate) dirty: u32,
    /// Guarded block: bytes between the start of the run and the block.
    pub(crate) offset: u32,
    /// Guarded block: bytes between its end and the guard pages behind it.
    pub(crate) slack: u16,
    /// Guarded block: whether those pages are a mapping of their own.
    pub(crate) mapping: bool,
    /// Large and guarded block: the functions that allocated it.
    pub(crate) family: Family,
    /// Span: number of free blocks that were handed out before.
    pub(crate) free: u16,
    /// Span: number of blocks that were ever handed out.
    pub(crate) carved: u16,
    pub(crate) class: u8,
    pub(crate) usage: Use,
    /// Span: whether it is in the list of partial spans.
    pub(crate) listed: bool,
}

impl Use {
    pub(crate) fn is_free(self) -> bool {
        matches!(self, Self::Dirty | Self::Zero)
    }
}

impl Record {
    pub(crate) const INNER: Self = Self {
        first: 0,
        length: 0,
        previous: 0,
        next: 0,
        dirty: 0,
        offset: 0,
        slack: 0,
        mapping: false,
        family: Family::Malloc,
        free: 0,
        carved: 0,
        class: 0,
        usage: Use::Inner,
        listed: false,
    };
}
