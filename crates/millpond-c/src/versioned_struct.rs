//! Structures that can grow from version to version, because they begin with their size.

use crate::error::MpError;

/// A structure that C passes: it begins with its size in bytes, and all zeros mean all defaults.
///
/// # Safety
///
/// It is `repr(C)`, begins with its size as a `usize`, and zeros are valid for all of it.
pub(crate) unsafe trait VersionedStruct: Copy {}

/// Reads options: as much of them as the caller knows of. The rest, or all of them for NULL, are zeros.
///
/// # Safety
///
/// `options` is null, or as long as its first word says.
pub(crate) unsafe fn read<T: VersionedStruct>(options: *const T) -> Result<T, MpError> {
    // SAFETY: zeros are valid, says the trait.
    let mut copy: T = unsafe { std::mem::zeroed() };
    if options.is_null() {
        return Ok(copy);
    }
    // SAFETY: the structure begins with its size.
    let size = unsafe { options.cast::<usize>().read() };
    if size < size_of::<usize>() {
        return Err(MpError::invalid("struct_size of the options is not set"));
    }
    let known = size.min(size_of::<T>());
    // SAFETY: the caller's structure is so long, and so is the copy.
    unsafe { options.cast::<u8>().copy_to_nonoverlapping((&raw mut copy).cast(), known) };
    // SAFETY: the caller's structure is so long; what is beyond what is known here must not be asked for.
    let is_unknown = (known..size).any(|at| unsafe { options.cast::<u8>().add(at).read() } != 0);
    if is_unknown {
        return Err(MpError::unsupported("an option is asked for that only a later version has"));
    }
    Ok(copy)
}

/// Writes as much of an answer as the caller has room for, which its first word says; that word stays.
///
/// # Safety
///
/// `out` is null, or as long as its first word says.
pub(crate) unsafe fn write_as_long<T: VersionedStruct>(answer: &T, out: *mut T) -> Result<(), MpError> {
    if out.is_null() {
        return Err(MpError::invalid("there is no place for the answer"));
    }
    // SAFETY: the structure begins with its size.
    let size = unsafe { out.cast::<usize>().read() };
    if size < size_of::<usize>() {
        return Err(MpError::invalid("struct_size of the answer is not set"));
    }
    let (skip, known) = (size_of::<usize>(), size.min(size_of::<T>()));
    // SAFETY: both are so long.
    unsafe {
        let from = std::ptr::from_ref(answer).cast::<u8>().add(skip);
        from.copy_to_nonoverlapping(out.cast::<u8>().add(skip), known - skip);
    }
    Ok(())
}
