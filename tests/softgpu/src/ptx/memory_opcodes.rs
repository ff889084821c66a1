// SPDX-License-Identifier: MIT OR Apache-2.0

//! Instructions that touch memory, and those of the tensor core.

use super::PtxError;
use super::instruction::{Access, Atomic, Instruction, Integer2, Op, Type};
use super::lower::{Lowering, Result};
use super::opcodes::{Modifiers, operand};
use super::scope::Symbol;
use super::syntax::{self, Operand, Space};
use crate::machine::{LOCAL_WINDOW, SHARED_WINDOW};

const SPACES: [(&str, Space); 8] = [
    ("global", Space::Global),
    ("const", Space::Const),
    ("shared", Space::Shared),
    ("shared::cta", Space::Shared),
    ("local", Space::Local),
    ("param", Space::Param),
    ("param::entry", Space::Param),
    ("param::func", Space::Param),
];

/// What `ld`, `st`, `atom` and `red` have in common.
fn access(modifiers: &mut Modifiers) -> Result<Access> {
    let scoped = modifiers
        .one_of(&[("relaxed", ()), ("acquire", ()), ("release", ()), ("acq_rel", ())])
        .is_some();
    modifiers.one_of(&[("cta", ()), ("gpu", ()), ("sys", ()), ("cluster", ())]);
    let volatile = modifiers.take("volatile") | modifiers.take("mmio");
    // What an access is that says nothing.
    modifiers.take("weak");
    let cache = [
        ("ca", false),
        ("cg", true),
        ("cs", false),
        ("lu", false),
        ("cv", true),
        ("wb", false),
        ("wt", false),
    ];
    let space = modifiers.one_of(&SPACES).unwrap_or(Space::Generic);
    let past_cache = modifiers.one_of(&cache).unwrap_or(false);
    modifiers.take("nc");
    for hint in [
        "L1::evict_normal",
        "L1::evict_last",
        "L1::evict_first",
        "L1::no_allocate",
        "L1::evict_unchanged",
    ] {
        modifiers.take(hint);
    }
    for hint in ["L2::64B", "L2::128B", "L2::256B"] {
        modifiers.take(hint);
    }
    let vector = modifiers.one_of(&[("v2", 2), ("v4", 4)]).unwrap_or(1);
    let kind = modifiers.kind()?;
    Ok(Access {
        space,
        kind,
        vector,
        wide_address: true,
        wide_value: false,
        shared_with_others: scoped || volatile || past_cache,
    })
}

/// The registers of a value or vector; all of a vector have the same width.
fn destinations(into: &mut Lowering, operand: &Operand, line: u32) -> Result<(Box<[u32]>, bool)> {
    let parts = match operand {
        Operand::Vector(parts) => parts.as_slice(),
        single => std::slice::from_ref(single),
    };
    let mut wide = false;
    let mut found = Vec::new();
    for part in parts {
        let (at, bytes) = into.destination(part, line)?;
        wide = bytes == 8;
        found.push(at);
    }
    Ok((found.into(), wide))
}

pub fn load(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    let line = source.place.line;
    let mut access = access(modifiers)?;
    let (list, wide_value) = destinations(into, operand(source, 0)?, line)?;
    if list.len() != usize::from(access.vector) {
        return modifiers.unknown();
    }
    access.wide_value = wide_value;
    let from = operand(source, 1)?;
    if access.space == Space::Param {
        if let Some(offset) = into.parameter_of_kernel(from) {
            let mut lowered = Instruction::new(Op::LoadParameter(access, false));
            (lowered.list, lowered.immediate) = (list, offset);
            return Ok(lowered);
        }
        let (a, wide, offset) = into.address(from, line)?;
        // A register can only hold an address of the kernel's parameters, a name here is a parameter of a function.
        let by_register = matches!(from, Operand::Address(base, _)
            if matches!(&**base, Operand::Name(name) if matches!(into.scopes.find(name), Some(Symbol::Register { .. }))));
        access.wide_address = wide;
        access.space = Space::Local;
        let op = if by_register {
            Op::LoadParameter(access, true)
        } else {
            Op::Load(access)
        };
        let mut lowered = Instruction::new(op);
        (lowered.list, lowered.a, lowered.immediate) = (list, a, offset);
        return Ok(lowered);
    }
    let (a, wide, offset) = into.address(from, line)?;
    access.wide_address = wide;
    let mut lowered = Instruction::new(Op::Load(access));
    (lowered.list, lowered.a, lowered.immediate) = (list, a, offset);
    Ok(lowered)
}

