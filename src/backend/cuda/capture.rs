// SPDX-License-Identifier: MIT OR Apache-2.0

//! A step as a CUDA graph, and the scale of its gradients.
//!
//! Gradients in fp16 are multiplied by a power of two that lives on the card. The first run of a step looks for it: it
//! begins at the top and goes down until nothing overflows, where an overflow leaves the optimiser's tensors alone. It
//! also makes the shared space as large as the step needs. The second run writes the step down, and every other one
//! only replays it; a kernel at its end then looks after the scale, and the host never waits. When what was written down no
//! longer holds, one run is performed plainly, since what it needs may be new, and the next one writes it down again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cudarc::driver::CudaGraph;
use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};

use super::allocator::Buffer;
use super::exponents::Exponent;
use super::kernels::{Grid, arguments};
use super::pointer::Pointer;
use super::{Card, Cuda};
use crate::backend::{Capture, Control, Result};

/// Where the search begins. Under relative weights the gradient of an activation is of the order of 1/elements, some 10⁻⁷.
const HIGHEST: f32 = 4_294_967_296.0;
/// By what the search goes down: fp16's range is wide enough not to be hit exactly.
const STRIDE: f32 = 16.0;
/// Where it ends, whatever comes out: gradients that large are no numbers.
const LOWEST: f32 = 1.0 / 4_294_967_296.0;

/// Bytes of the state of a step.
pub const STATE_BYTES: usize = 12;

impl Control for Cuda {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn device(&self) -> String {
        let Card {
            id,
            name,
            capability: (major, minor),
            bytes,
            ..
        } = &self.device.card;
        let gigabytes = *bytes as f64 / 1e9;
        format!("{name}, {gigabytes:.1} GB, compute capability {major}.{minor}, device {id}")
    }

    fn new_capture(&mut self) -> Result<Capture> {
        place(self)
    }

    fn restart(&mut self, capture: &mut Capture) {
        let step = capture.kept.as_mut().and_then(|kept| kept.downcast_mut::<Step>());
        if let Some(step) = step {
            step.is_begun = false;
        }
    }

    fn capture<R>(&mut self, capture: &mut Capture, record: R) -> Result<()>
    where
        R: FnMut(&mut Self) -> Result<()> + Send,
    {
        perform(self, capture, record)
    }
}

/// A place for a step with room for its state.
fn place(ops: &mut Cuda) -> Result<Capture> {
    let state: Buffer = ops.memory.zeros(STATE_BYTES)?;
    Ok(Capture {
        runs: 0,
        kept: Some(Box::new(state)),
    })
}

/// What is kept of a step.
struct Step {
    /// The scale, the overflow flag, and how many steps in a row had none; 4 bytes each.
    state: Buffer,
    /// The scale that was found; it never grows beyond.
    scale: f32,
    /// That of the last plain run.
    basis: Basis,
    graph: Option<Graph>,
    /// Whether the scale was searched for since the last restart.
    is_begun: bool,
}

/// What a step depends on that lies in no tensor.
struct Basis {
    /// The generation of the scratch space whose addresses it knows.
    generation: u64,
    /// Exponents of the tensors that it reads before it writes them.
    inputs: Vec<(Exponent, i32)>,
}

impl Basis {
    fn holds(&self, generation: u64) -> bool {
        let same = |(exponent, then): &(Exponent, i32)| exponent.load(Ordering::Relaxed) == *then;
        self.generation == generation && self.inputs.iter().all(same)
    }
}

struct Graph {
    graph: CudaGraph,
    /// Exponents of the tensors that it writes, as it leaves them.
    outputs: Vec<(Exponent, i32)>,
}

// SAFETY: a graph may be used by any thread, one at a time, and whoever has a `Graph` to use has it alone.
unsafe impl Send for Graph {}

/// Notes on the exponents of a step while it is performed or written down.
#[derive(Default)]
pub struct Recording {
    inputs: Vec<(Exponent, i32)>,
    written: HashMap<usize, Exponent>,
}

impl Recording {
    pub fn read(&mut self, exponent: &Exponent) {
        if !self.written.contains_key(&(Arc::as_ptr(exponent) as usize)) {
            self.inputs
                .push((exponent.clone(), exponent.load(Ordering::Relaxed)));
        }
    }

    pub fn wrote(&mut self, exponent: &Exponent) {
        self.written
            .insert(Arc::as_ptr(exponent) as usize, exponent.clone());
    }

    fn basis(self, generation: u64) -> Basis {
        Basis {
            generation,
            inputs: self.inputs,
        }
    }

    fn outputs(self) -> Vec<(Exponent, i32)> {
        let exponents = self.written.into_values();
        exponents
            .map(|exponent| {
                let left = exponent.load(Ordering::Relaxed);
                (exponent, left)
            })
            .collect()
    }
}

/// What the kernels of a step know of its gradients' scale.
#[derive(Clone, Copy)]
pub struct Scale {
    pub scale: Pointer,
    pub overflow: Pointer,
    clean: Pointer,
}

impl Scale {
    /// Outside a step: a scale of 1, and nobody looks.
    pub const NONE: Self = Self {
        scale: Pointer::NULL,
        overflow: Pointer::NULL,
        clean: Pointer::NULL,
    };

    fn of(state: &Buffer) -> Self {
        let at = |offset: u64| Pointer(state.pointer().0 + offset);
        Self {
            scale: at(0),
            overflow: at(4),
            clean: at(8),
        }
    }
}

