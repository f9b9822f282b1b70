//! The verifying replay: every block is stamped completely, and the stamp is compared when the block is resized, freed,
//! or left over at the end. If two blocks overlap, or a resize loses contents, at least one stamp is wrong.

use anyhow::{Context, Result, bail, ensure};

use super::{Batches, Slot, Task, Verification, dead};
use crate::{
    replay::contender::Contender,
    trace::{Kind, Step},
};

/// Replays all batches and checks every block.
pub(super) fn run<C: Contender>(
    contender: &C,
    task: &Task,
    mut batches: Batches<'_, '_>,
) -> Result<Verification> {
    let mut verifier = Verifier::new(contender, task.slots);
    let mut done = 0_u64;
    loop {
        let steps = batches.next()?;
        if steps.is_empty() {
            break;
        }
        for &step in steps {
            done += 1;
            verifier.take(step).with_context(|| format!("event {done}"))?;
        }
    }
    verifier.finish()
}

/// A verifying replay in progress.
struct Verifier<'a, C> {
    contender: &'a C,
    slots: Vec<Slot>,
    /// The stamp of the block in each slot.
    identities: Vec<u64>,
    found: Verification,
}

impl<'a, C: Contender> Verifier<'a, C> {
    fn new(contender: &'a C, slots: u32) -> Self {
        let identities = vec![0; slots as usize];
        Self { contender, slots: dead(slots), identities, found: Verification::default() }
    }

    fn take(&mut self, step: Step) -> Result<()> {
        let index = step.slot as usize;
        let old = self.slots[index];
        if step.kind == Kind::Free {
            self.compare(index, old.request.size(), "before it was freed")?;
            // SAFETY: a trace frees only live blocks, and the slot holds the request that the block last served.
            unsafe { self.contender.free(old.block, old.request) };
            self.slots[index].block = std::ptr::null_mut();
            return Ok(());
        }
        let block = match step.kind {
            Kind::Resize => {
                self.compare(index, old.request.size(), "before it was resized")?;
                // SAFETY: as above.
                unsafe { self.contender.resize(old.block, old.request, step.request) }
            }
            Kind::Zeroed => self.contender.allocate_zeroed(step.request),
            Kind::Aligned => self.contender.allocate_aligned(step.request),
            Kind::Allocate | Kind::Free => self.contender.allocate(step.request),
        };
        self.receive(index, Slot { block, request: step.request })?;
        match step.kind {
            Kind::Resize => {
                let kept = old.request.size().min(step.request.size());
                self.compare(index, kept, "after it was resized")?;
            }
            Kind::Zeroed => self.expect_zeros(index)?,
            _ => {}
        }
        self.stamp(index);
        Ok(())
    }

    /// Checks a new block as far as possible without reading it, and stores it.
    fn receive(&mut self, index: usize, slot: Slot) -> Result<()> {
        let Slot { block, request } = slot;
        ensure!(!block.is_null(), "there is no memory for a block of {} bytes", request.size());
        ensure!(
            block.addr().is_multiple_of(request.align()),
            "a block of {} bytes lies at {block:p}, which is not aligned to {}",
            request.size(),
            request.align()
        );
        // SAFETY: the block is live.
        let usable = unsafe { self.contender.usable(block, request) };
        ensure!(usable >= request.size(), "a block of {} bytes has only {usable}", request.size());
        self.slots[index] = slot;
        self.found.blocks += 1;
        Ok(())
    }

    /// Gives the block a unique identity and writes its stamp to all of it.
    fn stamp(&mut self, index: usize) {
        let identity = self.found.blocks;
        self.identities[index] = identity;
        // SAFETY: the slot holds a live block.
        let bytes = unsafe { bytes(self.slots[index]) };
        for (row, bytes) in bytes.chunks_mut(8).enumerate() {
            bytes.copy_from_slice(&pattern(identity, row)[..bytes.len()]);
        }
    }

    /// Compares the first bytes of a block with its stamp.
    fn compare(&mut self, index: usize, length: usize, when: &str) -> Result<()> {
        // SAFETY: the slot holds a live block.
        let bytes = unsafe { bytes(self.slots[index]) };
        for (row, bytes) in bytes[..length].chunks(8).enumerate() {
            if *bytes != pattern(self.identities[index], row)[..bytes.len()] {
                let size = self.slots[index].request.size();
                bail!("a block of {size} bytes was overwritten near byte {} {when}", row * 8);
            }
        }
        self.found.bytes += length as u64;
        Ok(())
    }

    fn expect_zeros(&self, index: usize) -> Result<()> {
        // SAFETY: the slot holds a live block.
        let bytes = unsafe { bytes(self.slots[index]) };
        match bytes.iter().position(|&byte| byte != 0) {
            Some(at) => bail!("a block of {} bytes that should be zero is not, at byte {at}", bytes.len()),
            None => Ok(()),
        }
    }

    /// Checks the blocks that were never freed.
    fn finish(mut self) -> Result<Verification> {
        for index in 0..self.slots.len() {
            if !self.slots[index].block.is_null() {
                self.compare(index, self.slots[index].request.size(), "and was never freed")?;
            }
        }
        Ok(self.found)
    }
}