pub fn store(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    let line = source.place.line;
    let mut access = access(modifiers)?;
    if access.space == Space::Param {
        access.space = Space::Local;
    }
    let (a, wide, offset) = into.address(operand(source, 0)?, line)?;
    access.wide_address = wide;
    let value = operand(source, 1)?;
    let parts = match value {
        Operand::Vector(parts) => parts.as_slice(),
        single => std::slice::from_ref(single),
    };
    if parts.len() != usize::from(access.vector) {
        return modifiers.unknown();
    }
    let mut list = Vec::new();
    for part in parts {
        // A store may take the lower part of a wider register.
        let is_register =
            matches!(part, Operand::Name(name) if name.starts_with('%')) && into.is_plain_register(part);
        if is_register {
            let (at, bytes) = into.source_of_any_width(part, line)?;
            access.wide_value = bytes == 8;
            list.push(at);
        } else {
            access.wide_value = access.kind.bytes() == 8;
            list.push(into.source(part, access.kind.bytes(), access.kind.is_float(), line)?);
        }
    }
    let mut lowered = Instruction::new(Op::Store(access));
    (lowered.list, lowered.a, lowered.immediate) = (list.into(), a, offset);
    Ok(lowered)
}

pub fn atomic(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    let line = source.place.line;
    let returns = source.opcode[0] == "atom";
    let known = [
        ("add", Atomic::Add),
        ("min", Atomic::Min),
        ("max", Atomic::Max),
        ("and", Atomic::And),
        ("or", Atomic::Or),
        ("xor", Atomic::Xor),
        ("exch", Atomic::Exchange),
        ("cas", Atomic::CompareAndSwap),
        ("inc", Atomic::Increment),
        ("dec", Atomic::Decrement),
    ];
    let Some(function) = modifiers.one_of(&known) else {
        return modifiers.unknown();
    };
    modifiers.take("noftz");
    let mut access = access(modifiers)?;
    if !matches!(
        access.kind,
        Type::U32 | Type::S32 | Type::F32 | Type::U64 | Type::S64
    ) {
        return modifiers.unknown();
    }
    if access.kind == Type::F32 && function != Atomic::Add {
        return modifiers.unknown();
    }
    let bytes = access.kind.bytes();
    let mut lowered = Instruction::new(Op::Nop);
    let first = usize::from(returns);
    if returns {
        lowered.d = into.destination(operand(source, 0)?, line)?.0;
    }
    let (a, wide, offset) = into.address(operand(source, first)?, line)?;
    access.wide_address = wide;
    access.wide_value = bytes == 8;
    (lowered.a, lowered.immediate) = (a, offset);
    lowered.b = into.source(operand(source, first + 1)?, bytes, access.kind.is_float(), line)?;
    if function == Atomic::CompareAndSwap {
        lowered.c = into.source(operand(source, first + 2)?, bytes, false, line)?;
    }
    lowered.op = Op::Atomic(function, access, returns);
    Ok(lowered)
}

pub fn address_conversion(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    let line = source.place.line;
    let to = modifiers.take("to");
    let Some(space) = modifiers.one_of(&SPACES) else {
        return modifiers.unknown();
    };
    if modifiers.kind()? != Type::U64 {
        return modifiers.unknown();
    }
    let window = match space {
        Space::Shared => SHARED_WINDOW,
        Space::Local => LOCAL_WINDOW,
        _ => 0,
    };
    let d = into.destination(operand(source, 0)?, line)?.0;
    let a = into.source(operand(source, 1)?, 8, false, line)?;
    let mut lowered = Instruction::new(Op::Move64);
    if window != 0 {
        let function = if to { Integer2::Sub } else { Integer2::Add };
        lowered.op = Op::Integer2(function, Type::U64);
        lowered.b = into.scopes.constant(window, true);
    }
    (lowered.d, lowered.a) = (d, a);
    Ok(lowered)
}

pub fn load_matrix(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    let line = source.place.line;
    let all = [("sync", ()), ("aligned", ()), ("m8n8", ())];
    for (name, ()) in all {
        if !modifiers.take(name) {
            return modifiers.unknown();
        }
    }
    let count = modifiers.one_of(&[("x1", 1u8), ("x2", 2), ("x4", 4)]);
    let transposed = modifiers.take("trans");
    let space = modifiers.one_of(&SPACES);
    let (Some(count), Some(Space::Shared), Type::U16) = (count, space, modifiers.kind()?) else {
        return modifiers.unknown();
    };
    let (list, _) = destinations(into, operand(source, 0)?, line)?;
    if list.len() != usize::from(count) {
        return modifiers.unknown();
    }
    let (a, wide_address, offset) = into.address(operand(source, 1)?, line)?;
    let mut lowered = Instruction::new(Op::LoadMatrix {
        count,
        transposed,
        wide_address,
    });
    (lowered.list, lowered.a, lowered.immediate) = (list, a, offset);
    Ok(lowered)
}

