//! Walking a stack: frame by frame, until it meets the one that the thread saw last.

use crate::{
    CUT, Host, Process, Walker,
    cache::hash,
    cfi,
    frame::{Area, Frame, PLACES, Stack},
    module::Module,
    rule::{Rule, State, Step, step},
};

/// Attempts to walk a stack while signal handlers come between.
const ATTEMPTS: usize = 8;

/// Bits of an address of code.
const CODE_BITS: u32 = 48;

/// Times that a thread asks for the bounds of its stack: a program that switches between many stacks, with code that has
/// no rules, cannot be followed through such code.
const MOST_QUESTIONS: u32 = 256;

/// One walk.
pub(crate) struct Walk<'a, H> {
    pub(crate) walker: &'a Walker,
    pub(crate) process: &'a Process,
    pub(crate) host: &'a H,
    /// The generation of loaded modules.
    pub(crate) generation: u32,
}

/// The frames of a walk: how many of the last stack are kept, and where the new ones begin in the area.
struct Frames {
    kept: usize,
    first: usize,
    /// The parent of the outermost frame, unless frames are kept.
    root: u32,
    /// Whether the next walk may keep frames of this one: all of them were walked.
    whole: bool,
}

impl<H: Host> Walk<'_, H> {
    /// Walks the stack of the call whose return address is at `sp`; returns its node, 0 if there is no memory.
    ///
    /// # Safety
    ///
    /// There must be such a call on this thread, with this value of bp.
    #[inline(never)]
    pub(crate) unsafe fn stack(&self, sp: u64, bp: u64, limit: usize) -> u32 {
        let memo = self.walker.memo.miss();
        // SAFETY: the caller guarantees a return address there.
        let leaf = State { ip: unsafe { crate::word(sp) }, sp: sp + 8, bp };
        for _ in 0..ATTEMPTS {
            let [first, second] = &self.walker.areas;
            let area = if first.is_busy(sp) { second } else { first };
            let depth = area.begin(sp);
            // SAFETY: the caller guarantees the state of the first frame.
            let frames = unsafe {
                let frames = self.frames(area, depth, leaf, limit);
                if frames.kept + PLACES - frames.first <= limit {
                    frames
                } else {
                    self.frames(area, 0, leaf, limit)
                }
            };
            let Some((node, depth)) = self.settle(area, &frames) else {
                area.finish(sp, 0);
                return 0;
            };
            if memo {
                self.walker.memo.fill(sp, bp, &Stack { area, count: depth }, node);
            }
            if area.finish(sp, if frames.whole { depth } else { 0 }) {
                return node;
            }
            self.walker.memo.forget();
        }
        self.caller(leaf.ip)
    }

    /// Returns the node of a caller whose own caller is not known.
    #[inline(always)]
    pub(crate) fn caller(&self, ip: u64) -> u32 {
        self.process.nodes.intern(&self.walker.nodes, self.host, ip, CUT).unwrap_or(0)
    }

    /// Walks from the innermost frame outwards, until the stack ends or continues as the last one.
    ///
    /// # Safety
    ///
    /// A frame of this thread must be in the state `leaf`.
    #[inline(always)]
    unsafe fn frames(&self, area: &Area, depth: usize, leaf: State, limit: usize) -> Frames {
        let (mut state, mut old, mut barred, mut first) = (leaf, depth, depth, PLACES);
        let take = |state: State| self.step(self.rule(&state), state);
        loop {
            while old > 0 && area.sp_of(old - 1) < state.sp {
                old -= 1;
            }
            if old > 0 && old <= barred && area.get(old - 1).is_in(&state) {
                // SAFETY: the frame of this thread is in this state.
                match unsafe { area.verify(old - 1, take) } {
                    Ok(()) => return Frames { kept: old, first, root: 0, whole: true },
                    Err(at) => barred = at,
                }
            }
            if PLACES - first >= limit {
                area.set_end(0, 0);
                return Frames { kept: 0, first, root: CUT, whole: false };
            }
            let rule = self.rule(&state);
            first -= 1;
            area.set_walked(first, state, rule);
            let (end, root) = match self.step(rule, state) {
                Step::Caller(caller) => {
                    state = caller;
                    continue;
                }
                Step::End => ((0, 0), 0),
                Step::NoAddress(address, 0) => ((address, 0), 0),
                Step::NoAddress(address, value) => ((address, value), CUT),
                Step::Cut => ((0, 0), CUT),
            };
            area.set_end(end.0, end.1);
            return Frames { kept: 0, first, root, whole: true };
        }
    }

    /// Numbers the new frames, from the outermost to the innermost, and puts them behind those that are kept. Returns
    /// the node of the innermost, and the number of frames.
    #[inline(always)]
    fn settle(&self, area: &Area, frames: &Frames) -> Option<(u32, usize)> {
        let Frames { kept, first, root, .. } = *frames;
        let mut caller = (kept > 0).then(|| area.get(kept - 1));
        let mut parent = caller.as_ref().map_or(root, |caller| caller.node);
        let mut depth = kept;
        for at in first..PLACES {
            let mut frame = area.walked(at).with_caller(caller.as_ref().is_some_and(Frame::needs_bp));
            frame.node = self.process.nodes.intern(&self.walker.nodes, self.host, frame.ip, parent)?;
            area.settle(depth, &frame, caller.as_ref());
            parent = frame.node;
            caller = Some(frame);
            depth += 1;
        }
        Some((parent, depth))
    }

    /// Takes a step.
    #[inline(always)]
    fn step(&self, rule: Rule, state: State) -> Step {
        // SAFETY: `frames` and `verify` call this with states of frames of this thread, and the rule for it.
        unsafe { step(rule, state, |address| self.is_in_stack(state.sp, address)) }
    }

    /// Returns the rule for a frame in this state.
    #[inline(always)]
    fn rule(&self, state: &State) -> Rule {
        let pc = state.pc();
        let key = pc ^ u64::from(self.generation) << CODE_BITS;
        let hash = hash(key, 0);
        match self.walker.rules.get(hash, key) {
            Some(rule) => Rule::from_bits(rule),
            None => self.find_rule(hash, key, pc),
        }
    }

    /// Looks for a rule where all threads share them, and then in the module.
    #[cold]
    #[inline(never)]
    fn find_rule(&self, hash: u64, key: u64, pc: u64) -> Rule {
        let rule = self.process.rules.get(hash, key).map_or_else(|| self.read_rule(pc), Rule::from_bits);
        self.process.rules.put(hash, key, rule.bits());
        self.walker.rules.put(hash, key, rule.bits());
        rule
    }

    fn read_rule(&self, pc: u64) -> Rule {
        let Some(module) = Module::containing(pc) else { return Rule::GUESS };
        if self.process.met.meet(&module) {
            self.process.forget_modules();
        }
        // SAFETY: a frame of this thread continues in the module, so it is loaded.
        unsafe { cfi::rule(&module, pc) }
    }

    /// Returns whether the two words at an address are within the part of the stack that is in use.
    fn is_in_stack(&self, sp: u64, address: u64) -> bool {
        if address < sp || !address.is_multiple_of(8) {
            return false;
        }
        let bounds = &self.walker.bounds;
        let known = bounds
            .get(0, 1)
            .filter(|&end| sp < end && bounds.get(u64::MAX, end).is_some_and(|start| start <= sp));
        let end = known.or_else(|| {
            if !self.walker.may_ask(MOST_QUESTIONS) {
                return None;
            }
            let (start, end) = self.host.mapping(sp)?;
            bounds.put(u64::MAX, end, start);
            bounds.put(0, 1, end);
            Some(end)
        });
        end.is_some_and(|end| address.checked_add(16).is_some_and(|after| after <= end))
    }
}
