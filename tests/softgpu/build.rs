// SPDX-License-Identifier: MIT OR Apache-2.0

//! The library is found by the name of the driver's, whatever its file is called.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcuda.so.1");
}
