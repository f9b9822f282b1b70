//! The frames of the stack that a thread saw last, most of which the next one has in common with it.

use core::{
    arch::asm,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use crate::{
    rule::{ADDRESS, ODD, PASSES_BP, Rule, State, Step, USES_BP},
    word,
};

/// Max frames in a stack.
pub const MOST_FRAMES: usize = 1024;

/// Places for frames: those of the last stack from the start, and those of a walk from the end.
pub(crate) const PLACES: usize = 2 * MOST_FRAMES;

/// A frame, and what is known about the step to the frame of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) ip: u64,
    pub(crate) sp: u64,
    pub(crate) bp: u64,
    pub(crate) node: u32,
    /// Where the caller's bp is saved, from the caller's sp; 0: not.
    saved: i16,
    flags: u16,
}

/// The step to the caller, or a later one before bp is reloaded, uses bp.
const NEEDS_BP: u16 = USES_BP;

impl Frame {
    #[inline(always)]
    pub(crate) fn new(state: State, rule: Rule) -> Self {
        let flags = rule.flags() & (NEEDS_BP | PASSES_BP | ODD);
        Self { ip: state.ip, sp: state.sp, bp: state.bp, node: 0, saved: rule.bp_offset(), flags }
    }

    pub(crate) fn state(&self) -> State {
        State { ip: self.ip, sp: self.sp, bp: self.bp }
    }

    #[inline(always)]
    pub(crate) fn needs_bp(&self) -> bool {
        self.flags & NEEDS_BP != 0
    }

    /// Sets whether bp is needed, if the caller needs it or not.
    #[inline(always)]
    pub(crate) fn with_caller(mut self, needs_bp: bool) -> Self {
        if needs_bp && self.flags & PASSES_BP != 0 {
            self.flags |= NEEDS_BP;
        }
        self
    }

    /// Returns whether a frame in this state has the same callers as long as memory is the same.
    #[inline(always)]
    pub(crate) fn is_in(&self, state: &State) -> bool {
        self.ip == state.ip && self.sp == state.sp && (!self.needs_bp() || self.bp == state.bp)
    }

    /// Returns the words that lead to the frame of the caller, with their addresses, in the order of reading.
    #[inline(always)]
    fn words(&self, caller: &Self) -> [Option<(u64, u64)>; 2] {
        let address = (caller.sp.wrapping_sub(8), caller.ip & ADDRESS);
        let bp = (caller.sp.wrapping_add_signed(self.saved.into()), caller.bp);
        [Some(address), (self.saved != 0 && caller.needs_bp()).then_some(bp)]
    }
}

/// Frames in memory that signal handlers of the thread may use as well; all zeros at first.
#[repr(C)]
pub(crate) struct Area {
    /// The number of frames of the last stack, in the lower 16 bits; above, where the walk is that is changing them.
    state: AtomicU64,
    /// A word by which the outermost frame is known to be the last, with its address; or zeros.
    end: [AtomicU64; 2],
    frames: [[AtomicU64; 4]; PLACES],
    /// The words on which the last stack depends, with their addresses: those by which the outermost frames are left first,
    /// and of each frame the one that is read last first.
    checks: [[AtomicU64; 2]; MOST_CHECKS],
    /// For each frame of the last stack, the number of checks of it and of all frames outside it; above, how many of these
    /// frames are odd, of which the checks are not complete.
    ends: [AtomicU32; MOST_FRAMES],
}

/// Max checks of a stack: two words for each frame.
const MOST_CHECKS: usize = 2 * MOST_FRAMES;
/// Bits of the number of checks in [`Area::ends`].
const CHECK_BITS: u32 = 16;

impl Area {
    /// Returns the mark of a walk that starts at this stack pointer.
    const fn mark(sp: u64) -> u64 {
        (sp >> 3) << 16
    }

    /// Returns whether a walk that was interrupted by the one at `sp` is changing the frames. A walk from which a signal
    /// handler has jumped away is recognised when the stack pointer is above it.
    pub(crate) fn is_busy(&self, sp: u64) -> bool {
        self.state.load(Relaxed) & !0xffff > Self::mark(sp)
    }

    /// Begins to change the frames; returns the number of those from the last stack.
    pub(crate) fn begin(&self, sp: u64) -> usize {
        let state = self.state.load(Relaxed);
        if !replace(&self.state, state, Self::mark(sp)) {
            // A signal handler came between, with another stack.
            self.state.store(Self::mark(sp), Relaxed);
            return 0;
        }
        if state >> 16 == 0 { state as usize } else { 0 }
    }

    /// Ends what the walk at `sp` has begun; returns whether no signal handler has changed the frames meanwhile.
    pub(crate) fn finish(&self, sp: u64, depth: usize) -> bool {
        replace(&self.state, Self::mark(sp), depth as u64)
    }