pub fn mma(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    let line = source.place.line;
    for name in ["sync", "aligned", "row", "col"] {
        if !modifiers.take(name) {
            return modifiers.unknown();
        }
    }
    let Some(depth) = modifiers.one_of(&[("m16n8k8", 8u8), ("m16n8k16", 16)]) else {
        return modifiers.unknown();
    };
    let kinds = [
        modifiers.kind()?,
        modifiers.kind()?,
        modifiers.kind()?,
        modifiers.kind()?,
    ];
    let [d_kind, Type::F16, Type::F16, c_kind] = kinds else {
        return modifiers.unknown();
    };
    let (half_d, half_c) = (d_kind == Type::F16, c_kind == Type::F16);
    if (!half_d && d_kind != Type::F32) || (!half_c && c_kind != Type::F32) {
        return modifiers.unknown();
    }
    let accumulators = |half| if half { 2 } else { 4 };
    let lengths = [
        accumulators(half_d),
        usize::from(depth) / 4,
        usize::from(depth) / 8,
        accumulators(half_c),
    ];
    let mut list = Vec::new();
    for (at, length) in lengths.into_iter().enumerate() {
        let parts = match operand(source, at)? {
            Operand::Vector(parts) => parts.as_slice(),
            single => std::slice::from_ref(single),
        };
        if parts.len() != length {
            return modifiers.unknown();
        }
        for part in parts {
            list.push(if at == 0 {
                into.destination(part, line)?.0
            } else {
                into.source(part, 4, at == 3 && !half_c, line)?
            });
        }
    }
    let mut lowered = Instruction::new(Op::Mma {
        depth,
        half_d,
        half_c,
    });
    lowered.list = list.into();
    Ok(lowered)
}

pub fn copy_async(
    into: &mut Lowering,
    source: &syntax::Instruction,
    modifiers: &mut Modifiers,
) -> Result<Instruction> {
    let line = source.place.line;
    if !modifiers.take("async") {
        return modifiers.unknown();
    }
    if modifiers.take("commit_group") {
        return Ok(Instruction::new(Op::CopyCommit));
    }
    if modifiers.take("wait_all") {
        return Ok(Instruction::new(Op::CopyWaitAll));
    }
    if modifiers.take("wait_group") {
        let Operand::Integer(groups) = operand(source, 0)? else {
            return modifiers.unknown();
        };
        let mut lowered = Instruction::new(Op::CopyWait);
        lowered.immediate = *groups;
        return Ok(lowered);
    }
    let past_l1 = modifiers.take("cg");
    if !past_l1 && !modifiers.take("ca") {
        return modifiers.unknown();
    }
    if !modifiers.take("shared") && !modifiers.take("shared::cta") {
        return modifiers.unknown();
    }
    if !modifiers.take("global") {
        return modifiers.unknown();
    }
    for hint in ["L2::64B", "L2::128B", "L2::256B"] {
        modifiers.take(hint);
    }
    let (a, wide_shared, to_offset) = into.address(operand(source, 0)?, line)?;
    let (b, wide, from_offset) = into.address(operand(source, 1)?, line)?;
    let Operand::Integer(bytes @ (4 | 8 | 16)) = operand(source, 2)? else {
        return modifiers.unknown();
    };
    if !wide || (past_l1 && *bytes != 16) {
        return modifiers.unknown();
    }
    let mut lowered = Instruction::new(Op::CopyAsync {
        bytes: *bytes as u8,
        wide_shared,
    });
    (lowered.a, lowered.b) = (a, b);
    lowered.immediate = to_offset;
    // The offset of the source rides along in the list, beside nothing else.
    lowered.list = Box::new([into.scopes.constant(from_offset as u64, true)]);
    if let Some(size) = source.operands.get(3) {
        if into.is_predicate(size) {
            return Err(PtxError::at(
                line,
                "cp.async with a predicate to ignore its source is not known",
            ));
        }
        lowered.c = into.source(size, 4, false, line)?;
    }
    Ok(lowered)
}
