// SPDX-License-Identifier: MIT OR Apache-2.0

//! Functions to dense programs: names become indices, calls are replaced by the body of what they call.

use std::collections::HashMap;

use super::PtxError;
use super::instruction::{Instruction, Kernel, NONE, Op, Parameter, Program};
use super::opcodes;
use super::scope::{Scopes, Symbol};
use super::syntax::{self, Function, Module, Operand, Place, Space, Statement, Variable};
use crate::machine::SHARED_START;

pub type Result<T> = std::result::Result<T, PtxError>;

/// Calls deeper than this are taken for a recursion, which kernels of this kind do not have.
const DEEPEST_CALL: u32 = 16;

pub fn lower(module: &Module, global: &dyn Fn(&str) -> Option<u64>) -> Result<Program> {
    let mut kernels = Vec::new();
    for function in module.functions.iter().filter(|function| function.is_entry) {
        if let Some(body) = &function.body {
            kernels.push(Lowering::new(module, global).kernel(function, body)?);
        }
    }
    Ok(Program {
        kernels,
        files: module.files.clone(),
        target: module.target,
        version: module.version,
    })
}

pub struct Lowering<'a> {
    pub module: &'a Module,
    pub global: &'a dyn Fn(&str) -> Option<u64>,
    pub scopes: Scopes,
    pub code: Vec<Instruction>,
    pub places: Vec<Place>,
    /// The program counter of each label, once it is known.
    labels: Vec<Option<u32>>,
    pub targets: Vec<Vec<u32>>,
    shared_at: u32,
    local_at: u32,
    pub dynamic_align: u32,
    /// Registers that hold the address of dynamic shared memory, which is known only at the end.
    pub dynamic: HashMap<bool, u32>,
    depth: u32,
    /// Where `ret` of the function that is being inlined goes.
    pub return_label: Option<u32>,
}

fn align(at: u32, to: u64) -> u32 {
    at.next_multiple_of(to as u32)
}

impl<'a> Lowering<'a> {
    fn new(module: &'a Module, global: &'a dyn Fn(&str) -> Option<u64>) -> Self {
        Self {
            module,
            global,
            scopes: Scopes::new(),
            code: Vec::new(),
            places: Vec::new(),
            labels: Vec::new(),
            targets: Vec::new(),
            shared_at: SHARED_START,
            local_at: 0,
            dynamic_align: 16,
            dynamic: HashMap::new(),
            depth: 0,
            return_label: None,
        }
    }

    fn kernel(mut self, function: &Function, body: &[Statement]) -> Result<Kernel> {
        let mut parameters = Vec::new();
        let mut offset = 0;
        for parameter in &function.params {
            offset = align(offset, parameter.align);
            self.scopes.declare(&parameter.name, Symbol::Parameter(offset));
            parameters.push(Parameter {
                offset,
                bytes: parameter.size as u32,
            });
            offset += parameter.size as u32;
        }
        self.body(body)?;
        self.emit(
            Instruction::new(Op::Exit),
            Place {
                line: function.line,
                ..Place::default()
            },
        );
        self.link()?;
        if let Some((name, line)) = self.scopes.never_set() {
            return Err(PtxError::at(
                *line,
                format!("`{name}` is read, and no instruction sets it"),
            ));
        }
        let static_shared = self.shared_at - SHARED_START;
        let dynamic_at = align(self.shared_at, u64::from(self.dynamic_align));
        for (wide, at) in &self.dynamic {
            self.scopes.constants.push((*at, u64::from(dynamic_at), *wide));
        }
        Ok(Kernel {
            name: function.name.clone(),
            registers: super::pressure::estimate(&self.code),
            code: self.code,
            places: self.places,
            register_words: self.scopes.register_words as usize,
            predicates: self.scopes.predicates as usize,
            constants: self.scopes.constants,
            always: self.scopes.constant_predicates[1],
            specials: self.scopes.specials,
            parameters,
            parameter_bytes: offset,
            static_shared,
            dynamic_shared_at: dynamic_at,
            uses_dynamic_shared: !self.dynamic.is_empty(),
            local_bytes: align(self.local_at, 16),
            max_threads: function.max_threads,
            required_threads: function.required_threads,
        })
    }

