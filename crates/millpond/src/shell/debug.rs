//! `Debug` for the shells: see [`opaque_debug`].

use lock_api::RawMutex;

use super::{oom::OomPolicy, *};
use crate::{
    base::opaque_debug,
    pool::{BlockLayout, Config, SizeClasses},
    traits::{Allocator, RawPool},
};

opaque_debug! {
    AtomicLinear [A: Allocator] AtomicLinear<A>;
    Cached [P: SizeClasses, A: Allocator, C: CacheConfig] Cached<P, A, C>;
    Handle [P: SizeClasses, A: Allocator, C: CacheConfig] Handle<'_, P, A, C>;
    RemoteFree [C: Config, A: Allocator] RemoteFree<C, A>;
    Local [P: RawPool, A: Allocator, O: OomPolicy] Local<P, A, O>;
    LockFree [S: BlockLayout, A: Allocator] LockFree<S, A>;
    Locked [P: RawPool, A: Allocator, L: RawMutex, O: OomPolicy] Locked<P, A, L, O>;
    Owned [P: RawPool, A: Allocator, O: OomPolicy] Owned<P, A, O>;
    OwnerHandle [C: Config, A: Allocator] OwnerHandle<'_, C, A>;
    Scope [S] Scope<'_, '_, S>;
}
