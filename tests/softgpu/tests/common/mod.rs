// SPDX-License-Identifier: MIT OR Apache-2.0

//! Two ways to run PTX in a test: the machine by itself, and the whole library behind cudarc.

#![allow(dead_code, reason = "each test uses its part")]

use std::ffi::CString;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaContext, DriverError};
use softgpu::machine::launch::{Launch, Shape};
use softgpu::machine::memory::Memory;
use softgpu::machine::profile::Profile;
use softgpu::machine::report::Report;
use softgpu::ptx::{self, Program};

/// Loads the library before cudarc looks for one: the system's loader then finds it by its name, which is the driver's.
pub fn load() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: no other thread of the test reads the environment before this has run.
        unsafe { std::env::set_var("SOFTGPU_SEED", "1") };
        assert!(!library().is_null(), "the library cannot be loaded");
    });
}

fn library() -> *mut libc::c_void {
    let mut path = std::env::current_exe().expect("a test has a path");
    path.set_file_name("libsoftgpu.so");
    let path = CString::new(path.to_str().expect("a path in UTF-8")).expect("a path without zeros");
    // SAFETY: the library runs nothing when it is loaded.
    unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) }
}

pub fn context() -> Arc<CudaContext> {
    load();
    CudaContext::new(0).expect("the software GPU is there")
}

/// Faults and errors are for the whole process, so these tests take turns.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    load();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    set_faults("");
    turn
}

/// Runs a test's body in a process of its own, in an environment that is read only once.
pub fn apart(name: &str, environment: &[(&str, &str)], body: impl FnOnce()) {
    if std::env::var("SOFTGPU_TEST").as_deref() == Ok(name) {
        load();
        body();
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", name, "--nocapture"])
        .env("SOFTGPU_TEST", name)
        .envs(environment.iter().copied());
    let output = child.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub fn error<T>(result: Result<T, DriverError>) -> CUresult {
    match result {
        Ok(_) => CUresult::CUDA_SUCCESS,
        Err(DriverError(error)) => error,
    }
}

/// Sets faults and forgets earlier ones and what they broke.
pub fn set_faults(faults: &str) {
    let faults = CString::new(faults).expect("faults without zeros");
    // SAFETY: the library exports this function with this type.
    unsafe {
        let symbol = libc::dlsym(library(), c"softgpu_set_faults".as_ptr());
        assert!(!symbol.is_null());
        let set: unsafe extern "C" fn(*const libc::c_char) = std::mem::transmute(symbol);
        set(faults.as_ptr());
    }
}

/// How often an occasion has come.
pub fn count(occasion: &str) -> u64 {
    let occasion = CString::new(occasion).expect("an occasion without zeros");
    // SAFETY: the library exports this function with this type.
    unsafe {
        let symbol = libc::dlsym(library(), c"softgpu_count".as_ptr());
        assert!(!symbol.is_null());
        let count: unsafe extern "C" fn(*const libc::c_char) -> u64 = std::mem::transmute(symbol);
        count(occasion.as_ptr())
    }
}

/// A card without a driver: one program and memory.
pub struct Bench {
    pub memory: Memory,
    pub program: Program,
    pub seed: u64,
    /// Threads of the host.
    pub threads: usize,
}

impl Bench {
    pub fn new(text: &str) -> Self {
        let module = ptx::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let program = ptx::lower(&module, &|_| None).unwrap_or_else(|error| panic!("{error}\n{text}"));
        Self {
            memory: Memory::new(1 << 24).expect("address space"),
            program,
            seed: 1,
            threads: 1,
        }
    }

    pub fn upload<T: Copy>(&mut self, values: &[T]) -> u64 {
        let bytes = size_of_val(values);
        let address = self.empty(bytes);
        // SAFETY: the values are plain numbers.
        let values = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), bytes) };
        self.memory.upload(address, values).expect("freshly allocated");
        address
    }

    pub fn empty(&mut self, bytes: usize) -> u64 {
        self.memory.allocate(bytes as u64).expect("there is room")
    }

    pub fn download<T: Copy + Default>(&self, from: u64, count: usize) -> Vec<T> {
        let mut values = vec![T::default(); count];
        let bytes = size_of_val(&values[..]) as u64;
        // SAFETY: the vector has so many bytes, and any bits are a number.
        unsafe { self.memory.download(from, values.as_mut_ptr().cast(), bytes) }.expect("written before");
        values
    }

    /// Runs a kernel; all parameters are given as 64 bits and cut to their size.
    pub fn run(&mut self, name: &str, grid: u32, block: u32, parameters: &[u64]) -> Result<(), Box<Report>> {
        self.launch(name, grid, block, parameters, |launch| launch.run())
    }

    /// Runs a kernel that makes no mistake in two threads of the host, and counts what it does.
    pub fn profile(&mut self, name: &str, grid: u32, block: u32, parameters: &[u64]) -> Profile {
        self.threads = 2;
        let (run, profiles) = self.launch(name, grid, block, parameters, |launch| {
            launch.watched(|| Profile::new(launch.kernel))
        });
        run.unwrap_or_else(|report| panic!("{report}"));
        Profile::sum(profiles).expect("a thread ran it")
    }

    pub fn launch<T>(
        &mut self,
        name: &str,
        grid: u32,
        block: u32,
        parameters: &[u64],
        run: impl FnOnce(&Launch) -> T,
    ) -> T {
        let kernel = self
            .program
            .kernels
            .iter()
            .find(|kernel| kernel.name == name)
            .expect("the kernel exists");
        assert_eq!(kernel.parameters.len(), parameters.len());
        let mut bytes = vec![0; kernel.parameter_bytes as usize];
        for (parameter, value) in kernel.parameters.iter().zip(parameters) {
            let (from, size) = (parameter.offset as usize, parameter.bytes as usize);
            bytes[from..from + size].copy_from_slice(&value.to_le_bytes()[..size]);
        }
        self.memory.begin_launch();
        let launch = Launch {
            kernel,
            files: &self.program.files,
            shape: Shape {
                grid: [grid, 1, 1],
                block: [block, 1, 1],
                dynamic_shared: 0,
            },
            parameters: &bytes,
            memory: &self.memory,
            multiprocessors: 4,
            seed: self.seed,
            base_seed: self.seed,
            threads: self.threads,
            wrong_mma: false,
            sample: None,
        };
        let answer = run(&launch);
        // What comes after the launch is ordered after it.
        self.memory.begin_launch();
        answer
    }
}

/// Random numbers that are the same on every machine (xorshift).
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// −1…1
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// A module around the body of a kernel with these parameters.
pub fn module(parameters: &str, body: &str) -> String {
    format!(
        ".version 7.0\n.target sm_80\n.address_size 64\n\
         .visible .entry kernel({parameters})\n{{\n{body}\nret;\n}}\n"
    )
}
