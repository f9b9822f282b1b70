//! A program that overwrites words of the pool that it uses, as its input tells it.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    cell::{Cell, RefCell},
    ops::Range,
    ptr::NonNull,
};

use millpond::{
    AllocError, Allocator, Inspect, Local, Reclaim,
    guard::Checked,
    observe::{InspectExt, Misuse, Reporter},
    raw::RawPool,
};

const WORD: usize = size_of::<usize>();

/// A parent that knows its chunks and keeps them until it is dropped, because an overwritten pool may lose one.
#[derive(Default)]
struct Chunks(RefCell<Vec<(NonNull<u8>, Layout)>>);

// SAFETY: every block is the heap's, and lives as long as this parent.
unsafe impl Allocator for Chunks {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: no pool requests a chunk of zero bytes.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(AllocError::Exhausted)?;
        self.0.borrow_mut().push((start, layout));
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn deallocate(&self, _: NonNull<u8>, _: Layout) {}
}

impl Drop for Chunks {
    fn drop(&mut self) {
        for (start, layout) in self.0.take() {
            // SAFETY: the chunk was allocated above, and the pool was dropped before.
            unsafe { dealloc(start.as_ptr(), layout) };
        }
    }
}

/// The rest of an input; zeros behind its end.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    /// Returns a number below `end`, which is not zero.
    fn below(&mut self, end: usize) -> usize {
        usize::from(u16::from_le_bytes([self.byte(), self.byte()])) % end
    }
}

/// A program that uses an allocator, and overwrites words of the chunks below it.
struct Vandal<'a, A> {
    allocator: &'a A,
    chunks: &'a Chunks,
    live: Vec<(NonNull<u8>, Layout)>,
    freed: Vec<(NonNull<u8>, Layout)>,
}

impl<'a, A: Allocator + Inspect> Vandal<'a, A> {
    fn new(allocator: &'a A, chunks: &'a Chunks) -> Self {
        Self { allocator, chunks, live: Vec::new(), freed: Vec::new() }
    }

    /// Allocates, frees or resizes.
    fn step(&mut self, bytes: &mut Bytes<'_>) {
        take_reports();
        let choice = bytes.byte();
        let align = 8 << (choice >> 6);
        let size = SIZES[bytes.below(SIZES.len())];
        let Ok(layout) = Layout::from_size_align(size, align) else { return };
        match choice % 8 {
            0..4 => {
                let Ok(block) = self.allocator.allocate(layout) else { return };
                self.assert_apart(block.cast(), size);
                // SAFETY: the block is live and has this length.
                unsafe { block.cast::<u8>().write_bytes(choice, size) };
                self.live.push((block.cast(), layout));
            }
            kind if !self.live.is_empty() => {
                let at = bytes.below(self.live.len());
                let (block, old) = self.live[at];
                if kind < 7 {
                    // SAFETY: the block is live, and was handed out for this layout.
                    unsafe { self.allocator.deallocate(block, old) };
                    if take_reports() == 0 {
                        self.freed.push(self.live.swap_remove(at));
                    }
                } else if let Ok(new) = Layout::from_size_align(size, old.align()) {
                    // SAFETY: as above.
                    let resized = unsafe {
                        if size >= old.size() {
                            self.allocator.grow(block, old, new)
                        } else {
                            self.allocator.shrink(block, old, new)
                        }
                    };
                    if let Ok(resized) = resized {
                        self.live[at] = (resized.cast(), new);
                    }
                }
            }
            _ => {}
        }
    }

    /// Checks that no live block is handed out.
    fn assert_apart(&self, block: NonNull<u8>, size: usize) {
        let start = block.addr().get();
        for (other, layout) in &self.live {
            let other = other.addr().get();
            assert!(start + size <= other || other + layout.size() <= start, "a live block is handed out");
        }
    }

