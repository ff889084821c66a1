# SPDX-License-Identifier: MIT OR Apache-2.0
"""A source text in C++ or Rust, as far as operators need to understand it, and what they change in it."""

import hashlib
import re

OPENING, CLOSING = "([{", ")]}"


class Source:
    """A text with its comments and strings blanked, and its brackets paired."""

    def __init__(self, name, text, rust=False):
        self.name, self.text = name, text
        self.code = blanked(text, rust)
        self.partner = paired(self.code)

    def line(self, at):
        """The number of the line of a place, from 1."""
        return self.text.count("\n", 0, at) + 1

    def line_text(self, at):
        start = self.text.rfind("\n", 0, at) + 1
        end = self.text.find("\n", at)
        return self.text[start : end if end >= 0 else len(self.text)]

    def items(self, start, end):
        """The parts of start..end between commas that lie in no bracket, without the blanks around them."""
        parts, depth, begun = [], 0, start
        for at in range(start, end):
            if self.code[at] in OPENING:
                depth += 1
            elif self.code[at] in CLOSING:
                depth -= 1
            elif self.code[at] == "," and depth == 0:
                parts.append((begun, at))
                begun = at + 1
        parts.append((begun, end))
        trimmed = [self.trimmed(*part) for part in parts]
        return [(a, b) for a, b in trimmed if a < b]

    def trimmed(self, start, end):
        while start < end and self.code[start].isspace():
            start += 1
        while end > start and self.code[end - 1].isspace():
            end -= 1
        return start, end

    def before(self, at, stops):
        """Where the operand that ends at `at` begins: after an open bracket, or after what matches `stops`."""
        while at > 0:
            c = self.code[at - 1]
            if c in CLOSING and at - 1 in self.partner:
                at = self.partner[at - 1]
                continue
            if c in OPENING or stops.search(self.code, max(0, at - 8), at):
                break
            at -= 1
        return at

    def after(self, at, stops):
        """Where the operand that begins at `at` ends: before a closing bracket, or before what matches `stops`."""
        while at < len(self.code):
            c = self.code[at]
            if c in CLOSING or stops.match(self.code, at):
                break
            at = self.partner[at] + 1 if c in OPENING and at in self.partner else at + 1
        return at


def blanked(text, rust):
    """The text with comments and the insides of strings as blanks, of the same length."""
    quotes = r'"(?:\\.|[^"\\])*"'
    single = r"'(?:\\.[^']*|[^'\\\n])'"
    raw = r'r#*"[\s\S]*?"#*|' if rust else ""
    pattern = re.compile(rf"//[^\n]*|/\*[\s\S]*?\*/|{raw}{quotes}|{single}")
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


def paired(code):
    """Open bracket ↔ its closing one."""
    partner, open_ones = {}, []
    for at, c in enumerate(code):
        if c in OPENING:
            open_ones.append(at)
        elif c in CLOSING and open_ones:
            start = open_ones.pop()
            partner[start], partner[at] = at, start
    return partner


class Mutant:
    """What one operator does at one place: edits (start, end, text) of a file."""

    def __init__(self, source, operator, edits):
        self.source, self.operator, self.edits = source, operator, sorted(edits)
        self.at = self.edits[0][0]
        self.line = source.line(self.at)
        # Set by `named`.
        self.id = None

    def mutated(self):
        text = self.source.text
        for start, end, new in reversed(self.edits):
            text = text[:start] + new + text[end:]
        return text

    def diff(self):
        """The lines that change, before and after."""
        old, new = self.source.text.splitlines(), self.mutated().splitlines()
        same = 0
        while same < min(len(old), len(new)) and old[same] == new[same]:
            same += 1
        tail = 0
        while tail < min(len(old), len(new)) - same and old[-1 - tail] == new[-1 - tail]:
            tail += 1
        lines = [f"- {line.strip()}" for line in old[same : len(old) - tail]]
        return lines + [f"+ {line.strip()}" for line in new[same : len(new) - tail]]


def named(mutants):
    """Gives each mutant a name that stays while its lines do: file, operator and a digest of what changes. Mutants that
    do the same are one."""
    seen, kept, texts = {}, [], set()
    for mutant in mutants:
        edits = (mutant.source.name, tuple(mutant.edits))
        if edits in texts or all(mutant.source.text[a:b] == new for a, b, new in mutant.edits):
            continue
        texts.add(edits)
        change = "\n".join(line.strip() for line in mutant.diff())
        digest = hashlib.sha256(change.encode()).hexdigest()[:6]
        stem = mutant.source.name.rsplit("/", 1)[-1]
        name = f"{stem}:{mutant.operator}:{digest}"
        seen[name] = seen.get(name, 0) + 1
        mutant.id = name if seen[name] == 1 else f"{name}.{seen[name]}"
        kept.append(mutant)
    return kept
