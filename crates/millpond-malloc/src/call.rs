//! What the program says of a block that it frees.

use crate::{classes::GRAIN, record::Family};

/// A function that frees blocks.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) family: Family,
}

impl Function {
    const fn new(name: &'static str, family: Family) -> Self {
        Self { name, family }
    }
}

pub(crate) static FREE: Function = Function::new("free", Family::Malloc);
pub(crate) static FREE_SIZED: Function = Function::new("free_sized", Family::Malloc);
pub(crate) static REALLOC: Function = Function::new("realloc", Family::Malloc);
pub(crate) static USABLE_SIZE: Function = Function::new("malloc_usable_size", Family::Malloc);
pub(crate) static DEALLOC: Function = Function::new("dealloc", Family::Malloc);
pub(crate) static DELETE: Function = Function::new("operator delete", Family::New);
pub(crate) static DELETE_ARRAY: Function = Function::new("operator delete[]", Family::NewArray);

/// The size and alignment that the program passes with a block.
#[derive(Clone, Copy)]
pub(crate) struct Given {
    /// `usize::MAX`: none.
    size: usize,
    pub(crate) align: usize,
}

impl Given {
    pub(crate) const NOTHING: Self = Self { size: usize::MAX, align: GRAIN };

    #[inline(always)]
    pub(crate) fn new(size: usize, align: usize) -> Self {
        Self { size, align }
    }

    /// Returns the size, if the program passed one.
    pub(crate) fn size(self) -> Option<usize> {
        (self.size != usize::MAX).then_some(self.size)
    }
}
