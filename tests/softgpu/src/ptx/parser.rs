// SPDX-License-Identifier: MIT OR Apache-2.0

//! The grammar of PTX, as far as compilers emit it for compute kernels: modules, functions and variables.

use super::PtxError;
use super::lexer::{Token, tokens};
use super::syntax::{Function, Module, Operand, Space, Variable};

pub type Result<T> = std::result::Result<T, PtxError>;

pub struct Parser {
    pub tokens: Vec<(Token, u32)>,
    pub at: usize,
    pub file: u32,
    pub source_line: u32,
}

pub fn parse(text: &str) -> Result<Module> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        file: 0,
        source_line: 0,
    };
    let mut module = Module::default();
    while parser.at < parser.tokens.len() {
        parser.top_level(&mut module)?;
    }
    if module.version == (0, 0) || module.target == 0 {
        return Err(PtxError::at(1, "a module needs .version and .target"));
    }
    Ok(module)
}

/// Bytes of a value of a fundamental type, as `.u32` or `u32`.
pub fn type_bytes(kind: &str) -> Option<u64> {
    Some(match kind.trim_start_matches('.') {
        "b8" | "u8" | "s8" => 1,
        "b16" | "u16" | "s16" | "f16" | "bf16" => 2,
        "b32" | "u32" | "s32" | "f32" | "f16x2" => 4,
        "b64" | "u64" | "s64" | "f64" => 8,
        _ => return None,
    })
}

pub fn integer(word: &str) -> Option<i64> {
    let word = word.strip_suffix('U').unwrap_or(word);
    let parsed = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => u64::from_str_radix(&word[2..], 16),
        [b'0', b'b' | b'B', ..] => u64::from_str_radix(&word[2..], 2),
        _ => word.parse::<u64>(),
    };
    parsed.ok().map(|value| value as i64)
}

impl Parser {
    pub fn line(&self) -> u32 {
        self.tokens
            .get(self.at)
            .or(self.tokens.last())
            .map_or(0, |token| token.1)
    }

    pub fn fail<T>(&self, what: impl Into<String>) -> Result<T> {
        Err(PtxError::at(self.line(), what))
    }

    pub fn word(&mut self) -> Result<String> {
        match self.tokens.get(self.at) {
            Some((Token::Word(word), _)) => {
                self.at += 1;
                Ok(word.clone())
            }
            other => self.fail(format!(
                "expected a word, found {:?}",
                other.map(|token| &token.0)
            )),
        }
    }

    pub fn peek_word(&self) -> Option<&str> {
        match self.tokens.get(self.at) {
            Some((Token::Word(word), _)) => Some(word),
            _ => None,
        }
    }

    pub fn is(&self, mark: char) -> bool {
        matches!(self.tokens.get(self.at), Some((Token::Punctuation(found), _)) if *found == mark)
    }

    pub fn take(&mut self, mark: char) -> bool {
        let found = self.is(mark);
        self.at += usize::from(found);
        found
    }

    pub fn expect(&mut self, mark: char) -> Result<()> {
        if self.take(mark) {
            return Ok(());
        }
        self.fail(format!(
            "expected `{mark}`, found {:?}",
            self.tokens.get(self.at).map(|token| &token.0)
        ))
    }

    pub fn number(&mut self) -> Result<i64> {
        let negative = self.take('-');
        let word = self.word()?;
        match integer(&word) {
            Some(value) if negative => Ok(value.wrapping_neg()),
            Some(value) => Ok(value),
            None => self.fail(format!("expected a number, found `{word}`")),
        }
    }

    pub fn skip_statement(&mut self) -> Result<()> {
        while !self.take(';') {
            if self.at >= self.tokens.len() {
                return self.fail("a statement without its `;`");
            }
            self.at += 1;
        }
        Ok(())
    }

    fn skip_block(&mut self) -> Result<()> {
        while !self.is('{') {
            self.at += 1;
            if self.at >= self.tokens.len() {
                return self.fail("a section without its block");
            }
        }
        let mut depth = 0;
        loop {
            depth += i32::from(self.is('{')) - i32::from(self.is('}'));
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
            if self.at >= self.tokens.len() {
                return self.fail("a block without its `}`");
            }
        }
    }

    fn top_level(&mut self, module: &mut Module) -> Result<()> {
        let Some(word) = self.peek_word().map(str::to_owned) else {
            return self.fail("expected a directive");
        };
        match word.as_str() {
            ".version" => {
                self.at += 1;
                let version = self.word()?;
                let parts = version
                    .split_once('.')
                    .and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                module.version = match parts {
                    Some(parts) => parts,
                    None => return self.fail(format!("`{version}` is no version")),
                };
            }
            ".target" => {
                self.at += 1;
                let target = self.word()?;
                let number = target
                    .strip_prefix("sm_")
                    .map(|n| n.trim_end_matches(['a', 'f']).parse());
                module.target = match number {
                    Some(Ok(number)) => number,
                    _ => return self.fail(format!("`{target}` is no target")),
                };
                while self.take(',') {
                    self.word()?;
                }
            }
            ".address_size" => {
                self.at += 1;
                if self.number()? != 64 {
                    return self.fail("only 64-bit addresses are known");
                }
            }
            ".file" => self.file_name(module)?,
            ".section" => self.skip_block()?,
            ".visible" | ".weak" | ".common" | ".extern" | ".entry" | ".func" | ".global" | ".const"
            | ".shared" => {
                self.definition(module)?;
            }
            other => return self.fail(format!("an unknown directive `{other}`")),
        }
        Ok(())
    }

