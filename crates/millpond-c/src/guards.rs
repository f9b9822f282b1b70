//! Guards: allocators around others, with one job each.

use std::ffi::{c_char, c_void};

use millpond::guard::{
    Canary, Checked, Counted, Event, FailNth, Fallback, Limit, Observe, Observer, Poison, Quarantine,
    Segregator, Stats, Zeroed,
};

use crate::{
    abi::*,
    error::{MP_OK, MpError},
    exported::{Exported, Make},
    misuse::MisuseCallback,
    out_of_memory::OutOfMemory,
    parent::Parent,
    shells::{held, offer},
    sources::pointer,
    versioned_struct::{VersionedStruct, read},
};

/// Max freed blocks held back.
const HELD: usize = 256;

/// Implements what a guard does that holds no memory of its own.
macro_rules! trims {
    ($($inner:ident),*) => {
        fn trim_shared(&self) -> Option<usize> {
            Some(0 $(+ self.$inner().trim_shared())*)
        }
    };
}

offer! {
    () Limit<Parent> = c"limit"; {
        trims!(inner);
    }
    () Stats<Parent> = c"stats"; {
        trims!(inner);
    }
    () Counted<Parent> = c"counted"; {
        trims!(inner);
    }
    () FailNth<Parent> = c"fail nth"; {
        trims!(inner);
    }
    () Fallback<Parent, Parent> = c"fallback"; {
        trims!(first, second);
    }
    () Segregator<Parent, Parent> = c"segregate"; {
        trims!(small, large);
    }
    () Observe<Parent, EventObserver> = c"observe"; {
        trims!(inner);
    }
    () Checked<Parent> = c"checked"; {
        held!();
        trims!(inner);
    }
    () Canary<Parent> = c"canary"; {
        trims!(inner);
    }
    () Quarantine<Parent, HELD> = c"quarantine"; {
        held!();
    }
    () Poison<Parent> = c"poison"; {
        trims!(inner);
    }
    () Zeroed<Parent> = c"zeroed"; {
        trims!(inner);
    }
}

#[cfg(any(feature = "valgrind", feature = "asan"))]
offer! {
    () millpond::guard::ToolAnnotated<Parent, HELD> = c"visible"; {
        held!();
    }
}

