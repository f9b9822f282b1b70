//! `Debug` for the types of this layer: see [`opaque_debug`].

use super::*;
use crate::base::opaque_debug;

opaque_debug! {
    Blocks [C: Config] Blocks<C>;
    For [T] For<T>;
    Linear [] Linear;
    SignPost [] SignPost;
    Stack [] Stack;
    Buddy [] Buddy;
    Classes [] Classes;
    HardenedClasses [M: Hardening] HardenedClasses<M>;
    WithQuickList [] WithQuickList;
    Tlsf [F: QuickList] Tlsf<F>;
}
