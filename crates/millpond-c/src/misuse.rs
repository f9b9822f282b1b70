//! Reporting of misuse: to a callback of each pool, or, if there is none, by ending the program.
//!
//! The library calls a hook without a context, but with the pool's name. So each pool has a name at an address of its
//! own, and a list maps these addresses to callbacks.

use std::{
    ffi::{CStr, CString, c_char, c_void},
    mem, process,
};

use lock_api::{Mutex, MutexGuard};
use millpond::{
    lock::SpinLock,
    observe::{Misuse, MisuseKind, Reporter},
    raw::AtFork,
};

use crate::{abi::*, error::MpError};

/// The function to call, and its context.
#[derive(Clone, Copy)]
struct Hook {
    call: mp_misuse_fn,
    context: *mut c_void,
}

/// The address of a pool's name, and the callback for the pool.
struct Listener {
    name: *const u8,
    hook: Hook,
}

// SAFETY: the header says which threads may call a hook; the pointers are not dereferenced here.
unsafe impl Send for Listener {}

/// All callbacks.
pub(crate) struct Listeners(Mutex<SpinLock, Vec<Listener>>);

pub(crate) static LISTENERS: Listeners = Listeners(Mutex::new(Vec::new()));

fn listeners() -> MutexGuard<'static, SpinLock, Vec<Listener>> {
    LISTENERS.0.lock()
}

// SAFETY: there are no parts; what is unlocked is what `prepare` locks.
unsafe impl AtFork for Listeners {
    fn prepare(&self) {
        mem::forget(self.0.lock());
    }

    unsafe fn parent(&self) {
        // SAFETY: `prepare` has locked it.
        unsafe { self.0.force_unlock() };
    }

    unsafe fn child(&self) {
        // SAFETY: as above; waiting threads leave no trace in a spin lock.
        unsafe { self.0.force_unlock() };
    }
}

/// A pool's name and its registered callback. The callback is registered until this is dropped.
pub(crate) struct MisuseCallback {
    name: *mut str,
    /// Whether the allocator can verify for any address and layout whether they belong to a live block.
    vets: bool,
}

impl MisuseCallback {
    /// # Safety
    ///
    /// The name must be null or a C string; the function must be callable with the context as long as this exists.
    pub(crate) unsafe fn new(
        name: *const c_char,
        usual: &str,
        on_misuse: Option<mp_misuse_fn>,
        context: *mut c_void,
    ) -> Self {
        let name: String = if name.is_null() {
            usual.into()
        } else {
            // SAFETY: the caller guarantees that the name is a C string.
            unsafe { CStr::from_ptr(name) }.to_string_lossy().into()
        };
        // An empty string has no unique address.
        let name = if name.is_empty() { " ".into() } else { name };
        let callback = Self { name: Box::into_raw(name.into_boxed_str()), vets: false };
        if let Some(call) = on_misuse {
            listeners().push(Listener { name: callback.name.cast(), hook: Hook { call, context } });
        }
        callback
    }

    /// Sets whether the allocator can verify for any address and layout whether they belong to a live block.
    pub(crate) fn vetting(mut self, vets: bool) -> Self {
        self.vets = vets;
        self
    }

    /// Returns the value set by [`vetting`](Self::vetting).
    pub(crate) fn vets(&self) -> bool {
        self.vets
    }

    /// Returns the reporter for the library.
    ///
    /// # Safety
    ///
    /// The owner of the reporter must be dropped before this.
    pub(crate) unsafe fn reporter(&self) -> Reporter {
        // SAFETY: the name exists as long as `self`, which the caller keeps longer than the reporter.
        Reporter::named(unsafe { &*self.name }).with_hook(notify)
    }
}

impl Drop for MisuseCallback {
    fn drop(&mut self) {
        listeners().retain(|listener| listener.name != self.name.cast());
        // SAFETY: the name was made by `Box::into_raw`, and there are no other references to it any more.
        drop(unsafe { Box::from_raw(self.name) });
    }
}

/// Calls the pool's callback, or ends the program. This is the hook that the library calls.
fn notify(misuse: &Misuse) {
    let name = misuse.pool.as_ptr();
    let hook = listeners().iter().find(|listener| listener.name == name).map(|listener| listener.hook);
    let Some(hook) = hook else {
        eprintln!("millpond: {misuse}\nThe program ends, because this pool has no on_misuse callback.");
        process::abort();
    };
    // Neither string contains a zero byte: the library's has none, and a C string ends at its zero byte.
    let pool = CString::new(misuse.pool).unwrap_or_default();
    let text = CString::new(misuse.to_string()).unwrap_or_default();
    let (kind, detail) = describe(misuse.kind);
    let told = mp_misuse {
        struct_size: size_of::<mp_misuse>(),
        pool: pool.as_ptr(),
        address: misuse.address as *const c_void,
        size: misuse.layout.size(),
        align: misuse.layout.align(),
        kind,
        detail,
        more: misuse.more,
        text: text.as_ptr(),
    };
    // SAFETY: the header requires a function with this signature that may be called with this context.
    unsafe { (hook.call)(hook.context, &raw const told) };
}

/// Returns the number of a kind of misuse, and its detail.
fn describe(kind: MisuseKind) -> (u32, usize) {
    match kind {
        MisuseKind::DoubleFree => (MP_DOUBLE_FREE, 0),
        MisuseKind::Interior { start } => (MP_INTERIOR, start),
        MisuseKind::WrongLayout { expected } => (MP_WRONG_LAYOUT, expected.size()),
        MisuseKind::Overflow { offset } => (MP_OVERFLOW, offset),
        MisuseKind::WrittenAfterFree { offset } => (MP_WRITTEN_AFTER_FREE, offset),
        MisuseKind::Leak { blocks, .. } => (MP_LEAK, blocks),
        MisuseKind::Overlap { live } => (MP_OVERLAP, live),
        MisuseKind::Forged => (MP_FORGED, 0),
        MisuseKind::Damaged { at } => (MP_DAMAGED, at),
        _ => (MP_FOREIGN, 0),
    }
}

/// Returns the error for an option about misuse that is set on a pool that does not detect misuse.
pub(crate) fn no_detection() -> MpError {
    MpError::invalid(
        "on_misuse is set, but this allocator detects no misuse: set checked, or use the guard mp_checked_create",
    )
}
