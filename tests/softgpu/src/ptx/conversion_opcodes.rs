// SPDX-License-Identifier: MIT OR Apache-2.0

//! Comparisons, moves and conversions between types.

use super::arithmetic_opcodes::uniform;
use super::instruction::{Compare, Instruction, Logic, NONE, Op, Rounding, Type};
use super::lower::{Lowering, Result};
use super::opcodes::{Modifiers, operand};
use super::syntax::{self, Operand};

pub fn comparison(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
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
    let Some(compare) = modifiers.one_of(&known) else {
        return modifiers.unknown();
    };
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

pub fn movement(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
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
            lowered.list = parts
                .iter()
                .map(|o| Ok(into.destination(o, line)?.0))
                .collect::<Result<_>>()?;
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
        _ => uniform(
            into,
            source,
            kind,
            if bytes == 8 { Op::Move64 } else { Op::Move32 },
            1,
        ),
    }
}

pub fn conversion(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
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
    let (rounding, integral) = modifiers
        .one_of(&directions)
        .unwrap_or((Rounding::Nearest, false));
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
            into.source_of_any_width(operand, line)?
        }
        _ => (
            into.source(operand, from.bytes(), from.is_float(), line)?,
            from.bytes(),
        ),
    };
    let (wide_to, wide_from) = (d_bytes == 8, a_bytes == 8);
    let mut lowered = Instruction::new(Op::Convert {
        to,
        from,
        rounding,
        integral,
        wide_to,
        wide_from,
    });
    lowered.flush = flush;
    lowered.saturate = saturate;
    (lowered.d, lowered.a) = (d, a);
    debug_assert_ne!(lowered.a, NONE);
    Ok(lowered)
}