/// Declares the options of a guard: common ones and its own. Zeros are defaults.
macro_rules! guard_options {
    ($(#[$doc:meta])* $name:ident { $($member:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        #[allow(missing_docs, reason = "documented in include/millpond.h")]
        pub struct $name {
            pub struct_size: usize,
            pub inner: *mut mp_allocator,
            pub out_of_memory: mp_out_of_memory,
            $(pub $member: $type,)*
        }

        // SAFETY: the type is `repr(C)`, begins with its size, and consists of integers and nullable pointers.
        unsafe impl VersionedStruct for $name {}

        impl $name {
            /// Returns the inner allocator, and how to make the guard.
            ///
            /// # Safety
            ///
            /// The inner allocator must be null, or valid and outlive the guard.
            unsafe fn common(&self) -> Result<(Parent, Make), MpError> {
                // SAFETY: the caller guarantees that it is null, or valid and outlives the guard.
                let inner = unsafe { Parent::new(self.inner)? };
                let make = Make {
                    default_align: inner.default_align(),
                    out_of_memory: OutOfMemory::new(self.out_of_memory)?,
                    cannot_reclaim: !inner.can_reset(),
                    ..Make::default()
                };
                Ok((inner, make))
            }
        }
    };
}

guard_options! {
    /// Options of guards.
    mp_guard_options {
        name: *const c_char,
        on_misuse: Option<mp_misuse_fn>,
        misuse_context: *mut c_void,
        hold: usize,
    }
}

guard_options! {
    /// Options of a limiting guard.
    mp_limit_options {
        bytes: usize,
        blocks: usize,
    }
}

guard_options! {
    /// Options of a guard that makes requests fail.
    mp_fail_nth_options {
        only: usize,
        every: usize,
        after: usize,
    }
}

guard_options! {
    /// Options of an observing guard.
    mp_observe_options {
        on_event: Option<mp_event_fn>,
        event_context: *mut c_void,
    }
}

guard_options! {
    /// Options of a guard with two inner allocators.
    mp_pair_options {
        other: *mut mp_allocator,
        largest: usize,
    }
}

/// Defines functions that create guards from options.
macro_rules! create {
    ($(#[$doc:meta])* $create:ident($options:ident) = |$read:ident, $inner:ident, $make:ident| $guard:expr) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// The requirements in `millpond.h` apply.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $create(options: *const $options) -> *mut mp_allocator {
            // SAFETY: the header requires options that are null or as long as their first word says.
            pointer(unsafe { read(options) }.and_then(|$read| {
                // SAFETY: as above.
                let ($inner, $make) = unsafe { $read.common()? };
                $guard
            }))
        }
    };
}

/// Prepares a guard that detects misuse, with a name and a callback.
macro_rules! watching {
    ($read:ident, $make:ident, $usual:literal, vets: $vets:literal, |$reporter:ident| $guard:expr) => {{
        // SAFETY: the header requires a C string, and a function that may be called as long as the guard exists.
        let callback = unsafe { MisuseCallback::new($read.name, $usual, $read.on_misuse, $read.misuse_context) };
        let callback = callback.vetting($vets);
        // SAFETY: an exported allocator drops its callback after the inner allocator.
        let $reporter = unsafe { callback.reporter() };
        Ok(Exported::make($guard, Make { callback: Some(callback), ..$make }))
    }};
}

create! {
    /// Counts live blocks.
    mp_counted_create(mp_guard_options) = |options, inner, make| {
        plain(&options)?;
        Ok(Exported::make(Counted::new(inner), make))
    }
}

create! {
    /// Counts blocks, bytes and failures.
    mp_counting_create(mp_guard_options) = |options, inner, make| {
        plain(&options)?;
        Ok(Exported::make(Stats::new(inner), make))
    }
}

create! {
    /// Zeroes blocks that are freed.
    mp_zeroed_create(mp_guard_options) = |options, inner, make| {
        plain(&options)?;
        Ok(Exported::make(Zeroed::new(inner), make))
    }
}

create! {
    /// Fills blocks that are handed out or freed.
    mp_poison_create(mp_guard_options) = |options, inner, make| {
        plain(&options)?;
        Ok(Exported::make(Poison::new(inner), make))
    }
}

create! {
    /// Detects wrong frees and resizes, and leaks.
    mp_checked_create(mp_guard_options) = |options, inner, make| {
        watching!(options, make, "checked", vets: true, |reporter| Checked::new(inner).reporting(reporter))
    }
}

create! {
    /// Detects writes before or after a block.
    mp_canary_create(mp_guard_options) = |options, inner, make| {
        watching!(options, make, "canary", vets: false, |reporter| Canary::new(inner).reporting(reporter))
    }
}

create! {
    /// Holds back freed blocks, and detects writes to them.
    mp_quarantine_create(mp_guard_options) = |options, inner, make| {
        watching!(options, make, "quarantine", vets: false, |reporter| {
            let guard = Quarantine::<Parent, HELD>::around(inner).reporting(reporter);
            if options.hold == 0 { guard } else { guard.holding(options.hold) }
        })
    }
}

#[cfg(any(feature = "valgrind", feature = "asan"))]
create! {
    /// Reports blocks to valgrind and AddressSanitizer.
    mp_tool_annotated_create(mp_guard_options) = |options, inner, make| {
        watching!(options, make, "visible", vets: true, |reporter| {
            let guard = millpond::guard::ToolAnnotated::<Parent, HELD>::around(inner).reporting(reporter);
            if options.hold == 0 { guard } else { guard.holding(options.hold) }
        })
    }
}

/// Fails, because the library was built without the features that this guard needs.
///
/// # Safety
///
/// None.
#[cfg(not(any(feature = "valgrind", feature = "asan")))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_tool_annotated_create(_: *const mp_guard_options) -> *mut mp_allocator {
    pointer(Err(MpError::unsupported(
        "the library was built without support for valgrind or AddressSanitizer",
    )))
}

