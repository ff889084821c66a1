// SPDX-License-Identifier: MIT OR Apache-2.0

//! A PTX module as its grammar sees it.

#[derive(Debug, Default)]
pub struct Module {
    pub version: (u32, u32),
    /// The number of `.target sm_NN`.
    pub target: u32,
    /// Source files by the number that `.loc` uses.
    pub files: Vec<(u32, String)>,
    /// Variables of the module: `.global`, `.const`, `.shared`, and `.extern .shared`.
    pub variables: Vec<Variable>,
    pub functions: Vec<Function>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    Global,
    Const,
    Shared,
    Local,
    Param,
    Generic,
}

#[derive(Debug, Clone)]
pub struct Variable {
    pub name: String,
    pub space: Space,
    pub align: u64,
    /// Bytes; 0 for an array without a size, which takes what the launch gives (dynamic shared memory).
    pub size: u64,
    pub initial: Vec<u8>,
    pub is_extern: bool,
}

#[derive(Debug, Default)]
pub struct Function {
    pub name: String,
    pub is_entry: bool,
    pub returns: Vec<Variable>,
    pub params: Vec<Variable>,
    pub body: Option<Vec<Statement>>,
    /// Threads of `.maxntid` or `.reqntid`, 0 where the module names none.
    pub max_threads: u32,
    pub required_threads: Option<[u32; 3]>,
    pub line: u32,
}

#[derive(Debug)]
pub enum Statement {
    /// `.reg .b32 %r<7>`: with a count, the names run from `%r0` to `%r6`.
    Registers {
        kind: String,
        name: String,
        count: Option<u32>,
    },
    Variable(Variable),
    Label(String),
    /// `name: .branchtargets a, b, c;`
    BranchTargets(String, Vec<String>),
    Instruction(Instruction),
    Block(Vec<Statement>),
}

#[derive(Debug, Clone)]
pub struct Instruction {
    /// The predicate and whether it is negated.
    pub guard: Option<(String, bool)>,
    /// The opcode and its modifiers: `ld.global.u32` is `["ld", "global", "u32"]`.
    pub opcode: Vec<String>,
    pub operands: Vec<Operand>,
    pub place: Place,
}

/// Where an instruction stands: the line of the PTX, and file and line of the source by the last `.loc`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    pub line: u32,
    pub file: u32,
    pub source_line: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    Name(String),
    Integer(i64),
    /// Bits of an f32 (`0f…`) and of an f64 (`0d…` or decimal).
    Single(u32),
    Double(u64),
    Vector(Vec<Operand>),
    /// `[base + offset]`
    Address(Box<Operand>, i64),
    /// `a|b`
    Pair(Box<Operand>, Box<Operand>),
    /// `!p`
    Not(String),
    /// `(a, b)` of a call.
    List(Vec<Operand>),
}
