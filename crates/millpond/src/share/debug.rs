//! `Debug` for the types of this room: see [`opaque_debug`].

use lock_api::RawMutex;

use super::*;
use crate::{
    base::opaque_debug,
    pool::{BlockLayout, Config, SizeClasses},
    traits::{Allocator, RawPool},
};

opaque_debug! {
    AtomicLinear [A: Allocator] AtomicLinear<A>;
    Cached [P: SizeClasses, A: Allocator, L: RawMutex, O: Policy, const PLACES: usize] Cached<P, A, L, O, PLACES>;
    Handle [P: SizeClasses, A: Allocator, L: RawMutex, O: Policy, const PLACES: usize] Handle<'_, P, A, L, O, PLACES>;
    Inbox [C: Config, A: Allocator] Inbox<C, A>;
    Local [P: RawPool, A: Allocator, O: Policy] Local<P, A, O>;
    LockFree [S: BlockLayout, A: Allocator] LockFree<S, A>;
    Locked [P: RawPool, A: Allocator, L: RawMutex, O: Policy] Locked<P, A, L, O>;
    Owned [P: RawPool, A: Allocator, O: Policy] Owned<P, A, O>;
    Owner [C: Config, A: Allocator] Owner<'_, C, A>;
    Scope [S] Scope<'_, '_, S>;
}
