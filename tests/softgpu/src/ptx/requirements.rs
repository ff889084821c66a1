// SPDX-License-Identifier: MIT OR Apache-2.0

//! What an instruction demands of `.target` and `.version`, from the "PTX ISA Notes" and "Target ISA Notes" of NVIDIA's
//! document: an assembler refuses a module that promises less.

use super::PtxError;
use super::instruction::{Float1, Float2, Instruction, Op, Type};
use super::lower::Result;
use super::syntax::Module;

/// The lowest `.target` and `.version`.
fn lowest(op: &Op) -> (u32, (u32, u32)) {
    match op {
        Op::Mma { depth: 16, .. } | Op::CopyAsync { .. } | Op::CopyCommit => (80, (7, 0)),
        Op::CopyWait | Op::CopyWaitAll | Op::Reduce(..) | Op::ConvertPair { .. } => (80, (7, 0)),
        Op::Mma { .. } | Op::LoadMatrix { .. } => (75, (6, 5)),
        Op::Float2(Float2::MinNan | Float2::MaxNan, ..) => (80, (7, 0)),
        Op::Float2(Float2::Min | Float2::Max, Type::F16 | Type::F16x2, _) => (80, (7, 0)),
        Op::Fma(_, _, true) => (80, (7, 0)),
        Op::Float1(Float1::Tanh, ..) | Op::Float1(Float1::Exp2, Type::F16 | Type::F16x2, _) => (75, (7, 0)),
        Op::MatchAny(_) | Op::MatchAll(_) => (70, (6, 0)),
        _ => (30, (6, 0)),
    }
}

pub fn check(instruction: &Instruction, module: &Module, name: &str, line: u32) -> Result<()> {
    let (target, version) = lowest(&instruction.op);
    if module.target < target {
        return Err(PtxError::at(
            line,
            format!(
                "`{name}` needs .target sm_{target}, the module is for sm_{}",
                module.target
            ),
        ));
    }
    if module.version < version {
        let ((major, minor), (has_major, has_minor)) = (version, module.version);
        let what = format!("`{name}` needs .version {major}.{minor}, the module has {has_major}.{has_minor}");
        return Err(PtxError::at(line, what));
    }
    Ok(())
}
