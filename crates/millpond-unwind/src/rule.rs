//! Rules: how to get from a frame to the frame of its caller.

use crate::word;

/// The address bits of [`Frame::ip`](crate::frame::Frame); the marks are above.
pub(crate) const ADDRESS: u64 = !(crate::GUESSED | crate::INTERRUPTED);

/// The state of a frame: the address at which it continues, and the registers there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The address, with the marks [`GUESSED`](crate::GUESSED) and [`INTERRUPTED`](crate::INTERRUPTED).
    pub(crate) ip: u64,
    pub(crate) sp: u64,
    pub(crate) bp: u64,
}

impl State {
    /// Returns the address by which the rule is looked up: in the call that returns to `ip`, or the instruction that
    /// was interrupted.
    #[inline(always)]
    pub(crate) const fn pc(&self) -> u64 {
        (self.ip & ADDRESS) - (self.ip & crate::INTERRUPTED == 0) as u64
    }
}

/// How the canonical frame address (CFA) is computed: the value of the stack pointer after the return to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The stack ends here, marked as cut off: this program cannot read the rule.
    Fail = 0,
    /// sp + offset.
    Sp = 1,
    /// bp + offset.
    Bp = 2,
    /// The word at bp + offset: functions that align their stack.
    Deref = 3,
    /// sp + 8, and 8 more from the offset within a group of 16 bytes: stubs of the linker.
    Plt = 4,
    /// The registers are in the structure that the kernel left on the stack for a signal handler.
    Signal = 5,
    /// The outermost frame.
    End = 6,
    /// There is no rule for this code: as [`Kind::Bp`] with offset 16, if that is within the stack.
    Guess = 7,
}

/// Where the caller's bp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Saved {
    /// Still in the register.
    No = 0,
    /// At CFA + offset.
    AtCfa = 1,
    /// At bp + offset.
    AtBp = 2,
}

/// [`Rule::flags`]: the step uses the value of bp.
pub(crate) const USES_BP: u16 = 1;
/// [`Rule::flags`]: the caller's bp is that of this frame.
pub(crate) const PASSES_BP: u16 = 2;
/// [`Rule::flags`]: the step reads other words than the return address at CFA - 8 and bp at CFA + offset.
pub(crate) const ODD: u16 = 4;
/// [`Rule::flags`]: the CFA is sp + offset or bp + offset, and the step reads no other words than these two.
const PLAIN: u16 = 8;

/// A rule in one word: the kind in the lowest byte, then where bp is saved, with the flags above it, and the two offsets. The
/// return address is always at CFA - 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule(u64);

/// Bits below the flags.
const FLAGS_AT: u32 = 12;

impl Rule {
    /// The rule of a frame where the walk ends.
    pub(crate) const FAIL: Self = Self::new(Kind::Fail, 0, Saved::No, 0);
    /// The rule of code without a rule.
    pub(crate) const GUESS: Self = Self::new(Kind::Guess, 16, Saved::AtCfa, -16);
    /// The rule of the code to which signal handlers return.
    pub(crate) const SIGNAL: Self = Self::new(Kind::Signal, 0, Saved::No, 0);

    pub(crate) const fn new(kind: Kind, cfa: i32, saved: Saved, bp: i16) -> Self {
        let at_bp = matches!(saved, Saved::AtBp);
        let uses_bp = matches!(kind, Kind::Bp | Kind::Deref | Kind::Guess) || at_bp;
        let passes_bp = matches!(saved, Saved::No) && !matches!(kind, Kind::Signal);
        let is_odd = matches!(kind, Kind::Deref | Kind::Signal) || at_bp;
        let is_plain = matches!(kind, Kind::Sp | Kind::Bp) && !at_bp;
        let flags = (uses_bp as u16 * USES_BP)
            | (passes_bp as u16 * PASSES_BP)
            | (is_odd as u16 * ODD)
            | (is_plain as u16 * PLAIN);
        let bits = kind as u64 | (saved as u64) << 8 | (flags as u64) << FLAGS_AT;
        Self(bits | (bp as u16 as u64) << 16 | (cfa as u32 as u64) << 32)
    }

