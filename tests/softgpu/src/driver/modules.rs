// SPDX-License-Identifier: MIT OR Apache-2.0

//! Modules: PTX text to programs, and what can be asked of a function.

use std::collections::HashMap;
use std::sync::Arc;

use super::card::Card;
use super::errors::{Outcome, Status};
use super::state::{Driver, Handle};
use super::tools::replaced;
use crate::coverage;
use crate::machine::launch::Shape;
use crate::ptx::syntax::Space;
use crate::ptx::{self, Kernel, Program, PtxError};

/// Shared memory that every launch may have without asking.
pub const USUAL_SHARED: u32 = 48 << 10;

const REGISTERS: u32 = 65536;

pub struct Module {
    pub program: Arc<Program>,
    /// The digest of its text.
    pub digest: u64,
    /// Variables of the module: address and bytes.
    pub globals: HashMap<String, (u64, u64)>,
    /// Functions that were asked for, by the number of the kernel.
    pub functions: HashMap<Handle, Function>,
}

#[derive(Debug, Clone)]
pub struct Function {
    pub kernel: usize,
    /// The most dynamic shared memory that a launch may ask for.
    pub most_dynamic: u32,
}

/// A function that was found by its handle.
#[derive(Debug, Clone)]
pub struct Found {
    pub program: Arc<Program>,
    /// The digest of its module's text.
    pub digest: u64,
    pub kernel: usize,
    pub most_dynamic: u32,
}

impl Found {
    pub fn kernel(&self) -> &Kernel {
        &self.program.kernels[self.kernel]
    }
}

impl Driver {
    pub fn load_module(&mut self, text: &str) -> Outcome<Handle> {
        if self.is_due("module") {
            return Err(Status::INVALID_IMAGE);
        }
        let other = self.settings.other_ptx.clone();
        let text = &*replaced(text, other.as_deref());
        let mut globals = HashMap::new();
        let program = self.translate(text, &mut globals).map_err(|error| {
            eprintln!("softgpu: the module is refused: {error}");
            Status::from(&error)
        });
        let program = match program {
            Ok(program) => program,
            Err(status) => {
                for (address, _) in globals.values() {
                    // The variables were allocated a moment ago.
                    let _ = self.memory.free(*address);
                }
                return Err(status);
            }
        };
        let handle = self.handle();
        self.modules.insert(
            handle,
            Module {
                program: Arc::new(program),
                digest: coverage::digest(text),
                globals,
                functions: HashMap::new(),
            },
        );
        Ok(handle)
    }

    fn translate(
        &mut self,
        text: &str,
        globals: &mut HashMap<String, (u64, u64)>,
    ) -> Result<Program, PtxError> {
        let module = ptx::parse(text)?;
        let (major, minor) = module.version;
        if module.version > self.settings.newest_ptx() {
            return Err(PtxError::Version { major, minor });
        }
        let has = self.settings.card.generation();
        if module.target > has {
            return Err(PtxError::Target {
                needs: module.target,
                has,
            });
        }
        for variable in module
            .variables
            .iter()
            .filter(|v| matches!(v.space, Space::Global | Space::Const))
        {
            let syntax = |what: &str| PtxError::Syntax {
                line: 0,
                what: format!("`{}` {what}", variable.name),
            };
            let address = self
                .memory
                .allocate(variable.size)
                .ok_or_else(|| syntax("does not fit into memory"))?;
            globals.insert(variable.name.clone(), (address, variable.size));
            let mut initial = variable.initial.clone();
            // Variables without a value are zero.
            initial.resize(variable.size as usize, 0);
            // What loads a module waits until that is there.
            self.begin_alone();
            self.memory
                .upload(address, &initial)
                .map_err(|problem| syntax(&problem.what))?;
        }
        ptx::lower(&module, &|name| globals.get(name).map(|(address, _)| *address))
    }

    pub fn unload_module(&mut self, handle: Handle) -> Outcome<()> {
        self.drain_all()?;
        let module = self.modules.remove(&handle).ok_or(Status::INVALID_HANDLE)?;
        for (address, _) in module.globals.values() {
            // Nobody but the module frees its variables.
            let _ = self.memory.free(*address);
        }
        Ok(())
    }

    pub fn function(&mut self, module: Handle, name: &str) -> Outcome<Handle> {
        let handle = self.handle();
        let module = self.modules.get_mut(&module).ok_or(Status::INVALID_HANDLE)?;
        let kernel = module
            .program
            .kernels
            .iter()
            .position(|kernel| kernel.name == name)
            .ok_or(Status::NOT_FOUND)?;
        if let Some((known, _)) = module
            .functions
            .iter()
            .find(|(_, function)| function.kernel == kernel)
        {
            return Ok(*known);
        }
        let fixed = module.program.kernels[kernel].static_shared;
        let most_dynamic = USUAL_SHARED.saturating_sub(fixed);
        module.functions.insert(handle, Function { kernel, most_dynamic });
        Ok(handle)
    }

