//! The page that all processes of a recording share.

use core::{
    ptr::null_mut,
    sync::atomic::{AtomicPtr, Ordering::*},
};

use millpond_trace::raw::Control;

/// Like all statics, kept by `fork`.
static CONTROL: AtomicPtr<Control> = AtomicPtr::new(null_mut());

/// Returns the page. There must be a recording.
pub(crate) fn control() -> &'static Control {
    // SAFETY: the pointer is set before there is a `Process`; the page is never unmapped, is inherited by children, and
    // consists of atomics.
    unsafe { &*CONTROL.load(Relaxed) }
}

/// Joins this recording: everything is recorded as part of it from now on.
pub(crate) fn join(control: &'static Control) {
    CONTROL.store((&raw const *control).cast_mut(), Relaxed);
}
