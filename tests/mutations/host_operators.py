# SPDX-License-Identifier: MIT OR Apache-2.0
"""The bugs that are planted in the host code (Rust). Each operator is a function from a source to lists of edits."""

import re

from source import Mutant, Source, named

STOPS = re.compile(r"&&|\|\||[;,{]|=>|(?<![=!<>+*/|&^-])=(?![=>])|\belse\b")
BEFORE = re.compile(r"(?:&&|\|\||[;,{]|=>|(?<![=!<>])=|\b(?:return|if|while|match|in)\s)\Z")
# Calls whose last argument says how much memory is wanted.
SIZES = {"zeros", "reserve", "products", "narrow", "lines", "painted"}
# What takes part in no result: checks of the caller's doing, and how many blocks share a pass that any number can do.
UNTOUCHED = re.compile(r"\b(?:assert|assert_eq|debug_assert|panic|unreachable|matches|format|concat|Error::\w+|Grid::over)[!(]")
SIBLINGS = [("height", "width"), ("inputs", "outputs"), ("from", "to"), ("first", "last"), ("m", "v"), ("rows", "columns"),
            ("lines", "taps"), ("pooled", "whole"), ("low", "high"), ("exponent", "0")]


class BeforeStops:
    def search(self, code, start, end):
        found = BEFORE.search(code[start:end])
        return found and not (found.group() == "=" and code[end : end + 1] == "=")


def operand_before(source, at):
    return source.trimmed(source.before(at, BeforeStops()), at)


def operand_after(source, at):
    return source.trimmed(at, source.after(at, STOPS))


def bodies(source):
    """Insides of functions that run when the program does, outside of tests."""
    tests = re.search(r"#\[cfg\(test\)\]\s*mod ", source.code)
    end = tests.start() if tests else len(source.code)
    for found in re.finditer(r"\bfn \w+", source.code[:end]):
        at = found.end()
        while at < end and source.code[at] not in "{;":
            at = source.partner[at] + 1 if source.code[at] in "([" else at + 1
        if at < end and source.code[at] == "{" and not re.search(r"\bconst\s+\Z", source.code[: found.start()]):
            yield at + 1, source.partner[at]


def tokens(source, pattern, change):
    for found in re.finditer(pattern, source.code):
        texts = change(found)
        for text in [texts] if isinstance(texts, str) else texts or []:
            yield [(found.start(), found.end(), text)]


def calls(source):
    for found in re.finditer(r"(?<!fn )\b([A-Za-z_]\w*)(!?)(?:::<[^()]*>)?([(\[])", source.code):
        paren = found.end() - 1
        if paren in source.partner and (found.group(3) == "(" or found.group(2)):
            yield found.group(1), paren, source.items(paren + 1, source.partner[paren])


def plain(source, span):
    return not re.search(r"[|{]|=>|\bmove\b", source.code[slice(*span)])


def swap_arguments(source):
    groups = [items for _, _, items in calls(source)]
    # Tuples.
    for found in re.finditer(r"(?<=[(, =])\(", source.code):
        if found.start() in source.partner:
            groups.append(source.items(found.end(), source.partner[found.start()]))
    for items in groups:
        for first, second in zip(items, items[1:]):
            if plain(source, first) and plain(source, second):
                a, b = source.text[slice(*first)], source.text[slice(*second)]
                yield [(*first, b), (*second, a)]


def repeat_argument(source):
    """One argument twice, in the place of its neighbour."""
    for name, _, items in calls(source):
        for first, second in zip(items, items[1:]):
            if name == "arguments" and plain(source, first) and plain(source, second):
                yield [(*first, source.text[slice(*second)])]
                yield [(*second, source.text[slice(*first)])]


def wrong_buffer(source):
    for start, end in bodies(source):
        uses = list(re.finditer(r"[\w.]+(?:\(\))?\.pointer\(\)", source.code[start:end]))
        names = sorted({use.group() for use in uses})
        for use in uses:
            for other in names:
                yield [(start + use.start(), start + use.end(), other)]


