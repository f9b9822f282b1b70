//! `Debug` for the types of this layer: see [`opaque_debug`].

use super::*;
use crate::{base::opaque_debug, traits::Allocator};

opaque_debug! {
    Builder [T, A, C, L] Builder<T, A, C, L>;
    Pool [T, M: Allocator] Pool<T, M>;
    RcInner [C, T: ?Sized] RcInner<C, T>;
    SharedPool [T, M: Allocator] SharedPool<T, M>;
    ThinPool [T, A: Allocator] ThinPool<T, A>;
}
