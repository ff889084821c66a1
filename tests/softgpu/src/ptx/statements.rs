// SPDX-License-Identifier: MIT OR Apache-2.0

//! The grammar of what stands in a function: declarations, labels, instructions and their operands.

use super::lexer::Token;
use super::parser::{Parser, Result, integer};
use super::syntax::{Instruction, Operand, Place, Statement};

impl Parser {
    pub fn block(&mut self) -> Result<Vec<Statement>> {
        self.expect('{')?;
        let mut found = Vec::new();
        while !self.take('}') {
            if self.at >= self.tokens.len() {
                return self.fail("a block without its `}`");
            }
            self.statement(&mut found)?;
        }
        Ok(found)
    }

    fn statement(&mut self, found: &mut Vec<Statement>) -> Result<()> {
        if self.take(';') {
            return Ok(());
        }
        if self.is('{') {
            found.push(Statement::Block(self.block()?));
            return Ok(());
        }
        match self.peek_word() {
            Some(word) if word == ".reg" || word.starts_with(".reg.") => self.registers(found),
            Some(".shared" | ".local" | ".param") => {
                found.extend(self.variables(false)?.into_iter().map(Statement::Variable));
                Ok(())
            }
            Some(".loc") => {
                self.at += 1;
                self.file = self.number()? as u32;
                let line = self.number()? as u32;
                self.number()?;
                if self.take(',') {
                    self.inlined_at()?;
                }
                // Line 0 means that no line of the source stands behind what follows.
                if line != 0 {
                    self.source_line = line;
                }
                Ok(())
            }
            Some(".pragma") => self.skip_statement(),
            Some(word) if !word.starts_with('.') => {
                let is_label = matches!(self.tokens.get(self.at + 1), Some((Token::Punctuation(':'), _)));
                if is_label {
                    self.label(found)
                } else {
                    self.instruction(found)
                }
            }
            None if self.is('@') => self.instruction(found),
            other => {
                let what = format!("an unknown statement {other:?}");
                self.fail(what)
            }
        }
    }

    /// `function_name $L__info_string0, inlined_at 1 8 3` behind a `.loc`.
    fn inlined_at(&mut self) -> Result<()> {
        loop {
            match self.peek_word() {
                Some("function_name") => {
                    self.at += 1;
                    self.word()?;
                    if self.take('+') {
                        self.number()?;
                    }
                }
                Some("inlined_at") => {
                    self.at += 1;
                    for _ in 0..3 {
                        self.number()?;
                    }
                }
                _ => return self.fail("expected function_name or inlined_at"),
            }
            if !self.take(',') {
                return Ok(());
            }
        }
    }

    fn registers(&mut self, found: &mut Vec<Statement>) -> Result<()> {
        // Inline assembly of NVIDIA's headers writes `.reg.b32` in one word.
        let joined = self.word()?.strip_prefix(".reg.").map(str::to_owned);
        let kind = match joined {
            Some(kind) => kind,
            None => self.word()?.trim_start_matches('.').to_owned(),
        };
        loop {
            let name = self.word()?;
            let count = if self.take('<') {
                let count = self.number()? as u32;
                self.expect('>')?;
                Some(count)
            } else {
                None
            };
            found.push(Statement::Registers {
                kind: kind.clone(),
                name,
                count,
            });
            if !self.take(',') {
                break;
            }
        }
        self.expect(';')
    }

    fn label(&mut self, found: &mut Vec<Statement>) -> Result<()> {
        let name = self.word()?;
        self.expect(':')?;
        if self.peek_word() != Some(".branchtargets") {
            found.push(Statement::Label(name));
            return Ok(());
        }
        self.at += 1;
        let mut targets = vec![self.word()?];
        while self.take(',') {
            targets.push(self.word()?);
        }
        self.expect(';')?;
        found.push(Statement::BranchTargets(name, targets));
        Ok(())
    }

    fn instruction(&mut self, found: &mut Vec<Statement>) -> Result<()> {
        let guard = if self.take('@') {
            let negated = self.take('!');
            Some((self.word()?, negated))
        } else {
            None
        };
        let place = Place {
            line: self.line(),
            file: self.file,
            source_line: self.source_line,
        };
        let opcode = self.word()?.split('.').map(str::to_owned).collect();
        let mut operands = Vec::new();
        while !self.take(';') {
            if !operands.is_empty() {
                self.expect(',')?;
            }
            operands.push(self.operand()?);
        }
        found.push(Statement::Instruction(Instruction {
            guard,
            opcode,
            operands,
            place,
        }));
        Ok(())
    }

    pub fn operand(&mut self) -> Result<Operand> {
        if self.take('{') {
            return Ok(Operand::Vector(self.operands_until('}')?));
        }
        if self.take('(') {
            return Ok(Operand::List(self.operands_until(')')?));
        }
        if self.take('[') {
            let base = self.operand()?;
            let mut offset = 0;
            if self.take('+') || self.is('-') {
                offset = self.number()?;
            }
            self.expect(']')?;
            return Ok(Operand::Address(Box::new(base), offset));
        }
        if self.take('!') {
            return Ok(Operand::Not(self.word()?));
        }
        if self.is('-') {
            return Ok(Operand::Integer(self.number()?));
        }
        let word = self.word()?;
        let operand = self.named_or_number(word)?;
        if self.take('|') {
            let second = self.operand()?;
            return Ok(Operand::Pair(Box::new(operand), Box::new(second)));
        }
        Ok(operand)
    }

    fn operands_until(&mut self, end: char) -> Result<Vec<Operand>> {
        let mut found = Vec::new();
        while !self.take(end) {
            if !found.is_empty() {
                self.expect(',')?;
            }
            found.push(self.operand()?);
        }
        Ok(found)
    }

    fn named_or_number(&self, word: String) -> Result<Operand> {
        if !word.as_bytes()[0].is_ascii_digit() {
            return Ok(Operand::Name(word));
        }
        let bits = |digits: &str| u64::from_str_radix(digits, 16).ok();
        let found = match word.as_bytes() {
            [b'0', b'f' | b'F', ..] => bits(&word[2..]).map(|bits| Operand::Single(bits as u32)),
            [b'0', b'd' | b'D', ..] => bits(&word[2..]).map(Operand::Double),
            _ => integer(&word).map(Operand::Integer).or_else(|| {
                word.parse::<f64>()
                    .ok()
                    .map(|value| Operand::Double(value.to_bits()))
            }),
        };
        match found {
            Some(operand) => Ok(operand),
            None => self.fail(format!("`{word}` is no number")),
        }
    }
}
