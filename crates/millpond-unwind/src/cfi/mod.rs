//! Reads the rule of one address from the `.eh_frame` section of the module that contains it.

mod cursor;
mod entry;
#[cfg(test)]
mod reference;
mod row;

use core::slice;

use self::{
    entry::Entry,
    row::{Cfa, Place, Row},
};
use crate::{
    module::Module,
    rule::{Kind, Rule, Saved},
};

/// The numbers of registers.
const RBP: u64 = 6;
const RSP: u64 = 7;

/// Returns the rule of the code at `pc` in this module.
///
/// # Safety
///
/// The module must be loaded, and contain `pc`.
#[cold]
#[inline(never)]
pub(crate) unsafe fn rule(module: &Module, pc: u64) -> Rule {
    // SAFETY: the caller guarantees a loaded module, whose headers describe its contents.
    match unsafe { description(module, pc) } {
        Some((cie, bytes, offset)) => evaluate(cie, bytes, offset, pc).unwrap_or(Rule::FAIL),
        // SAFETY: the caller guarantees that `pc` is in the module; the instructions end before its last page does.
        None if unsafe { is_signal_return(module, pc) } => Rule::SIGNAL,
        None => Rule::GUESS,
    }
}

/// Reads an integer.
///
/// # Safety
///
/// There must be one at the address, aligned or not.
unsafe fn read<T>(address: u64) -> T {
    // SAFETY: the caller guarantees that.
    unsafe { core::ptr::with_exposed_provenance::<T>(address as usize).read_unaligned() }
}

/// Finds the entry of the last function that begins at or before `pc`, by the sorted table in `.eh_frame_hdr`. Returns
/// the address of its common part, the bytes from there to the end of the entry, and the offset of the entry in them.
///
/// # Safety
///
/// The module must be loaded.
unsafe fn description(module: &Module, pc: u64) -> Option<(u64, &[u8], usize)> {
    let header = module.header;
    if header == 0 {
        return None;
    }
    // SAFETY: the linker made the header, the table and the entries; they are in memory as long as the module.
    unsafe {
        let [version, pointer, count, table] = read::<[u8; 4]>(header);
        // Counts as 32 bits, and a table of pairs of 32 bits relative to the header: what all linkers write.
        if (version, count, table) != (1, 0x03, 0x3b) {
            return None;
        }
        let width = match pointer & 0x0f {
            0x03 | 0x0b => 4,
            0x04 | 0x0c => 8,
            _ => return None,
        };
        let count = u64::from(read::<u32>(header + 4 + width));
        let table = header + 8 + width;
        let start = |index: u64| header.wrapping_add_signed(read::<i32>(table + 8 * index).into());
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if start(middle) <= pc { low = middle + 1 } else { high = middle }
        }
        let index = low.checked_sub(1)?;
        let entry = header.wrapping_add_signed(read::<i32>(table + 8 * index + 4).into());
        let (length, back) = (read::<u32>(entry), read::<u32>(entry + 4));
        let common = (entry + 4).checked_sub(back.into())?;
        let end = entry + 4 + u64::from(length);
        let whole = common >= module.start && common < entry && end <= module.end;
        if length == 0 || length == u32::MAX || !whole {
            return None;
        }
        let bytes = core::ptr::with_exposed_provenance(common as usize);
        Some((common, slice::from_raw_parts(bytes, (end - common) as usize), (entry - common) as usize))
    }
}

/// Converts the row for `pc` to a rule; `None` if the entry is damaged or the rule has no short form.
fn evaluate(common: u64, bytes: &[u8], offset: usize, pc: u64) -> Option<Rule> {
    let entry = Entry::read(bytes, common, offset)?;
    if !entry.contains(pc) {
        return Some(Rule::GUESS);
    }
    if entry.is_signal {
        return Some(Rule::SIGNAL);
    }
    let row = Row::at(&entry, pc)?;
    match row.ra {
        Place::Undefined => return Some(Rule::new(Kind::End, 0, Saved::No, 0)),
        Place::Offset(-8) => {}
        _ => return None,
    }
    let (kind, cfa) = match row.cfa {
        Cfa::Register(RSP, offset) => (Kind::Sp, offset),
        Cfa::Register(RBP, offset) => (Kind::Bp, offset),
        Cfa::Register(..) => return None,
        Cfa::Expression(operations) => frame_expression(operations)?,
    };
    let (saved, bp) = match row.bp {
        Place::Same | Place::Undefined => (Saved::No, 0),
        Place::Offset(offset) => (Saved::AtCfa, offset),
        // DW_OP_breg6 offset
        Place::Expression([0x76, offset]) => (Saved::AtBp, short(*offset)?),
        Place::Expression(_) | Place::Other => return None,
    };
    Some(Rule::new(kind, cfa.try_into().ok()?, saved, bp.try_into().ok()?))
}

/// Decodes the two kinds of expressions for frames that compilers and linkers write.
fn frame_expression(operations: &[u8]) -> Option<(Kind, i64)> {
    match operations {
        // DW_OP_breg6 offset; DW_OP_deref
        [0x76, offset, 0x06] => Some((Kind::Deref, short(*offset)?)),
        // breg7 8; breg16 0; lit15; and; lit N; ge; lit3; shl; plus: in the second part of a stub, 8 bytes more.
        [0x77, 8, 0x80, 0, 0x3f, 0x1a, literal @ 0x30..=0x3f, 0x2a, 0x33, 0x24, 0x22] => {
            Some((Kind::Plt, i64::from(literal - 0x30)))
        }
        _ => None,
    }
}

/// Decodes a signed number of one byte (SLEB128).
fn short(byte: u8) -> Option<i64> {
    (byte < 0x80).then(|| i64::from((byte << 1) as i8 >> 1))
}

/// Returns whether `pc` is before the code that a C library without entries for it has signal handlers return to.
///
/// # Safety
///
/// The module must be loaded and contain `pc`.
unsafe fn is_signal_return(module: &Module, pc: u64) -> bool {
    // mov $15, %rax; syscall
    const CODE: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
    // SAFETY: `pc` is code, and what follows it is in the module.
    pc + 10 <= module.end && unsafe { read::<[u8; 9]>(pc + 1) == CODE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_one_byte() {
        assert_eq!(
            [0x00, 0x08, 0x3f, 0x70, 0x7f, 0x80].map(short),
            [Some(0), Some(8), Some(63), Some(-16), Some(-1), None]
        );
    }

    #[test]
    fn expressions_of_compilers_and_linkers() {
        assert_eq!(frame_expression(&[0x76, 0x70, 0x06]), Some((Kind::Deref, -16)));
        let stub = [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
        assert_eq!(frame_expression(&stub), Some((Kind::Plt, 11)));
        assert_eq!(frame_expression(&stub[..10]), None);
    }
}
