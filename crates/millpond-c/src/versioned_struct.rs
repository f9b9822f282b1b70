//! Structures that can grow from version to version, because they begin with their size.

use crate::error::MpError;

/// A structure that C passes: it begins with its size in bytes, and all zeros mean all defaults.
///
/// # Safety
///
/// The type must be `repr(C)` and begin with its size as a `usize`, and all zeros must be a valid value.
pub(crate) unsafe trait VersionedStruct: Copy {}

/// Reads options, as far as the caller's structure reaches. The rest, or everything for NULL, is zero.
///
/// # Safety
///
/// `options` must be null, or as long as its first word says.
pub(crate) unsafe fn read<T: VersionedStruct>(options: *const T) -> Result<T, MpError> {
    // SAFETY: the trait guarantees that zeros are a valid value.
    let mut copy: T = unsafe { std::mem::zeroed() };
    if options.is_null() {
        return Ok(copy);
    }
    // SAFETY: the structure begins with its size.
    let size = unsafe { options.cast::<usize>().read() };
    if size < size_of::<usize>() {
        return Err(MpError::invalid(
            "struct_size of the options is not set: set it to their sizeof, or use MP_OPTIONS",
        ));
    }
    let known = size.min(size_of::<T>());
    // SAFETY: both the caller's structure and the copy have at least `known` bytes.
    unsafe { options.cast::<u8>().copy_to_nonoverlapping((&raw mut copy).cast(), known) };
    // SAFETY: the caller's structure has `size` bytes. Members that are not known here must be zero.
    let is_unknown = (known..size).any(|at| unsafe { options.cast::<u8>().add(at).read() } != 0);
    if is_unknown {
        return Err(MpError::unsupported(
            "an option is set that this version of the library does not have: update the library",
        ));
    }
    Ok(copy)
}

/// Writes as much of a structure as the caller's has room for, as its first word says; that word is kept.
///
/// # Safety
///
/// `out` must be null, or as long as its first word says.
pub(crate) unsafe fn write_as_long<T: VersionedStruct>(answer: &T, out: *mut T) -> Result<(), MpError> {
    if out.is_null() {
        return Err(MpError::invalid("out is NULL: pass a pointer to an mp_stats"));
    }
    // SAFETY: the structure begins with its size.
    let size = unsafe { out.cast::<usize>().read() };
    if size < size_of::<usize>() {
        return Err(MpError::invalid("struct_size of the mp_stats is not set: set it to sizeof(mp_stats)"));
    }
    let (skip, known) = (size_of::<usize>(), size.min(size_of::<T>()));
    // SAFETY: both structures have at least that many bytes.
    unsafe {
        let from = std::ptr::from_ref(answer).cast::<u8>().add(skip);
        from.copy_to_nonoverlapping(out.cast::<u8>().add(skip), known - skip);
    }
    Ok(())
}
