// SPDX-License-Identifier: MIT OR Apache-2.0

//! What names mean, block by block, and where registers lie.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::instruction::Special;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Predicate,
    /// 16 or 32 bits.
    Word,
    Double,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Symbol {
    Register {
        class: Class,
        at: u32,
        bytes: u8,
    },
    /// An address in shared, local or global memory.
    Shared(u32),
    Local(u32),
    Global(u64),
    /// An offset into the parameters of the kernel.
    Parameter(u32),
    Label(u32),
    /// An index into the tables of branch targets.
    Targets(u32),
}

/// Registers that were declared, but that nothing used yet.
#[derive(Debug, Clone)]
struct Family {
    class: Class,
    bytes: u8,
    count: u32,
}

#[derive(Debug, Default)]
struct Level {
    symbols: HashMap<String, Symbol>,
    families: HashMap<String, Family>,
    /// Nothing outside this level can be seen from within (the body of a called function).
    is_wall: bool,
}

/// The names that can be seen, innermost block last.
#[derive(Debug)]
pub struct Scopes {
    levels: Vec<Level>,
    pub register_words: u32,
    pub predicates: u32,
    pub specials: Vec<(Special, u32)>,
    pub constants: Vec<(u32, u64, bool)>,
    constant_at: HashMap<(u64, bool), u32>,
    /// Predicates that are always false or always true, where an instruction names one.
    pub constant_predicates: [Option<u32>; 2],
    /// Registers of the module that instructions set; and those that they read, with name and line of the first time.
    set: HashSet<u32>,
    read: BTreeMap<u32, (String, u32)>,
}

impl Scopes {
    pub fn new() -> Self {
        Self {
            levels: vec![Level::default()],
            register_words: 0,
            predicates: 0,
            specials: Vec::new(),
            constants: Vec::new(),
            constant_at: HashMap::new(),
            constant_predicates: [None; 2],
            set: HashSet::new(),
            read: BTreeMap::new(),
        }
    }

    /// Notes that an instruction sets a register.
    pub fn sets(&mut self, at: u32) {
        self.set.insert(at);
    }

    /// Notes that an instruction reads a register.
    pub fn reads(&mut self, at: u32, name: &str, line: u32) {
        self.read.entry(at).or_insert_with(|| (name.to_owned(), line));
    }

    /// Name and line of a register that is read and never set.
    pub fn never_set(&self) -> Option<&(String, u32)> {
        let unset = self.read.iter().filter(|(at, _)| !self.set.contains(at));
        unset.map(|(_, place)| place).min_by_key(|(_, line)| *line)
    }

    pub fn enter(&mut self, is_wall: bool) {
        self.levels.push(Level {
            is_wall,
            ..Level::default()
        });
    }

    pub fn leave(&mut self) {
        self.levels.pop();
    }

    pub fn declare(&mut self, name: &str, symbol: Symbol) {
        self.innermost().symbols.insert(name.to_owned(), symbol);
    }

    /// Declares what every block can see.
    pub fn declare_in_module(&mut self, name: &str, symbol: Symbol) {
        self.levels[0].symbols.insert(name.to_owned(), symbol);
    }

    fn innermost(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the outermost level is never left")
    }

    /// `.reg .kind name` or `.reg .kind name<count>`; false for an unknown kind.
    pub fn declare_registers(&mut self, kind: &str, name: &str, count: Option<u32>) -> bool {
        let (class, bytes) = match kind {
            "pred" => (Class::Predicate, 0),
            "b8" | "u8" | "s8" | "b16" | "u16" | "s16" | "f16" | "bf16" => (Class::Word, 2),
            "b32" | "u32" | "s32" | "f32" | "f16x2" => (Class::Word, 4),
            "b64" | "u64" | "s64" | "f64" => (Class::Double, 8),
            _ => return false,
        };
        match count {
            Some(count) => {
                self.innermost()
                    .families
                    .insert(name.to_owned(), Family { class, bytes, count });
            }
            None => {
                let at = self.allocate(class);
                self.declare(name, Symbol::Register { class, at, bytes });
            }
        }
        true
    }

    pub fn allocate(&mut self, class: Class) -> u32 {
        match class {
            Class::Predicate => {
                self.predicates += 1;
                self.predicates - 1
            }
            Class::Word | Class::Double => {
                let at = self.register_words;
                self.register_words += if class == Class::Word { 32 } else { 64 };
                at
            }
        }
    }

    pub fn find(&mut self, name: &str) -> Option<Symbol> {
        let mut member = None;
        let mut level_of_member = 0;
        for (number, level) in self.levels.iter().enumerate().rev() {
            if let Some(symbol) = level.symbols.get(name) {
                return Some(*symbol);
            }
            let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
            if let (Some(family), Ok(index)) = (level.families.get(stem), name[stem.len()..].parse::<u32>())
                && index < family.count
            {
                member = Some(family.clone());
                level_of_member = number;
                break;
            }
            if level.is_wall {
                break;
            }
        }
        if let Some(family) = member {
            let symbol = Symbol::Register {
                class: family.class,
                at: self.allocate(family.class),
                bytes: family.bytes,
            };
            self.levels[level_of_member]
                .symbols
                .insert(name.to_owned(), symbol);
            return Some(symbol);
        }
        self.levels[0].symbols.get(name).copied()
    }

    pub fn constant(&mut self, value: u64, wide: bool) -> u32 {
        if let Some(at) = self.constant_at.get(&(value, wide)) {
            return *at;
        }
        let at = self.allocate(if wide { Class::Double } else { Class::Word });
        self.constants.push((at, value, wide));
        self.constant_at.insert((value, wide), at);
        at
    }

    pub fn constant_predicate(&mut self, value: bool) -> u32 {
        if let Some(at) = self.constant_predicates[usize::from(value)] {
            return at;
        }
        let at = self.allocate(Class::Predicate);
        self.constant_predicates[usize::from(value)] = Some(at);
        at
    }

    /// The register of `%tid.x` and its like.
    pub fn special(&mut self, name: &str) -> Option<u32> {
        let axis = |name: &str| match name {
            "x" => Some(0),
            "y" => Some(1),
            "z" => Some(2),
            _ => None,
        };
        let special = match name.split_once('.') {
            Some(("%tid", rest)) => Special::Thread(axis(rest)?),
            Some(("%ntid", rest)) => Special::Threads(axis(rest)?),
            Some(("%ctaid", rest)) => Special::Block(axis(rest)?),
            Some(("%nctaid", rest)) => Special::Blocks(axis(rest)?),
            _ => match name {
                "%laneid" => Special::Lane,
                "%warpid" => Special::Warp,
                "%nwarpid" => Special::Warps,
                "%smid" => Special::Multiprocessor,
                "%nsmid" => Special::Multiprocessors,
                "%gridid" => Special::Grid,
                "%lanemask_eq" => Special::MaskEqual,
                "%lanemask_lt" => Special::MaskLess,
                "%lanemask_le" => Special::MaskLessEqual,
                "%lanemask_gt" => Special::MaskGreater,
                "%lanemask_ge" => Special::MaskGreaterEqual,
                "%dynamic_smem_size" => Special::DynamicShared,
                "%total_smem_size" => Special::TotalShared,
                _ => return None,
            },
        };
        if let Some((_, at)) = self.specials.iter().find(|(known, _)| *known == special) {
            return Some(*at);
        }
        let at = self.allocate(Class::Word);
        self.specials.push((special, at));
        Some(at)
    }
}