    /// Replaces labels by program counters.
    fn link(&mut self) -> Result<()> {
        let target = |labels: &[Option<u32>], label: u32, place: Place| {
            labels[label as usize]
                .ok_or_else(|| PtxError::at(place.line, "a branch to a label that is nowhere"))
        };
        for (instruction, place) in self.code.iter_mut().zip(&self.places) {
            match instruction.op {
                Op::Branch => {
                    instruction.immediate =
                        i64::from(target(&self.labels, instruction.immediate as u32, *place)?);
                }
                Op::BranchIndexed => {
                    for label in &mut instruction.list {
                        *label = target(&self.labels, *label, *place)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub fn emit(&mut self, instruction: Instruction, place: Place) {
        self.code.push(instruction);
        self.places.push(place);
    }

    pub fn new_label(&mut self) -> u32 {
        self.labels.push(None);
        self.labels.len() as u32 - 1
    }

    fn body(&mut self, statements: &[Statement]) -> Result<()> {
        for statement in statements {
            match statement {
                Statement::Label(name) => {
                    let label = self.new_label();
                    self.scopes.declare(name, Symbol::Label(label));
                }
                Statement::BranchTargets(name, _) => {
                    self.targets.push(Vec::new());
                    self.scopes
                        .declare(name, Symbol::Targets(self.targets.len() as u32 - 1));
                }
                _ => {}
            }
        }
        for statement in statements {
            if let Statement::BranchTargets(name, names) = statement
                && let Some(Symbol::Targets(at)) = self.scopes.find(name)
            {
                let labels = names
                    .iter()
                    .map(|name| self.label(name, 0))
                    .collect::<Result<_>>()?;
                self.targets[at as usize] = labels;
            }
        }
        for statement in statements {
            self.statement(statement)?;
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement) -> Result<()> {
        match statement {
            Statement::Registers { kind, name, count } => {
                if !self.scopes.declare_registers(kind, name, *count) {
                    return Err(PtxError::at(
                        0,
                        format!("registers of an unknown type `.{kind}`: `{name}`"),
                    ));
                }
            }
            Statement::Variable(variable) => self.place(variable),
            Statement::Label(name) => {
                if let Some(Symbol::Label(label)) = self.scopes.find(name) {
                    self.labels[label as usize] = Some(self.code.len() as u32);
                }
            }
            Statement::BranchTargets(..) => {}
            Statement::Instruction(instruction) => opcodes::lower(self, instruction)?,
            Statement::Block(statements) => {
                self.scopes.enter(false);
                self.body(statements)?;
                self.scopes.leave();
            }
        }
        Ok(())
    }

    /// Finds a place for a variable that a function declares.
    fn place(&mut self, variable: &Variable) {
        let symbol = if variable.space == Space::Shared {
            Symbol::Shared(self.shared_place(variable))
        } else {
            // Parameters of calls lie in local memory too: the callee's body stands where the call was.
            Symbol::Local(self.local_place(variable))
        };
        self.scopes.declare(&variable.name, symbol);
    }

    pub fn shared_place(&mut self, variable: &Variable) -> u32 {
        let at = align(self.shared_at, variable.align);
        self.shared_at = at + variable.size as u32;
        at
    }

    fn local_place(&mut self, variable: &Variable) -> u32 {
        let at = align(self.local_at, variable.align.max(8));
        self.local_at = at + variable.size as u32;
        at
    }

    /// Puts the body of a function where it is called.
    pub fn call(&mut self, call: &syntax::Instruction) -> Result<()> {
        let line = call.place.line;
        let (returns, rest) = match call.operands.split_first() {
            Some((Operand::List(returns), rest)) => (returns.as_slice(), rest),
            _ => (&[][..], call.operands.as_slice()),
        };
        let (Some(Operand::Name(name)), arguments) = (rest.first(), rest.get(1)) else {
            return Err(PtxError::at(line, "only direct calls are known"));
        };
        let arguments = match arguments {
            Some(Operand::List(arguments)) => arguments.as_slice(),
            _ => &[],
        };
        let module = self.module;
        let function = module
            .functions
            .iter()
            .find(|function| function.name == *name && function.body.is_some());
        let Some((function, body)) = function.and_then(|function| Some((function, function.body.as_ref()?)))
        else {
            return Err(PtxError::at(
                line,
                format!("the function `{name}` has no body here"),
            ));
        };
        if self.depth >= DEEPEST_CALL {
            return Err(PtxError::at(
                line,
                format!("`{name}` calls itself, or calls go too deep"),
            ));
        }
        let mut bound = Vec::new();
        let formal = function
            .returns
            .iter()
            .zip(returns)
            .chain(function.params.iter().zip(arguments));
        for (variable, actual) in formal {
            let Operand::Name(actual) = actual else {
                return Err(PtxError::at(line, "expected the name of a parameter"));
            };
            bound.push((variable.name.clone(), self.symbol(actual, line)?));
        }
        let skip = self.guarded_skip(call)?;
        let end = self.new_label();
        let caller_return = self.return_label.replace(end);
        self.depth += 1;
        self.scopes.enter(true);
        for (name, symbol) in bound {
            self.scopes.declare(&name, symbol);
        }
        self.body(body)?;
        self.scopes.leave();
        self.depth -= 1;
        self.return_label = caller_return;
        self.labels[end as usize] = Some(self.code.len() as u32);
        if let Some(skip) = skip {
            self.labels[skip as usize] = Some(self.code.len() as u32);
        }
        Ok(())
    }

    /// A branch around what a guarded call is replaced by.
    fn guarded_skip(&mut self, call: &syntax::Instruction) -> Result<Option<u32>> {
        let Some((name, negated)) = &call.guard else {
            return Ok(None);
        };
        let label = self.new_label();
        let mut branch = Instruction::new(Op::Branch);
        branch.guard = self.predicate(&Operand::Name(name.clone()), call.place.line)?;
        branch.guard_negated = !negated;
        branch.immediate = i64::from(label);
        debug_assert_ne!(branch.guard, NONE);
        self.emit(branch, call.place);
        Ok(Some(label))
    }
}
