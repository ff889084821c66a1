// SPDX-License-Identifier: MIT OR Apache-2.0

//! Puts the software GPU in the driver's place for a test that uses cudarc.

use std::ffi::CString;
use std::sync::{Arc, Once};

use cudarc::driver::CudaContext;

/// Loads the library before cudarc looks for one: the system's loader then finds it by its name, which is the driver's.
pub fn load() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut path = std::env::current_exe().expect("a test has a path");
        path.set_file_name("libsoftgpu.so");
        let path = CString::new(path.to_str().expect("a path in UTF-8")).expect("a path without zeros");
        // SAFETY: the library runs nothing when it is loaded.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        assert!(!handle.is_null(), "{path:?} cannot be loaded");
        // SAFETY: no other thread reads the environment before this has run.
        unsafe { std::env::set_var("SOFTGPU_SEED", "1") };
    });
}

pub fn context() -> Arc<CudaContext> {
    load();
    CudaContext::new(0).expect("the software GPU is there")
}