def drop_flag(source):
    yield from tokens(source, r"\b(?:ops|self)\.(?:overflow|loss_scale)\(\)", lambda found: "Pointer::NULL")
    yield from tokens(source, r"\b(?:true|false)\b", lambda found: "false" if found.group() == "true" else "true")


def constant(source):
    def whole(found):
        number = int(found.group().replace("_", ""))
        return ["1"] if number == 0 else [str(number + 1), str(2 * number)]

    yield from tokens(source, r"(?<![\w.])\d[\d_]*(?![\w.]|\s*\])", whole)
    yield from tokens(source, r"(?<=\.\.)\d+(?![\w.])|(?<![\w.])\d+(?=\.\.)", whole)
    yield from tokens(source, r"(?<![\w.])\d+\.\d+(?!\w)", lambda found: f"{2 * float(found.group()) or 1.0}")
    # A named one, wherever it is used in the file.
    for found in re.finditer(r"^(?:pub )?const (\w+): (\w+) =", source.code, re.MULTILINE):
        name, kind = found.groups()
        uses = [use.span() for use in re.finditer(rf"(?<![\w:.]){name}\b(?!\s*:)", source.code)]
        uses = [span for span in uses if any(a <= span[0] < b for a, b in bodies(source))]
        for text in {"usize": [f"({name} + 1)", f"({name} * 2)"], "f32": [f"({name} * 2.0)"]}.get(kind, []):
            if uses:
                yield [(*span, text) for span in uses]


def drop_statement(source):
    for start, end in statements(source):
        yield [(start, end + 1, "")]


def drop_check(source):
    for start, end in statements(source):
        text = source.text[start:end]
        if text.endswith("?"):
            yield [(start, end + 1, f"let _ = {text[:-1]};")]


def statements(source):
    """Statements that are an expression: start and the place of the semicolon."""
    for start, end in bodies(source):
        for found in re.finditer(";", source.code[start:end]):
            stop = start + found.start()
            begin = statement_start(source, stop, start)
            text = source.code[begin:stop]
            outside = source.code[:begin].rstrip()[-1:]
            if text and outside in "{};" and not re.match(r"(let|return|break|continue|use|for|if|match|while|unsafe|const|static|fn|loop|\})\b", text):
                yield begin, stop


def statement_start(source, at, least):
    while at > least:
        c = source.code[at - 1]
        if c == "}" and starts_statement(source, at):
            break
        if c in ")]}" and at - 1 in source.partner:
            at = source.partner[at - 1]
            continue
        if c in ";{([":
            break
        at -= 1
    while source.code[at].isspace():
        at += 1
    return at


def starts_statement(source, at):
    """Whether a new statement begins behind the closing brace before `at`."""
    rest = source.code[at : at + 200]
    return bool(re.match(r"\s*\n\s*(?![.?)\]},;&|+*/<>=-]|else\b)", rest))


def wrong_kernel(source, signatures):
    def others(found):
        own = signatures.get(found.group(1))
        return [f"&k.{name}" for name, kinds in signatures.items() if kinds == own and name != found.group(1)][:3]

    return tokens(source, r"&k\.(\w+)", others)


def wrong_variant(source, variants):
    for enum, names in variants.items():
        yield from tokens(source, rf"\b{enum}::(\w+)", lambda found, enum=enum, names=names: (
            [f"{enum}::{name}" for name in names if name != found.group(1)] if found.group(1) in names else None))


def negate(source):
    for found in re.finditer(r"\b(?:if|while) (?!let\b)", source.code):
        start, end = operand_after(source, found.end())
        # The whole condition, not its first part alone.
        while source.code[end : end + 4].strip()[:2] in ("&&", "||"):
            end = operand_after(source, end + 4)[1]
        yield [(start, end, f"!({source.text[start:end]})")]


