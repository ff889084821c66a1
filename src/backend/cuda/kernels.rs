// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernels as the plugin carries them, and how they are launched. What each of them does stands in `kernels/`.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaFunction, CudaStream, DriverError, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;

use super::pointer::Pointer;
use crate::backend::Error;

/// A kernel, the kinds of its parameters, and the threads of its blocks, which differ between architectures.
pub struct Kernel {
    name: &'static str,
    function: CudaFunction,
    parameters: Vec<Kind>,
    threads: u32,
}

/// What a kernel is given.
#[derive(Clone, Copy, Debug)]
pub enum Argument {
    Pointer(u64),
    Int(i32),
    Float(f32),
}

/// What a kernel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pointer,
    Int,
    Float,
}

impl Argument {
    fn kind(&self) -> Kind {
        match self {
            Self::Pointer(_) => Kind::Pointer,
            Self::Int(_) => Kind::Int,
            Self::Float(_) => Kind::Float,
        }
    }
}

impl From<Pointer> for Argument {
    fn from(pointer: Pointer) -> Self {
        Self::Pointer(pointer.0)
    }
}

impl From<usize> for Argument {
    /// # Panics
    /// For more than a kernel can count; every tensor is checked for it when it is made.
    fn from(count: usize) -> Self {
        Self::Int(i32::try_from(count).expect("cannot fail: tensors have fewer than 2³¹ elements"))
    }
}

impl From<f32> for Argument {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}

/// The arguments of a launch, in the order of the kernel's signature.
macro_rules! arguments {
    ($($argument:expr),+ $(,)?) => { &[$($crate::backend::cuda::kernels::Argument::from($argument)),+] };
}
pub(super) use arguments;

/// Blocks of a launch in x, y and z. How many threads each has the kernel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid(pub usize, pub usize, pub usize);

impl Grid {
    pub const ONE: Self = Self(1, 1, 1);

    /// For passes over `items`, of which each thread has one.
    pub fn one_each(items: usize) -> Self {
        Self(items.div_ceil(256), 1, 1)
    }

    /// For passes over `items`, of which each thread takes one after the other.
    pub fn over(items: usize) -> Self {
        Self(items.div_ceil(256).clamp(1, MOST_BLOCKS), 1, 1)
    }
}

/// As many numbers as the kernels can count in 32 bits, where the last launch may run past the end by a grid of blocks.
const MOST_ITEMS: usize = (1 << 31) - MOST_BLOCKS * 256;

/// # Errors
/// [`Error::OutOfMemory`] for `items` in `bytes` that are more than the kernels can count; no card has room for a step of
/// that size either.
pub fn countable(items: usize, bytes: usize) -> crate::backend::Result<()> {
    if items < MOST_ITEMS {
        Ok(())
    } else {
        Err(Error::OutOfMemory { bytes })
    }
}

/// Blocks of a pass, and so partial sums of a reduction.
pub const MOST_BLOCKS: usize = 1024;

