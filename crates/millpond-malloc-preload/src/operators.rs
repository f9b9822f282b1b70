//! `operator new` and `operator delete` of C++, all twenty, under their mangled names.
//!
//! If there is no memory, a C++ library is to call the handler of the program and to throw, which only that library can.
//! So its operator, which calls `malloc`, is called then.

use core::{
    ffi::{CStr, c_void},
    mem::transmute,
};

use heap::{Family, c};

/// `std::nothrow_t`, of which only the address is passed.
type NoThrow = *const c_void;

/// C++ libraries that may be loaded where the ordinary search does not find them.
const LIBRARIES: [&CStr; 3] = [c"libstdc++.so.6", c"libc++.so.1", c"libc++abi.so.1"];

/// Returns the address of an operator of a C++ library, or ends the program if none is loaded.
#[cold]
fn library_operator(name: &CStr) -> *mut c_void {
    // SAFETY: the name is a C string.
    let next = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if !next.is_null() {
        return next;
    }
    for library in LIBRARIES {
        // SAFETY: the names are C strings; a library that is not loaded is not opened.
        let found = unsafe {
            let handle = libc::dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
            if handle.is_null() { handle } else { libc::dlsym(handle, name.as_ptr()) }
        };
        if !found.is_null() {
            return found;
        }
    }
    c::out_of_memory()
}

/// Defines an operator `new`: its mangled name, its parameters after the size, and what allocates.
macro_rules! new {
    ($($(#[$attribute:meta])* $name:ident($size:ident $(, $parameter:ident: $type:ty)*) = $allocate:expr;)*) => {$(
        $(#[$attribute])*
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C-unwind" fn $name($size: usize $(, $parameter: $type)*) -> *mut c_void {
            let block = $allocate;
            if !block.is_null() {
                return block;
            }
            const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => c"",
            };
            type Operator = unsafe extern "C-unwind" fn(usize $(, $type)*) -> *mut c_void;
            // SAFETY: the C++ library's operator of this name has this type.
            unsafe { transmute::<*mut c_void, Operator>(library_operator(NAME))($size $(, $parameter)*) }
        }
    )*};
}

new! {
    _Znwm(size) = c::new(size, Family::New);
    _Znam(size) = c::new(size, Family::NewArray);
    _ZnwmRKSt9nothrow_t(size, _nothrow: NoThrow) = c::new(size, Family::New);
    _ZnamRKSt9nothrow_t(size, _nothrow: NoThrow) = c::new(size, Family::NewArray);
    _ZnwmSt11align_val_t(size, align: usize) = c::new_aligned(size, align, Family::New);
    _ZnamSt11align_val_t(size, align: usize) = c::new_aligned(size, align, Family::NewArray);
    _ZnwmSt11align_val_tRKSt9nothrow_t(size, align: usize, _nothrow: NoThrow) = c::new_aligned(size, align, Family::New);
    _ZnamSt11align_val_tRKSt9nothrow_t(size, align: usize, _nothrow: NoThrow) = c::new_aligned(size, align, Family::NewArray);
}

/// Defines an operator `delete`: its mangled name, its parameters after the block, its family, and the size and
/// alignment among the parameters.
macro_rules! delete {
    ($($name:ident($($parameter:ident: $type:ty),*) = $family:ident, $size:expr, $align:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(block: *mut c_void $(, $parameter: $type)*) {
            // SAFETY: the program upholds the contract of `operator delete`.
            unsafe { c::delete(block, Family::$family, $size, $align) };
        }
    )*};
}

delete! {
    _ZdlPv() = New, None, None;
    _ZdaPv() = NewArray, None, None;
    _ZdlPvm(size: usize) = New, Some(size), None;
    _ZdaPvm(size: usize) = NewArray, Some(size), None;
    _ZdlPvRKSt9nothrow_t(_nothrow: NoThrow) = New, None, None;
    _ZdaPvRKSt9nothrow_t(_nothrow: NoThrow) = NewArray, None, None;
    _ZdlPvSt11align_val_t(align: usize) = New, None, Some(align);
    _ZdaPvSt11align_val_t(align: usize) = NewArray, None, Some(align);
    _ZdlPvmSt11align_val_t(size: usize, align: usize) = New, Some(size), Some(align);
    _ZdaPvmSt11align_val_t(size: usize, align: usize) = NewArray, Some(size), Some(align);
    _ZdlPvSt11align_val_tRKSt9nothrow_t(align: usize, _nothrow: NoThrow) = New, None, Some(align);
    _ZdaPvSt11align_val_tRKSt9nothrow_t(align: usize, _nothrow: NoThrow) = NewArray, None, Some(align);
}
