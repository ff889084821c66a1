// SPDX-License-Identifier: MIT OR Apache-2.0

//! One instruction of PTX text to one of the machine. Each opcode has its function, by family, in the files beside.

use super::PtxError;
use super::instruction::{Rounding, Type};
use super::lower::{Lowering, Result};
use super::syntax::{self, Operand};
use super::{arithmetic_opcodes, requirements, warp_opcodes};

/// The modifiers of an opcode; each must be taken by somebody, or the instruction is not known.
pub struct Modifiers<'a> {
    left: Vec<&'a str>,
    whole: String,
    pub line: u32,
}

impl<'a> Modifiers<'a> {
    fn new(instruction: &'a syntax::Instruction) -> Self {
        Self {
            left: instruction.opcode[1..].iter().map(String::as_str).collect(),
            whole: instruction.opcode.join("."),
            line: instruction.place.line,
        }
    }

    pub fn take(&mut self, name: &str) -> bool {
        let found = self.left.iter().position(|left| *left == name);
        if let Some(at) = found {
            self.left.remove(at);
        }
        found.is_some()
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[(&str, T)]) -> Option<T> {
        choices
            .iter()
            .find(|(name, _)| self.take(name))
            .map(|(_, value)| *value)
    }

    /// The next type, in the order of the text.
    pub fn kind(&mut self) -> Result<Type> {
        for at in 0..self.left.len() {
            let kind = match self.left[at] {
                "u8" | "b8" => Type::U8,
                "s8" => Type::S8,
                "u16" | "b16" => Type::U16,
                "s16" => Type::S16,
                "f16" => Type::F16,
                "f16x2" => Type::F16x2,
                "u32" | "b32" => Type::U32,
                "s32" => Type::S32,
                "f32" => Type::F32,
                "u64" | "b64" => Type::U64,
                "s64" => Type::S64,
                "f64" => Type::F64,
                _ => continue,
            };
            self.left.remove(at);
            return Ok(kind);
        }
        self.unknown()
    }

    pub fn rounding(&mut self) -> Rounding {
        let known = [
            ("rn", Rounding::Nearest),
            ("rz", Rounding::Zero),
            ("rm", Rounding::Down),
            ("rp", Rounding::Up),
        ];
        self.one_of(&known).unwrap_or(Rounding::Nearest)
    }

    pub fn unknown<T>(&self) -> Result<T> {
        Err(PtxError::at(
            self.line,
            format!("the instruction `{}` is not known", self.whole),
        ))
    }

    fn finish(&self) -> Result<()> {
        if self.left.is_empty() {
            Ok(())
        } else {
            self.unknown()
        }
    }
}

/// Lowers one instruction of the text.
pub fn lower(into: &mut Lowering, source: &syntax::Instruction) -> Result<()> {
    let mut modifiers = Modifiers::new(source);
    if source.opcode[0] == "call" {
        return into.call(source);
    }
    let lowered = match arithmetic_opcodes::lower(into, source, &mut modifiers)? {
        Some(lowered) => lowered,
        None => match warp_opcodes::lower(into, source, &mut modifiers)? {
            Some(lowered) => lowered,
            None => return modifiers.unknown(),
        },
    };
    modifiers.finish()?;
    let mut lowered = lowered;
    if let Some((name, negated)) = &source.guard {
        lowered.guard = into.predicate(&Operand::Name(name.clone()), source.place.line)?;
        lowered.guard_negated = *negated;
    }
    requirements::check(&lowered, into.module, &source.opcode.join("."), source.place.line)?;
    into.emit(lowered, source.place);
    Ok(())
}

/// The operands of an instruction, with an error where one is missing.
pub fn operand(source: &syntax::Instruction, at: usize) -> Result<&Operand> {
    let missing = || {
        PtxError::at(
            source.place.line,
            format!("`{}` lacks an operand", source.opcode.join(".")),
        )
    };
    source.operands.get(at).ok_or_else(missing)
}
