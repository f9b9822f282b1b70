//! The contenders that allocate and free blocks of 64 bytes.

use std::{alloc::Layout, cell::UnsafeCell, hint::black_box, mem::MaybeUninit, ptr::NonNull};

use millpond::{
    Allocator, Blocks, Classes, Fixed, Local, Magazine, Owned,
    pool::{AddressOrdered, Config},
};
use slab::Slab;
use slotmap::{DefaultKey, SlotMap};

use crate::variable::Malloc;

pub const SIZE: usize = 64;
pub const LAYOUT: Layout = Layout::new::<[u64; 8]>();

/// A contender. `Block` is its handle for a block: a pointer or a key.
pub trait Contender {
    type Block: Copy;
    fn take(&mut self) -> Self::Block;
    /// # Safety
    /// The block was allocated by this contender and is freed once.
    unsafe fn give(&mut self, block: Self::Block);
}

/// The lower bound: a hand-written intrusive list over `capacity` blocks that are all free.
pub struct List {
    head: *mut u8,
}

impl List {
    pub fn new(capacity: usize) -> Self {
        let memory = Vec::leak(vec![[0u64; SIZE / 8]; capacity]);
        let mut head = std::ptr::null_mut();
        for block in memory.iter_mut().rev() {
            let block: *mut u8 = std::ptr::from_mut(block).cast();
            // SAFETY: the block belongs to the list and is longer than a pointer.
            unsafe { block.cast::<*mut u8>().write(head) };
            head = block;
        }
        Self { head }
    }
}

impl Contender for List {
    type Block = *mut u8;

    #[inline(always)]
    fn take(&mut self) -> *mut u8 {
        let block = self.head;
        if block.is_null() {
            out_of_blocks();
        }
        // SAFETY: a block on the list starts with the address of the next one.
        self.head = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8) {
        // SAFETY: the block has been freed, so it belongs to the list.
        unsafe { block.cast::<*mut u8>().write(self.head) };
        self.head = block;
    }
}

#[cold]
#[inline(never)]
fn out_of_blocks() -> ! {
    panic!("the list is made as long as the mix needs")
}

/// The same list behind a shared reference that the optimiser cannot see through.
#[derive(Clone, Copy)]
pub struct Behind(&'static UnsafeCell<List>);

impl Behind {
    pub fn new(capacity: usize) -> Self {
        Self(black_box(Box::leak(Box::new(UnsafeCell::new(List::new(capacity))))))
    }
}

impl Contender for Behind {
    type Block = *mut u8;

    #[inline(always)]
    fn take(&mut self) -> *mut u8 {
        // SAFETY: there is only one thread, and the reference ends here.
        unsafe { (*self.0.get()).take() }
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8) {
        // SAFETY: there is only one thread, and the reference ends here.
        unsafe { (*self.0.get()).give(block) }
    }
}

impl<C: Config> Contender for Owned<Blocks<C>> {
    type Block = *mut u8;

    #[inline(always)]
    fn take(&mut self) -> *mut u8 {
        pointer(self.allocate(LAYOUT))
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8) {
        // SAFETY: the caller frees a block of this contender once, and the block is not null.
        unsafe { self.deallocate(NonNull::new_unchecked(block), LAYOUT) }
    }
}

#[inline(always)]
pub fn pointer<E>(block: Result<NonNull<[u8]>, E>) -> *mut u8 {
    match block {
        Ok(block) => block.as_ptr().cast(),
        Err(_) => out_of_blocks(),
    }
}

/// Any of Millpond's allocators, behind a reference that the optimiser cannot see through. The layout is known to the
/// compiler if `FIXED` is set.
pub struct Ours<A: 'static, const FIXED: bool> {
    allocator: &'static A,
    layout: Layout,
}

impl<A, const FIXED: bool> Clone for Ours<A, FIXED> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, const FIXED: bool> Copy for Ours<A, FIXED> {}

impl<A, const FIXED: bool> Ours<A, FIXED> {
    pub fn new(allocator: A) -> Self {
        Self { allocator: black_box(Box::leak(Box::new(allocator))), layout: black_box(LAYOUT) }
    }

    #[inline(always)]
    fn layout(&self) -> Layout {
        if FIXED { LAYOUT } else { self.layout }
    }
}

impl<A: Allocator, const FIXED: bool> Contender for Ours<A, FIXED> {
    type Block = *mut u8;

    #[inline(always)]
    fn take(&mut self) -> *mut u8 {
        pointer(self.allocator.allocate(self.layout()))
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8) {
        // SAFETY: the caller frees a block of this contender once, and the block is not null.
        unsafe { self.allocator.deallocate(NonNull::new_unchecked(block), self.layout()) }
    }
}

pub type LocalFixed = Ours<Local<Blocks<Fixed<SIZE>>>, true>;
pub type LocalMagazine = Ours<Local<Blocks<(Fixed<SIZE>, Magazine)>>, true>;
pub type LocalAddressOrdered = Ours<Local<Blocks<(Fixed<SIZE>, AddressOrdered)>>, true>;
pub type LocalAny = Ours<Local<Blocks>, false>;
pub type LocalClasses = Ours<Local<Classes>, false>;

impl LocalAny {
    pub fn at_run_time() -> Self {
        Self::new(Local::new(Blocks::of(black_box(LAYOUT))))
    }
}

/// The crate `slab`. Values are never written, as for all contenders.
pub struct Slabs(Slab<MaybeUninit<[u64; 8]>>);

impl Slabs {
    pub fn new() -> Self {
        Self(Slab::new())
    }
}

impl Contender for Slabs {
    type Block = usize;

    #[inline(always)]
    fn take(&mut self) -> usize {
        self.0.insert(MaybeUninit::uninit())
    }

    #[inline(always)]
    unsafe fn give(&mut self, key: usize) {
        let _ = self.0.remove(key);
    }
}

/// The crate `slotmap`. Values are never written.
pub struct Slots(SlotMap<DefaultKey, MaybeUninit<[u64; 8]>>);

impl Slots {
    pub fn new() -> Self {
        Self(SlotMap::new())
    }
}

impl Contender for Slots {
    type Block = DefaultKey;

    #[inline(always)]
    fn take(&mut self) -> DefaultKey {
        self.0.insert(MaybeUninit::uninit())
    }

    #[inline(always)]
    unsafe fn give(&mut self, key: DefaultKey) {
        let _ = self.0.remove(key);
    }
}

impl Contender for Malloc {
    type Block = *mut u8;

    #[inline(always)]
    fn take(&mut self) -> *mut u8 {
        // SAFETY: `malloc` accepts any size.
        unsafe { (self.malloc)(SIZE).cast() }
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8) {
        // SAFETY: the caller frees a block of this contender once.
        unsafe { (self.free)(block.cast()) }
    }
}
