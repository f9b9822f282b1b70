//! Guards: allocators around others, with one job each.

use std::ffi::CStr;

use millpond::{
    Inspect, Reclaim,
    guard::{
        Canary, Checked, Counted, FailNth, Fallback, Limit, Poison, Quarantine, Segregator, Stats, Zeroed,
    },
    observe::Reporter,
    raw::AtFork,
};

use crate::{
    abi::*,
    error::MpError,
    exported::{Created, Export, Exported, Make},
    misuse::{MisuseCallback, no_detection},
    options::{
        GuardCommon, create, mp_fail_nth_options, mp_guard_options, mp_limit_options, mp_pair_options,
    },
    parent::Parent,
};

/// Max freed blocks held back.
const HELD: usize = 256;

impl Export for Limit<Parent> {
    const NAME: &'static CStr = c"limit";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|guard| guard);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|guard| guard);
    const TRIM_SHARED: Option<fn(&Self) -> usize> = Some(|guard| guard.inner().trim_shared());
}

impl Export for Stats<Parent> {
    const NAME: &'static CStr = c"stats";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|guard| guard);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|guard| guard);
    const TRIM_SHARED: Option<fn(&Self) -> usize> = Some(|guard| guard.inner().trim_shared());
}

impl Export for Counted<Parent> {
    const NAME: &'static CStr = c"counted";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|guard| guard);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|guard| guard);
    const TRIM_SHARED: Option<fn(&Self) -> usize> = Some(|guard| guard.inner().trim_shared());
}

impl Export for FailNth<Parent> {
    const NAME: &'static CStr = c"fail nth";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|guard| guard);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|guard| guard);
    const TRIM_SHARED: Option<fn(&Self) -> usize> = Some(|guard| guard.inner().trim_shared());
}

impl Export for Poison<Parent> {
    const NAME: &'static CStr = c"poison";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|guard| guard);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|guard| guard);
    const TRIM_SHARED: Option<fn(&Self) -> usize> = Some(|guard| guard.inner().trim_shared());
}

impl Export for Zeroed<Parent> {
    const NAME: &'static CStr = c"zeroed";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|guard| guard);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|guard| guard);
    const TRIM_SHARED: Option<fn(&Self) -> usize> = Some(|guard| guard.inner().trim_shared());
}

impl Export for Canary<Parent> {
    const NAME: &'static CStr = c"canary";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|guard| guard);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|guard| guard);
    const TRIM_SHARED: Option<fn(&Self) -> usize> = Some(|guard| guard.inner().trim_shared());
}

impl Export for Checked<Parent> {
    const NAME: &'static CStr = c"checked";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|guard| guard);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|guard| guard);
    const TRIM_SHARED: Option<fn(&Self) -> usize> = Some(|guard| guard.inner().trim_shared());
    const AT_FORK: Option<fn(&Self) -> &dyn AtFork> = Some(|guard| guard);
}

impl Export for Quarantine<Parent, HELD> {
    const NAME: &'static CStr = c"quarantine";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|guard| guard);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|guard| guard);
    const AT_FORK: Option<fn(&Self) -> &dyn AtFork> = Some(|guard| guard);
}

#[cfg(any(feature = "valgrind", feature = "asan"))]
impl Export for millpond::guard::ToolAnnotated<Parent, HELD> {
    const NAME: &'static CStr = c"visible";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|guard| guard);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|guard| guard);
    const AT_FORK: Option<fn(&Self) -> &dyn AtFork> = Some(|guard| guard);
}

impl Export for Fallback<Parent, Parent> {
    const NAME: &'static CStr = c"fallback";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|guard| guard);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|guard| guard);
    const TRIM_SHARED: Option<fn(&Self) -> usize> =
        Some(|guard| guard.first().trim_shared() + guard.second().trim_shared());
}

impl Export for Segregator<Parent, Parent> {
    const NAME: &'static CStr = c"segregate";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|guard| guard);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|guard| guard);
    const TRIM_SHARED: Option<fn(&Self) -> usize> =
        Some(|guard| guard.small().trim_shared() + guard.large().trim_shared());
}

/// Creates a guard that detects no misuse, so a callback for misuse is an error.
fn silent<G: Export>(
    options: &mp_guard_options,
    GuardCommon { inner, make }: GuardCommon,
    guard: impl FnOnce(Parent) -> G,
) -> Created {
    if options.on_misuse.is_some() {
        return Err(no_detection());
    }
    Exported::make(guard(inner), make)
}

/// Creates a guard that detects misuse, with a name and a callback. `vets`: see [`MisuseCallback::vetting`].
///
/// # Safety
///
/// The options must fulfil the requirements in `millpond.h`.
unsafe fn reporting<G: Export>(
    options: &mp_guard_options,
    GuardCommon { inner, make }: GuardCommon,
    usual_name: &str,
    vets: bool,
    guard: impl FnOnce(Parent, Reporter) -> G,
) -> Created {
    // SAFETY: the header requires a C string, and a function that may be called as long as the guard exists.
    let callback =
        unsafe { MisuseCallback::new(options.name, usual_name, options.on_misuse, options.misuse_context) };
    let callback = callback.vetting(vets);
    // SAFETY: an exported allocator drops its callback after the inner allocator.
    let guard = guard(inner, unsafe { callback.reporter() });
    Exported::make(guard, Make { callback: Some(callback), ..make })
}

/// Returns the second inner allocator, and how to make a guard around both.
///
/// # Safety
///
/// The second allocator must be null, or valid and outlive the guard.
unsafe fn second(options: &mp_pair_options, make: Make) -> Result<(Parent, Make), MpError> {
    // SAFETY: the caller guarantees that it is null, or valid and outlives the guard.
    let other = unsafe { Parent::new(options.other)? };
    let cannot_reclaim = make.cannot_reclaim || !other.can_reset();
    Ok((other, Make { cannot_reclaim, ..make }))
}

