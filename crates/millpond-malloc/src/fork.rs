//! `fork`: the heap is held still, so that the child finds it whole.

use crate::{depot, guarded, magazine, thread, unit};

/// Installs the handlers. The C library may allocate for that, so this is not done on the way of an allocation.
#[used]
#[unsafe(link_section = ".init_array")]
static INSTALL: extern "C" fn() = install;

extern "C" fn install() {
    // SAFETY: the handlers are valid; the library is never unloaded. If there is no memory for them, only a child of a
    // program with threads is affected.
    unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
}

/// Acquires all locks, in the order in which calls acquire them.
unsafe extern "C" fn before() {
    thread::UNUSED.hold();
    depot::DEPOTS.iter().for_each(|depot| depot.0.hold());
    magazine::SPARES.hold();
    guarded::DELAYED.hold();
    unit::UNITS.hold();
}

/// Releases all locks, in the parent and in the child.
unsafe extern "C" fn after() {
    // SAFETY: `before` has acquired the locks, on this thread or on its image in the parent.
    unsafe {
        unit::UNITS.release();
        guarded::DELAYED.release();
        magazine::SPARES.release();
        depot::DEPOTS.iter().for_each(|depot| depot.0.release());
        thread::UNUSED.release();
    }
}
