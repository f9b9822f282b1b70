//! Blocks of any size: what takes and gives them, and the ways of using that are compared.

use std::{alloc::Layout, ffi::CStr, hint::black_box, mem, ops::RangeInclusive, ptr::NonNull};

use millpond::{Allocator, Local, Owned, RawPool};

use slab::Slab;
use slotmap::{DefaultKey, Key, KeyData, SlotMap};

use crate::{cpp, harness::Runner, random::Random};

/// What takes and gives blocks of any size.
pub trait Variable {
    /// The block's address; null if there is no memory, which no mix lets happen.
    fn take(&mut self, layout: Layout) -> *mut u8;
    /// # Safety
    /// The block was taken from here with this layout and is given back once.
    unsafe fn give(&mut self, block: *mut u8, layout: Layout);
}

/// The address of a block, in whichever way an allocator says it.
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
        // SAFETY: the caller's promise, and the block is not null.
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
        // SAFETY: the caller's promise, and the block is not null.
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
    // SAFETY: loading it defines nothing for others, and runs its own initialisation only.
    let library =
        unsafe { libc::dlopen(c"libtcmalloc_minimal.so.4".as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    let symbol = |name: &CStr| {
        // SAFETY: the name is a string, and the library stays loaded.
        let found = unsafe { libc::dlsym(library, name.as_ptr()) };
        (!library.is_null() && !found.is_null()).then_some(found)
    };
    let Some((malloc, free)) = symbol(c"tc_malloc").zip(symbol(c"tc_free")) else {
        eprintln!("skipped: tcmalloc, because libtcmalloc_minimal.so.4 is not installed");
        return None;
    };
    // SAFETY: these are tcmalloc's malloc and free.
    unsafe { Some(Malloc { malloc: mem::transmute(malloc), free: mem::transmute(free) }) }
}

impl Variable for Malloc {
    #[inline(always)]
    fn take(&mut self, layout: Layout) -> *mut u8 {
        // SAFETY: any size will do; every mix is content with malloc's alignment.
        unsafe { (self.malloc)(layout.size()).cast() }
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, _: Layout) {
        // SAFETY: the caller's promise.
        unsafe { (self.free)(block.cast()) }
    }
}

impl Variable for cpp::Peer {
    fn take(&mut self, _: Layout) -> *mut u8 {
        cpp::Peer::take(self)
    }

    unsafe fn give(&mut self, block: *mut u8, _: Layout) {
        // SAFETY: the caller's promise.
        unsafe { cpp::Peer::give(self, block) }
    }
}

/// The crate `slab`, with room for all, so that nothing moves. Each value begins with its key, until it is overwritten.
impl Variable for Slab<[u64; 8]> {
    fn take(&mut self, _: Layout) -> *mut u8 {
        let entry = self.vacant_entry();
        let key = entry.key() as u64;
        std::ptr::from_mut(entry.insert([key; 8])).cast()
    }

    unsafe fn give(&mut self, block: *mut u8, _: Layout) {
        // SAFETY: the caller's promise, and the key was not overwritten.
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
        // SAFETY: as for `slab`.
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
        // SAFETY: the block is live and this long.
        unsafe { block.write_bytes(1, layout.size()) };
    }
    block
}

/// Frees a random one of `live` blocks, allocates another, and writes it to the last byte if so said.
pub fn replace<const WRITES: bool>(
    name: &'static str,
    contender: impl Variable + 'static,
    live: usize,
    sizes: RangeInclusive<usize>,
) -> Runner {
    replacing::<WRITES, false>(name, contender, live, sizes)
}

/// The same of blocks that have a hole between each two: twice as many were taken, and every second one given back.
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
    // On the heap: some contenders must not move once they have memory.
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
        // SAFETY: the block is live, and nobody else has it.
        unsafe { contender.give(block, layout) };
    }
    let run = move |count| {
        for _ in 0..count {
            let place = places.below(live);
            let (block, layout) = blocks[place];
            // SAFETY: the block is live, and its place is taken by another at once.
            unsafe { contender.give(block, layout) };
            let layout = layouts.next();
            blocks[place] = (take::<WRITES>(&mut *contender, layout), layout);
        }
        count
    };
    Runner { name, run: Box::new(run) }
}

/// Allocates one block and frees it, again and again.
pub fn pairs(name: &'static str, contender: impl Variable + 'static, sizes: RangeInclusive<usize>) -> Runner {
    let mut contender = Box::new(contender);
    let mut layouts = Layouts::new(&sizes);
    let run = move |count| {
        for _ in 0..count {
            let layout = layouts.next();
            let block = black_box(take::<false>(&mut *contender, layout));
            // SAFETY: the block was just taken.
            unsafe { contender.give(block, layout) };
        }
        count
    };
    Runner { name, run: Box::new(run) }
}