/// Counts live blocks.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_counted_create(options: *const mp_guard_options) -> *mut mp_allocator {
    // SAFETY: the callee has the same requirements as this function.
    unsafe { create(options, |options, common| silent(options, common, Counted::new)) }
}

/// Counts blocks, bytes and failures.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_counting_create(options: *const mp_guard_options) -> *mut mp_allocator {
    // SAFETY: the callee has the same requirements as this function.
    unsafe { create(options, |options, common| silent(options, common, Stats::new)) }
}

/// Zeroes blocks that are freed.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_zeroed_create(options: *const mp_guard_options) -> *mut mp_allocator {
    // SAFETY: the callee has the same requirements as this function.
    unsafe { create(options, |options, common| silent(options, common, Zeroed::new)) }
}

/// Fills blocks that are handed out or freed.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_poison_create(options: *const mp_guard_options) -> *mut mp_allocator {
    // SAFETY: the callee has the same requirements as this function.
    unsafe { create(options, |options, common| silent(options, common, Poison::new)) }
}

/// Detects wrong frees and resizes, and leaks.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_checked_create(options: *const mp_guard_options) -> *mut mp_allocator {
    let guard = |inner, reporter| Checked::new(inner).reporting(reporter);
    // SAFETY: the callees have the same requirements as this function.
    unsafe { create(options, |options, common| reporting(options, common, "checked", true, guard)) }
}

/// Detects writes before or after a block.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_canary_create(options: *const mp_guard_options) -> *mut mp_allocator {
    let guard = |inner, reporter| Canary::new(inner).reporting(reporter);
    // SAFETY: the callees have the same requirements as this function.
    unsafe { create(options, |options, common| reporting(options, common, "canary", false, guard)) }
}

/// Holds back freed blocks, and detects writes to them.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_quarantine_create(options: *const mp_guard_options) -> *mut mp_allocator {
    // SAFETY: the callees have the same requirements as this function.
    unsafe {
        create(options, |options, common| {
            reporting(options, common, "quarantine", false, |inner, reporter| {
                let guard = Quarantine::<Parent, HELD>::around(inner).reporting(reporter);
                if options.hold == 0 { guard } else { guard.holding(options.hold) }
            })
        })
    }
}

/// Reports blocks to valgrind and AddressSanitizer.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[cfg(any(feature = "valgrind", feature = "asan"))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_tool_annotated_create(options: *const mp_guard_options) -> *mut mp_allocator {
    // SAFETY: the callees have the same requirements as this function.
    unsafe {
        create(options, |options, common| {
            reporting(options, common, "visible", true, |inner, reporter| {
                let guard = millpond::guard::ToolAnnotated::<Parent, HELD>::around(inner).reporting(reporter);
                if options.hold == 0 { guard } else { guard.holding(options.hold) }
            })
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
    crate::exported::pointer(Err(MpError::unsupported(
        "the library was built without valgrind and AddressSanitizer: enable its feature valgrind or asan",
    )))
}

/// Limits the live bytes or blocks.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_limit_create(options: *const mp_limit_options) -> *mut mp_allocator {
    let limit =
        |options: &mp_limit_options, GuardCommon { inner, make }| match (options.bytes, options.blocks) {
            (bytes, 0) if bytes != 0 => Exported::make(Limit::bytes(inner, bytes), make),
            (0, blocks) if blocks != 0 => Exported::make(Limit::blocks(inner, blocks), make),
            _ => Err(MpError::invalid("set exactly one of bytes and blocks")),
        };
    // SAFETY: the callee has the same requirements as this function.
    unsafe { create(options, limit) }
}

/// Makes some requests fail.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_fail_nth_create(options: *const mp_fail_nth_options) -> *mut mp_allocator {
    let fail_nth = |options: &mp_fail_nth_options, GuardCommon { inner, make }| {
        let guard = match (options.only, options.every, options.after) {
            (only, 0, 0) if only != 0 => FailNth::only(inner, only),
            (0, every, 0) if every != 0 => FailNth::every(inner, every),
            (0, 0, after) => FailNth::after(inner, after),
            _ => return Err(MpError::invalid("set at most one of only, every and after")),
        };
        Exported::make(guard, make)
    };
    // SAFETY: the callee has the same requirements as this function.
    unsafe { create(options, fail_nth) }
}

/// Tries one allocator, and another if that fails.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_fallback_create(options: *const mp_pair_options) -> *mut mp_allocator {
    let fallback = |options: &mp_pair_options, GuardCommon { inner, make }| {
        if !inner.can_tell_owner() {
            return Err(MpError::unsupported(
                "inner must recognise its own blocks: use an allocator whose table has owns",
            ));
        }
        // SAFETY: the header requires a valid allocator that outlives the guard.
        let (other, make) = unsafe { second(options, make)? };
        Exported::make(Fallback::new(inner, other), make)
    };
    // SAFETY: the callee has the same requirements as this function.
    unsafe { create(options, fallback) }
}

/// Serves small blocks from one allocator and large ones from another.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_segregator_create(options: *const mp_pair_options) -> *mut mp_allocator {
    let segregator = |options: &mp_pair_options, GuardCommon { inner, make }| {
        if options.largest == 0 {
            return Err(MpError::invalid("largest is 0: set it to the largest size that inner shall serve"));
        }
        // SAFETY: as above.
        let (other, make) = unsafe { second(options, make)? };
        Exported::make(Segregator::new(options.largest, inner, other), make)
    };
    // SAFETY: the callee has the same requirements as this function.
    unsafe { create(options, segregator) }
}
