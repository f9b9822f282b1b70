//! Which types are unwind safe.

use std::{
    cell::Cell,
    marker::PhantomData,
    panic::{RefUnwindSafe, UnwindSafe},
};

use millpond::{guard::*, pool::*, shell::*, slots::*, typed::*, *};

fn both<T: UnwindSafe + RefUnwindSafe + ?Sized>() {}

/// Returns whether a type is unwind safe: the inherent method is found first if its bounds hold.
struct Asked<T: ?Sized>(PhantomData<T>);

trait Otherwise {
    fn answer(&self) -> bool {
        false
    }
}

impl<T: ?Sized> Otherwise for &Asked<T> {}

impl<T: UnwindSafe + RefUnwindSafe + ?Sized> Asked<T> {
    fn answer(&self) -> bool {
        true
    }
}

#[test]
fn pools_and_shells_are_unwind_safe() {
    type Values = Cell<u32>;
    both::<(Owned<Linear>, Local<Classes>, Locked<Tlsf>, Cached<Classes>, LockFree<Fixed<64>>, AtomicLinear)>(
    );
    both::<(
        RemoteFree<Fixed2>,
        Local<Stats<Stack>>,
        Local<Buddy, Local<SignPost>>,
        Handle<'static, Classes, Heap>,
    )>();
    both::<(
        Pool<Values>,
        SharedPool<Values>,
        CachedPool<Values>,
        ThinPool<Values>,
        RcPool<Values>,
        ArcPool<Values>,
    )>();
    both::<(
        Arena,
        DropArena<'static>,
        Frames,
        ArenaPool,
        millpond::arena::PooledArena<'static>,
        Scope<'static, 'static, Local<Stack>>,
    )>();
    both::<(Key<Values>, AllocError, Heap, Pages, Buffer<'static>, StaticBuffer<64>, Builder<Values>)>();
}

type Fixed2 = (Fixed<64>, Lifo);

#[test]
fn handles_and_collections_depend_on_their_values() {
    both::<(PoolBox<'static, u32>, SharedBox<'static, u32>, ThinBox<'static, u32>)>();
    both::<(
        PoolRc<'static, u32>,
        PoolArc<'static, u32>,
        PoolWeak<'static, u32, AtomicRefCount, Locked<Blocks>>,
    )>();
    both::<(Slots<u32>, SharedSlots<u32>, SlotsIntoIter<u32, Heap>, TryAllocError<u32>)>();
    let none = [
        (&Asked::<PoolBox<'static, Cell<u32>>>(PhantomData)).answer(),
        (&Asked::<ThinBox<'static, &'static mut u32>>(PhantomData)).answer(),
        (&Asked::<PoolRc<'static, Cell<u32>>>(PhantomData)).answer(),
        (&Asked::<Slots<Cell<u32>>>(PhantomData)).answer(),
        (&Asked::<SharedSlots<Cell<u32>>>(PhantomData)).answer(),
        (&Asked::<VacantEntry<'static, u32, Heap>>(PhantomData)).answer(),
    ];
    assert_eq!(none, [false; 6]);
    assert!(Asked::<PoolBox<'static, u32>>(PhantomData).answer(), "the question can be answered with yes");
}