impl Kernel {
    /// Puts a launch into the stream.
    ///
    /// # Safety
    /// Every pointer is to as much memory as the kernel's description asks for with these numbers, or null where that
    /// allows it, and lives until the stream has come past the launch.
    ///
    /// # Panics
    /// If the arguments are not of the kinds that the kernel takes: reading on past them would be worse.
    pub unsafe fn launch(
        &self,
        stream: &CudaStream,
        grid: Grid,
        arguments: &[Argument],
    ) -> Result<(), DriverError> {
        let fits = self.parameters.len() == arguments.len()
            && (self.parameters.iter().zip(arguments)).all(|(kind, argument)| *kind == argument.kind());
        assert!(
            fits,
            "{} takes {:?}, not {arguments:?}",
            self.name, self.parameters
        );
        let mut launch = stream.launch_builder(&self.function);
        for argument in arguments {
            match argument {
                Argument::Pointer(address) => launch.arg(address),
                Argument::Int(number) => launch.arg(number),
                Argument::Float(number) => launch.arg(number),
            };
        }
        let Grid(x, y, z) = grid;
        let config = LaunchConfig {
            grid_dim: (x as u32, y as u32, z as u32),
            block_dim: (self.threads, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the kinds of the arguments have been compared; the rest is the caller's promise.
        unsafe { launch.launch(config) }.map(drop)
    }

    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// A file of kernels, loaded.
struct Module {
    file: &'static str,
    text: &'static str,
    module: Arc<cudarc::driver::CudaModule>,
}

impl Module {
    fn load(
        context: &Arc<CudaContext>,
        file: &'static str,
        text: &'static str,
    ) -> Result<Self, (&'static str, DriverError)> {
        let module = context
            .load_module(Ptx::from_src(text))
            .map_err(|error| (file, error))?;
        Ok(Self { file, text, module })
    }

    fn kernel(&self, name: &'static str) -> Result<Kernel, (&'static str, DriverError)> {
        let function = self
            .module
            .load_function(name)
            .map_err(|error| (self.file, error))?;
        Ok(Kernel {
            name,
            function,
            parameters: parameters(self.text, name),
            threads: threads(self.text, name),
        })
    }
}

/// The kinds of the parameters of the entry `name` of a PTX text.
fn parameters(text: &str, name: &str) -> Vec<Kind> {
    let entry = format!(".entry {name}(");
    let list = text
        .split_once(entry.as_str())
        .and_then(|(_, rest)| rest.split_once(')'))
        .map_or("", |(list, _)| list);
    let words = list.split_whitespace();
    words
        .filter_map(|word| match word {
            ".u64" | ".b64" | ".s64" => Some(Kind::Pointer),
            ".u32" | ".b32" | ".s32" => Some(Kind::Int),
            ".f32" => Some(Kind::Float),
            _ => None,
        })
        .collect()
}

/// The threads for which the entry `name` of a PTX text was compiled: each kernel says them by `__launch_bounds__`.
fn threads(text: &str, name: &str) -> u32 {
    let entry = format!(".entry {name}(");
    let (_, rest) = text.split_once(entry.as_str()).unwrap_or_default();
    let (head, _) = rest.split_once('{').unwrap_or_default();
    let (_, most) = head.split_once(".maxntid ").unwrap_or_default();
    most.split(',')
        .next()
        .and_then(|threads| threads.trim().parse().ok())
        .expect("cannot fail: every kernel that is shipped names its threads")
}

/// Names the kernels of each file of `kernels/`.
macro_rules! kernels {
    ($($file:ident: [$($kernel:ident),+ $(,)?];)+) => {
        /// All kernels, loaded into one context.
        pub struct Kernels {
            $($(pub $kernel: Kernel,)+)+
        }

        impl Kernels {
            /// Those that were compiled for the newest architecture that is not newer than the card's. The answer to a
            /// failure says in which file.
            pub fn load(
                context: &Arc<CudaContext>,
                capability: (i32, i32),
            ) -> Result<Self, (&'static str, DriverError)> {
                $(
                    let text = if capability < (8, 0) {
                        include_str!(concat!("../../../kernels/ptx/", stringify!($file), ".sm_75.ptx"))
                    } else {
                        include_str!(concat!("../../../kernels/ptx/", stringify!($file), ".sm_80.ptx"))
                    };
                    let $file = Module::load(context, stringify!($file), text)?;
                )+
                Ok(Self {
                    $($($kernel: $file.kernel(stringify!($kernel))?,)+)+
                })
            }
        }
    };
}

kernels! {
    conv_forward: [
        conv_forward_large, conv_forward_medium, conv_forward_narrow, conv_forward_small, conv_forward_medium_split,
        conv_forward_small_split, conv_forward_finish,
    ];
    conv_backward: [
        conv_backward_large, conv_backward_medium, conv_backward_narrow, conv_backward_small,
        conv_backward_medium_split, conv_backward_small_split, conv_backward_finish,
    ];
    conv_picture: [conv_forward_picture, conv_backward_picture];
    layout: [block_f16, unblock_f32, fill_f32, fill_f16, cut_f32, cut_f16];
    picture: [
        import_rows_u8, import_rows_u16, resample_rows, resample_columns, guides, export_columns_u8, export_columns_u16,
        mirror_border, colour_sums, colour_sums_finish, colour_map, warp_bilinear, warp_cubic, centre,
    ];
    flow_pyramid: [flow_halve, flow_bends, flow_noise, flow_enlarge];
    flow_search: [flow_search, flow_densify];
    flow_refine: [flow_there, flow_light, flow_equations, flow_relax];
    flow_trust: [flow_consistency, flow_resemblance];
    pool: [pool_f16, pool_backward_f16, pool_f32, pool_backward_f32];
    losses: [
        finish_sum, squared_norm_f32, squared_norm_f16, squared_error_f32, squared_error_f16,
        weighted_squared_error_f32, weighted_squared_error_f16, difference, covariance_difference, total_variation_f32, total_variation_f16,
    ];
    gram: [gram_partials, gram_finish];
    gram_backward: [matrix_peak, matrix_pack, gram_backward, gram_backward_f32];
    vector: [square_f32, square_f16, axpy_f32, axpy_f16, blur_f32, blur_f16, blend_f32, blend_f16];
    optimizer: [adam, sgd, descend, loss_scale_update];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_from_the_text() {
        let text = ".visible .entry other(\n\t.param .f32 other_param_0\n)\n{}\n.visible .entry blur(\n\t.param .u64 \
                    .ptr .align 1 blur_param_0,\n\t.param .u32 blur_param_1,\n\t.param .f32 blur_param_2\n)\n{ ret; }";
        assert_eq!(parameters(text, "blur"), [Kind::Pointer, Kind::Int, Kind::Float]);
        assert_eq!(parameters(text, "nothing"), []);
    }

    #[test]
    fn threads_are_read_from_the_text() {
        let text = ".visible .entry other(\n)\n.maxntid 64, 1, 1\n{ ret; }\n.visible .entry blur(\n\t.param .f32 \
                    blur_param_0\n)\n.maxntid 128, 1, 1\n.minnctapersm 3\n{ ret; }";
        assert_eq!((threads(text, "other"), threads(text, "blur")), (64, 128));
    }

    #[test]
    fn a_pass_has_a_block_for_256_items_and_at_most_1024() {
        assert_eq!(Grid::over(0).0, 1);
        assert_eq!(Grid::over(257).0, 2);
        assert_eq!(Grid::over(10_000_000).0, 1024);
        assert_eq!(Grid::one_each(10_000_000).0, 39_063);
    }

    #[test]
    fn the_kernels_add_up_the_partial_sums_of_as_many_blocks() {
        let text = include_str!("../../../kernels/primitives.cuh");
        assert!(text.contains(&format!("constexpr int MOST_BLOCKS = {MOST_BLOCKS};")));
    }
}
