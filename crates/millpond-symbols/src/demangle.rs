//! Demangling of names that may be long, malformed or hostile.

use std::{borrow::Cow, fmt};

use cpp_demangle::{DemangleOptions, ParseOptions, Symbol};

use crate::guard;

/// Max bytes of a mangled name that is demangled.
const MANGLED_LIMIT: usize = 16 << 10;
/// Max bytes of a name that is returned.
const NAME_LIMIT: usize = 4 << 10;

/// Returns the name of a function as its source has it: of Rust (both manglings, without hash) or C++ (with parameters,
/// without return type). Any other name is returned as it is, except that glibc's `__GI_`, which stands for a name's use
/// inside of the library, is left out. A name of more than 4 KiB is cut off and ends in `…`.
pub fn demangle(name: &str) -> Cow<'_, str> {
    let name = name.strip_prefix("__GI_").unwrap_or(name);
    if name.len() > MANGLED_LIMIT {
        return Cow::Owned(cut(name));
    }
    let demangled = if name.starts_with("_R") || is_legacy_rust(name) {
        rust(name)
    } else if name.starts_with("_Z") || name.starts_with("__Z") {
        guard::without_panic(|| cpp(name)).flatten()
    } else {
        None
    };
    match demangled {
        Some(demangled) => Cow::Owned(demangled),
        None if name.len() > NAME_LIMIT => Cow::Owned(cut(name)),
        None => Cow::Borrowed(name),
    }
}

/// Returns whether a name that C++ might have too has the hash of Rust's: `17h`, 16 hexadecimal digits and `E`.
fn is_legacy_rust(name: &str) -> bool {
    let Some(name) = name.strip_prefix("_ZN") else { return false };
    let name = name.split_once(".llvm.").map_or(name, |(name, _)| name);
    let hash = name.strip_suffix('E').and_then(|name| name.get(name.len().checked_sub(19)?..));
    let digits = hash.and_then(|hash| hash.strip_prefix("17h"));
    digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn rust(name: &str) -> Option<String> {
    let demangled = rustc_demangle::try_demangle(name).ok()?;
    bounded(|text| fmt::Write::write_fmt(text, format_args!("{demangled:#}")))
}

fn cpp(name: &str) -> Option<String> {
    let symbol = Symbol::new_with_options(name.as_bytes(), &ParseOptions::default()).ok()?;
    let options = DemangleOptions::new().no_return_type();
    bounded(|text| symbol.structured_demangle(text, &options))
}

/// A text of at most [`NAME_LIMIT`] bytes. Writing more fails.
#[derive(Default)]
struct Bounded {
    text: String,
    is_full: bool,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        self.is_full |= self.text.len() + more.len() > NAME_LIMIT;
        if self.is_full {
            self.text.push_str(&more[..more.floor_char_boundary(NAME_LIMIT.saturating_sub(self.text.len()))]);
            return Err(fmt::Error);
        }
        self.text.push_str(more);
        Ok(())
    }
}

/// Returns what is written, cut off where it is too long; `None` if writing fails for another reason.
fn bounded(write: impl FnOnce(&mut Bounded) -> fmt::Result) -> Option<String> {
    let mut out = Bounded::default();
    match write(&mut out) {
        _ if out.is_full => Some(out.text + "…"),
        Ok(()) => Some(out.text),
        Err(fmt::Error) => None,
    }
}

fn cut(name: &str) -> String {
    format!("{}…", &name[..name.floor_char_boundary(NAME_LIMIT)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_each_language() {
        for (mangled, expected) in [
            ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"),
            ("_ZN3foo3bar17h0123456789abcdefE.llvm.123456", "foo::bar"),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
            ("_RINvNtC3std3mem8align_ofdE", "std::mem::align_of::<f64>"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                "std::vector<int, std::allocator<int> >::push_back(int const&)",
            ),
            ("_ZN3foo3barEv", "foo::bar()"),
            ("_ZN3FooC1Ev", "Foo::Foo()"),
            ("_Znwm", "operator new(unsigned long)"),
            ("malloc", "malloc"),
            ("__GI___strdup", "__strdup"),
            ("_Zzz", "_Zzz"),
            ("_R", "_R"),
            ("_ZN", "_ZN"),
            ("", ""),
        ] {
            assert_eq!(demangle(mangled), expected);
        }
    }

    #[test]
    fn names_are_cut_off_where_they_are_too_long() {
        let long = "é".repeat(10_000);
        let name = demangle(&long);
        assert!(name.len() <= NAME_LIMIT + "…".len() && name.ends_with("é…"), "{}", name.len());
        // Each level doubles the name: pair<pair<…>, pair<…>>.
        let mut doubling = String::from("_Z1f1AIiiE");
        for level in 0..20 {
            doubling
                .push_str(&format!("S{}_", if level == 0 { String::new() } else { (level - 1).to_string() }));
        }
        assert!(demangle(&doubling).len() <= NAME_LIMIT + "…".len());
    }

    #[test]
    fn changed_names_do_no_harm() {
        let names = [
            "_ZNSt6vectorIiSaIiEE9push_backERKi",
            "_ZNSt8_Rb_treeISsSt4pairIKSsSsESt10_Select1stIS2_ESt4lessISsESaIS2_EE8_M_eraseEPSt13_Rb_tree_nodeIS2_E",
            "_RNvXs_NtCs1234_7mycrate3fooINtB4_3BarNtB4_3BazENtB4_5Trait6method",
            "_ZN60_$LT$alloc..string..String$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE",
        ];
        let mut state = 1_u64;
        let mut random = move |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for round in 0..40_000 {
            let mut name = names[round % names.len()].as_bytes().to_vec();
            for _ in 0..=random(4) {
                let at = 2 + random(name.len() - 2);
                match random(3) {
                    0 => name[at] = b"_ZNSIEKRPTt0123456789.$J"[random(24)],
                    1 => drop(name.remove(at)),
                    _ => name.extend_from_within(at..),
                }
            }
            let name = String::from_utf8(name).unwrap();
            assert!(demangle(&name).len() <= NAME_LIMIT + "…".len());
        }
    }
}