    pub fn found(&self, function: Handle) -> Outcome<Found> {
        let holder = self
            .modules
            .values()
            .find_map(|module| Some((module, module.functions.get(&function)?)));
        let (module, function) = holder.ok_or(Status::INVALID_HANDLE)?;
        Ok(Found {
            program: module.program.clone(),
            digest: module.digest,
            kernel: function.kernel,
            most_dynamic: function.most_dynamic,
        })
    }

    pub fn function_attribute(&self, function: Handle, number: u32) -> Outcome<i32> {
        let found = self.found(function)?;
        let kernel = found.kernel();
        let (major, minor) = found.program.version;
        Ok(match number {
            0 => most_threads(kernel) as i32,
            1 => kernel.static_shared as i32,
            2 => 0,
            3 => kernel.local_bytes as i32,
            4 => kernel.registers as i32,
            5 => (major * 10 + minor) as i32,
            6 => self.settings.card.generation() as i32,
            7 => 0,
            8 => found.most_dynamic as i32,
            9 => -1,
            _ => return Err(Status::INVALID_VALUE),
        })
    }

    pub fn set_function_attribute(&mut self, function: Handle, number: u32, value: i32) -> Outcome<()> {
        let found = self.found(function)?;
        match number {
            8 => {
                let most = self.settings.card.shared_opt_in - found.kernel().static_shared as i32;
                if value < 0 || value > most {
                    return Err(Status::INVALID_VALUE);
                }
                for module in self.modules.values_mut() {
                    if let Some(known) = module.functions.get_mut(&function) {
                        known.most_dynamic = value as u32;
                    }
                }
                Ok(())
            }
            // The share of shared memory in the L1 cache is a hint.
            9 if (-1..=100).contains(&value) => Ok(()),
            _ => Err(Status::INVALID_VALUE),
        }
    }
}

fn most_threads(kernel: &Kernel) -> u32 {
    let by_registers = REGISTERS / kernel.registers.max(1) / 32 * 32;
    let declared = if kernel.max_threads == 0 {
        1024
    } else {
        kernel.max_threads
    };
    declared.min(by_registers.max(32)).min(1024)
}

/// Whether a launch of this shape is one that the card takes.
pub fn check_shape(found: &Found, shape: &Shape, card: &Card) -> Outcome<()> {
    let refuse = |status: Status, what: String| {
        eprintln!(
            "softgpu: the launch of {} is refused: {what}",
            found.kernel().name
        );
        Err(status)
    };
    let ([gx, gy, gz], [bx, by, bz]) = (shape.grid, shape.block);
    if gx == 0 || gy == 0 || gz == 0 || gx > i32::MAX as u32 || gy > 65535 || gz > 65535 {
        return refuse(
            Status::INVALID_VALUE,
            format!("no card has a grid of {gx} × {gy} × {gz} blocks"),
        );
    }
    let threads = u64::from(bx) * u64::from(by) * u64::from(bz);
    if threads == 0 || bx > 1024 || by > 1024 || bz > 64 || threads > 1024 {
        return refuse(
            Status::INVALID_VALUE,
            format!("no card has a block of {bx} × {by} × {bz} threads"),
        );
    }
    let kernel = found.kernel();
    if kernel.max_threads != 0 && threads > u64::from(kernel.max_threads) {
        let what = format!("{threads} threads, the kernel is made for {}", kernel.max_threads);
        return refuse(Status::INVALID_VALUE, what);
    }
    if kernel
        .required_threads
        .is_some_and(|required| required != shape.block)
    {
        return refuse(
            Status::INVALID_VALUE,
            format!("the kernel needs blocks of {:?}", kernel.required_threads),
        );
    }
    if shape.dynamic_shared > found.most_dynamic {
        let what = format!(
            "{} bytes of dynamic shared memory, {} are allowed (of {} that the card has after asking)",
            shape.dynamic_shared, found.most_dynamic, card.shared_opt_in
        );
        return refuse(Status::INVALID_VALUE, what);
    }
    // A kernel without bounds on its threads may be compiled for any number of them; one with bounds always fits.
    if kernel.max_threads == 0
        && threads > 256
        && threads * u64::from(kernel.registers) > 2 * u64::from(REGISTERS)
    {
        let what = format!("{threads} threads of about {} registers", kernel.registers);
        return refuse(Status::LAUNCH_OUT_OF_RESOURCES, what);
    }
    Ok(())
}

/// Blocks of a kernel that a multiprocessor holds at one time.
pub fn occupancy(kernel: &Kernel, card: &Card, threads: u32, dynamic: u32) -> i32 {
    if threads == 0 || threads > 1024 {
        return 0;
    }
    let warps = threads.div_ceil(32);
    let registers = kernel.registers * 32 * warps;
    let shared = (kernel.static_shared + dynamic + if card.capability.0 >= 8 { 1024 } else { 0 })
        .next_multiple_of(128);
    if kernel.static_shared + dynamic > card.shared_opt_in as u32 {
        return 0;
    }
    let by_threads = card.threads_per_multiprocessor as u32 / (warps * 32);
    let by_registers = REGISTERS / registers.max(1);
    let by_shared = card.shared_per_multiprocessor as u32 / shared.max(1);
    by_threads
        .min(by_registers)
        .min(by_shared)
        .min(card.blocks_per_multiprocessor as u32) as i32
}
