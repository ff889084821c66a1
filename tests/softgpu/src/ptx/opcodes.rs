// SPDX-License-Identifier: MIT OR Apache-2.0

//! One instruction of PTX text to one of the machine: arithmetic here, memory and what lanes do together in `wide.rs`.

use super::PtxError;
use super::instruction::{
    Compare, Float1, Float2, Instruction, Integer1, Integer2, Integer3, Logic, NONE, Op, Rounding, Type,
};
use super::lower::{Lowering, Result};
use super::syntax::{self, Operand};
use super::wide;

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
        choices.iter().find(|(name, _)| self.take(name)).map(|(_, value)| *value)
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
        Err(PtxError::at(self.line, format!("the instruction `{}` is not known", self.whole)))
    }

    fn finish(&self) -> Result<()> {
        if self.left.is_empty() { Ok(()) } else { self.unknown() }
    }
}

/// Lowers one instruction of the text.
pub fn lower(into: &mut Lowering, source: &syntax::Instruction) -> Result<()> {
    let mut modifiers = Modifiers::new(source);
    if source.opcode[0] == "call" {
        return into.call(source);
    }
    let lowered = match arithmetic(into, source, &mut modifiers)? {
        Some(lowered) => lowered,
        None => match wide::lower(into, source, &mut modifiers)? {
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
    into.emit(lowered, source.place);
    Ok(())
}

/// The operands of an instruction, with an error where one is missing.
pub fn operand(source: &syntax::Instruction, at: usize) -> Result<&Operand> {
    let missing = || PtxError::at(source.place.line, format!("`{}` lacks an operand", source.opcode.join(".")));
    source.operands.get(at).ok_or_else(missing)
}

/// `d` and up to three sources, all of the same type.
fn uniform(into: &mut Lowering, source: &syntax::Instruction, kind: Type, op: Op, sources: usize) -> Result<Instruction> {
    let line = source.place.line;
    let mut lowered = Instruction::new(op);
    lowered.d = into.destination(operand(source, 0)?, line)?.0;
    for (at, slot) in [&mut lowered.a, &mut lowered.b, &mut lowered.c].into_iter().take(sources).enumerate() {
        *slot = into.source(operand(source, at + 1)?, kind.bytes(), kind.is_float(), line)?;
    }
    Ok(lowered)
}

fn arithmetic(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Option<Instruction>> {
    let line = source.place.line;
    let base = source.opcode[0].as_str();
    let lowered = match base {
        "add" | "sub" | "mul" | "div" | "rem" | "min" | "max" | "copysign" => binary(into, source, modifiers)?,
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
            let function = if base == "shl" { Integer2::Shl } else { Integer2::Shr };
            let mut lowered = uniform(into, source, kind, Op::Integer2(function, kind), 1)?;
            lowered.b = into.source(operand(source, 2)?, 4, false, line)?;
            lowered
        }
        "mad" | "fma" | "sad" => multiply_add(into, source, modifiers)?,
        "neg" | "abs" | "not" | "cnot" | "popc" | "clz" | "brev" | "bfind" => unary(into, source, modifiers)?,
        "sqrt" | "rsqrt" | "rcp" | "ex2" | "lg2" | "sin" | "cos" | "tanh" => transcendental(into, source, modifiers)?,
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
        "setp" | "set" => comparison(into, source, modifiers)?,
        "mov" => movement(into, source, modifiers)?,
        "cvt" => conversion(into, source, modifiers)?,
        _ => return Ok(None),
    };
    Ok(Some(lowered))
}

fn binary(into: &mut Lowering, source: &syntax::Instruction, modifiers: &mut Modifiers) -> Result<Instruction> {
    let base = source.opcode[0].as_str();
    if modifiers.take("approx") || modifiers.take("full") {
        // The exact quotient lies within the error that these may have.
    }
    let rounding = modifiers.rounding();
    let flush = modifiers.take("ftz");
    let saturate = modifiers.take("sat");
    let nan = modifiers.take("NaN");
    let half = modifiers.one_of(&[("lo", Integer2::MulLo), ("hi", Integer2::MulHi), ("wide", Integer2::MulWide)]);
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
        let can_be_directed = matches!(function, Float2::Add | Float2::Sub | Float2::Mul) && kind == Type::F32;
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

fn multiply_add(into: &mut Lowering, source: &syntax::Instruction, modifiers: &mut Modifiers) -> Result<Instruction> {
    let line = source.place.line;
    let rounding = modifiers.rounding();
    let flush = modifiers.take("ftz");
    let saturate = modifiers.take("sat");
    let relu = modifiers.take("relu");
    let half = modifiers.one_of(&[("lo", Integer3::MadLo), ("hi", Integer3::MadHi), ("wide", Integer3::MadWide)]);
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
    let Some(half) = half.filter(|_| !saturate) else { return modifiers.unknown() };
    let mut lowered = uniform(into, source, kind, Op::Integer3(half, kind), 2)?;
    let bytes = if half == Integer3::MadWide { kind.bytes() * 2 } else { kind.bytes() };
    lowered.c = into.source(operand(source, 3)?, bytes, false, line)?;
    Ok(lowered)
}

fn unary(into: &mut Lowering, source: &syntax::Instruction, modifiers: &mut Modifiers) -> Result<Instruction> {
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

fn transcendental(into: &mut Lowering, source: &syntax::Instruction, modifiers: &mut Modifiers) -> Result<Instruction> {
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

fn comparison(into: &mut Lowering, source: &syntax::Instruction, modifiers: &mut Modifiers) -> Result<Instruction> {
    let line = source.place.line;
    let is_set = source.opcode[0] == "set";
    let known = [
        ("eq", Compare::Equal),
        ("ne", Compare::NotEqual),
        ("lt", Compare::Less),
        ("le", Compare::LessEqual),
        ("gt", Compare::Greater),
        ("ge", Compare::GreaterEqual),
        ("lo", Compare::Less),
        ("ls", Compare::LessEqual),
        ("hi", Compare::Greater),
        ("hs", Compare::GreaterEqual),
        ("equ", Compare::EqualU),
        ("neu", Compare::NotEqualU),
        ("ltu", Compare::LessU),
        ("leu", Compare::LessEqualU),
        ("gtu", Compare::GreaterU),
        ("geu", Compare::GreaterEqualU),
        ("num", Compare::IsNumber),
        ("nan", Compare::IsNan),
    ];
    let Some(compare) = modifiers.one_of(&known) else { return modifiers.unknown() };
    let combine = modifiers.one_of(&[("and", Logic::And), ("or", Logic::Or), ("xor", Logic::Xor)]);
    let flush = modifiers.take("ftz");
    let result = if is_set { Some(modifiers.kind()?) } else { None };
    let kind = modifiers.kind()?;
    let mut lowered = Instruction::new(Op::Nop);
    lowered.flush = flush;
    let mut with = None;
    if let Some(logic) = combine {
        let (operand, negated) = match operand(source, 3)? {
            Operand::Not(name) => (Operand::Name(name.clone()), true),
            other => (other.clone(), false),
        };
        lowered.c = into.predicate(&operand, line)?;
        with = Some((logic, negated));
    }
    match result {
        Some(result) => {
            if with.is_some() {
                return modifiers.unknown();
            }
            lowered.d = into.destination(operand(source, 0)?, line)?.0;
            lowered.op = Op::Set(compare, kind, result);
        }
        None => {
            match operand(source, 0)? {
                Operand::Pair(first, second) => {
                    lowered.d = into.predicate(first, line)?;
                    lowered.x = into.predicate(second, line)?;
                }
                first => lowered.d = into.predicate(first, line)?,
            }
            lowered.op = Op::SetPredicate(compare, kind, with);
        }
    }
    lowered.a = into.source(operand(source, 1)?, kind.bytes(), kind.is_float(), line)?;
    lowered.b = into.source(operand(source, 2)?, kind.bytes(), kind.is_float(), line)?;
    Ok(lowered)
}

fn movement(into: &mut Lowering, source: &syntax::Instruction, modifiers: &mut Modifiers) -> Result<Instruction> {
    let line = source.place.line;
    if modifiers.take("pred") {
        let mut lowered = Instruction::new(Op::MovePredicate);
        lowered.d = into.predicate(operand(source, 0)?, line)?;
        lowered.a = into.predicate(operand(source, 1)?, line)?;
        return Ok(lowered);
    }
    let kind = modifiers.kind()?;
    let bytes = kind.bytes() as u8;
    match (operand(source, 0)?, operand(source, 1)?) {
        (Operand::Vector(parts), whole) => {
            let part = bytes / parts.len().max(1) as u8;
            let mut lowered = Instruction::new(Op::Unpack(part, bytes));
            lowered.a = into.source(whole, kind.bytes(), false, line)?;
            lowered.list = parts.iter().map(|o| Ok(into.destination(o, line)?.0)).collect::<Result<_>>()?;
            Ok(lowered)
        }
        (whole, Operand::Vector(parts)) => {
            let part = bytes / parts.len().max(1) as u8;
            let mut lowered = Instruction::new(Op::Pack(part, bytes));
            lowered.d = into.destination(whole, line)?.0;
            let parts = parts.iter().map(|o| into.source(o, u32::from(part), false, line));
            lowered.list = parts.collect::<Result<_>>()?;
            Ok(lowered)
        }
        (_, Operand::Name(name)) if name == "%clock" || name == "%clock64" || name == "%globaltimer" => {
            let mut lowered = Instruction::new(Op::Clock(bytes == 8));
            lowered.d = into.destination(operand(source, 0)?, line)?.0;
            Ok(lowered)
        }
        _ => uniform(into, source, kind, if bytes == 8 { Op::Move64 } else { Op::Move32 }, 1),
    }
}

fn conversion(into: &mut Lowering, source: &syntax::Instruction, modifiers: &mut Modifiers) -> Result<Instruction> {
    let line = source.place.line;
    let directions = [
        ("rn", (Rounding::Nearest, false)),
        ("rz", (Rounding::Zero, false)),
        ("rm", (Rounding::Down, false)),
        ("rp", (Rounding::Up, false)),
        ("rni", (Rounding::Nearest, true)),
        ("rzi", (Rounding::Zero, true)),
        ("rmi", (Rounding::Down, true)),
        ("rpi", (Rounding::Up, true)),
    ];
    let (rounding, integral) = modifiers.one_of(&directions).unwrap_or((Rounding::Nearest, false));
    let flush = modifiers.take("ftz");
    let saturate = modifiers.take("sat");
    let relu = modifiers.take("relu");
    let (to, from) = (modifiers.kind()?, modifiers.kind()?);
    if to == Type::F16x2 {
        if from != Type::F32 || rounding != Rounding::Nearest || saturate {
            return modifiers.unknown();
        }
        let mut lowered = uniform(into, source, Type::F32, Op::ConvertPair { relu }, 2)?;
        lowered.flush = flush;
        return Ok(lowered);
    }
    if relu || from == Type::F16x2 {
        return modifiers.unknown();
    }
    let (d, d_bytes) = into.destination(operand(source, 0)?, line)?;
    let operand = operand(source, 1)?;
    // A source may lie in a register wider than its type.
    let (a, a_bytes) = match operand {
        Operand::Name(name) if name.starts_with('%') && into.scopes.special(name).is_none() => {
            into.destination(operand, line)?
        }
        _ => (into.source(operand, from.bytes(), from.is_float(), line)?, from.bytes()),
    };
    let (wide_to, wide_from) = (d_bytes == 8, a_bytes == 8);
    let mut lowered = Instruction::new(Op::Convert { to, from, rounding, integral, wide_to, wide_from });
    lowered.flush = flush;
    lowered.saturate = saturate;
    (lowered.d, lowered.a) = (d, a);
    debug_assert_ne!(lowered.a, NONE);
    Ok(lowered)
}
