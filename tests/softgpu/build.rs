// SPDX-License-Identifier: MIT OR Apache-2.0

//! The library is found by the name of the driver's, whatever its file is called. It is built for the processor that builds
//! it: a second interpreter for those without vector instructions would double the time to compile it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(vectors)");
    #[cfg(target_arch = "x86_64")]
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64")
        && std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("f16c")
    {
        println!("cargo:rustc-cfg=vectors");
    }
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcuda.so.1");
}
