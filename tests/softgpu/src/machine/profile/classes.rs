// SPDX-License-Identifier: MIT OR Apache-2.0

//! What kind of work an instruction is.

use crate::ptx::instruction::{Float1, Float2, Op, Type};
use crate::ptx::syntax::Space;

macro_rules! classes {
    ($($class:ident $name:literal,)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Class {
            $($class,)+
        }

        impl Class {
            pub const NAMES: &[&str] = &[$($name),+];
        }
    };
}

classes! {
    Mma "mma",
    LoadMatrix "ldmatrix",
    LoadGlobal "load_global",
    StoreGlobal "store_global",
    AtomicGlobal "atomic_global",
    LoadShared "load_shared",
    StoreShared "store_shared",
    Local "local",
    CopyAsync "copy_async",
    Barrier "barrier",
    Shuffle "shuffle",
    Branch "branch",
    Float "float",
    Double "double",
    Integer "integer",
    Convert "convert",
    Move "move",
    Special "special",
    Other "other",
}

/// The class of an instruction; `space` is where an access to memory goes.
pub fn class(op: &Op, space: Option<Space>) -> Class {
    match op {
        Op::Mma { .. } => Class::Mma,
        Op::LoadMatrix { .. } => Class::LoadMatrix,
        Op::Load(_) => match space {
            Some(Space::Global) => Class::LoadGlobal,
            Some(Space::Shared) => Class::LoadShared,
            Some(Space::Local | Space::Param) => Class::Local,
            _ => Class::Other,
        },
        Op::Store(_) => match space {
            Some(Space::Global) => Class::StoreGlobal,
            Some(Space::Shared) => Class::StoreShared,
            Some(Space::Local | Space::Param) => Class::Local,
            _ => Class::Other,
        },
        Op::Atomic(..) if space == Some(Space::Global) => Class::AtomicGlobal,
        Op::CopyAsync { .. } => Class::CopyAsync,
        Op::Barrier { .. } | Op::WarpBarrier => Class::Barrier,
        Op::Shuffle(_) => Class::Shuffle,
        Op::Branch | Op::BranchIndexed | Op::Exit => Class::Branch,
        Op::Float1(Float1::Neg | Float1::Abs, kind, _) | Op::Fma(kind, ..) => arithmetic(*kind),
        Op::Float1(_, kind, _) | Op::Float2(Float2::Div, kind, _) if *kind != Type::F64 => Class::Special,
        Op::Float1(_, kind, _) | Op::Float2(_, kind, _) => arithmetic(*kind),
        Op::SetPredicate(_, kind, _) | Op::Set(_, kind, _) => arithmetic(*kind),
        Op::Integer1(..) | Op::Integer2(..) | Op::Integer3(..) | Op::BitInsert(_) | Op::Logic3 => {
            Class::Integer
        }
        Op::PredicateLogic(_) | Op::PredicateNot => Class::Integer,
        Op::Convert { .. } | Op::ConvertPair { .. } => Class::Convert,
        Op::Move32
        | Op::Move64
        | Op::MovePredicate
        | Op::Pack(..)
        | Op::Unpack(..)
        | Op::Select(_)
        | Op::LoadParameter(..) => Class::Move,
        _ => Class::Other,
    }
}

fn arithmetic(kind: Type) -> Class {
    match kind {
        Type::F64 => Class::Double,
        kind if kind.is_float() => Class::Float,
        _ => Class::Integer,
    }
}
