//! The guard that calls a function for every event.

use std::ffi::{CStr, c_void};

use millpond::{
    Inspect, Reclaim,
    guard::{Event, Observe, Observer},
};

use crate::{
    abi::*,
    error::MpError,
    exported::{Export, Exported},
    options::{GuardCommon, create, mp_observe_options},
    parent::Parent,
};

impl Export for Observe<Parent, EventObserver> {
    const NAME: &'static CStr = c"observe";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|guard| guard);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|guard| guard);
    const TRIM_SHARED: Option<fn(&Self) -> usize> = Some(|guard| guard.inner().trim_shared());
}

/// Calls a function on every event.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_observe_create(options: *const mp_observe_options) -> *mut mp_allocator {
    let observe = |options: &mp_observe_options, GuardCommon { inner, make }| {
        let call = options.on_event.ok_or(MpError::invalid("on_event is NULL: set it to a function"))?;
        let observer = EventObserver { call, context: options.event_context };
        Exported::make(Observe::new(inner, observer), make)
    };
    // SAFETY: the callee has the same requirements as this function.
    unsafe { create(options, observe) }
}

/// A callback for events.
pub(crate) struct EventObserver {
    call: mp_event_fn,
    context: *mut c_void,
}

impl Observer for EventObserver {
    fn note(&self, event: Event) {
        let mut seen = mp_event {
            struct_size: size_of::<mp_event>(),
            kind: 0,
            error: MP_OK,
            address: std::ptr::null(),
            from: std::ptr::null(),
            size: 0,
            align: 0,
            old_size: 0,
        };
        let pointer = |address: usize| address as *const c_void;
        match event {
            Event::Allocated { address, layout } => {
                (seen.kind, seen.address) = (MP_ALLOCATED, pointer(address));
                (seen.size, seen.align) = (layout.size(), layout.align());
            }
            Event::Grew { address, size } => {
                (seen.kind, seen.address, seen.size) = (MP_GREW, pointer(address), size);
            }
            Event::Resized { from, to, old, new } => {
                (seen.kind, seen.address, seen.from) = (MP_RESIZED, pointer(to), pointer(from));
                (seen.size, seen.align, seen.old_size) = (new.size(), new.align(), old.size());
            }
            Event::Freed { address, layout } => {
                (seen.kind, seen.address) = (MP_FREED, pointer(address));
                (seen.size, seen.align) = (layout.size(), layout.align());
            }
            Event::Failed { layout, error } => {
                (seen.kind, seen.error) = (MP_FAILED, MpError::from(error).code);
                (seen.size, seen.align) = (layout.size(), layout.align());
            }
            _ => return,
        }
        // SAFETY: the header requires a function with this signature that may be called with this context.
        unsafe { (self.call)(self.context, &raw const seen) };
    }
}
