// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lists and lines of text.

/// "a", "a and b", "a, b and c".
pub fn list(words: &[impl AsRef<str>], and: &str) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} {and} {last}", most.join(", ")),
    }
}

/// The text in lines of at most `width` characters, except where a single word is longer. A line that is indented, a
/// command to be copied, stays as it is.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    text.lines()
        .flat_map(|line| match line.starts_with(' ') {
            true => vec![line.to_owned()],
            false => filled(line, width),
        })
        .collect()
}

fn filled(line: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