    /// Overwrites a word in or near a block, or anywhere in a chunk if `anywhere` is set.
    fn overwrite(&self, anywhere: bool, bytes: &mut Bytes<'_>) {
        let blocks = if anywhere && bytes.byte() % 2 == 0 { &self.live } else { &self.freed };
        let near = (!blocks.is_empty() && (!anywhere || bytes.byte() % 4 != 0)).then(|| {
            let (block, layout) = blocks[bytes.below(blocks.len())];
            let words = layout.size() / WORD;
            let (first, count) = if anywhere { (2, words + 4) } else { (0, words) };
            block.addr().get().wrapping_add(bytes.below(count) * WORD).wrapping_sub(first * WORD)
        });
        let chunks = self.chunks.0.borrow();
        let place = near.or_else(|| {
            let (start, layout) = chunks.get(bytes.below(chunks.len().max(1)))?;
            let at = bytes.below(layout.size() / WORD) * WORD;
            let from_end = bytes.byte() % 2 == 0;
            anywhere.then(|| start.addr().get() + if from_end { layout.size() - WORD - at } else { at })
        });
        let Some(at) = place else { return };
        let has = |start: NonNull<u8>, layout: Layout| -> Range<usize> {
            start.addr().get()..start.addr().get() + layout.size() / WORD * WORD
        };
        let Some(&(start, _)) = chunks.iter().find(|&&(start, layout)| has(start, layout).contains(&at))
        else {
            return;
        };
        // SAFETY: wrong on purpose. The word lies in the chunk.
        unsafe {
            let word = start.add((at - start.addr().get()) & !(WORD - 1)).cast::<usize>();
            word.write(self.forged(word.read(), bytes));
        }
    }

    /// Overwrites this word, as a faulty program would.
    fn forged(&self, word: usize, bytes: &mut Bytes<'_>) -> usize {
        let block = |blocks: &[(NonNull<u8>, Layout)], number: usize| {
            blocks.get(number % blocks.len().max(1)).map_or(0, |(block, _)| block.addr().get())
        };
        let number = bytes.below(1 << 16);
        match bytes.byte() % 8 {
            0 => number,
            1 => word ^ 1 << (number % usize::BITS as usize),
            2 => word.wrapping_add(16 * number),
            3 => word.wrapping_sub(16 * (number % 64)),
            4 => block(&self.live, number),
            5 => block(&self.freed, number),
            6 => number.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize),
            _ => block(&self.freed, number).wrapping_add(number % 64),
        }
    }
}

const SIZES: [usize; 8] = [8, 24, 40, 64, 100, 200, 500, 1200];

thread_local! {
    static REPORTS: Cell<usize> = const { Cell::new(0) };
}

fn count(_: &Misuse) {
    REPORTS.set(REPORTS.get() + 1);
}

fn take_reports() -> usize {
    REPORTS.take()
}

/// Uses a pool, overwrites words, and runs every query: each one ends.
pub fn ask<P: RawPool + Inspect>(input: &[u8], pool: P, anywhere: bool) {
    let chunks = Chunks::default();
    let mut pool = Local::new_in(pool, &chunks);
    let mut bytes = Bytes(input);
    let mut vandal = Vandal::new(&pool, &chunks);
    for _ in 0..bytes.byte() {
        vandal.step(&mut bytes);
    }
    for _ in 0..=bytes.byte() % 16 {
        vandal.overwrite(anywhere, &mut bytes);
    }
    let question = |pool: &Local<P, &Chunks>| {
        let _ = pool.check();
        let stats = pool.stats();
        assert!(stats.live <= stats.held && stats.free <= stats.held, "{stats:?}");
        let _ = (pool.largest_free(), pool.holes(), pool.report(), pool.metrics(), pool.heap_map(40));
        pool.owns(std::ptr::without_provenance(usize::MAX));
    };
    question(&pool);
    pool.trim();
    question(&pool);
    Reclaim::reset(&mut pool);
    question(&pool);
}

/// Uses a pool behind a guard that detects misuse, overwrites words, and continues.
pub fn go_on<P: RawPool + Inspect>(input: &[u8], pool: P) {
    let chunks = Chunks::default();
    let reporter = Reporter::named("fuzzed").with_hook(count);
    let mut pool = Local::new_in(Checked::new(pool).reporting(reporter), &chunks);
    let mut bytes = Bytes(input);
    let mut vandal = Vandal::new(&pool, &chunks);
    while !bytes.0.is_empty() {
        for _ in 0..bytes.byte() % 64 {
            vandal.step(&mut bytes);
        }
        vandal.overwrite(true, &mut bytes);
    }
    pool.trim();
    Reclaim::reset(&mut pool);
    take_reports();
}
