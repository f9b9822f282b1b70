//! Who hears of misuse: a function of the caller's own for each pool, or nobody, and then the program ends.
//!
//! The library calls a hook without a context, but with the pool's name. So each pool has a name of its own, at an address of
//! its own, and a list says whose it is.

use std::{
    ffi::{CStr, CString, c_char, c_void},
    mem, process,
};

use lock_api::{Mutex, MutexGuard};
use millpond::{AtFork, Misuse, MisuseKind, Reporter, SpinLock};

use crate::{abi::*, error::MpError};

/// Whom to call.
#[derive(Clone, Copy)]
struct Hook {
    call: mp_misuse_fn,
    context: *mut c_void,
}

/// A pool's name, by its address, and whom to call.
struct Listener {
    name: *const u8,
    hook: Hook,
}

// SAFETY: which thread a hook may be called on is what the header says; the pointers are not followed here.
unsafe impl Send for Listener {}

/// All who listen.
pub(crate) struct Listeners(Mutex<SpinLock, Vec<Listener>>);

pub(crate) static LISTENERS: Listeners = Listeners(Mutex::new(Vec::new()));

fn listeners() -> MutexGuard<'static, SpinLock, Vec<Listener>> {
    LISTENERS.0.lock()
}

impl AtFork for Listeners {
    fn prepare(&self) {
        mem::forget(self.0.lock());
    }

    unsafe fn parent(&self) {
        // SAFETY: the caller has prepared it.
        unsafe { self.0.force_unlock() };
    }

    unsafe fn child(&self) {
        // SAFETY: as above; whoever waits for this kind of lock has left nothing in it.
        unsafe { self.0.force_unlock() };
    }
}

/// A pool's name, and that somebody hears of its misuse, for as long as this lives.
pub(crate) struct MisuseCallback {
    name: *mut str,
    /// Whether it speaks for one that finds out of any address and layout whether they are those of a live block.
    vets: bool,
}

impl MisuseCallback {
    /// # Safety
    ///
    /// The name is null or a text of C; the function may be called with the context for as long as the voice lives.
    pub(crate) unsafe fn new(
        name: *const c_char,
        usual: &str,
        on_misuse: Option<mp_misuse_fn>,
        context: *mut c_void,
    ) -> Self {
        let name: String = if name.is_null() {
            usual.into()
        } else {
            // SAFETY: the caller's promise.
            unsafe { CStr::from_ptr(name) }.to_string_lossy().into()
        };
        // Not empty, so that it has an address of its own.
        let name = if name.is_empty() { " ".into() } else { name };
        let callback = Self { name: Box::into_raw(name.into_boxed_str()), vets: false };
        if let Some(call) = on_misuse {
            listeners().push(Listener { name: callback.name.cast(), hook: Hook { call, context } });
        }
        callback
    }

    /// The voice of one that finds out of any address and layout whether they are those of a live block.
    pub(crate) fn vetting(self, vets: bool) -> Self {
        let callback = std::mem::ManuallyDrop::new(self);
        Self { name: callback.name, vets }
    }

    /// See [`vetting`](Self::vetting).
    pub(crate) fn vets(&self) -> bool {
        self.vets
    }

    /// What the library is told of it.
    ///
    /// # Safety
    ///
    /// Whoever has the reporter goes before the voice does.
    pub(crate) unsafe fn reporter(&self) -> Reporter {
        // SAFETY: the name is there as long as the voice is, and the caller's promise.
        Reporter::named(unsafe { &*self.name }).with_hook(notify)
    }
}

impl Drop for MisuseCallback {
    fn drop(&mut self) {
        listeners().retain(|listener| listener.name != self.name.cast());
        // SAFETY: the name was made by `Box::into_raw`, and nobody has it any more.
        drop(unsafe { Box::from_raw(self.name) });
    }
}

/// What the library calls: tells whoever listens, or ends the program.
fn notify(misuse: &Misuse) {
    let name = misuse.pool.as_ptr();
    let hook = listeners().iter().find(|listener| listener.name == name).map(|listener| listener.hook);
    let Some(hook) = hook else {
        eprintln!("millpond: {misuse}");
        process::abort();
    };
    // Neither text has a zero: the library's has none, and C's names end at theirs.
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
    // SAFETY: the function is the caller's, and takes what the header says.
    unsafe { (hook.call)(hook.context, &raw const told) };
}

/// A cause as a number, and the number that goes with it.
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

/// That an option about misuse is set where nobody looks for it.
pub(crate) fn no_detection() -> MpError {
    MpError::invalid("on_misuse is set, but nothing is checked")
}