    /// Forgets the last stack.
    pub(crate) fn forget(&self) {
        self.state.store(0, Relaxed);
    }

    #[inline(always)]
    pub(crate) fn get(&self, at: usize) -> Frame {
        // SAFETY: the remainder is below the length.
        let [ip, sp, bp, more] = unsafe { self.frames.get_unchecked(at % PLACES) };
        let more = more.load(Relaxed);
        Frame {
            ip: ip.load(Relaxed),
            sp: sp.load(Relaxed),
            bp: bp.load(Relaxed),
            node: more as u32,
            saved: (more >> 32) as i16,
            flags: (more >> 48) as u16,
        }
    }

    #[inline(always)]
    pub(crate) fn set(&self, at: usize, frame: &Frame) {
        // SAFETY: the remainder is below the length.
        let [ip, sp, bp, more] = unsafe { self.frames.get_unchecked(at % PLACES) };
        ip.store(frame.ip, Relaxed);
        sp.store(frame.sp, Relaxed);
        bp.store(frame.bp, Relaxed);
        let (saved, flags) = (u64::from(frame.saved as u16), u64::from(frame.flags));
        more.store(u64::from(frame.node) | saved << 32 | flags << 48, Relaxed);
    }

    /// Sets a frame of a walk, which is not settled yet, and the rule for it.
    #[inline(always)]
    pub(crate) fn set_walked(&self, at: usize, state: State, rule: Rule) {
        // SAFETY: the remainder is below the length.
        let [ip, sp, bp, more] = unsafe { self.frames.get_unchecked(at % PLACES) };
        ip.store(state.ip, Relaxed);
        sp.store(state.sp, Relaxed);
        bp.store(state.bp, Relaxed);
        more.store(rule.bits(), Relaxed);
    }

    /// Returns a frame of a walk.
    #[inline(always)]
    pub(crate) fn walked(&self, at: usize) -> Frame {
        // SAFETY: the remainder is below the length.
        let [ip, sp, bp, more] = unsafe { self.frames.get_unchecked(at % PLACES) };
        let state = State { ip: ip.load(Relaxed), sp: sp.load(Relaxed), bp: bp.load(Relaxed) };
        Frame::new(state, Rule::from_bits(more.load(Relaxed)))
    }

    /// Returns the stack pointer of a frame.
    #[inline(always)]
    pub(crate) fn sp_of(&self, at: usize) -> u64 {
        // SAFETY: the remainder is below the length.
        let [_, sp, ..] = unsafe { self.frames.get_unchecked(at % PLACES) };
        sp.load(Relaxed)
    }

    /// Sets a frame of the last stack, whose caller is `caller`; none for the outermost.
    #[inline(always)]
    pub(crate) fn settle(&self, at: usize, frame: &Frame, caller: Option<&Frame>) {
        self.set(at, frame);
        let (mut checks, odd) = if at == 0 { (0, 0) } else { self.ends_of(at - 1) };
        if let Some(caller) = caller {
            let [address, bp] = frame.words(caller);
            for (address, value) in [bp, address].into_iter().flatten() {
                let [first, second] = self.check(checks);
                first.store(address, Relaxed);
                second.store(value, Relaxed);
                checks += 1;
            }
        }
        let odd = odd + usize::from(frame.flags & ODD != 0);
        self.end_of(at).store((checks | odd << CHECK_BITS) as u32, Relaxed);
    }

    #[inline(always)]
    fn check(&self, at: usize) -> &[AtomicU64; 2] {
        // SAFETY: the remainder is below the length.
        unsafe { self.checks.get_unchecked(at % MOST_CHECKS) }
    }

    #[inline(always)]
    fn first_checks(&self, count: usize) -> &[[AtomicU64; 2]] {
        // SAFETY: there are at least that many.
        unsafe { self.checks.get_unchecked(..count.min(MOST_CHECKS)) }
    }

    #[inline(always)]
    fn end_of(&self, at: usize) -> &AtomicU32 {
        // SAFETY: the remainder is below the length.
        unsafe { self.ends.get_unchecked(at % MOST_FRAMES) }
    }

    /// Returns the number of checks of the frames from `at` outwards, and how many of these are odd.
    #[inline(always)]
    fn ends_of(&self, at: usize) -> (usize, usize) {
        let ends = self.end_of(at).load(Relaxed) as usize;
        (ends & ((1 << CHECK_BITS) - 1), ends >> CHECK_BITS)
    }

    /// Sets the word by which the outermost frame is known to be the last.
    pub(crate) fn set_end(&self, address: u64, value: u64) {
        self.end[0].store(address, Relaxed);
        self.end[1].store(value, Relaxed);
    }

