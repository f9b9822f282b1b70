//! The rules of all code of this process, compared with those that gimli finds.

use std::{boxed::Box, vec, vec::Vec};

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameOffset, EndianSlice, LittleEndian, RegisterRule, UnwindContext,
    UnwindContextStorage, UnwindExpression, UnwindSection, UnwindTableRow, X86_64,
};

use super::{Entry, Kind, Module, Rule, Saved, frame_expression, read, rule, short};

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

struct Storage;

impl UnwindContextStorage<usize> for Storage {
    type Rules = [(gimli::Register, RegisterRule<usize>); 32];
    type Stack = [UnwindTableRow<usize, Self>; 16];
}

/// Converts the row for `pc` to a rule.
fn expected(row: &UnwindTableRow<usize, Storage>, section: &EhFrame<Bytes<'_>>) -> Option<Rule> {
    match row.register(X86_64::RA) {
        Some(RegisterRule::Undefined) => return Some(Rule::new(Kind::End, 0, Saved::No, 0)),
        Some(RegisterRule::Offset(-8)) => {}
        _ => return None,
    }
    let (kind, cfa) = match row.cfa() {
        CfaRule::RegisterAndOffset { register: X86_64::RSP, offset } => (Kind::Sp, *offset),
        CfaRule::RegisterAndOffset { register: X86_64::RBP, offset } => (Kind::Bp, *offset),
        CfaRule::RegisterAndOffset { .. } => return None,
        CfaRule::Expression(expression) => frame_expression(operations(expression, section))?,
    };
    let (saved, bp) = match row.register(X86_64::RBP) {
        None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => (Saved::No, 0),
        Some(RegisterRule::Offset(offset)) => (Saved::AtCfa, offset),
        Some(RegisterRule::Expression(expression)) => match operations(&expression, section) {
            [0x76, offset] => (Saved::AtBp, short(*offset)?),
            _ => return None,
        },
        Some(_) => return None,
    };
    Some(Rule::new(kind, cfa.try_into().ok()?, saved, bp.try_into().ok()?))
}

fn operations<'a>(expression: &UnwindExpression<usize>, section: &EhFrame<Bytes<'a>>) -> &'a [u8] {
    expression.get(section).unwrap().0.slice()
}

/// Returns an address in each entry of a module, with the bytes from the entry's common part to its end.
fn entries(module: &Module) -> Vec<(u64, u64, &'static [u8], usize)> {
    // SAFETY: the module is loaded, and `description` checks the form of its header.
    let (first, count) = unsafe { (read::<i32>(module.header + 12), read::<u32>(module.header + 8)) };
    let start = |index: u64| {
        // SAFETY: the table has `count` rows of two words.
        module.header.wrapping_add_signed(i64::from(unsafe { read::<i32>(module.header + 12 + 8 * index) }))
    };
    assert_eq!(start(0), module.header.wrapping_add_signed(first.into()));
    let found = (0..u64::from(count)).filter_map(|index| {
        // SAFETY: the module is loaded, and stays so.
        let (common, bytes, offset) = unsafe { super::description(module, start(index)) }?;
        // SAFETY: as above.
        let bytes: &'static [u8] = unsafe { core::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) };
        Some((start(index), common, bytes, offset))
    });
    found.collect()
}

/// Loads a library, for its code; returns an address in it.
fn load(library: &core::ffi::CStr, function: &core::ffi::CStr) -> Option<u64> {
    // SAFETY: the names are C strings, and the libraries are the system's.
    unsafe {
        let handle = libc::dlopen(library.as_ptr(), libc::RTLD_NOW);
        (!handle.is_null()).then(|| libc::dlsym(handle, function.as_ptr()) as u64).filter(|&at| at != 0)
    }
}

/// Compares the rules of a module at both ends of each row. Returns how many there are.
fn compare(module: &Module) -> usize {
    let mut context = Box::new(UnwindContext::<usize, Storage>::new_in());
    let mut compared = 0;
    for (_, common, bytes, offset) in entries(module) {
        let mut section = EhFrame::new(bytes, LittleEndian);
        section.set_address_size(8);
        let bases = BaseAddresses::default().set_eh_frame(common);
        let entry = section
            .fde_from_offset(&bases, EhFrameOffset(offset), |section, bases, at| {
                section.cie_from_offset(bases, at)
            })
            .unwrap();
        let is_signal = entry.is_signal_trampoline();
        let mut rows = entry.rows(&section, &bases, &mut context).unwrap();
        while let Some(row) = rows.next_row().unwrap() {
            let found = match expected(row, &section) {
                _ if is_signal => Rule::SIGNAL,
                found => found.unwrap_or(Rule::FAIL),
            };
            for pc in [row.start_address(), row.end_address() - 1] {
                // SAFETY: the module is loaded, and the row is about its code.
                assert_eq!(unsafe { rule(module, pc) }, found, "{pc:#x} of {module:x?}");
                compared += 1;
            }
        }
    }
    compared
}

#[test]
fn all_code_of_this_process() {
    let mut pcs =
        vec![compare as *const () as u64, libc::getpid as *const () as u64, libc::dlsym as *const () as u64];
    // SAFETY: the kind of value exists on all systems.
    let vdso = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    let others = [
        (c"libstdc++.so.6", c"_Znwm"),
        (c"libgcc_s.so.1", c"_Unwind_Backtrace"),
        (c"libm.so.6", c"sin"),
        (c"libcrypto.so.3", c"SHA256_Init"),
        (c"libperl.so.5.36", c"perl_alloc"),
    ];
    for (library, function) in others {
        match load(library, function) {
            Some(at) => pcs.push(at),
            None => {
                std::eprintln!("not compared, because it is not installed: {}", library.to_string_lossy())
            }
        }
    }
    pcs.extend((vdso != 0).then_some(vdso));
    let counts: Vec<_> = pcs.iter().map(|&pc| compare(&Module::containing(pc).unwrap())).collect();
    assert!(counts[0] > 1000 && counts[1] > 1000, "{counts:?}");
}

#[test]
fn damaged_entries_have_no_rule() {
    let module = Module::containing(compare as *const () as u64).unwrap();
    for (pc, common, bytes, offset) in entries(&module).into_iter().step_by(997) {
        for length in 0..bytes.len() {
            assert!(Entry::read(&bytes[..length], common, offset).is_none(), "cut off after {length}");
        }
        let mut copy = bytes.to_vec();
        for at in 0..copy.len() {
            for flipped in [0x01, 0x40, 0x80, 0xff] {
                copy[at] ^= flipped;
                // Any result will do: it must only come.
                let _ = super::evaluate(common, &copy, offset, pc);
                copy[at] ^= flipped;
            }
        }
    }
}
