// SPDX-License-Identifier: MIT OR Apache-2.0

//! The dense form that the machine runs: every name is an index, every constant a register.
//!
//! A register is 32 lanes beside each other: 32 words of 32 bits, or 32 of 64 bits; 16-bit registers take 32-bit lanes
//! whose upper halves are zero. A predicate is one word with a bit per lane.

use super::syntax::{Place, Space};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    U8,
    S8,
    U16,
    S16,
    F16,
    F16x2,
    U32,
    S32,
    F32,
    U64,
    S64,
    F64,
}

impl Type {
    pub fn bytes(self) -> u32 {
        match self {
            Self::U8 | Self::S8 => 1,
            Self::U16 | Self::S16 | Self::F16 => 2,
            Self::F16x2 | Self::U32 | Self::S32 | Self::F32 => 4,
            Self::U64 | Self::S64 | Self::F64 => 8,
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F16x2 | Self::F32 | Self::F64)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    Nearest,
    Zero,
    Down,
    Up,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integer2 {
    Add,
    Sub,
    MulLo,
    MulHi,
    MulWide,
    Div,
    Rem,
    Min,
    Max,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    /// Saturated to the range of s32.
    AddSat,
    SubSat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integer3 {
    MadLo,
    MadHi,
    MadWide,
    Sad,
    BitExtract,
    Permute,
    FunnelLeftWrap,
    FunnelLeftClamp,
    FunnelRightWrap,
    FunnelRightClamp,
    Dot4,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integer1 {
    Neg,
    Not,
    CNot,
    Abs,
    PopCount,
    LeadingZeros,
    Reverse,
    FindHighest,
    FindHighestShift,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Float2 {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    MinNan,
    MaxNan,
    CopySign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Float1 {
    Neg,
    Abs,
    Sqrt,
    InverseSqrt,
    Reciprocal,
    Exp2,
    Log2,
    Sin,
    Cos,
    Tanh,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// The unordered twins are true when an operand is a NaN.
    EqualU,
    NotEqualU,
    LessU,
    LessEqualU,
    GreaterU,
    GreaterEqualU,
    IsNumber,
    IsNan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logic {
    And,
    Or,
    Xor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomic {
    Add,
    Min,
    Max,
    And,
    Or,
    Xor,
    Exchange,
    CompareAndSwap,
    Increment,
    Decrement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vote {
    All,
    Any,
    Uniform,
    Ballot,
}

/// How a load or store treats a value and its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    pub space: Space,
    pub kind: Type,
    pub vector: u8,
    /// The address register has 64 bits.
    pub wide_address: bool,
    /// The register has 64 bits (and a narrower value is extended to it).
    pub wide_value: bool,
    /// volatile, relaxed, acquire, .cg: meant to see what other blocks do.
    pub shared_with_others: bool,
}

/// What an instruction does. `d` is where the result goes, `a`, `b`, `c`, `x` are sources, `list` holds more registers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Op {
    Integer1(Integer1, Type),
    Integer2(Integer2, Type),
    Integer3(Integer3, Type),
    /// bfi: `a` put into `b` at bit `c` with length `x`.
    BitInsert(Type),
    /// lop3 with the truth table in `immediate`.
    Logic3,
    Float1(Float1, Type, Rounding),
    Float2(Float2, Type, Rounding),
    /// Multiply-add with one rounding; the flag asks for `relu`.
    Fma(Type, Rounding, bool),
    Move32,
    Move64,
    /// `d` predicate, `a` predicate.
    MovePredicate,
    /// `list` packed into `d`: values of so many bytes each into a register of so many.
    Pack(u8, u8),
    Unpack(u8, u8),
    /// `c` is the predicate that chooses `a`.
    Select(bool),
    /// `d` and `x` (if any) are predicates; `c` a predicate to combine with, negated if the flag says so.
    SetPredicate(Compare, Type, Option<(Logic, bool)>),
    /// As SetPredicate, but `d` is a register of the second type.
    Set(Compare, Type, Type),
    PredicateLogic(Logic),
    PredicateNot,
    /// From a type to a type.
    Convert {
        to: Type,
        from: Type,
        rounding: Rounding,
        integral: bool,
        wide_to: bool,
        wide_from: bool,
    },
    /// cvt.rn.f16x2.f32: `a` into the upper half, `b` into the lower.
    ConvertPair {
        relu: bool,
    },
    /// Parameters of the kernel, at `immediate` (plus `a` where the flag says so).
    LoadParameter(Access, bool),
    Load(Access),
    Store(Access),
    Atomic(Atomic, Access, bool),
    /// `immediate` is the number of the barrier when `a` is no register; `b` the number of threads.
    Barrier {
        counted: bool,
    },
    WarpBarrier,
    Branch,
    /// `a` chooses from `list` of program counters.
    BranchIndexed,
    Exit,
    Trap,
    /// `d` result, `x` predicate or NONE, `a` value, `b` lane, `c` clamp, `list[0]` member mask.
    Shuffle(Shuffle),
    /// `d` register or predicate, `a` predicate (negated by the flag), `b` member mask.
    Vote(Vote, bool),
    /// `d` result, `x` predicate or NONE, `a` value, `b` member mask.
    MatchAny(bool),
    MatchAll(bool),
    /// As Integer2 over the lanes; `b` member mask.
    Reduce(Integer2, Type),
    ActiveMask,
    Fence,
    /// `list` are the destinations.
    LoadMatrix {
        count: u8,
        transposed: bool,
        wide_address: bool,
    },
    /// `list` is d[], a[], b[], c[] of m16n8k`depth`; the flags say that D and C are f16.
    Mma {
        depth: u8,
        half_d: bool,
        half_c: bool,
    },
    /// `a` shared address, `b` global address, `c` source size or NONE; `immediate` bytes.
    CopyAsync {
        bytes: u8,
        wide_shared: bool,
    },
    CopyCommit,
    /// Waits until at most `immediate` groups are pending.
    CopyWait,
    CopyWaitAll,
    Clock(bool),
    Nop,
}

pub const NONE: u32 = u32::MAX;

#[derive(Debug, Clone)]
pub struct Instruction {
    pub op: Op,
    /// Predicate and negation.
    pub guard: u32,
    pub guard_negated: bool,
    /// Flush subnormals to zero; clamp the result to 0…1.
    pub flush: bool,
    pub saturate: bool,
    pub d: u32,
    pub a: u32,
    pub b: u32,
    pub c: u32,
    pub x: u32,
    pub immediate: i64,
    pub list: Box<[u32]>,
}

impl Instruction {
    pub fn new(op: Op) -> Self {
        Self {
            op,
            guard: NONE,
            guard_negated: false,
            flush: false,
            saturate: false,
            d: NONE,
            a: NONE,
            b: NONE,
            c: NONE,
            x: NONE,
            immediate: 0,
            list: Box::new([]),
        }
    }
}

/// A register that the machine fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Special {
    Thread(u8),
    Threads(u8),
    Block(u8),
    Blocks(u8),
    Lane,
    Warp,
    Warps,
    Multiprocessor,
    Multiprocessors,
    Grid,
    MaskEqual,
    MaskLess,
    MaskLessEqual,
    MaskGreater,
    MaskGreaterEqual,
    DynamicShared,
    TotalShared,
}

#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    pub offset: u32,
    pub bytes: u32,
}

/// A kernel, ready to run.
#[derive(Debug)]
pub struct Kernel {
    pub name: String,
    pub code: Vec<Instruction>,
    pub places: Vec<Place>,
    /// Words of 32 bits of all registers of a warp.
    pub register_words: usize,
    pub predicates: usize,
    /// Registers that never change: place, value, and whether they have 64 bits.
    pub constants: Vec<(u32, u64, bool)>,
    /// A predicate that is true in all lanes.
    pub always: Option<u32>,
    pub specials: Vec<(Special, u32)>,
    pub parameters: Vec<Parameter>,
    pub parameter_bytes: u32,
    /// Bytes of shared memory that the kernel declares, and where what the launch adds begins.
    pub static_shared: u32,
    pub dynamic_shared_at: u32,
    pub uses_dynamic_shared: bool,
    pub local_bytes: u32,
    pub max_threads: u32,
    pub required_threads: Option<[u32; 3]>,
    /// An estimate of what a compiler would need, from the values alive at one time.
    pub registers: u32,
}

#[derive(Debug)]
pub struct Program {
    pub kernels: Vec<Kernel>,
    pub files: Vec<(u32, String)>,
    pub target: u32,
    pub version: (u32, u32),
}
