//! Paths of the files of a recording, without heap memory.

use core::{
    cell::UnsafeCell,
    ffi::{CStr, c_char},
};

use millpond_trace::raw::{DIRECTORY, LONGEST_DIRECTORY};

/// Max bytes in the directory with the name of a file in it and a zero byte.
const LONGEST: usize = LONGEST_DIRECTORY + 48;

/// A path, or another short text, that ends with a zero byte.
pub(crate) struct Path {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Path {
    /// Creates an empty path.
    pub(crate) const fn empty() -> Self {
        Self { bytes: [0; LONGEST], length: 0 }
    }

    /// Creates a path from a string.
    pub(crate) fn fixed(text: &CStr) -> Self {
        let mut path = Self::empty();
        path.push(text.to_bytes());
        path
    }

    /// Returns `DIRECTORY/live/control`.
    pub(crate) fn control() -> Self {
        let mut path = Self::directory();
        path.push(b"/live/control");
        path
    }

    /// Returns `DIRECTORY/live/execs`.
    pub(crate) fn execs() -> Self {
        let mut path = Self::directory();
        path.push(b"/live/execs");
        path
    }

    /// Returns `DIRECTORY/reserve`.
    pub(crate) fn reserve() -> Self {
        let mut path = Self::directory();
        path.push(b"/reserve");
        path
    }

    /// Returns `DIRECTORY/live/NUMBER` followed by `suffix`.
    pub(crate) fn live(number: u32, suffix: &[u8]) -> Self {
        let mut path = Self::directory();
        path.push(b"/live/");
        path.push_number(number);
        path.push(suffix);
        path
    }

    /// Returns `DIRECTORY/live/NUMBER.maps.COPY`.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn maps(number: u32, copy: u32) -> Self {
        let mut path = Self::live(number, b".maps.");
        path.push_number(copy);
        path
    }

    /// Returns `DIRECTORY/NUMBER`.
    pub(crate) fn units(number: u32) -> Self {
        let mut path = Self::directory();
        path.push(b"/");
        path.push_number(number);
        path
    }

    /// Returns the path of a descriptor of the process that opens it.
    pub(crate) fn descriptor(number: u32) -> Self {
        let mut path = Self::fixed(c"/proc/self/fd/");
        path.push_number(number);
        path
    }

    fn directory() -> Self {
        let mut path = Self::empty();
        // SAFETY: written once, before any file is used: see `remember_directory`.
        path.push(unsafe { &*PLACE.0.get() }.as_bytes());
        path
    }

    /// Appends bytes, as far as they fit before the zero byte.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.length + 1 < LONGEST
                && let Some(place) = self.bytes.get_mut(self.length)
            {
                *place = byte;
                self.length += 1;
            }
        }
    }

    pub(crate) fn push_number(&mut self, number: u32) {
        let mut power = 1_000_000_000;
        while power > 1 && number < power {
            power /= 10;
        }
        while power > 0 {
            self.push(&[b'0' + (number / power % 10) as u8]);
            power /= 10;
        }
    }

    /// Appends a number in hexadecimal.
    pub(crate) fn push_hexadecimal(&mut self, number: u64) {
        let digits = (64 - (number | 1).leading_zeros()).div_ceil(4);
        for place in (0..digits).rev() {
            let digit = (number >> (4 * place) & 15) as u8;
            self.push(&[if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }]);
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub(crate) fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}

/// The directory of the recording.
struct Place(UnsafeCell<Path>);

// SAFETY: written once, by `remember_directory`, while no other thread reads it.
unsafe impl Sync for Place {}

static PLACE: Place = Place(UnsafeCell::new(Path::empty()));

unsafe extern "C" {
    /// The environment; null until the C library has initialised it.
    static mut environ: *const *const c_char;
}

/// Whether the environment contains the directory of a recording.
pub(crate) enum Directory {
    /// There is no environment yet: try again later.
    TooEarly,
    /// It does not.
    Unset,
    /// It does, and the directory is saved.
    Known,
}

