//! The functions of the unwinder that the standard library calls for a backtrace, as functions that do nothing.
//!
//! A panic aborts, and the release has no unwind tables. With these functions, the linker leaves out the unwinder and the
//! code that reads debug information, which are 230 kB.

use std::ffi::{c_int, c_void};

/// `_URC_END_OF_STACK`: there is no caller.
const END_OF_STACK: c_int = 5;

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_trace: *const c_void, _argument: *mut c_void) -> c_int {
    END_OF_STACK
}

macro_rules! null {
    ($($name:ident($($argument:ty),*);)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($(_: $argument),*) -> usize {
                0
            }
        )*
    };
}

null! {
    _Unwind_GetIP(*mut c_void);
    _Unwind_GetIPInfo(*mut c_void, *mut c_int);
    _Unwind_GetDataRelBase(*mut c_void);
    _Unwind_GetTextRelBase(*mut c_void);
    _Unwind_GetRegionStart(*mut c_void);
    _Unwind_GetLanguageSpecificData(*mut c_void);
}

macro_rules! nothing {
    ($($name:ident($($argument:ty),*);)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($(_: $argument),*) {}
        )*
    };
}

nothing! {
    _Unwind_SetGR(*mut c_void, c_int, usize);
    _Unwind_SetIP(*mut c_void, usize);
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume(_exception: *mut c_void) -> ! {
    std::process::abort()
}
