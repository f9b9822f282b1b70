//! Heap maps: drawings of what an allocator's memory is used for.

use std::{
    ffi::{CStr, c_char, c_void},
    fmt::{self, Write},
};

use millpond::observe::InspectExt;

use crate::{abi::*, error::MpError, parent::Parent};

/// A callback that receives a text in pieces.
struct Sink {
    write: mp_write_fn,
    context: *mut c_void,
}

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the header requires a function with this signature that may be called with this context.
        let goes_on = unsafe { (self.write)(self.context, text.as_ptr().cast(), text.len()) };
        if goes_on { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Cells per chunk in an SVG, and columns on a terminal.
const CELLS: usize = 512;
const COLUMNS: usize = 80;

/// Draws what the memory of an allocator is used for.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_heap_map(
    allocator: *const mp_allocator,
    format: u32,
    title: *const c_char,
    write: Option<mp_write_fn>,
    context: *mut c_void,
) -> mp_error {
    let Some(write) = write else { return MpError::invalid("write is NULL: pass a function").note() };
    if allocator.is_null() {
        return MpError::invalid("allocator is NULL: pass an allocator").note();
    }
    // SAFETY: the header requires a valid allocator, and a C string or NULL.
    let (parent, title) = unsafe {
        let title = if title.is_null() { crate::general::mp_name(allocator) } else { title };
        (Parent::new(allocator.cast_mut()), CStr::from_ptr(title).to_string_lossy())
    };
    let parent = match parent {
        Ok(parent) if parent.can_paint() => parent,
        Ok(_) => {
            return MpError::unsupported("this allocator has no heap map: its table lacks render").note();
        }
        Err(error) => return error.note(),
    };
    let map = parent.heap_map(if format == MP_SVG { CELLS } else { COLUMNS });
    let (view, mut sink) = (map.view(), Sink { write, context });
    let written = match format {
        MP_SVG => write!(sink, "{}", view.svg(&title)),
        MP_TEXT => write!(sink, "{}", view.text(COLUMNS)),
        MP_ASCII => write!(sink, "{}", view.ascii(COLUMNS)),
        _ => return MpError::invalid("format is unknown: set it to MP_SVG, MP_TEXT or MP_ASCII").note(),
    };
    if written.is_ok() { MP_OK } else { MpError::STOPPED.note() }
}
