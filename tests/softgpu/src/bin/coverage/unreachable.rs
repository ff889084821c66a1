// SPDX-License-Identifier: MIT OR Apache-2.0

//! Instructions that a compiler left in a kernel although nothing can get there.

/// A line of the list.
struct Entry {
    kernel: String,
    source: String,
    text: String,
    /// Was found in a file, and not executed.
    holds: bool,
    /// Was executed.
    refuted: bool,
}

#[derive(Default)]
pub struct Unreachable {
    entries: Vec<Entry>,
}

impl Unreachable {
    /// Lines of `KERNEL | SOURCE:LINE | TEXT | REASON`; those that begin with # are comments.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim);
        let entries = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let entries = entries.map(|line| {
            // Destinations in pairs are written as `a|b`, without spaces.
            let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
            match parts[..] {
                [kernel, source, text, reason] if !reason.is_empty() => Ok(Entry {
                    kernel: kernel.to_owned(),
                    source: source.to_owned(),
                    text: text.to_owned(),
                    holds: false,
                    refuted: false,
                }),
                _ => Err(format!("`{line}` is no KERNEL | SOURCE:LINE | TEXT | REASON")),
            }
        });
        Ok(Self {
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the list names an instruction; notes whether it was executed after all.
    pub fn explains(&mut self, kernel: &str, source: &str, text: &str, executed: bool) -> bool {
        let named =
            |entry: &&mut Entry| entry.kernel == kernel && entry.source == source && entry.text == text;
        let mut known = false;
        for entry in self.entries.iter_mut().filter(named) {
            entry.holds |= !executed;
            entry.refuted |= executed;
            known = true;
        }
        known
    }

    /// Entries that name nothing, or what was executed.
    pub fn stale(&self) -> impl Iterator<Item = String> + '_ {
        self.entries
            .iter()
            .filter(|entry| !entry.holds || entry.refuted)
            .map(|entry| format!("{} | {} | {}", entry.kernel, entry.source, entry.text))
    }
}
