//! Which shells are unwind-safe: all, if their parents are. Pools, parents and policies do not unwind, and no other
//! user code runs while a pool is being changed.

use core::panic::RefUnwindSafe;

use lock_api::RawMutex;

use super::{oom::OomPolicy, *};
use crate::{
    base::unwind_safe,
    pool::{BlockLayout, Config, SizeClasses},
    traits::{Allocator, RawPool},
};

unwind_safe! {
    [A: Allocator + RefUnwindSafe] AtomicLinear<A>;
    [P: SizeClasses, A: Allocator + RefUnwindSafe, C: CacheConfig] Cached<P, A, C>;
    [P: SizeClasses, A: Allocator + RefUnwindSafe, C: CacheConfig] Handle<'_, P, A, C>;
    [C: Config, A: Allocator + RefUnwindSafe] RemoteFree<C, A>;
    [P: RawPool, A: Allocator + RefUnwindSafe, O: OomPolicy] Local<P, A, O>;
    [S: BlockLayout, A: Allocator + RefUnwindSafe] LockFree<S, A>;
    [P: RawPool, A: Allocator + RefUnwindSafe, L: RawMutex, O: OomPolicy] Locked<P, A, L, O>;
    [P: RawPool, A: Allocator + RefUnwindSafe, O: OomPolicy] Owned<P, A, O>;
    [C: Config, A: Allocator + RefUnwindSafe] OwnerHandle<'_, C, A>;
}
