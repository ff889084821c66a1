// SPDX-License-Identifier: MIT OR Apache-2.0

//! Words, punctuation and strings of a PTX text, each with its line.

use super::PtxError;

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A name, a register, a number, an opcode with its modifiers, or a directive with its dot.
    Word(String),
    Punctuation(char),
    Text(String),
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$' | b'%')
}

/// Cuts the text into tokens.
pub fn tokens(text: &str) -> Result<Vec<(Token, u32)>, PtxError> {
    let bytes = text.as_bytes();
    let (mut at, mut line) = (0, 1);
    let mut found = Vec::new();
    while at < bytes.len() {
        let rest = &bytes[at..];
        match rest[0] {
            b'\n' => {
                line += 1;
                at += 1;
            }
            0 => break,
            byte if byte.is_ascii_whitespace() => at += 1,
            _ if rest.starts_with(b"//") => at += rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len()),
            _ if rest.starts_with(b"/*") => {
                let end = text[at..]
                    .find("*/")
                    .ok_or_else(|| PtxError::at(line, "a comment without end"))?;
                line += rest[..end].iter().filter(|&&b| b == b'\n').count() as u32;
                at += end + 2;
            }
            b'"' => {
                let end = rest[1..].iter().position(|&b| b == b'"');
                let end = end.ok_or_else(|| PtxError::at(line, "a text without end"))?;
                found.push((
                    Token::Text(String::from_utf8_lossy(&rest[1..=end]).into_owned()),
                    line,
                ));
                at += end + 2;
            }
            byte if in_word(byte) => {
                let end = rest.iter().position(|&b| !in_word(b)).unwrap_or(rest.len());
                // `C::m` never ends a word of the subset, but `.L2::128B` is one.
                let end = word_end(rest, end);
                found.push((
                    Token::Word(String::from_utf8_lossy(&rest[..end]).into_owned()),
                    line,
                ));
                at += end;
            }
            byte if byte.is_ascii_punctuation() => {
                found.push((Token::Punctuation(byte as char), line));
                at += 1;
            }
            byte => return Err(PtxError::at(line, format!("an unexpected byte {byte:#04x}"))),
        }
    }
    Ok(found)
}

/// Goes on over the `::` inside modifiers such as `.L2::128B` and `.shared::cta`.
fn word_end(rest: &[u8], mut end: usize) -> usize {
    while rest[end..].starts_with(b"::") && rest.get(end + 2).is_some_and(|&b| in_word(b)) {
        end += 2;
        end += rest[end..]
            .iter()
            .position(|&b| !in_word(b))
            .unwrap_or(rest.len() - end);
    }
    end
}
