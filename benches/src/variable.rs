//! Blocks of any size: contenders and workloads.

use std::{alloc::Layout, ffi::CStr, hint::black_box, mem, ops::RangeInclusive, ptr::NonNull};

use millpond::{Allocator, Local, Owned, raw::RawPool};

use slab::Slab;
use slotmap::{DefaultKey, Key, KeyData, SlotMap};

use crate::{cpp, harness::Runner, random::Random};

/// An allocator of blocks of any size.
pub trait Variable {
    /// Returns the address of a block; null if there is no memory, which does not happen in any mix.
    fn take(&mut self, layout: Layout) -> *mut u8;
    /// # Safety
    /// The block was allocated here with this layout and is freed once.
    unsafe fn give(&mut self, block: *mut u8, layout: Layout);
}

/// The address of a block, for any type by which an allocator returns it.
pub fn address<T: ?Sized, E>(block: Result<NonNull<T>, E>) -> *mut u8 {
    block.map_or(std::ptr::null_mut(), |block| block.as_ptr().cast())
}

impl<P: RawPool, A: Allocator> Variable for Owned<P, A> {
    #[inline(always)]
    fn take(&mut self, layout: Layout) -> *mut u8 {
        address(self.allocate(layout))
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller frees a block of this allocator with its layout, and the block is not null.
        unsafe { self.deallocate(NonNull::new_unchecked(block), layout) }
    }
}

/// A shared allocator behind a reference that the optimiser cannot see through.
pub struct Shared<A: 'static>(&'static A);

impl<P: RawPool, A: Allocator> Shared<Local<P, A>> {
    pub fn new(pool: P, parent: A) -> Self {
        Self::of(Local::new_in(pool, parent))
    }
}

impl<A: Allocator> Shared<A> {
    pub fn of(allocator: A) -> Self {
        Self(black_box(Box::leak(Box::new(allocator))))
    }
}

impl<A: Allocator> Variable for Shared<A> {
    #[inline(always)]
    fn take(&mut self, layout: Layout) -> *mut u8 {
        address(self.0.allocate(layout))
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller frees a block of this allocator with its layout, and the block is not null.
        unsafe { self.0.deallocate(NonNull::new_unchecked(block), layout) }
    }
}

/// A `malloc` and its `free`.
#[derive(Clone, Copy)]
pub struct Malloc {
    pub malloc: unsafe extern "C" fn(usize) -> *mut libc::c_void,
    pub free: unsafe extern "C" fn(*mut libc::c_void),
}

pub const GLIBC: Malloc = Malloc { malloc: libc::malloc, free: libc::free };
pub const MIMALLOC: Malloc = Malloc { malloc: libmimalloc_sys::mi_malloc, free: libmimalloc_sys::mi_free };
pub const JEMALLOC: Malloc = Malloc { malloc: tikv_jemalloc_sys::malloc, free: tikv_jemalloc_sys::free };
pub const SNMALLOC: Malloc = Malloc { malloc: snmalloc_sys::sn_malloc, free: snmalloc_sys::sn_free };