    fn file_name(&mut self, module: &mut Module) -> Result<()> {
        self.at += 1;
        let number = self.number()? as u32;
        let Some((Token::Text(name), _)) = self.tokens.get(self.at).cloned() else {
            return self.fail("expected the name of a file");
        };
        self.at += 1;
        while self.take(',') {
            self.number()?;
        }
        module.files.push((number, name));
        Ok(())
    }

    fn definition(&mut self, module: &mut Module) -> Result<()> {
        let mut is_extern = false;
        loop {
            let word = self.peek_word().unwrap_or_default().to_owned();
            match word.as_str() {
                ".visible" | ".weak" | ".common" => self.at += 1,
                ".extern" => {
                    is_extern = true;
                    self.at += 1;
                }
                ".entry" | ".func" => {
                    self.at += 1;
                    let function = self.function(word == ".entry")?;
                    module.functions.push(function);
                    return Ok(());
                }
                _ => {
                    let found = self.variables(is_extern)?;
                    module.variables.extend(found);
                    return Ok(());
                }
            }
        }
    }

    fn function(&mut self, is_entry: bool) -> Result<Function> {
        let mut function = Function {
            is_entry,
            line: self.line(),
            ..Function::default()
        };
        if self.is('(') {
            function.returns = self.parameters()?;
        }
        function.name = self.word()?;
        if self.is('(') {
            function.params = self.parameters()?;
        }
        loop {
            match self.peek_word() {
                Some(".maxntid" | ".reqntid") => {
                    let required = self.word()? == ".reqntid";
                    let mut size = [1u32; 3];
                    for (at, axis) in size.iter_mut().enumerate() {
                        if at == 0 || self.take(',') {
                            *axis = self.number()? as u32;
                        }
                    }
                    function.max_threads = size.iter().product();
                    function.required_threads = required.then_some(size);
                }
                Some(".minnctapersm" | ".maxnreg" | ".maxclusterrank") => {
                    self.at += 1;
                    self.number()?;
                }
                Some(".noreturn") => self.at += 1,
                Some(".pragma") => self.skip_statement()?,
                _ => break,
            }
        }
        if !self.take(';') {
            function.body = Some(self.block()?);
        }
        Ok(function)
    }

    fn parameters(&mut self) -> Result<Vec<Variable>> {
        self.expect('(')?;
        let mut found = Vec::new();
        while !self.take(')') {
            found.push(self.variable(false)?);
            self.take(',');
        }
        Ok(found)
    }

    pub fn variables(&mut self, is_extern: bool) -> Result<Vec<Variable>> {
        let found = self.variable(is_extern)?;
        self.expect(';')?;
        Ok(vec![found])
    }

    /// `.space .align n .type name[size]… = {…}`
    fn variable(&mut self, is_extern: bool) -> Result<Variable> {
        let (mut space, mut align, mut bytes, mut lanes) = (Space::Param, 0, 0, 1);
        loop {
            let word = self.word()?;
            match word.as_str() {
                ".global" => space = Space::Global,
                ".const" => space = Space::Const,
                ".shared" => space = Space::Shared,
                ".local" => space = Space::Local,
                ".param" => space = Space::Param,
                ".ptr" => {
                    // `.ptr .global .align 16` says what the pointer points to, not where the parameter lies.
                    if self
                        .peek_word()
                        .is_some_and(|word| matches!(word, ".global" | ".shared" | ".local"))
                    {
                        self.at += 1;
                    }
                    if self.peek_word() == Some(".align") {
                        self.at += 1;
                        self.number()?;
                    }
                }
                ".align" => align = self.number()? as u64,
                ".v2" => lanes = 2,
                ".v4" => lanes = 4,
                ".attribute" => return self.fail("attributes of variables are not known"),
                kind if kind.starts_with('.') => match type_bytes(kind) {
                    Some(size) => bytes = size,
                    None => return self.fail(format!("an unknown type `{kind}`")),
                },
                name => {
                    return self.rest_of_variable(name.to_owned(), space, align, bytes * lanes, is_extern);
                }
            }
        }
    }

    fn rest_of_variable(
        &mut self,
        name: String,
        space: Space,
        align: u64,
        bytes: u64,
        is_extern: bool,
    ) -> Result<Variable> {
        let mut size = bytes;
        while self.take('[') {
            let length = if self.is(']') { 0 } else { self.number()? as u64 };
            self.expect(']')?;
            size *= length;
        }
        let mut initial = Vec::new();
        if self.take('=') {
            let braced = self.take('{');
            loop {
                let value = match self.operand()? {
                    Operand::Integer(value) => value as u64,
                    Operand::Single(bits) => u64::from(bits),
                    Operand::Double(bits) => bits,
                    _ => return self.fail("only numbers can be initial values"),
                };
                initial.extend_from_slice(&value.to_le_bytes()[..bytes as usize]);
                if !self.take(',') {
                    break;
                }
            }
            if braced {
                self.expect('}')?;
            }
        }
        Ok(Variable {
            name,
            space,
            align: align.max(bytes).max(1),
            size,
            initial,
            is_extern,
        })
    }
}