def drop_conjunct(source):
    for found in re.finditer(r"(?<=\s)(?:&&|\|\|)(?= )", source.code):
        left, right = operand_before(source, found.start()), operand_after(source, found.end())
        yield [(left[0], right[0], "")]
        yield [(left[1], right[1], "")]
        yield [(found.start(), found.end(), "||" if found.group() == "&&" else "&&")]


def bound(source):
    other = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
    return tokens(source, r"(?<= )(?:<=|>=|==|!=|<|>)(?= )", lambda found: other[found.group()])


def arithmetic(source):
    other = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "/", "+=": "-=", "-=": "+=", "<<": ">>", ">>": "<<"}
    yield from tokens(source, r"(?<=[\w)\]?] )(?:<<|>>|[+-]=|[-+*/%])(?= [\w(-])", lambda found: other[found.group()])
    yield from tokens(source, r"(?<=[(\[,=] )-(?=[\w(])|(?<=[(\[])-(?=[\w(])", lambda found: "")


def drop_bound(source):
    for found in re.finditer(r"\.(?:min|max|clamp|saturating_sub|with_channels|pooled)(\()", source.code):
        end = source.partner.get(found.start(1))
        if end:
            yield [(found.start(), end + 1, "")]
    yield from tokens(source, r"\.div_ceil(?=\()", lambda found: ".div_euclid")


def size(source):
    for name, paren, items in calls(source):
        if name in SIZES or source.code[:paren].endswith("Pinned::new"):
            if items:
                text = source.text[slice(*items[-1])]
                yield [(*items[-1], f"({text}).saturating_sub(1)")]
                yield [(*items[-1], f"({text}) / 2")]


def swap_names(source):
    for pair in SIBLINGS:
        for one, other in (pair, pair[::-1]):
            if one.isalpha():
                yield from tokens(source, rf"(?<![\w.]){one}(?![\w(:])", lambda found, other=other: other)
                yield from tokens(source, rf"(?<=[\w)]\.){one}(?![\w(:])", lambda found, other=other: other)


OPERATORS = {
    "swap-arguments": swap_arguments,
    "repeat-argument": repeat_argument,
    "wrong-buffer": wrong_buffer,
    "drop-flag": drop_flag,
    "constant": constant,
    "drop-statement": drop_statement,
    "drop-check": drop_check,
    "negate": negate,
    "drop-conjunct": drop_conjunct,
    "bound": bound,
    "arithmetic": arithmetic,
    "drop-bound": drop_bound,
    "size": size,
    "swap-names": swap_names,
}


def mutants(files, signatures):
    """All mutants of the files, pairs of a name and a text; `signatures` are the kinds of each kernel's parameters."""
    variants = {}
    for _, text in files:
        for enum, inside in re.findall(r"\benum (\w+) \{([^{}]*)\}", Source("", text, rust=True).code):
            names = re.findall(r"^\s*(\w+),$", inside, re.MULTILINE)
            if len(names) > 1:
                variants[enum] = names
    variants["Pooling"] = ["Average", "Max"]
    found = []
    for name, text in files:
        source = Source(name, text, rust=True)
        inside = list(bodies(source))
        untouched = [(u.start(), source.partner.get(u.end() - 1, u.end())) for u in UNTOUCHED.finditer(source.code)
                     if u.group().endswith("(")]
        untouched += [(u.start(), source.partner.get(u.end(), u.end())) for u in UNTOUCHED.finditer(source.code)
                      if u.group().endswith("!")]
        operators = dict(OPERATORS)
        operators["wrong-kernel"] = lambda source: wrong_kernel(source, signatures)
        operators["wrong-variant"] = lambda source: wrong_variant(source, variants)
        for operator, function in operators.items():
            for edits in function(source):
                if all(any(a <= start and end <= b for a, b in inside) for start, end, _ in edits) and not any(
                        a <= start < b for start, _, _ in edits for a, b in untouched):
                    found.append(Mutant(source, operator, edits))
    return named(found)
