// SPDX-License-Identifier: MIT OR Apache-2.0

//! A stack machine for the part of pickle that a state dict uses; a tensor reader, not a pickle machine.
//!
//! Pickle is a programming language in which a file can call any function of Python. Here an instruction that a
//! state dict does not need is an error, and the only "functions" are those of `rebuild`. Each instruction
//! takes at least a byte of the file and makes at most one object; the number of instructions, the stack, the
//! length of a text and, by the order of the memo, its size are bounded, and nothing is sized by a number from the file.

use super::super::error::{Fault, printable};
use super::input::Input;
use super::opcodes as op;
use super::rebuild;
use super::value::{Object, ObjectId, Pickle, Value};

/// Some 12 000 tensors' worth; VGG-19 takes about 1500.
const MAX_INSTRUCTIONS: usize = 1 << 19;
/// No callable takes more.
const MAX_ARGUMENTS: usize = 8;
/// `pickle` never puts more than 1000 items at a time; 2000 for keys and values.
const MAX_STACK: usize = 1 << 14;
const MAX_MARKS: usize = 64;

/// Runs the pickle at the beginning of `bytes`. `part` names it in messages, where offsets count from its start.
pub(super) fn run<'a>(bytes: &'a [u8], part: &'static str) -> Result<Pickle<'a>, Fault> {
    let mut machine = Machine {
        input: Input::new(bytes, part),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        objects: Vec::new(),
        copied: 0,
    };
    for _ in 0..MAX_INSTRUCTIONS {
        if machine.step()? {
            let root = machine.pop()?;
            return Ok(Pickle {
                root,
                objects: machine.objects,
                length: machine.input.next,
            });
        }
    }
    Err(Fault::Unsupported(format!(
        "{part} has more than {MAX_INSTRUCTIONS} instructions"
    )))
}

struct Machine<'a> {
    input: Input<'a>,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at the MARKs that are open.
    marks: Vec<usize>,
    memo: Vec<Option<Value<'a>>>,
    objects: Vec<Object<'a>>,
    /// Items copied from lists into dictionaries.
    copied: usize,
}