/// Reads the directory from the environment and saves it. Does not use `getenv`, because some shells define their own.
///
/// # Safety
///
/// Must not be called by two threads at the same time, or again after it has returned [`Directory::Known`].
pub(crate) unsafe fn remember_directory() -> Directory {
    // SAFETY: the C library keeps `environ` null or a null-terminated array of C strings.
    unsafe {
        if environ.is_null() {
            return Directory::TooEarly;
        }
        let Some(entry) = variable(environ, DIRECTORY) else { return Directory::Unset };
        let value = CStr::from_ptr(entry).to_bytes().get(DIRECTORY.len() + 1..).unwrap_or_default();
        if value.len() > LONGEST_DIRECTORY {
            return Directory::Unset;
        }
        (*PLACE.0.get()).push(value);
    }
    Directory::Known
}

/// Returns the current environment.
pub(crate) fn environment() -> *const *const c_char {
    // SAFETY: this is a variable of the C library; a program that changes it concurrently also violates the rules of
    // `getenv`.
    unsafe { environ }
}

/// Sets the environment.
///
/// # Safety
///
/// `environment` must be and remain null or a null-terminated array of C strings.
pub(crate) unsafe fn set_environment(environment: *const *const c_char) {
    // SAFETY: the caller guarantees a valid environment; otherwise as above.
    unsafe {
        if environ != environment {
            environ = environment;
        }
    }
}

/// Returns the entry, `NAME=VALUE`, of a variable in an environment.
///
/// # Safety
///
/// The environment must be null or a null-terminated array of C strings.
pub(crate) unsafe fn variable(environment: *const *const c_char, name: &str) -> Option<*const c_char> {
    let mut entry = environment;
    // SAFETY: the caller guarantees null or a null-terminated array of C strings.
    unsafe {
        while !entry.is_null() && !(*entry).is_null() {
            if is_named(*entry, name) {
                return Some(*entry);
            }
            entry = entry.add(1);
        }
    }
    None
}

/// Returns whether an entry of an environment, `NAME=VALUE`, is that of a variable.
///
/// # Safety
///
/// The entry must be null or a C string.
pub(crate) unsafe fn is_named(entry: *const c_char, name: &str) -> bool {
    // SAFETY: the caller guarantees a C string.
    let rest =
        (!entry.is_null()).then(|| unsafe { CStr::from_ptr(entry) }.to_bytes().strip_prefix(name.as_bytes()));
    rest.flatten().is_some_and(|rest| rest.first() == Some(&b'='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{ffi::CStr, string::String};

    fn text(path: &Path) -> String {
        // SAFETY: a `Path` ends with a zero byte.
        unsafe { CStr::from_ptr(path.as_ptr()) }.to_str().unwrap().into()
    }

    #[test]
    fn names_are_plain_decimal_numbers() {
        for number in [0, 7, 10, 99, 100, 4_294_967_295, 1_000_000_000, 999_999_999] {
            assert_eq!(text(&Path::units(number)), std::format!("/{number}"));
        }
        for number in [0, 9, 10, 0x1234_5678_9abc_def0, u64::MAX] {
            let mut path = Path::empty();
            path.push_hexadecimal(number);
            assert_eq!(text(&path), std::format!("{number:x}"));
        }
        assert_eq!(text(&Path::descriptor(1012)), "/proc/self/fd/1012");
        assert_eq!(text(&Path::live(30, b".maps")), "/live/30.maps");
        assert_eq!(text(&Path::control()), "/live/control");
    }

    #[test]
    fn a_path_that_is_too_long_ends_with_a_zero_byte_all_the_same() {
        let mut path = Path::empty();
        path.push(&[b'x'; LONGEST * 2]);
        assert_eq!(text(&path).len(), LONGEST - 1);
        assert_eq!(path.as_bytes().len(), LONGEST - 1);
    }
}
