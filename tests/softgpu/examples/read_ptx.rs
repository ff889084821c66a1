// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads PTX files as the software GPU does when a module is loaded, and says what their kernels need or what is wrong.
//!
//!     cargo run -p softgpu --example read_ptx -- kernels/ptx/*.ptx

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut failed = false;
    for path in std::env::args().skip(1) {
        let read = std::fs::read_to_string(&path)
            .map_err(|error| error.to_string())
            .and_then(|text| {
                let module = softgpu::ptx::parse(&text).map_err(|error| error.to_string())?;
                softgpu::ptx::lower(&module, &|_| Some(0)).map_err(|error| error.to_string())
            });
        match read {
            Ok(program) => {
                for kernel in &program.kernels {
                    println!(
                        "{path}: {} instructions {}, shared {}, local {}, registers alive about {}",
                        kernel.name,
                        kernel.code.len(),
                        kernel.static_shared,
                        kernel.local_bytes,
                        kernel.registers,
                    );
                }
            }
            Err(error) => {
                println!("{path}: {error}");
                failed = true;
            }
        }
    }
    ExitCode::from(u8::from(failed))
}
