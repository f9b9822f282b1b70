//! Determines whether the system gives huge pages to a process that requests them.
//!
//! Linux: `Documentation/admin-guide/mm/transhuge.rst`. There is a switch for all page sizes, since Linux 6.8 one for
//! each size that overrides it, and a switch of the process that its children inherit.

#[cfg(target_os = "linux")]
use std::{fs, path::Path};

/// The directory of the switches on Linux.
#[cfg(target_os = "linux")]
const SWITCHES: &str = "/sys/kernel/mm/transparent_hugepage";

/// Returns the reason, as a clause, if there are no huge pages; `None` if there are.
#[cfg(target_os = "linux")]
pub(super) fn why_not() -> Option<String> {
    const NOTHING: libc::c_ulong = 0;
    // SAFETY: this reads a switch of this process and changes nothing. All values except 1 allow huge pages to
    // processes that request them.
    if unsafe { libc::prctl(libc::PR_GET_THP_DISABLE, NOTHING, NOTHING, NOTHING, NOTHING) } == 1 {
        return Some("this process was started without them (PR_SET_THP_DISABLE)".into());
    }
    refused(Path::new(SWITCHES), millpond::Pages::huge_size())
}

/// The reason why there are no huge pages.
#[cfg(not(target_os = "linux"))]
pub(super) fn why_not() -> Option<String> {
    Some("this system has none for the asking".into())
}

/// Returns the switch that refuses huge pages of `size` bytes.
#[cfg(target_os = "linux")]
fn refused(switches: &Path, size: usize) -> Option<String> {
    let of_this_size = switches.join(format!("hugepages-{}kB/enabled", size / 1024));
    let of_all_sizes = switches.join("enabled");
    for switch in [of_this_size, of_all_sizes] {
        let Ok(text) = fs::read_to_string(&switch) else { continue };
        let chosen = text.split(['[', ']']).nth(1).unwrap_or_default();
        match chosen {
            "inherit" => continue,
            "always" | "madvise" => return None,
            _ => return Some(format!("{} says {chosen}", switch.display())),
        }
    }
    Some(format!("{} cannot be read", switches.join("enabled").display()))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    const SIZE: usize = 2 << 20;

    #[test]
    fn one_switch_for_all_sizes() {
        let folder = tempfile::tempdir().unwrap();
        let answer = || refused(folder.path(), SIZE);
        assert!(answer().unwrap().ends_with("/enabled cannot be read"));
        for (text, expected) in [
            ("[always] madvise never\n", None),
            ("always [madvise] never\n", None),
            ("always madvise [never]\n", Some("never")),
        ] {
            fs::write(folder.path().join("enabled"), text).unwrap();
            let says = answer().map(|reason| reason.rsplit(' ').next().unwrap().to_owned());
            assert_eq!(says.as_deref(), expected);
        }
    }

    #[test]
    fn switch_for_the_size_takes_precedence() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("hugepages-2048kB")).unwrap();
        let both = |of_the_size: &str, of_all: &str| {
            fs::write(folder.path().join("hugepages-2048kB/enabled"), of_the_size).unwrap();
            fs::write(folder.path().join("enabled"), of_all).unwrap();
            refused(folder.path(), SIZE)
        };
        assert_eq!(both("always [inherit] madvise never", "always [madvise] never"), None);
        assert!(both("always [inherit] madvise never", "always madvise [never]").is_some());
        assert_eq!(both("always inherit [madvise] never", "always madvise [never]"), None);
        let reason = both("always inherit madvise [never]", "[always] madvise never").unwrap();
        assert!(reason.ends_with("/hugepages-2048kB/enabled says never"), "{reason}");
    }
}