/// Performs a step.
fn perform<R>(ops: &mut Cuda, capture: &mut Capture, mut record: R) -> Result<()>
where
    R: FnMut(&mut Cuda) -> Result<()>,
{
    ops.poll()?;
    let kept = capture.kept.take().map(|kept| kept.downcast::<Step>());
    let answer = match kept {
        Some(Ok(mut step)) if step.is_begun => again(ops, &mut step, &mut record).map(|()| step),
        Some(Ok(mut step)) => anew(ops, &mut step, &mut record).map(|()| step),
        Some(Err(state)) => first(ops, state.downcast().ok(), &mut record).map(Box::new),
        None => first(ops, None, &mut record).map(Box::new),
    };
    // A step that failed is begun anew.
    capture.kept = Some(answer?);
    capture.runs += 1;
    Ok(())
}

/// The first run, which looks for the scale.
fn first<R>(ops: &mut Cuda, state: Option<Box<Buffer>>, record: &mut R) -> Result<Step>
where
    R: FnMut(&mut Cuda) -> Result<()>,
{
    let state = match state {
        Some(state) => *state,
        None => ops.memory.zeros(STATE_BYTES)?,
    };
    let (scale, basis) = search(ops, &state, record)?;
    Ok(Step {
        state,
        scale,
        basis,
        graph: None,
        is_begun: true,
    })
}

/// A run of a known step that looks for the scale anew.
fn anew<R>(ops: &mut Cuda, step: &mut Step, record: &mut R) -> Result<()>
where
    R: FnMut(&mut Cuda) -> Result<()>,
{
    let (scale, basis) = search(ops, &step.state, record)?;
    // The graph contains the greatest scale as a constant.
    if scale != step.scale || !step.basis.holds(basis.generation) {
        step.graph = None;
    }
    (step.scale, step.basis, step.is_begun) = (scale, basis, true);
    Ok(())
}

/// Performs a step under smaller and smaller scales, until nothing overflows.
fn search<R>(ops: &mut Cuda, state: &Buffer, record: &mut R) -> Result<(f32, Basis)>
where
    R: FnMut(&mut Cuda) -> Result<()>,
{
    let mut scale = HIGHEST;
    let recording = loop {
        ops.transfers.upload(&[scale, 0.0, 0.0], state, &ops.stream)?;
        let recording = noted(ops, Scale::of(state), &mut *record)?;
        let mut found = [0_u32; 3];
        let bytes = bytemuck::cast_slice_mut(&mut found);
        ops.transfers.fetch(state, bytes, &ops.stream)?;
        if found[1] == 0 || scale <= LOWEST {
            break recording;
        }
        scale /= STRIDE;
    };
    ops.transfers.upload(&[scale, 0.0, 0.0], state, &ops.stream)?;
    Ok((scale, recording.basis(ops.scratch.generation)))
}

/// Every other run.
fn again<R>(ops: &mut Cuda, step: &mut Step, record: &mut R) -> Result<()>
where
    R: FnMut(&mut Cuda) -> Result<()>,
{
    if !step.basis.holds(ops.scratch.generation) {
        step.graph = None;
        let recording = with_scale(ops, step, record)?;
        step.basis = recording.basis(ops.scratch.generation);
        return Ok(());
    }
    let graph = match step.graph.take() {
        Some(graph) => graph,
        None => write_down(ops, step, record)?,
    };
    let graph = step.graph.insert(graph);
    ops.device.checked("a step", graph.graph.launch())?;
    for (exponent, left) in &graph.outputs {
        exponent.store(*left, Ordering::Relaxed);
    }
    Ok(())
}

/// What `describe` does under a scale of gradients, and what it notes.
fn noted<R>(ops: &mut Cuda, scale: Scale, mut describe: R) -> Result<Recording>
where
    R: FnMut(&mut Cuda) -> Result<()>,
{
    ops.recording = Some(Recording::default());
    ops.scale = scale;
    let answer = describe(ops);
    ops.scale = Scale::NONE;
    let recording = ops.recording.take().unwrap_or_default();
    answer.map(|()| recording)
}

/// The step under the scale that it has come to.
fn with_scale<R>(ops: &mut Cuda, step: &Step, record: &mut R) -> Result<Recording>
where
    R: FnMut(&mut Cuda) -> Result<()>,
{
    noted(ops, Scale::of(&step.state), |ops| {
        record(ops)?;
        look_after_the_scale(ops, step.scale)
    })
}

fn write_down<R>(ops: &mut Cuda, step: &Step, record: &mut R) -> Result<Graph>
where
    R: FnMut(&mut Cuda) -> Result<()>,
{
    let begun = ops
        .stream
        .begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    ops.device.checked("writing a step down", begun)?;
    ops.scratch.fixed = true;
    let answer = with_scale(ops, step, record);
    ops.scratch.fixed = false;
    // The stream must leave the capture also if something went wrong in it; that is then the error to tell.
    let ended = ops.stream.end_capture(CUgraphInstantiate_flags(0));
    let outputs = answer?.outputs();
    let graph = ops.device.checked("writing a step down", ended)?;
    let graph = graph.ok_or(crate::backend::Error::Internal("a step without any work"))?;
    ops.device.checked("writing a step down", graph.upload())?;
    Ok(Graph { graph, outputs })
}

fn look_after_the_scale(ops: &Cuda, greatest: f32) -> Result<()> {
    let Scale {
        scale,
        overflow,
        clean,
    } = ops.scale;
    let arguments = arguments![scale, overflow, clean, LOWEST.min(greatest), greatest];
    ops.launch(|k| &k.loss_scale_update, Grid::ONE, arguments)
}
