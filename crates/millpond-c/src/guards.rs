//! Guards: allocators around others, with one job each.

use std::ffi::{c_char, c_void};

use millpond::{
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

/// How many freed blocks are held back at most.
const HELD: usize = 256;

/// A guard with nothing of its own to give back.
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
    () millpond::ToolAnnotated<Parent, HELD> = c"visible"; {
        held!();
    }
}

/// A structure with options of a guard: what it stands on, and its own. Zeros are defaults.
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

        // SAFETY: `repr(C)`, begins with its size, and has integers and pointers that may be null.
        unsafe impl VersionedStruct for $name {}

        impl $name {
            /// What the guard stands on, and what it is besides.
            ///
            /// # Safety
            ///
            /// The inner allocator is null, or valid and outlives the guard.
            unsafe fn common(&self) -> Result<(Parent, Make), MpError> {
                // SAFETY: the caller's promise.
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
    /// How a guard is made.
    mp_guard_options {
        name: *const c_char,
        on_misuse: Option<mp_misuse_fn>,
        misuse_context: *mut c_void,
        hold: usize,
    }
}

guard_options! {
    /// How a guard that limits is made.
    mp_limit_options {
        bytes: usize,
        blocks: usize,
    }
}

guard_options! {
    /// How a guard that lets requests fail is made.
    mp_fail_nth_options {
        only: usize,
        every: usize,
        after: usize,
    }
}

guard_options! {
    /// How a guard that calls back is made.
    mp_observe_options {
        on_event: Option<mp_event_fn>,
        event_context: *mut c_void,
    }
}

guard_options! {
    /// How a guard with two behind it is made.
    mp_pair_options {
        other: *mut mp_allocator,
        largest: usize,
    }
}

/// A function that makes a guard from options of a type.
macro_rules! create {
    ($(#[$doc:meta])* $create:ident($options:ident) = |$read:ident, $inner:ident, $make:ident| $guard:expr) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// As the header says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $create(options: *const $options) -> *mut mp_allocator {
            // SAFETY: the caller's promises are passed on.
            pointer(unsafe { read(options) }.and_then(|$read| {
                // SAFETY: as above.
                let ($inner, $make) = unsafe { $read.common()? };
                $guard
            }))
        }
    };
}

/// A guard that finds misuse, with a name and somebody to tell.
macro_rules! watching {
    ($read:ident, $make:ident, $usual:literal, vets: $vets:literal, |$reporter:ident| $guard:expr) => {{
        // SAFETY: the header asks for a text, and for a function that may be called as long as the guard lives.
        let callback = unsafe { MisuseCallback::new($read.name, $usual, $read.on_misuse, $read.misuse_context) };
        let callback = callback.vetting($vets);
        // SAFETY: an exported allocator drops its voice after itself.
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
    /// Counts everything.
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
    /// Finds what is freed or resized wrongly, and leaks.
    mp_checked_create(mp_guard_options) = |options, inner, make| {
        watching!(options, make, "checked", vets: true, |reporter| Checked::new(inner).reporting(reporter))
    }
}

create! {
    /// Finds what is written behind a block.
    mp_canary_create(mp_guard_options) = |options, inner, make| {
        watching!(options, make, "canary", vets: false, |reporter| Canary::new(inner).reporting(reporter))
    }
}

create! {
    /// Holds freed blocks back, and finds what is written to them.
    mp_quarantine_create(mp_guard_options) = |options, inner, make| {
        watching!(options, make, "quarantine", vets: false, |reporter| {
            let guard = Quarantine::<Parent, HELD>::around(inner).reporting(reporter);
            if options.hold == 0 { guard } else { guard.holding(options.hold) }
        })
    }
}

#[cfg(any(feature = "valgrind", feature = "asan"))]
create! {
    /// Lets valgrind and AddressSanitizer see blocks.
    mp_tool_annotated_create(mp_guard_options) = |options, inner, make| {
        watching!(options, make, "visible", vets: true, |reporter| {
            let guard = millpond::ToolAnnotated::<Parent, HELD>::around(inner).reporting(reporter);
            if options.hold == 0 { guard } else { guard.holding(options.hold) }
        })
    }
}

/// Without the features that it takes, the guard is not to be had, but its name is.
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
    /// Lets so many bytes, or blocks, through.
    mp_limit_create(mp_limit_options) = |options, inner, make| match (options.bytes, options.blocks) {
        (bytes, 0) if bytes != 0 => Ok(Exported::make(Limit::bytes(inner, bytes), make)),
        (0, blocks) if blocks != 0 => Ok(Exported::make(Limit::blocks(inner, blocks), make)),
        _ => Err(MpError::invalid("a limit is one of bytes or of blocks")),
    }
}

create! {
    /// Lets some requests fail.
    mp_fail_nth_create(mp_fail_nth_options) = |options, inner, make| match (options.only, options.every, options.after) {
        (only, 0, 0) if only != 0 => Ok(Exported::make(FailNth::only(inner, only), make)),
        (0, every, 0) if every != 0 => Ok(Exported::make(FailNth::every(inner, every), make)),
        (0, 0, after) => Ok(Exported::make(FailNth::after(inner, after), make)),
        _ => Err(MpError::invalid("at most one of only, every and after is set")),
    }
}

create! {
    /// Calls back on every event.
    mp_observe_create(mp_observe_options) = |options, inner, make| match options.on_event {
        Some(call) => {
            let watcher = EventObserver { call, context: options.event_context };
            Ok(Exported::make(Observe::new(inner, watcher), make))
        }
        None => Err(MpError::invalid("on_event is not set")),
    }
}

create! {
    /// Asks one allocator, and another when that fails.
    mp_fallback_create(mp_pair_options) = |options, inner, make| {
        if !inner.can_tell_owner() {
            return Err(MpError::unsupported("inner cannot tell its own blocks: its table lacks owns"));
        }
        // SAFETY: the header asks for a valid allocator that outlives the guard.
        let other = unsafe { Parent::new(options.other)? };
        let cannot_reclaim = make.cannot_reclaim || !other.can_reset();
        Ok(Exported::make(Fallback::new(inner, other), Make { cannot_reclaim, ..make }))
    }
}

create! {
    /// Asks one allocator for small blocks and another for large ones.
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

/// Refuses options that such a guard has no use for.
fn plain(options: &mp_guard_options) -> Result<(), MpError> {
    if options.on_misuse.is_some() { Err(crate::misuse::no_detection()) } else { Ok(()) }
}

/// A function of the caller's that hears of events.
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
        // SAFETY: the function is the caller's, and takes what the header says.
        unsafe { (self.call)(self.context, &raw const told) };
    }
}