    #[inline(always)]
    pub(crate) const fn flags(self) -> u16 {
        (self.0 >> FLAGS_AT & 15) as u16
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub(crate) const fn kind(self) -> Kind {
        match self.0 as u8 {
            1 => Kind::Sp,
            2 => Kind::Bp,
            3 => Kind::Deref,
            4 => Kind::Plt,
            5 => Kind::Signal,
            6 => Kind::End,
            7 => Kind::Guess,
            _ => Kind::Fail,
        }
    }

    #[inline(always)]
    pub(crate) const fn saved(self) -> Saved {
        match (self.0 >> 8 & 15) as u8 {
            1 => Saved::AtCfa,
            2 => Saved::AtBp,
            _ => Saved::No,
        }
    }

    /// Returns the offset of the caller's bp from where [`Rule::saved`] says.
    #[inline(always)]
    pub(crate) const fn bp_offset(self) -> i16 {
        (self.0 >> 16) as i16
    }

    #[inline(always)]
    const fn cfa_offset(self) -> u64 {
        (self.0 >> 32) as i32 as u64
    }
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The state of the caller's frame.
    Caller(State),
    /// There is no caller.
    End,
    /// There is no caller, because this word at this address is no return address.
    NoAddress(u64, u64),
    /// The caller cannot be found.
    Cut,
}

/// Return addresses are above: nothing is mapped in the first page.
const LOWEST: u64 = 4096;

/// The offset of the general registers in the structure for a signal handler, and the numbers of three of them.
const REGISTERS: u64 = 40;
const RBP: u64 = 10;
const RSP: u64 = 15;
const RIP: u64 = 16;

/// Applies a rule to the state of a frame. `in_stack` returns whether the two words at an address are within the part of
/// the stack that is in use. After a guess, nothing outside it is read, because registers may have wrong values.
///
/// # Safety
///
/// The state must be that of a frame of the calling thread, and the rule that of its address.
#[inline(always)]
pub(crate) unsafe fn step(rule: Rule, state: State, in_stack: impl Fn(u64) -> bool) -> Step {
    let State { ip, sp, bp } = state;
    let guessed = ip & crate::GUESSED != 0;
    if rule.flags() & PLAIN != 0 && !guessed {
        let base = if rule.flags() & USES_BP == 0 { sp } else { bp };
        let cfa = base.wrapping_add(rule.cfa_offset());
        let is_saved = rule.flags() & PASSES_BP == 0;
        let offset = rule.bp_offset().into();
        // SAFETY: the caller guarantees the state and the rule, which says where the words are.
        return unsafe {
            to_caller(cfa, sp, 0, || if is_saved { word(cfa.wrapping_add_signed(offset)) } else { bp })
        };
    }
    // SAFETY: the caller guarantees the state and the rule.
    unsafe { other(rule, state, guessed, in_stack) }
}

/// Takes a step to the frame at `cfa`, of which the address has this mark. `bp` returns the value of bp there.
///
/// # Safety
///
/// The frame of the caller must begin at `cfa` if that is above `sp` and aligned.
#[inline(always)]
unsafe fn to_caller(cfa: u64, sp: u64, mark: u64, bp: impl FnOnce() -> u64) -> Step {
    if cfa <= sp || !cfa.is_multiple_of(8) {
        return Step::Cut;
    }
    let slot = cfa - 8;
    // SAFETY: the caller guarantees the frame, and the return address is below it.
    let ip = unsafe { word(slot) };
    if !(LOWEST..=ADDRESS).contains(&ip) {
        return Step::NoAddress(slot, ip);
    }
    Step::Caller(State { ip: ip | mark, sp: cfa, bp: bp() })
}

/// Takes any step.
///
/// # Safety
///
/// As for [`step`].
#[inline(never)]
unsafe fn other(rule: Rule, state: State, guessed: bool, in_stack: impl Fn(u64) -> bool) -> Step {
    let State { ip, sp, bp } = state;
    let offset = rule.cfa_offset();
    if guessed && rule.flags() & ODD != 0 {
        return Step::Cut;
    }
    let cfa = match rule.kind() {
        Kind::Sp => sp.wrapping_add(offset),
        Kind::Bp => bp.wrapping_add(offset),
        // SAFETY: the rule says that there is a word.
        Kind::Deref => unsafe { word(bp.wrapping_add(offset)) },
        Kind::Plt => sp.wrapping_add(8 + 8 * u64::from(ip & 15 >= offset)),
        // SAFETY: the caller guarantees that the frame is one that the kernel made.
        Kind::Signal => return unsafe { interrupted(sp) },
        Kind::End => return Step::End,
        Kind::Guess => bp.wrapping_add(offset),
        Kind::Fail => return Step::Cut,
    };
    let guessed = guessed || rule.kind() == Kind::Guess;
    let saved = i64::from(rule.bp_offset()) as u64;
    if guessed && !(in_stack(cfa.wrapping_sub(16)) && (saved == 0 || in_stack(cfa.wrapping_add(saved)))) {
        return Step::Cut;
    }
    let mark = if guessed { crate::GUESSED } else { 0 };
    // SAFETY: the caller guarantees the state and the rule, which says where the words are.
    unsafe {
        to_caller(cfa, sp, mark, || match rule.saved() {
            Saved::No => bp,
            Saved::AtCfa => word(cfa.wrapping_add(saved)),
            Saved::AtBp => word(bp.wrapping_add(saved)),
        })
    }
}

/// Returns the state that the kernel saved for a signal handler.
///
/// # Safety
///
/// `sp` must point to the structure `ucontext_t` of a signal handler of this thread.
unsafe fn interrupted(sp: u64) -> Step {
    // SAFETY: the caller guarantees the structure.
    let register = |number: u64| unsafe { word(sp + REGISTERS + 8 * number) };
    let (ip, sp, bp) = (register(RIP), register(RSP), register(RBP));
    if !(LOWEST..=ADDRESS).contains(&ip) || !sp.is_multiple_of(8) {
        return Step::Cut;
    }
    Step::Caller(State { ip: ip | crate::INTERRUPTED, sp, bp })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_fits_into_a_word() {
        let passing = Rule::new(Kind::Sp, 16, Saved::No, 0).flags();
        assert_eq!(
            (passing, Rule::new(Kind::Bp, 16, Saved::AtCfa, -16).flags()),
            (PASSES_BP | PLAIN, USES_BP | PLAIN)
        );
        assert_eq!(
            (Rule::SIGNAL.flags(), Rule::GUESS.flags(), Rule::FAIL.flags()),
            (ODD, USES_BP, PASSES_BP)
        );
        for kind in
            [Kind::Sp, Kind::Bp, Kind::Deref, Kind::Plt, Kind::Signal, Kind::End, Kind::Guess, Kind::Fail]
        {
            for saved in [Saved::No, Saved::AtCfa, Saved::AtBp] {
                let rule = Rule::from_bits(Rule::new(kind, -7, saved, -16).bits());
                assert_eq!((rule.kind(), rule.saved()), (kind, saved));
                assert_eq!((rule.cfa_offset() as i64, rule.bp_offset()), (-7, -16));
            }
        }
    }

    #[test]
    fn steps_follow_the_rules() {
        // A frame: saved bp, return address; then the caller's.
        let stack = [0x7000_u64, 0x0040_1234, 5, 0];
        let sp = stack.as_ptr() as u64;
        let frame = State { ip: 0x0040_0000, sp, bp: 77 };
        let next = |rule, state| {
            // SAFETY: the rules here lead to words of the array.
            unsafe { step(rule, state, |at| (sp..sp + 16).contains(&at)) }
        };
        let caller = State { ip: 0x0040_1234, sp: sp + 16, bp: 77 };
        assert_eq!(next(Rule::new(Kind::Sp, 16, Saved::No, 0), frame), Step::Caller(caller));
        let reloaded = State { bp: 0x7000, ..caller };
        let plain = Rule::new(Kind::Bp, 16, Saved::AtCfa, -16);
        assert_eq!(next(plain, State { bp: sp, ..frame }), Step::Caller(reloaded));
        let guessed = State { ip: 0x0040_1234 | crate::GUESSED, ..reloaded };
        assert_eq!(next(Rule::GUESS, State { bp: sp, ..frame }), Step::Caller(guessed));
        assert_eq!(next(Rule::GUESS, State { bp: sp + 24, ..frame }), Step::Cut);
        assert_eq!(next(Rule::new(Kind::Sp, 24, Saved::No, 0), frame), Step::NoAddress(sp + 16, 5));
        assert_eq!(next(Rule::new(Kind::Sp, 0, Saved::No, 0), frame), Step::Cut, "no progress");
        assert_eq!(next(Rule::new(Kind::Sp, 12, Saved::No, 0), frame), Step::Cut, "not aligned");
        assert_eq!(next(Rule::new(Kind::End, 0, Saved::No, 0), frame), Step::End);
        assert_eq!(next(Rule::FAIL, frame), Step::Cut);
        let at = |ip| State { ip, sp, bp: 77 };
        let stub = Rule::new(Kind::Plt, 11, Saved::No, 0);
        assert_eq!(next(stub, at(0x0040_000b)), Step::Caller(caller));
        assert_eq!(next(stub, State { sp: sp + 8, ..at(0x0040_000a) }), Step::Caller(caller));
    }
}
