//! `operator new` and `operator delete` of C++, all twenty, under their mangled names.
//!
//! If there is no memory, a C++ library is to call the handler of the program and to throw, which only that library can.
//! So its operator, which calls `malloc`, is called then. In a statically linked program this library's operators are the
//! only ones; there, functions of the C++ library on which its operators are built do the same.

use core::{
    arch::asm,
    ffi::{CStr, c_char, c_int, c_void},
    mem::transmute,
};

use heap::{Family, c};

/// `std::nothrow_t`, of which only the address is passed.
type NoThrow = *const c_void;

/// C++ libraries that may be loaded where the ordinary search does not find them.
const LIBRARIES: [&CStr; 3] = [c"libstdc++.so.6", c"libc++.so.1", c"libc++abi.so.1"];

type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
type Handler = extern "C-unwind" fn();

/// Returns the address of an operator of a C++ library, or null if none is loaded.
#[cold]
fn library_operator(name: &CStr) -> *mut c_void {
    // SAFETY: the names are C strings.
    let (next, open) = unsafe {
        // Not called by its name, which the linker of a static program would warn of.
        let open = libc::dlsym(libc::RTLD_DEFAULT, c"dlopen".as_ptr());
        (libc::dlsym(libc::RTLD_NEXT, name.as_ptr()), open)
    };
    if !next.is_null() || open.is_null() {
        return next;
    }
    for library in LIBRARIES {
        // SAFETY: the names are C strings, and this is the type of `dlopen`; a library that is not loaded is not opened.
        let found = unsafe {
            let open = transmute::<*mut c_void, Open>(open);
            let handle = open(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
            if handle.is_null() { handle } else { libc::dlsym(handle, name.as_ptr()) }
        };
        if !found.is_null() {
            return found;
        }
    }
    next
}

/// Calls the handler of a statically linked program. Without one it throws, if it may; otherwise returns `false`.
#[cold]
fn call_handler(may_throw: bool) -> bool {
    let (get_handler, throw): (*mut c_void, *mut c_void);
    // SAFETY: reads the addresses of functions, which are 0 if the program has none.
    unsafe {
        asm!(
            ".weak _ZSt15get_new_handlerv",
            ".weak _ZSt17__throw_bad_allocv",
            "mov {get_handler}, qword ptr [rip + _ZSt15get_new_handlerv@GOTPCREL]",
            "mov {throw}, qword ptr [rip + _ZSt17__throw_bad_allocv@GOTPCREL]",
            get_handler = out(reg) get_handler,
            throw = out(reg) throw,
            options(nostack, preserves_flags),
        );
    }
    if !get_handler.is_null() {
        // SAFETY: this is the type of `std::get_new_handler`.
        let get_handler =
            unsafe { transmute::<*mut c_void, extern "C" fn() -> Option<Handler>>(get_handler) };
        if let Some(handler) = get_handler() {
            handler();
            return true;
        }
    }
    if may_throw {
        if throw.is_null() {
            c::out_of_memory();
        }
        // SAFETY: this is the type of libstdc++'s `__throw_bad_alloc`, which does not return.
        unsafe { transmute::<*mut c_void, Handler>(throw)() };
    }
    false
}

/// Defines an operator `new`: its mangled name, its parameters after the size, whether it throws, and what allocates.
macro_rules! new {
    ($($name:ident($size:ident $(, $parameter:ident: $type:ty)*) = $throws:expr, $allocate:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C-unwind" fn $name($size: usize $(, $parameter: $type)*) -> *mut c_void {
            const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => c"",
            };
            type Operator = unsafe extern "C-unwind" fn(usize $(, $type)*) -> *mut c_void;
            loop {
                let block = $allocate;
                if !block.is_null() {
                    return block;
                }
                let operator = library_operator(NAME);
                if !operator.is_null() {
                    // SAFETY: the C++ library's operator of this name has this type.
                    return unsafe { transmute::<*mut c_void, Operator>(operator)($size $(, $parameter)*) };
                }
                if !call_handler($throws) {
                    return block;
                }
            }
        }
    )*};
}

new! {
    _Znwm(size) = true, c::new(size, Family::New);
    _Znam(size) = true, c::new(size, Family::NewArray);
    _ZnwmRKSt9nothrow_t(size, _nothrow: NoThrow) = false, c::new(size, Family::New);
    _ZnamRKSt9nothrow_t(size, _nothrow: NoThrow) = false, c::new(size, Family::NewArray);
    _ZnwmSt11align_val_t(size, align: usize) = true, c::new_aligned(size, align, Family::New);
    _ZnamSt11align_val_t(size, align: usize) = true, c::new_aligned(size, align, Family::NewArray);
    _ZnwmSt11align_val_tRKSt9nothrow_t(size, align: usize, _nothrow: NoThrow) = false, c::new_aligned(size, align, Family::New);
    _ZnamSt11align_val_tRKSt9nothrow_t(size, align: usize, _nothrow: NoThrow) = false, c::new_aligned(size, align, Family::NewArray);
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
