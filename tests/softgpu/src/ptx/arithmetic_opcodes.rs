// SPDX-License-Identifier: MIT OR Apache-2.0

//! Arithmetic, logic and choices.

use super::conversion_opcodes;
use super::instruction::{
    Float1, Float2, Instruction, Integer1, Integer2, Integer3, Logic, Op, Rounding, Type,
};
use super::lower::{Lowering, Result};
use super::opcodes::{Modifiers, operand};
use super::syntax::{self, Operand};

/// `d` and up to three sources, all of the same type.
pub fn uniform(
    into: &mut Lowering,
    source: &syntax::Instruction,
    kind: Type,
    op: Op,
    sources: usize,
) -> Result<Instruction> {
    let line = source.place.line;
    let mut lowered = Instruction::new(op);
    lowered.d = into.destination(operand(source, 0)?, line)?.0;
    for (at, slot) in [&mut lowered.a, &mut lowered.b, &mut lowered.c]
        .into_iter()
        .take(sources)
        .enumerate()
    {
        *slot = into.source(operand(source, at + 1)?, kind.bytes(), kind.is_float(), line)?;
    }
    Ok(lowered)
}

pub fn lower(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Option<Instruction>> {
    let line = source.place.line;
    let base = source.opcode[0].as_str();
    let lowered = match base {
        "add" | "sub" | "mul" | "div" | "rem" | "min" | "max" | "copysign" => {
            binary(into, source, modifiers)?
        }
        "and" | "or" | "xor" | "not" if modifiers.take("pred") => predicate_logic(into, source)?,
        "and" | "or" | "xor" => {
            let kind = modifiers.kind()?;
            let function = match base {
                "and" => Integer2::And,
                "or" => Integer2::Or,
                _ => Integer2::Xor,
            };
            uniform(into, source, kind, Op::Integer2(function, kind), 2)?
        }
        "shl" | "shr" => {
            let kind = modifiers.kind()?;
            let function = if base == "shl" {
                Integer2::Shl
            } else {
                Integer2::Shr
            };
            let mut lowered = uniform(into, source, kind, Op::Integer2(function, kind), 1)?;
            lowered.b = into.source(operand(source, 2)?, 4, false, line)?;
            lowered
        }
        "mad" | "fma" | "sad" => multiply_add(into, source, modifiers)?,
        "neg" | "abs" | "not" | "cnot" | "popc" | "clz" | "brev" | "bfind" => unary(into, source, modifiers)?,
        "sqrt" | "rsqrt" | "rcp" | "ex2" | "lg2" | "sin" | "cos" | "tanh" => {
            transcendental(into, source, modifiers)?
        }
        "bfe" => {
            let kind = modifiers.kind()?;
            let mut lowered = uniform(into, source, kind, Op::Integer3(Integer3::BitExtract, kind), 1)?;
            lowered.b = into.source(operand(source, 2)?, 4, false, line)?;
            lowered.c = into.source(operand(source, 3)?, 4, false, line)?;
            lowered
        }
        "bfi" => {
            let kind = modifiers.kind()?;
            let mut lowered = uniform(into, source, kind, Op::BitInsert(kind), 2)?;
            lowered.c = into.source(operand(source, 3)?, 4, false, line)?;
            lowered.x = into.source(operand(source, 4)?, 4, false, line)?;
            lowered
        }
        "prmt" => {
            let kind = modifiers.kind()?;
            uniform(into, source, kind, Op::Integer3(Integer3::Permute, kind), 3)?
        }
        "shf" => {
            let left = modifiers.take("l");
            let wrap = modifiers.take("wrap");
            if (!left && !modifiers.take("r")) || (!wrap && !modifiers.take("clamp")) {
                return modifiers.unknown();
            }
            let kind = modifiers.kind()?;
            let function = match (left, wrap) {
                (true, true) => Integer3::FunnelLeftWrap,
                (true, false) => Integer3::FunnelLeftClamp,
                (false, true) => Integer3::FunnelRightWrap,
                (false, false) => Integer3::FunnelRightClamp,
            };
            uniform(into, source, kind, Op::Integer3(function, kind), 3)?
        }
        "dp4a" => {
            let (first, second) = (modifiers.kind()?, modifiers.kind()?);
            if first != second {
                return modifiers.unknown();
            }
            uniform(into, source, first, Op::Integer3(Integer3::Dot4, first), 3)?
        }
        "lop3" => {
            let kind = modifiers.kind()?;
            let mut lowered = uniform(into, source, kind, Op::Logic3, 3)?;
            match operand(source, 4)? {
                Operand::Integer(table) => lowered.immediate = *table,
                _ => return modifiers.unknown(),
            }
            lowered
        }
        "selp" => {
            let kind = modifiers.kind()?;
            let mut lowered = uniform(into, source, kind, Op::Select(kind.bytes() == 8), 2)?;
            lowered.c = into.predicate(operand(source, 3)?, line)?;
            lowered
        }
        "setp" | "set" => conversion_opcodes::comparison(into, source, modifiers)?,
        "mov" => conversion_opcodes::movement(into, source, modifiers)?,
        "cvt" => conversion_opcodes::conversion(into, source, modifiers)?,
        _ => return Ok(None),
    };
    Ok(Some(lowered))
}

fn binary(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    let base = source.opcode[0].as_str();
    if modifiers.take("approx") || modifiers.take("full") {
        // The exact quotient lies within the error that these may have.
    }
    let rounding = modifiers.rounding();
    let flush = modifiers.take("ftz");
    let saturate = modifiers.take("sat");
    let nan = modifiers.take("NaN");
    let half = modifiers.one_of(&[
        ("lo", Integer2::MulLo),
        ("hi", Integer2::MulHi),
        ("wide", Integer2::MulWide),
    ]);
    let kind = modifiers.kind()?;
    let op = if kind.is_float() {
        let function = match base {
            "add" => Float2::Add,
            "sub" => Float2::Sub,
            "mul" => Float2::Mul,
            "div" => Float2::Div,
            "min" if nan => Float2::MinNan,
            "max" if nan => Float2::MaxNan,
            "min" => Float2::Min,
            "max" => Float2::Max,
            "copysign" => Float2::CopySign,
            _ => return modifiers.unknown(),
        };
        let directed = rounding != Rounding::Nearest;
        let can_be_directed =
            matches!(function, Float2::Add | Float2::Sub | Float2::Mul) && kind == Type::F32;
        if (directed && !can_be_directed) || half.is_some() {
            return modifiers.unknown();
        }
        Op::Float2(function, kind, rounding)
    } else {
        let function = match (base, half) {
            ("add", None) if saturate => Integer2::AddSat,
            ("sub", None) if saturate => Integer2::SubSat,
            ("add", None) => Integer2::Add,
            ("sub", None) => Integer2::Sub,
            ("mul", Some(half)) => half,
            ("div", None) => Integer2::Div,
            ("rem", None) => Integer2::Rem,
            ("min", None) => Integer2::Min,
            ("max", None) => Integer2::Max,
            _ => return modifiers.unknown(),
        };
        if saturate && kind != Type::S32 {
            return modifiers.unknown();
        }
        Op::Integer2(function, kind)
    };
    let mut lowered = uniform(into, source, kind, op, 2)?;
    lowered.flush = flush;
    lowered.saturate = saturate && kind.is_float();
    Ok(lowered)
}

fn predicate_logic(into: &mut Lowering, source: &syntax::Instruction) -> Result<Instruction> {
    let line = source.place.line;
    let mut lowered = Instruction::new(match source.opcode[0].as_str() {
        "and" => Op::PredicateLogic(Logic::And),
        "or" => Op::PredicateLogic(Logic::Or),
        "xor" => Op::PredicateLogic(Logic::Xor),
        _ => Op::PredicateNot,
    });
    lowered.d = into.predicate(operand(source, 0)?, line)?;
    lowered.a = into.predicate(operand(source, 1)?, line)?;
    if lowered.op != Op::PredicateNot {
        lowered.b = into.predicate(operand(source, 2)?, line)?;
    }
    Ok(lowered)
}

fn multiply_add(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    let line = source.place.line;
    let rounding = modifiers.rounding();
    let flush = modifiers.take("ftz");
    let saturate = modifiers.take("sat");
    let relu = modifiers.take("relu");
    let half = modifiers.one_of(&[
        ("lo", Integer3::MadLo),
        ("hi", Integer3::MadHi),
        ("wide", Integer3::MadWide),
    ]);
    let kind = modifiers.kind()?;
    if source.opcode[0] == "sad" {
        return uniform(into, source, kind, Op::Integer3(Integer3::Sad, kind), 3);
    }
    if kind.is_float() {
        if half.is_some() || (rounding != Rounding::Nearest && kind != Type::F32) {
            return modifiers.unknown();
        }
        let mut lowered = uniform(into, source, kind, Op::Fma(kind, rounding, relu), 3)?;
        lowered.flush = flush;
        lowered.saturate = saturate;
        return Ok(lowered);
    }
    let Some(half) = half.filter(|_| !saturate) else {
        return modifiers.unknown();
    };
    let mut lowered = uniform(into, source, kind, Op::Integer3(half, kind), 2)?;
    let bytes = if half == Integer3::MadWide {
        kind.bytes() * 2
    } else {
        kind.bytes()
    };
    lowered.c = into.source(operand(source, 3)?, bytes, false, line)?;
    Ok(lowered)
}

fn unary(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    let flush = modifiers.take("ftz");
    let shift = modifiers.take("shiftamt");
    let kind = modifiers.kind()?;
    let op = match (source.opcode[0].as_str(), kind.is_float()) {
        ("neg", true) => Op::Float1(Float1::Neg, kind, Rounding::Nearest),
        ("abs", true) => Op::Float1(Float1::Abs, kind, Rounding::Nearest),
        (_, true) => return modifiers.unknown(),
        (base, false) => Op::Integer1(
            match base {
                "neg" => Integer1::Neg,
                "abs" => Integer1::Abs,
                "not" => Integer1::Not,
                "cnot" => Integer1::CNot,
                "popc" => Integer1::PopCount,
                "clz" => Integer1::LeadingZeros,
                "brev" => Integer1::Reverse,
                _ if shift => Integer1::FindHighestShift,
                _ => Integer1::FindHighest,
            },
            kind,
        ),
    };
    let mut lowered = uniform(into, source, kind, op, 1)?;
    lowered.flush = flush;
    Ok(lowered)
}

fn transcendental(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    // Where only an approximation is asked for, the rounded exact value is one.
    let approximate = modifiers.take("approx");
    let rounding = modifiers.rounding();
    let flush = modifiers.take("ftz");
    let kind = modifiers.kind()?;
    let function = match source.opcode[0].as_str() {
        "sqrt" => Float1::Sqrt,
        "rsqrt" => Float1::InverseSqrt,
        "rcp" => Float1::Reciprocal,
        "ex2" => Float1::Exp2,
        "lg2" => Float1::Log2,
        "sin" => Float1::Sin,
        "cos" => Float1::Cos,
        _ => Float1::Tanh,
    };
    if !kind.is_float() || rounding != Rounding::Nearest {
        return modifiers.unknown();
    }
    let exact = matches!(function, Float1::Sqrt | Float1::Reciprocal);
    if !approximate && !exact {
        return modifiers.unknown();
    }
    let mut lowered = uniform(into, source, kind, Op::Float1(function, kind, rounding), 1)?;
    lowered.flush = flush;
    Ok(lowered)
}