    fn end(&self) -> Option<(u64, u64)> {
        let address = self.end[0].load(Relaxed);
        (address != 0).then(|| (address, self.end[1].load(Relaxed)))
    }

    /// Checks that the frames from `from` outwards are as they were, from the innermost to the outermost, and stops at
    /// the first difference: returns the frame whose caller is another now.
    ///
    /// # Safety
    ///
    /// A frame of this thread must be in the state of the frame `from`, and `step` must take a step from a state.
    #[inline(always)]
    pub(crate) unsafe fn verify(&self, from: usize, step: impl Fn(State) -> Step) -> Result<(), usize> {
        let (checks, odd) = self.ends_of(from);
        if odd != 0 {
            // SAFETY: the caller guarantees the same.
            return unsafe { self.verify_by_steps(from, step) };
        }
        let differs = |[address, value]: &[AtomicU64; 2]| {
            // SAFETY: a frame of this thread is in the state of the one `from`, and all words in front of this one are the
            // same, so the rules lead to this address.
            unsafe { word(address.load(Relaxed)) != value.load(Relaxed) }
        };
        if let Some(at) = self.first_checks(checks).iter().rposition(differs) {
            return Err(self.frame_of(at, from));
        }
        // SAFETY: the outermost frame is in the same state, so its rule leads to this address.
        let same = self.end().is_none_or(|(address, value)| unsafe { word(address) == value });
        if same { Ok(()) } else { Err(0) }
    }

    /// Returns the frame with this check, one of those from `from` outwards.
    #[cold]
    fn frame_of(&self, check: usize, from: usize) -> usize {
        (1..=from).rev().find(|&at| self.ends_of(at - 1).0 <= check).unwrap_or(0)
    }

    /// Does so where some steps read other words.
    ///
    /// # Safety
    ///
    /// As for [`Area::verify`].
    #[inline(never)]
    unsafe fn verify_by_steps(&self, from: usize, step: impl Fn(State) -> Step) -> Result<(), usize> {
        let mut frame = self.get(from);
        for at in (1..=from).rev() {
            let caller = self.get(at - 1);
            let same = if frame.flags & ODD == 0 {
                // SAFETY: the frame is in this state, so its rule leads to these addresses.
                frame
                    .words(&caller)
                    .iter()
                    .flatten()
                    .all(|&(address, value)| unsafe { word(address) == value })
            } else {
                matches!(step(frame.state()), Step::Caller(state) if caller.is_in(&state))
            };
            if !same {
                return Err(at);
            }
            frame = caller;
        }
        // SAFETY: the outermost frame is in the same state, so its rule leads to this address.
        let same = self.end().is_none_or(|(address, value)| unsafe { word(address) == value });
        if same && frame.flags & ODD == 0 { Ok(()) } else { Err(0) }
    }
}

/// The last stack in an [`Area`], of at least one frame.
pub(crate) struct Stack<'a> {
    pub(crate) area: &'a Area,
    pub(crate) count: usize,
}

impl Stack<'_> {
    pub(crate) fn leaf(&self) -> Frame {
        self.area.get(self.count.saturating_sub(1))
    }

    /// Returns the number of words on which the stack depends; `None` if it depends on others than checks.
    pub(crate) fn word_count(&self) -> Option<usize> {
        let (checks, odd) = self.area.ends_of(self.count.checked_sub(1)?);
        (odd == 0).then(|| checks + usize::from(self.area.end().is_some()))
    }

    /// Passes these words, with their addresses, to `take`, in the order in which a walk reads them.
    #[inline(always)]
    pub(crate) fn each_word(&self, mut take: impl FnMut(u64, u64)) {
        let (checks, _) = self.area.ends_of(self.count.saturating_sub(1));
        for [address, value] in self.area.first_checks(checks).iter().rev() {
            take(address.load(Relaxed), value.load(Relaxed));
        }
        if let Some((address, value)) = self.area.end() {
            take(address, value);
        }
    }
}

/// Replaces a value if it is the old one; returns whether it was. Signal handlers of the thread see both steps as one;
/// other threads must not use the value.
#[inline(always)]
pub(crate) fn replace(place: &AtomicU64, old: u64, new: u64) -> bool {
    let replaced: u8;
    // SAFETY: one instruction, which accesses the place and these registers.
    unsafe {
        asm!(
            "cmpxchg qword ptr [{place}], {new}",
            "sete {replaced}",
            place = in(reg) place.as_ptr(),
            new = in(reg) new,
            replaced = lateout(reg_byte) replaced,
            inout("rax") old => _,
            options(nostack),
        );
    }
    replaced != 0
}