/// tcmalloc, if its library is installed (Debian: libtcmalloc-minimal4).
pub fn tcmalloc() -> Option<Malloc> {
    // SAFETY: loading the library only runs its initialisation and defines no symbols for others.
    let library =
        unsafe { libc::dlopen(c"libtcmalloc_minimal.so.4".as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    let symbol = |name: &CStr| {
        // SAFETY: the name is NUL-terminated, and the library stays loaded.
        let found = unsafe { libc::dlsym(library, name.as_ptr()) };
        (!library.is_null() && !found.is_null()).then_some(found)
    };
    let Some((malloc, free)) = symbol(c"tc_malloc").zip(symbol(c"tc_free")) else {
        eprintln!("skipped: tcmalloc, because libtcmalloc_minimal.so.4 is not installed");
        return None;
    };
    // SAFETY: these are the `malloc` and `free` of tcmalloc, which have these types.
    unsafe { Some(Malloc { malloc: mem::transmute(malloc), free: mem::transmute(free) }) }
}

impl Variable for Malloc {
    #[inline(always)]
    fn take(&mut self, layout: Layout) -> *mut u8 {
        // SAFETY: `malloc` accepts any size; its alignment is enough for every mix.
        unsafe { (self.malloc)(layout.size()).cast() }
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, _: Layout) {
        // SAFETY: the caller frees a block of this allocator.
        unsafe { (self.free)(block.cast()) }
    }
}

impl Variable for cpp::Peer {
    fn take(&mut self, _: Layout) -> *mut u8 {
        cpp::Peer::take(self)
    }

    unsafe fn give(&mut self, block: *mut u8, _: Layout) {
        // SAFETY: the caller frees a block of this allocator.
        unsafe { cpp::Peer::give(self, block) }
    }
}

/// The crate `slab`, with capacity for all values, so that nothing moves. Each value starts with its key, until it is
/// overwritten.
impl Variable for Slab<[u64; 8]> {
    fn take(&mut self, _: Layout) -> *mut u8 {
        let entry = self.vacant_entry();
        let key = entry.key() as u64;
        std::ptr::from_mut(entry.insert([key; 8])).cast()
    }

    unsafe fn give(&mut self, block: *mut u8, _: Layout) {
        // SAFETY: the caller frees a live block of this allocator, and its key was not overwritten.
        let key = unsafe { block.cast::<u64>().read() };
        self.remove(key as usize);
    }
}

/// The crate `slotmap`, in the same way.
impl Variable for SlotMap<DefaultKey, [u64; 8]> {
    fn take(&mut self, _: Layout) -> *mut u8 {
        let key = self.insert_with_key(|key| [key.data().as_ffi(); 8]);
        std::ptr::from_mut(&mut self[key]).cast()
    }

    unsafe fn give(&mut self, block: *mut u8, _: Layout) {
        // SAFETY: the caller frees a live block of this allocator, and its key was not overwritten.
        let key = unsafe { block.cast::<u64>().read() };
        self.remove(KeyData::from_ffi(key).into());
    }
}

/// Layouts of random sizes, aligned to 8.
pub struct Layouts {
    random: Random,
    least: usize,
    span: usize,
}

impl Layouts {
    pub fn new(sizes: &RangeInclusive<usize>) -> Self {
        Self { random: Random::new(2), least: *sizes.start(), span: sizes.end() - sizes.start() + 1 }
    }

    #[inline(always)]
    pub fn next(&mut self) -> Layout {
        Layout::from_size_align(self.least + self.random.below(self.span), 8).expect("a small layout")
    }
}

#[inline(always)]
fn take<const WRITES: bool>(contender: &mut impl Variable, layout: Layout) -> *mut u8 {
    let block = contender.take(layout);
    assert!(!block.is_null(), "there is more memory than the mix needs");
    if WRITES {
        // SAFETY: the block is live and has this size.
        unsafe { block.write_bytes(1, layout.size()) };
    }
    block
}

/// Frees a random one of `live` blocks, allocates another, and writes all of it if requested.
pub fn replace<const WRITES: bool>(
    name: &'static str,
    contender: impl Variable + 'static,
    live: usize,
    sizes: RangeInclusive<usize>,
) -> Runner {
    replacing::<WRITES, false>(name, contender, live, sizes)
}

/// The same with a hole between every two blocks: twice as many were allocated, and every second one freed.
pub fn replace_among_holes(
    name: &'static str,
    contender: impl Variable + 'static,
    live: usize,
    sizes: RangeInclusive<usize>,
) -> Runner {
    replacing::<false, true>(name, contender, live, sizes)
}

fn replacing<const WRITES: bool, const HOLES: bool>(
    name: &'static str,
    contender: impl Variable + 'static,
    live: usize,
    sizes: RangeInclusive<usize>,
) -> Runner {
    // On the heap, because some contenders must not move once they have memory.
    let mut contender = Box::new(contender);
    let (mut places, mut layouts) = (Random::new(1), Layouts::new(&sizes));
    let mut fresh = || {
        let layout = layouts.next();
        (take::<WRITES>(&mut *contender, layout), layout)
    };
    let (mut blocks, mut holes) = (Vec::with_capacity(live), Vec::new());
    for _ in 0..live {
        blocks.push(fresh());
        holes.extend(HOLES.then(&mut fresh));
    }
    for (block, layout) in holes {
        // SAFETY: the block is live, and only this workload uses it.
        unsafe { contender.give(block, layout) };
    }
    let run = move |count| {
        for _ in 0..count {
            let place = places.below(live);
            let (block, layout) = blocks[place];
            // SAFETY: the block is live, and another one replaces it at once.
            unsafe { contender.give(block, layout) };
            let layout = layouts.next();
            blocks[place] = (take::<WRITES>(&mut *contender, layout), layout);
        }
        count
    };
    Runner { name, run: Box::new(run) }
}

/// Allocates one block and frees it, repeatedly.
pub fn pairs(name: &'static str, contender: impl Variable + 'static, sizes: RangeInclusive<usize>) -> Runner {
    let mut contender = Box::new(contender);
    let mut layouts = Layouts::new(&sizes);
    let run = move |count| {
        for _ in 0..count {
            let layout = layouts.next();
            let block = black_box(take::<false>(&mut *contender, layout));
            // SAFETY: the block was just allocated.
            unsafe { contender.give(block, layout) };
        }
        count
    };
    Runner { name, run: Box::new(run) }
}
