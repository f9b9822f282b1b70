//! Sources of memory.

use std::{ffi::CStr, mem::MaybeUninit, ptr::NonNull};

use millpond::{
    Buffer, Heap, Inspect, Pages,
    source::{NullAllocator, Numa, ReservedRegion, TunedPages},
};

use crate::{
    abi::*,
    error::MpError,
    exported::{Export, Exported, Make, pointer},
    versioned_struct::{VersionedStruct, read},
};

impl Export for Heap {
    const NAME: &'static CStr = c"heap";
    const CONSTANT: bool = true;
}

impl Export for Pages {
    const NAME: &'static CStr = c"pages";
    const CONSTANT: bool = true;
}

impl Export for NullAllocator {
    const NAME: &'static CStr = c"nothing";
    const CONSTANT: bool = true;
}

impl Export for TunedPages {
    const NAME: &'static CStr = c"tuned pages";
}

impl Export for ReservedRegion {
    const NAME: &'static CStr = c"reserved";
}

impl Export for Buffer<'static> {
    const NAME: &'static CStr = c"buffer";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|buffer| buffer);
}

static HEAP: Exported<Heap> = Exported::constant(Heap);
static PAGES: Exported<Pages> = Exported::constant(Pages);
static NOTHING: Exported<NullAllocator> = Exported::constant(NullAllocator);

/// Returns the heap, which is the default parent.
pub(crate) fn heap() -> NonNull<mp_allocator> {
    NonNull::from(&HEAP.head)
}

/// Returns the system's heap (`malloc`). Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mp_heap() -> *mut mp_allocator {
    heap().as_ptr()
}

/// Returns a source of whole pages from the operating system. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mp_pages() -> *mut mp_allocator {
    (&raw const PAGES.head).cast_mut()
}

/// Returns a source without memory. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mp_null_allocator() -> *mut mp_allocator {
    (&raw const NOTHING.head).cast_mut()
}

/// Options of a source of pages.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "documented in include/millpond.h")]
pub struct mp_pages_options {
    pub struct_size: usize,
    pub guarded: bool,
    pub populated: bool,
    pub huge: u32,
    pub numa: u32,
    pub numa_nodes: u64,
}

// SAFETY: the type is `repr(C)`, begins with its size, and consists of integers and flags.
unsafe impl VersionedStruct for mp_pages_options {}

/// Creates a source of pages with options.
///
/// # Safety
///
/// `options` must be null, or as long as its first word says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_tuned_pages_create(options: *const mp_pages_options) -> *mut mp_allocator {
    // SAFETY: the caller guarantees that `options` is null, or as long as its first word says.
    pointer(unsafe { read(options) }.and_then(|options| {
        let mut pages = TunedPages::new();
        if options.guarded {
            pages = pages.guarded();
        }
        if options.populated {
            pages = pages.populated();
        }
        pages = match options.huge {
            0 => pages,
            MP_HUGE_PREFERRED => pages.transparent_huge_pages(),
            MP_HUGE_REQUIRED => pages.explicit_huge_pages(),
            _ => {
                return Err(MpError::invalid(
                    "huge is unknown: set it to MP_HUGE_NONE, MP_HUGE_PREFERRED or MP_HUGE_REQUIRED",
                ));
            }
        };
        pages = match options.numa {
            0 => pages,
            MP_NUMA_BIND => pages.numa(Numa::Bind(options.numa_nodes)),
            MP_NUMA_INTERLEAVE => pages.numa(Numa::Interleave(options.numa_nodes)),
            _ => {
                return Err(MpError::invalid(
                    "numa is unknown: set it to MP_NUMA_ANY, MP_NUMA_BIND or MP_NUMA_INTERLEAVE",
                ));
            }
        };
        Exported::make(pages, Make::default())
    }))
}

/// Reserves a range of addresses, which is backed by memory as it is used.
#[unsafe(no_mangle)]
pub extern "C" fn mp_reserved_region_create(size: usize) -> *mut mp_allocator {
    let region = ReservedRegion::new(size).map_err(MpError::from);
    pointer(region.and_then(|region| Exported::make(region, Make::default())))
}

/// Creates a source from bytes of the caller.
///
/// # Safety
///
/// `memory` must have `size` bytes, which belong only to the source until it is destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_buffer_create(memory: *mut std::ffi::c_void, size: usize) -> *mut mp_allocator {
    if memory.is_null() || size > isize::MAX.cast_unsigned() {
        return pointer(Err(MpError::invalid(
            "memory must not be NULL, and size must not exceed PTRDIFF_MAX",
        )));
    }
    // SAFETY: the caller guarantees that the bytes belong only to the source; they need not be initialised.
    let bytes = unsafe { std::slice::from_raw_parts_mut(memory.cast::<MaybeUninit<u8>>(), size) };
    pointer(Exported::make(Buffer::new(bytes), Make::default()))
}

/// Returns the number of bytes in a page.
#[unsafe(no_mangle)]
pub extern "C" fn mp_page_size() -> usize {
    Pages::size()
}