create! {
    /// Limits the live bytes or blocks.
    mp_limit_create(mp_limit_options) = |options, inner, make| match (options.bytes, options.blocks) {
        (bytes, 0) if bytes != 0 => Ok(Exported::make(Limit::bytes(inner, bytes), make)),
        (0, blocks) if blocks != 0 => Ok(Exported::make(Limit::blocks(inner, blocks), make)),
        _ => Err(MpError::invalid("a limit is one of bytes or of blocks")),
    }
}

create! {
    /// Makes some requests fail.
    mp_fail_nth_create(mp_fail_nth_options) = |options, inner, make| match (options.only, options.every, options.after) {
        (only, 0, 0) if only != 0 => Ok(Exported::make(FailNth::only(inner, only), make)),
        (0, every, 0) if every != 0 => Ok(Exported::make(FailNth::every(inner, every), make)),
        (0, 0, after) => Ok(Exported::make(FailNth::after(inner, after), make)),
        _ => Err(MpError::invalid("at most one of only, every and after is set")),
    }
}

create! {
    /// Calls a function on every event.
    mp_observe_create(mp_observe_options) = |options, inner, make| match options.on_event {
        Some(call) => {
            let watcher = EventObserver { call, context: options.event_context };
            Ok(Exported::make(Observe::new(inner, watcher), make))
        }
        None => Err(MpError::invalid("on_event is not set")),
    }
}

create! {
    /// Tries one allocator, and another if that fails.
    mp_fallback_create(mp_pair_options) = |options, inner, make| {
        if !inner.can_tell_owner() {
            return Err(MpError::unsupported("inner cannot tell its own blocks: its table lacks owns"));
        }
        // SAFETY: the header requires a valid allocator that outlives the guard.
        let other = unsafe { Parent::new(options.other)? };
        let cannot_reclaim = make.cannot_reclaim || !other.can_reset();
        Ok(Exported::make(Fallback::new(inner, other), Make { cannot_reclaim, ..make }))
    }
}

create! {
    /// Serves small blocks from one allocator and large ones from another.
    mp_segregator_create(mp_pair_options) = |options, inner, make| {
        if options.largest == 0 {
            return Err(MpError::invalid("largest, the largest size that is small, is not set"));
        }
        // SAFETY: as above.
        let other = unsafe { Parent::new(options.other)? };
        let cannot_reclaim = make.cannot_reclaim || !other.can_reset();
        Ok(Exported::make(Segregator::new(options.largest, inner, other), Make { cannot_reclaim, ..make }))
    }
}

/// Refuses options that this guard does not use.
fn plain(options: &mp_guard_options) -> Result<(), MpError> {
    if options.on_misuse.is_some() { Err(crate::misuse::no_detection()) } else { Ok(()) }
}

/// A callback for events.
pub(crate) struct EventObserver {
    call: mp_event_fn,
    context: *mut c_void,
}

impl Observer for EventObserver {
    fn note(&self, event: Event) {
        let mut told = mp_event {
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
                (told.kind, told.address) = (MP_ALLOCATED, pointer(address));
                (told.size, told.align) = (layout.size(), layout.align());
            }
            Event::Grew { address, size } => {
                (told.kind, told.address, told.size) = (MP_GREW, pointer(address), size);
            }
            Event::Resized { from, to, old, new } => {
                (told.kind, told.address, told.from) = (MP_RESIZED, pointer(to), pointer(from));
                (told.size, told.align, told.old_size) = (new.size(), new.align(), old.size());
            }
            Event::Freed { address, layout } => {
                (told.kind, told.address) = (MP_FREED, pointer(address));
                (told.size, told.align) = (layout.size(), layout.align());
            }
            Event::Failed { layout, error } => {
                (told.kind, told.error) = (MP_FAILED, MpError::from(error).code);
                (told.size, told.align) = (layout.size(), layout.align());
            }
            _ => return,
        }
        // SAFETY: the header requires a function with this signature that may be called with this context.
        unsafe { (self.call)(self.context, &raw const told) };
    }
}