/// Returns the bytes of a block.
///
/// # Safety
///
/// The block is live, as large as requested (unless the contender is wrong, which is what this replay finds out), and
/// `calloc` or a stamp has written to it before its bytes are read. No two such slices of one block exist at once.
unsafe fn bytes<'a>(slot: Slot) -> &'a mut [u8] {
    if slot.request.size() == 0 {
        return &mut [];
    }
    // SAFETY: the caller guarantees that the block is live, has this size and is initialised, and that no other slice
    // of it exists.
    unsafe { std::slice::from_raw_parts_mut(slot.block, slot.request.size()) }
}

/// Returns eight bytes of a stamp: each depends on the whole identity and on the row.
fn pattern(identity: u64, row: usize) -> [u8; 8] {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mixed = identity.wrapping_mul(ODD).rotate_left(32) ^ row as u64;
    let mixed = mixed.wrapping_mul(ODD);
    (mixed ^ mixed >> 32).wrapping_mul(ODD).rotate_left(32).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        replay::contender::{Bare, Malloc, Mimalloc},
        trace::Request,
    };
    use std::cell::Cell;

    /// glibc, with one guarantee broken.
    #[derive(Default)]
    struct Broken {
        /// Returns the previous block once more, if there is one.
        overlap: bool,
        misalign: bool,
        forget_on_resize: bool,
        dirty_zeros: bool,
        last: Cell<*mut u8>,
    }

    impl Contender for Broken {
        fn allocate(&self, request: Request) -> *mut u8 {
            if self.overlap && !self.last.get().is_null() {
                return self.last.get();
            }
            assert!(request.size() < 8192);
            let block = Malloc.allocate(Request::of_size(8192)); // large enough for every later operation
            self.last.set(block);
            if self.misalign { block.wrapping_add(1) } else { block }
        }

        fn allocate_zeroed(&self, request: Request) -> *mut u8 {
            let block = Malloc.allocate_zeroed(request);
            // SAFETY: the block is at least one byte long.
            unsafe { block.write(u8::from(self.dirty_zeros)) };
            block
        }

        fn allocate_aligned(&self, request: Request) -> *mut u8 {
            Malloc.allocate_aligned(request)
        }

        unsafe fn resize(&self, block: *mut u8, old: Request, new: Request) -> *mut u8 {
            if self.forget_on_resize {
                return Malloc.allocate_zeroed(new);
            }
            // SAFETY: the caller upholds the contract of `resize`, which is that of `Malloc::resize`.
            unsafe { Malloc.resize(block, old, new) }
        }

        unsafe fn free(&self, block: *mut u8, request: Request) {
            if !self.overlap && !self.misalign {
                // SAFETY: the caller upholds the contract of `free`, which is that of `Malloc::free`.
                unsafe { Malloc.free(block, request) }
            }
        }

        unsafe fn usable(&self, _: *mut u8, request: Request) -> usize {
            request.size()
        }
    }

    fn step(kind: Kind, slot: u32, size: u64) -> Step {
        Step { kind, slot, request: Request::of_size(size), worker: 0 }
    }

    fn verify<C: Contender>(contender: &C, steps: &[Step]) -> Result<Verification> {
        let mut verifier = Verifier::new(contender, 8);
        steps.iter().try_for_each(|&step| verifier.take(step))?;
        verifier.finish()
    }

    fn busy() -> Vec<Step> {
        vec![
            step(Kind::Allocate, 0, 24),
            step(Kind::Zeroed, 1, 5000),
            step(Kind::Allocate, 2, 48),
            step(Kind::Resize, 0, 600),
            step(Kind::Free, 2, 0),
            step(Kind::Allocate, 2, 0),
            Step { kind: Kind::Aligned, slot: 3, request: Request::recorded(100, 256).unwrap(), worker: 0 },
            step(Kind::Resize, 1, 7),
            step(Kind::Free, 0, 0),
        ]
    }

    fn complaint(broken: &Broken) -> String {
        verify(broken, &busy()).expect_err("a broken allocator passed").to_string()
    }

    #[test]
    fn correct_allocators_pass() {
        let found = verify(&Malloc, &busy()).unwrap();
        assert_eq!(found, verify(&Mimalloc, &busy()).unwrap());
        assert_eq!(found.blocks, 7);
        assert_eq!(found.bytes, (24 + 24) + 48 + (5000 + 7) + 600 + 7 + 100);
    }

    #[test]
    fn broken_allocators_are_detected() {
        let overlap = complaint(&Broken { overlap: true, ..Broken::default() });
        assert!(overlap.contains("overwritten"), "{overlap}");
        let misaligned = complaint(&Broken { misalign: true, ..Broken::default() });
        assert!(misaligned.contains("not aligned to 8"), "{misaligned}");
        let forgetful = complaint(&Broken { forget_on_resize: true, ..Broken::default() });
        assert!(forgetful.contains("after it was resized"), "{forgetful}");
        let dirty = complaint(&Broken { dirty_zeros: true, ..Broken::default() });
        assert!(dirty.contains("should be zero"), "{dirty}");
        assert!(verify(&Broken::default(), &busy()).is_ok());
    }

    #[test]
    fn shared_buffer_is_detected_without_a_free() {
        let steps = [step(Kind::Allocate, 0, 1), step(Kind::Allocate, 1, 1)];
        let error = verify(&Bare, &steps).unwrap_err().to_string();
        assert!(error.contains("never freed"), "{error}");
    }
}
