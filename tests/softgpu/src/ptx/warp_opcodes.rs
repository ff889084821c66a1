// SPDX-License-Identifier: MIT OR Apache-2.0

//! Instructions that move the program counter, or let lanes work together.

use super::PtxError;
use super::instruction::{Instruction, Integer2, NONE, Op, Shuffle, Type, Vote};
use super::lower::{Lowering, Result};
use super::memory_opcodes;
use super::opcodes::{Modifiers, operand};
use super::scope::Symbol;
use super::syntax::{self, Operand};

pub fn lower(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Option<Instruction>> {
    let line = source.place.line;
    let lowered = match source.opcode[0].as_str() {
        "ld" | "ldu" => memory_opcodes::load(into, source, modifiers)?,
        "st" => memory_opcodes::store(into, source, modifiers)?,
        "atom" | "red" => memory_opcodes::atomic(into, source, modifiers)?,
        "cvta" => memory_opcodes::address_conversion(into, source, modifiers)?,
        "ldmatrix" => memory_opcodes::load_matrix(into, source, modifiers)?,
        "mma" => memory_opcodes::mma(into, source, modifiers)?,
        "cp" => memory_opcodes::copy_async(into, source, modifiers)?,
        "bar" | "barrier" => barrier(into, source, modifiers)?,
        "membar" | "fence" => {
            modifiers.take("proxy");
            modifiers.one_of(&[("sc", ()), ("acq_rel", ())]);
            modifiers.one_of(&[("cta", ()), ("gl", ()), ("gpu", ()), ("sys", ())]);
            Instruction::new(Op::Fence)
        }
        "shfl" => shuffle(into, source, modifiers)?,
        "vote" => vote(into, source, modifiers)?,
        "match" => match_lanes(into, source, modifiers)?,
        "redux" => reduce(into, source, modifiers)?,
        "activemask" => {
            modifiers.kind()?;
            let mut lowered = Instruction::new(Op::ActiveMask);
            lowered.d = into.destination(operand(source, 0)?, line)?.0;
            lowered
        }
        "bra" => {
            modifiers.take("uni");
            let mut lowered = Instruction::new(Op::Branch);
            let Operand::Name(name) = operand(source, 0)? else {
                return modifiers.unknown();
            };
            lowered.immediate = i64::from(into.label(name, line)?);
            lowered
        }
        "brx" => branch_indexed(into, source, modifiers)?,
        "ret" => {
            modifiers.take("uni");
            match into.return_label {
                Some(label) => {
                    let mut lowered = Instruction::new(Op::Branch);
                    lowered.immediate = i64::from(label);
                    lowered
                }
                None => Instruction::new(Op::Exit),
            }
        }
        "exit" => Instruction::new(Op::Exit),
        "trap" | "brkpt" => Instruction::new(Op::Trap),
        "nanosleep" => {
            modifiers.kind()?;
            Instruction::new(Op::Nop)
        }
        "prefetch" | "prefetchu" => {
            modifiers.one_of(&[("global", ()), ("local", ())]);
            modifiers.one_of(&[("L1", ()), ("L2", ())]);
            Instruction::new(Op::Nop)
        }
        _ => return Ok(None),
    };
    Ok(Some(lowered))
}

fn barrier(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    let line = source.place.line;
    if modifiers.take("warp") {
        if !modifiers.take("sync") {
            return modifiers.unknown();
        }
        let mut lowered = Instruction::new(Op::WarpBarrier);
        lowered.b = into.source(operand(source, 0)?, 4, false, line)?;
        return Ok(lowered);
    }
    modifiers.take("cta");
    if !modifiers.take("sync") {
        return modifiers.unknown();
    }
    modifiers.take("aligned");
    let counted = source.operands.len() > 1;
    let mut lowered = Instruction::new(Op::Barrier { counted });
    lowered.a = into.source(operand(source, 0)?, 4, false, line)?;
    if counted {
        lowered.b = into.source(operand(source, 1)?, 4, false, line)?;
    }
    Ok(lowered)
}

fn shuffle(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    let line = source.place.line;
    let known = [
        ("up", Shuffle::Up),
        ("down", Shuffle::Down),
        ("bfly", Shuffle::Butterfly),
        ("idx", Shuffle::Index),
    ];
    if !modifiers.take("sync") {
        return modifiers.unknown();
    }
    let Some(mode) = modifiers.one_of(&known) else {
        return modifiers.unknown();
    };
    modifiers.kind()?;
    let mut lowered = Instruction::new(Op::Shuffle(mode));
    match operand(source, 0)? {
        Operand::Pair(value, in_range) => {
            lowered.d = into.destination(value, line)?.0;
            lowered.x = into.predicate(in_range, line)?;
        }
        value => lowered.d = into.destination(value, line)?.0,
    }
    lowered.a = into.source(operand(source, 1)?, 4, false, line)?;
    lowered.b = into.source(operand(source, 2)?, 4, false, line)?;
    lowered.c = into.source(operand(source, 3)?, 4, false, line)?;
    lowered.list = Box::new([into.source(operand(source, 4)?, 4, false, line)?]);
    Ok(lowered)
}

fn vote(into: &mut Lowering, source: &syntax::Instruction, modifiers: &mut Modifiers) -> Result<Instruction> {
    let line = source.place.line;
    let known = [
        ("all", Vote::All),
        ("any", Vote::Any),
        ("uni", Vote::Uniform),
        ("ballot", Vote::Ballot),
    ];
    if !modifiers.take("sync") {
        return modifiers.unknown();
    }
    let Some(mode) = modifiers.one_of(&known) else {
        return modifiers.unknown();
    };
    let (asked, negated) = match operand(source, 1)? {
        Operand::Not(name) => (Operand::Name(name.clone()), true),
        other => (other.clone(), false),
    };
    let mut lowered = Instruction::new(Op::Vote(mode, negated));
    if mode == Vote::Ballot {
        modifiers.kind()?;
        lowered.d = into.destination(operand(source, 0)?, line)?.0;
    } else {
        if !modifiers.take("pred") {
            return modifiers.unknown();
        }
        lowered.d = into.predicate(operand(source, 0)?, line)?;
    }
    lowered.a = into.predicate(&asked, line)?;
    lowered.b = into.source(operand(source, 2)?, 4, false, line)?;
    Ok(lowered)
}

fn match_lanes(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    let line = source.place.line;
    let all = modifiers.take("all");
    if (!all && !modifiers.take("any")) || !modifiers.take("sync") {
        return modifiers.unknown();
    }
    let kind = modifiers.kind()?;
    let wide = kind.bytes() == 8;
    let mut lowered = Instruction::new(if all {
        Op::MatchAll(wide)
    } else {
        Op::MatchAny(wide)
    });
    match operand(source, 0)? {
        Operand::Pair(value, same) => {
            lowered.d = into.destination(value, line)?.0;
            lowered.x = into.predicate(same, line)?;
        }
        value => lowered.d = into.destination(value, line)?.0,
    }
    lowered.a = into.source(operand(source, 1)?, kind.bytes(), false, line)?;
    lowered.b = into.source(operand(source, 2)?, 4, false, line)?;
    debug_assert!(lowered.d != NONE);
    Ok(lowered)
}

fn reduce(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    let line = source.place.line;
    let known = [
        ("add", Integer2::Add),
        ("min", Integer2::Min),
        ("max", Integer2::Max),
        ("and", Integer2::And),
        ("or", Integer2::Or),
        ("xor", Integer2::Xor),
    ];
    if !modifiers.take("sync") {
        return modifiers.unknown();
    }
    let Some(function) = modifiers.one_of(&known) else {
        return modifiers.unknown();
    };
    let kind = modifiers.kind()?;
    if !matches!(kind, Type::U32 | Type::S32) {
        return modifiers.unknown();
    }
    let mut lowered = Instruction::new(Op::Reduce(function, kind));
    lowered.d = into.destination(operand(source, 0)?, line)?.0;
    lowered.a = into.source(operand(source, 1)?, 4, false, line)?;
    lowered.b = into.source(operand(source, 2)?, 4, false, line)?;
    Ok(lowered)
}

fn branch_indexed(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    let line = source.place.line;
    modifiers.take("uni");
    if !modifiers.take("idx") {
        return modifiers.unknown();
    }
    let mut lowered = Instruction::new(Op::BranchIndexed);
    lowered.a = into.source(operand(source, 0)?, 4, false, line)?;
    let Operand::Name(name) = operand(source, 1)? else {
        return modifiers.unknown();
    };
    match into.scopes.find(name) {
        Some(Symbol::Targets(at)) => lowered.list = into.targets[at as usize].clone().into(),
        _ => return Err(PtxError::at(line, format!("no table of targets `{name}`"))),
    }
    Ok(lowered)
}