impl<'a> Machine<'a> {
    /// Executes one instruction; true at STOP.
    fn step(&mut self) -> Result<bool, Fault> {
        match self.input.opcode()? {
            op::STOP => return Ok(true),
            op::PROTO => self.protocol()?,
            op::MARK => self.mark()?,
            op::NONE => self.push(Value::None)?,
            op::NEWTRUE => self.push(Value::Bool(true))?,
            op::NEWFALSE => self.push(Value::Bool(false))?,
            op::BININT => self.int(|input| Ok(i32::from_le_bytes(input.array()?).into()))?,
            op::BININT1 => self.int(|input| Ok(input.array::<1>()?[0].into()))?,
            op::BININT2 => self.int(|input| Ok(u16::from_le_bytes(input.array()?).into()))?,
            op::LONG1 => {
                let length = self.input.array::<1>()?[0].into();
                self.long(length)?;
            }
            op::LONG4 => {
                // Signed by its description; a negative length is more than any file has.
                let length = u32::from_le_bytes(self.input.array()?) as usize;
                self.long(length)?;
            }
            op::BINFLOAT => {
                self.input.array::<8>()?;
                self.push(Value::Unused)?;
            }
            op::SHORT_BINSTRING => {
                let length = self.input.array::<1>()?[0].into();
                self.text(length)?;
            }
            op::BINSTRING | op::BINUNICODE => {
                let length = u32::from_le_bytes(self.input.array()?) as usize;
                self.text(length)?;
            }
            op::EMPTY_DICT => self.make(Object::Dict(Vec::new()))?,
            op::EMPTY_LIST => self.make(Object::List(Vec::new()))?,
            op::EMPTY_TUPLE => self.make(Object::Tuple(Vec::new()))?,
            op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => self.short_tuple()?,
            op::TUPLE => {
                let items = self.since_mark()?;
                self.make(Object::Tuple(items))?;
            }
            op::APPEND => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            op::APPENDS => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            op::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])?;
            }
            op::SETITEMS => {
                let items = self.since_mark()?;
                self.set_items(&items)?;
            }
            op::BINPUT => {
                let slot = self.input.array::<1>()?[0].into();
                self.remember(slot)?;
            }
            op::LONG_BINPUT => {
                let slot = u32::from_le_bytes(self.input.array()?) as usize;
                self.remember(slot)?;
            }
            op::BINGET => {
                let slot = self.input.array::<1>()?[0].into();
                self.recall(slot)?;
            }
            op::LONG_BINGET => {
                let slot = u32::from_le_bytes(self.input.array()?) as usize;
                self.recall(slot)?;
            }
            op::GLOBAL => self.global()?,
            op::BINPERSID => {
                let id = self.pop_tuple()?;
                let storage =
                    rebuild::storage(&self.objects, &id).map_err(|reason| self.input.refuse(&reason))?;
                self.make(Object::Storage(Box::new(storage)))?;
            }
            op::REDUCE | op::NEWOBJ => self.call()?,
            op::BUILD => self.build()?,
            opcode => {
                let name = op::name_of_refused(opcode);
                return Err(Fault::Unsupported(format!(
                    "the instruction {opcode:#04x} ({name}) at byte {} of {} does not occur in a PyTorch state dict; \
                     load the file in Python and write torch.save(model.state_dict(), …) or safetensors",
                    self.input.at, self.input.part
                )));
            }
        }
        Ok(false)
    }

    fn protocol(&mut self) -> Result<(), Fault> {
        match self.input.array::<1>()?[0] {
            2 => Ok(()),
            other => Err(Fault::Unsupported(format!(
                "{} is written in pickle protocol {other}; only 2 is read, which torch.save uses unless told otherwise",
                self.input.part
            ))),
        }
    }

    fn mark(&mut self) -> Result<(), Fault> {
        if self.marks.len() >= MAX_MARKS {
            return Err(self.input.refuse(&format!("nests more than {MAX_MARKS} deep")));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn int(&mut self, read: impl Fn(&mut Input<'a>) -> Result<i64, Fault>) -> Result<(), Fault> {
        let number = read(&mut self.input)?;
        self.push(Value::Int(number))
    }

    fn long(&mut self, length: usize) -> Result<(), Fault> {
        let number = self.input.long(length)?;
        self.push(number.map_or(Value::Unused, Value::Int))
    }

    fn text(&mut self, length: usize) -> Result<(), Fault> {
        let text = self.input.text(length)?;
        self.push(Value::Text(text))
    }

    fn short_tuple(&mut self) -> Result<(), Fault> {
        let length = usize::from(self.input.opcode - op::TUPLE1) + 1;
        let mut items = Vec::with_capacity(length);
        for _ in 0..length {
            items.push(self.pop()?);
        }
        items.reverse();
        self.make(Object::Tuple(items))
    }

    fn append(&mut self, items: Vec<Value<'a>>) -> Result<(), Fault> {
        match self.top()? {
            Object::List(list) => list.extend(items),
            _ => return Err(self.input.refuse("appends to what is not a list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Value<'a>]) -> Result<(), Fault> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.input.refuse("has a key without a value"));
        }
        match self.top()? {
            Object::Dict(dict) => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            _ => return Err(self.input.refuse("sets items of what is not a dictionary")),
        }
        Ok(())
    }

    /// Slots are numbered in the order of writing, from 0 or, by Python 2, from 1; so the memo need not grow
    /// faster than the file.
    fn remember(&mut self, slot: usize) -> Result<(), Fault> {
        let value = self.peek()?;
        if slot > self.memo.len() + 1 {
            return Err(self.input.refuse(&format!("fills memo slot {slot} out of order")));
        }
        if slot >= self.memo.len() {
            self.memo.resize(slot + 1, None);
        }
        self.memo[slot] = Some(value);
        Ok(())
    }

    fn recall(&mut self, slot: usize) -> Result<(), Fault> {
        match self.memo.get(slot) {
            Some(&Some(value)) => self.push(value),
            _ => Err(self.input.refuse(&format!("asks for the empty memo slot {slot}"))),
        }
    }

    fn global(&mut self) -> Result<(), Fault> {
        let module = self.input.line()?;
        let name = self.input.line()?;
        match rebuild::callable(module, name) {
            Some(callable) => self.push(Value::Callable(callable)),
            None => Err(Fault::Unsupported(format!(
                "the name {}.{} at byte {} of {} is none that a PyTorch state dict needs, and weight files are not \
                 allowed to run anything; load the file in Python and write torch.save(model.state_dict(), …) or \
                 safetensors",
                printable(module),
                printable(name),
                self.input.at,
                self.input.part
            ))),
        }
    }

    fn call(&mut self) -> Result<(), Fault> {
        let arguments = self.pop_tuple()?;
        let Value::Callable(callable) = self.pop()? else {
            return Err(self.input.refuse("calls what cannot be called"));
        };
        match rebuild::call(callable, &arguments, &self.objects)
            .map_err(|reason| self.input.refuse(&reason))?
        {
            rebuild::Made::New(object) => {
                // An OrderedDict copies its items, and one list can be named again and again. Honest items take
                // more than a byte each.
                if let Object::Dict(items) = &object {
                    self.copied += items.len();
                }
                if self.copied > self.input.next {
                    return Err(self.input.refuse("copies too much"));
                }
                self.make(object)
            }
            rebuild::Made::Same(value) => self.push(value),
        }
    }

    fn build(&mut self) -> Result<(), Fault> {
        let state = self.pop()?;
        let id = self.top_id()?;
        let change = rebuild::build(&self.objects[id], state, &self.objects);
        if let Some(object) = change.map_err(|reason| self.input.refuse(&reason))? {
            self.objects[id] = object;
        }
        Ok(())
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), Fault> {
        if self.stack.len() >= MAX_STACK {
            return Err(self.input.refuse(&format!("stacks more than {MAX_STACK} values")));
        }
        self.stack.push(value);
        Ok(())
    }

    fn make(&mut self, object: Object<'a>) -> Result<(), Fault> {
        self.objects.push(object);
        self.push(Value::Object(self.objects.len() - 1))
    }

    /// The topmost value; what lies below the last MARK is out of reach.
    fn peek(&self) -> Result<Value<'a>, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..]
            .last()
            .copied()
            .ok_or_else(|| self.input.refuse("needs a value that is not there"))
    }

    fn pop(&mut self) -> Result<Value<'a>, Fault> {
        let value = self.peek()?;
        self.stack.pop();
        Ok(value)
    }

    fn since_mark(&mut self) -> Result<Vec<Value<'a>>, Fault> {
        let mark = self
            .marks
            .pop()
            .ok_or_else(|| self.input.refuse("needs a mark that is not there"))?;
        // Not `split_off`, which at the bottom of the stack would hand over all its spare capacity.
        Ok(self.stack.drain(mark..).collect())
    }

    fn pop_tuple(&mut self) -> Result<Vec<Value<'a>>, Fault> {
        if let Value::Object(id) = self.pop()?
            && let Object::Tuple(items) = &self.objects[id]
            && items.len() <= MAX_ARGUMENTS
        {
            return Ok(items.clone());
        }
        Err(self.input.refuse("needs a short tuple that is not there"))
    }

    fn top_id(&self) -> Result<ObjectId, Fault> {
        match self.peek()? {
            Value::Object(id) => Ok(id),
            _ => Err(self.input.refuse("needs an object that is not there")),
        }
    }

    fn top(&mut self) -> Result<&mut Object<'a>, Fault> {
        let id = self.top_id()?;
        Ok(&mut self.objects[id])
    }
}
