// SPDX-License-Identifier: MIT OR Apache-2.0

//! Operands: what a name or number of the text is to the machine.

use super::PtxError;
use super::lower::{Lowering, Result};
use super::scope::{Class, Symbol};
use super::syntax::{Operand, Space};

impl Lowering<'_> {
    pub fn label(&mut self, name: &str, line: u32) -> Result<u32> {
        match self.scopes.find(name) {
            Some(Symbol::Label(label)) => Ok(label),
            _ => Err(PtxError::at(line, format!("no label `{name}`"))),
        }
    }

    /// The symbol of a name, which may be a variable of the module that this kernel has not used before.
    pub fn symbol(&mut self, name: &str, line: u32) -> Result<Symbol> {
        if let Some(symbol) = self.scopes.find(name) {
            return Ok(symbol);
        }
        let module = self.module;
        let Some(variable) = module.variables.iter().find(|variable| variable.name == name) else {
            return Err(PtxError::at(line, format!("nothing is called `{name}`")));
        };
        let symbol = match variable.space {
            Space::Shared => Symbol::Shared(self.shared_place(variable)),
            _ => match (self.global)(name) {
                Some(address) => Symbol::Global(address),
                None => return Err(PtxError::at(line, format!("the variable `{name}` has no place"))),
            },
        };
        self.scopes.declare_in_module(name, symbol);
        Ok(symbol)
    }

    /// The register that holds a source operand; `wide` where the instruction wants 64 bits.
    pub fn source(&mut self, operand: &Operand, bytes: u32, is_float: bool, line: u32) -> Result<u32> {
        let wide = bytes == 8;
        let trim = |value: u64| match bytes {
            1 | 2 => value & 0xffff,
            4 => value & 0xffff_ffff,
            _ => value,
        };
        Ok(match operand {
            Operand::Integer(value) => self.scopes.constant(trim(*value as u64), wide),
            Operand::Single(bits) if wide && is_float => self
                .scopes
                .constant(f64::from(f32::from_bits(*bits)).to_bits(), true),
            Operand::Single(bits) => self.scopes.constant(trim(u64::from(*bits)), wide),
            Operand::Double(bits) if bytes == 4 => self
                .scopes
                .constant(u64::from((f64::from_bits(*bits) as f32).to_bits()), false),
            Operand::Double(bits) => self.scopes.constant(trim(*bits), wide),
            Operand::Name(name) => return self.named_source(name, wide, line),
            other => return Err(PtxError::at(line, format!("expected a value, found {other:?}"))),
        })
    }

    fn named_source(&mut self, name: &str, wide: bool, line: u32) -> Result<u32> {
        if name == "WARP_SZ" {
            return Ok(self.scopes.constant(32, wide));
        }
        if let Some(at) = self.scopes.special(name) {
            if wide {
                return Err(PtxError::at(line, format!("`{name}` has 32 bits, not 64")));
            }
            return Ok(at);
        }
        if self.is_dynamic(name) {
            return Ok(self.dynamic_shared(name, wide));
        }
        let address = match self.symbol(name, line)? {
            Symbol::Register {
                class: Class::Predicate,
                ..
            } => {
                return Err(PtxError::at(line, format!("`{name}` is a predicate")));
            }
            Symbol::Register { class, at, .. } => {
                if (class == Class::Double) != wide {
                    let what = format!("`{name}` has {} bits", if wide { "too few" } else { "too many" });
                    return Err(PtxError::at(line, what));
                }
                self.scopes.reads(at, name, line);
                return Ok(at);
            }
            Symbol::Shared(address) => u64::from(address),
            Symbol::Local(address) => u64::from(address),
            Symbol::Parameter(offset) => u64::from(offset),
            Symbol::Global(address) => address,
            Symbol::Label(_) | Symbol::Targets(_) => {
                return Err(PtxError::at(line, format!("`{name}` is a label")));
            }
        };
        Ok(self.scopes.constant(address, wide))
    }

    fn is_dynamic(&self, name: &str) -> bool {
        self.module
            .variables
            .iter()
            .any(|v| v.name == name && v.space == Space::Shared && v.size == 0)
    }

    fn dynamic_shared(&mut self, name: &str, wide: bool) -> u32 {
        let align = self
            .module
            .variables
            .iter()
            .find(|v| v.name == name)
            .map_or(16, |v| v.align);
        self.dynamic_align = self.dynamic_align.max(align as u32);
        if let Some(at) = self.dynamic.get(&wide) {
            return *at;
        }
        let at = self
            .scopes
            .allocate(if wide { Class::Double } else { Class::Word });
        self.dynamic.insert(wide, at);
        at
    }

    /// The register that an instruction writes, and its bytes; `_` is a register that nobody reads.
    pub fn destination(&mut self, operand: &Operand, line: u32) -> Result<(u32, u32)> {
        if matches!(operand, Operand::Name(name) if name == "_") {
            return Ok((self.scopes.allocate(Class::Double), 4));
        }
        let (at, bytes, _) = self.register(operand, line)?;
        self.scopes.sets(at);
        Ok((at, bytes))
    }

    /// The register that an instruction reads, which may be wider than what it wants of it, and its bytes.
    pub fn source_of_any_width(&mut self, operand: &Operand, line: u32) -> Result<(u32, u32)> {
        let (at, bytes, name) = self.register(operand, line)?;
        self.scopes.reads(at, name, line);
        Ok((at, bytes))
    }

    /// A register of the module that is no predicate, its bytes, and its name.
    fn register<'b>(&mut self, operand: &'b Operand, line: u32) -> Result<(u32, u32, &'b str)> {
        let Operand::Name(name) = operand else {
            let what = format!("expected a register, found {operand:?}");
            return Err(PtxError::at(line, what));
        };
        match self.symbol(name, line)? {
            Symbol::Register { class, at, bytes } if class != Class::Predicate => {
                Ok((at, u32::from(bytes), name))
            }
            _ => Err(PtxError::at(line, format!("`{name}` is no register for numbers"))),
        }
    }

    pub fn predicate(&mut self, operand: &Operand, line: u32) -> Result<u32> {
        match operand {
            Operand::Name(name) if name == "_" => Ok(self.scopes.allocate(Class::Predicate)),
            Operand::Integer(value) => Ok(self.scopes.constant_predicate(*value != 0)),
            Operand::Name(name) => match self.symbol(name, line)? {
                Symbol::Register {
                    class: Class::Predicate,
                    at,
                    ..
                } => Ok(at),
                _ => Err(PtxError::at(line, format!("`{name}` is no predicate"))),
            },
            other => Err(PtxError::at(
                line,
                format!("expected a predicate, found {other:?}"),
            )),
        }
    }

    /// Whether a name is that of a predicate.
    pub fn is_predicate(&mut self, operand: &Operand) -> bool {
        let Operand::Name(name) = operand else {
            return false;
        };
        matches!(
            self.scopes.find(name),
            Some(Symbol::Register {
                class: Class::Predicate,
                ..
            })
        )
    }

    /// Whether an operand is a register of the module, and no special one or predicate.
    pub fn is_plain_register(&mut self, operand: &Operand) -> bool {
        let Operand::Name(name) = operand else {
            return false;
        };
        match self.scopes.find(name) {
            Some(Symbol::Register { class, .. }) => class != Class::Predicate,
            _ => false,
        }
    }

    /// An address: the register of its base, whether that has 64 bits, and the offset.
    pub fn address(&mut self, operand: &Operand, line: u32) -> Result<(u32, bool, i64)> {
        let Operand::Address(base, offset) = operand else {
            return Err(PtxError::at(
                line,
                format!("expected an address, found {operand:?}"),
            ));
        };
        match &**base {
            Operand::Name(name) => {
                if self.is_dynamic(name) {
                    return Ok((self.dynamic_shared(name, true), true, *offset));
                }
                match self.symbol(name, line)? {
                    Symbol::Register {
                        class: Class::Word,
                        at,
                        bytes: 4,
                    } => {
                        self.scopes.reads(at, name, line);
                        Ok((at, false, *offset))
                    }
                    _ => Ok((self.named_source(name, true, line)?, true, *offset)),
                }
            }
            Operand::Integer(value) => Ok((self.scopes.constant(*value as u64, true), true, *offset)),
            other => Err(PtxError::at(line, format!("{other:?} is no address"))),
        }
    }

    /// The offset of a parameter of the kernel, if that is what an address names.
    pub fn parameter_of_kernel(&mut self, operand: &Operand) -> Option<i64> {
        let Operand::Address(base, offset) = operand else {
            return None;
        };
        let Operand::Name(name) = &**base else { return None };
        match self.scopes.find(name) {
            Some(Symbol::Parameter(at)) => Some(i64::from(at) + offset),
            _ => None,
        }
    }
}
