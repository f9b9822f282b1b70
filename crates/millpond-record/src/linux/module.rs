//! The library or program in which a function lies.

use core::ffi::{CStr, c_char, c_void};

/// A loaded library or program: its address, and its path.
#[derive(Clone, Copy)]
pub(crate) struct Module {
    base: *mut c_void,
    path: *const c_char,
}

impl Module {
    /// Returns the module in which a function lies.
    pub(crate) fn of(function: *mut c_void) -> Option<Self> {
        // SAFETY: `dladdr` accepts any address; all zeros are a valid result.
        unsafe {
            let mut found = core::mem::zeroed::<libc::Dl_info>();
            let known = libc::dladdr(function, &raw mut found) != 0;
            known.then_some(Self { base: found.dli_fbase, path: found.dli_fname })
        }
    }

    /// Returns whether both are known and the same.
    pub(crate) fn are_same(one: Option<Self>, other: Option<Self>) -> bool {
        matches!((one, other), (Some(one), Some(other)) if one.base == other.base)
    }

    /// Returns the name of its file.
    pub(crate) fn name(&self) -> &[u8] {
        // SAFETY: `dladdr` returns a C string, which lives as long as the library.
        let path = unsafe { CStr::from_ptr(self.path) }.to_bytes();
        path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }
}
