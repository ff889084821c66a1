# SPDX-License-Identifier: MIT OR Apache-2.0
"""The bugs that are planted in kernels (CUDA C++). Each operator is a function from a source to lists of edits."""

import re

from source import Mutant, Source, named

# Whole names that are taken for each other.
SIBLINGS = [
    ("height", "width"), ("rows", "columns"), ("row", "column"), ("y", "x"), ("u", "v"), ("dy", "dx"), ("down", "across"),
    ("top", "left"), ("below", "beside"), ("low", "high"), ("first", "last"), ("m", "n"), ("ROWS", "COLUMNS"), ("a", "b"),
    ("WARP_ROWS", "WARP_COLUMNS"), ("warp", "lane"), ("pixel", "pixels"), ("pixel", "result"), ("channel", "channels"),
    ("inner_height", "inner_width"), ("from_lanes", "to_lanes"), ("gradient_lanes", "from_lanes"), ("lanes", "channels"),
    ("from", "to"), ("here", "there"), ("sum_u", "sum_v"), ("slope_x", "slope_y"), ("xx", "yy"), ("step_u", "step_v"),
    ("blockIdx.x", "blockIdx.y"), ("PIXELS", "RESULTS"), ("quarter", "row"), ("splits", "count"),
]

# Functions of which it does not matter in which order they are given two things.
COMMUTATIVE = {"min", "max", "fminf", "fmaxf", "fmin", "fmax"}
BOUNDS = {"min": 2, "max": 2, "fminf": 2, "fmaxf": 2, "fmin": 2, "fmax": 2, "inside": 1, "within": 1, "saturated": 1}
PLAIN = {"fabsf", "floorf", "sqrtf", "square", "rectified", "mirrored", "scale_or_one"}

# Between what the operands of && and ?: lie.
STOPS = re.compile(r"&&|\|\||[;,?]|(?<!:):(?!:)|(?<![=!<>+*/|&^-])=(?!=)|\breturn\b")
BEFORE = re.compile(r"(?:&&|\|\||[;,?]|(?<!:):|(?<![=!<>])=|\breturn)\Z")
# Before the arguments of what is no call.
KEYWORDS = {"if", "for", "while", "switch", "return", "sizeof", "static_assert", "asm", "volatile", "__align__",
            "__launch_bounds__", "defined", "template", "alignas"}
# Lines that no operator touches: what the compiler alone reads, and what says nothing but how fast it is to be.
UNTOUCHED = re.compile(r"^\s*#(?!define)|static_assert|__launch_bounds__|^\s*template\b|constexpr int BLOCKS\b|^\s*typedef")


class BeforeStops:
    """Lets `Source.before` ask whether a separator ends at a place."""

    def search(self, code, start, end):
        found = BEFORE.search(code[start:end])
        return found and not (found.group() == "=" and code[end : end + 1] == "=")


def operand_before(source, at):
    return source.trimmed(source.before(at, BeforeStops()), at)


def operand_after(source, at):
    return source.trimmed(at, source.after(at, STOPS))


def tokens(source, pattern, change):
    """One edit for each place where `pattern` is: the text that `change` makes of it, or several, or None."""
    for found in re.finditer(pattern, source.code):
        texts = change(found)
        for text in [texts] if isinstance(texts, str) else texts or []:
            yield [(found.start(), found.end(), text)]


def calls(source):
    """Name, place, the place behind it, and the arguments of each call."""
    for found in re.finditer(r"\b([A-Za-z_]\w*)(<[^<>();]*>)?\(", source.code):
        name, paren = found.group(1), found.end() - 1
        end = source.partner.get(paren)
        if name in KEYWORDS or end is None:
            continue
        arguments = source.items(paren + 1, end)
        # Parameters of a definition.
        if any(re.match(r"(const |typename |[A-Za-z_][\w:<>]* [*&]?[A-Za-z_]\w*\s*$)", source.code[a:b]) for a, b in arguments):
            continue
        yield name, found.start(), end + 1, arguments


def conditions(source):
    """The insides of `if (…)` and `while (…)`."""
    for found in re.finditer(r"\b(?:if|while) \(", source.code):
        paren = found.end() - 1
        if paren in source.partner:
            yield paren + 1, source.partner[paren]


def statements(source):
    """Statements that are an expression: start and the place of the semicolon."""
    for found in re.finditer(";", source.code):
        end = found.start()
        start = end
        while start > 0:
            c = source.code[start - 1]
            if c in ")]}" and start - 1 in source.partner:
                opening = source.partner[start - 1]
                head = source.code[source.code.rfind("\n", 0, opening) + 1 : opening]
                if c == "}" or re.search(r"\b(if|for|while|EACH)\s*$", head):
                    break
                start = opening
                continue
            if c in ";{(":
                break
            start -= 1
        if start > 0 and source.code[start - 1] == "(":
            continue
        # Pragmas and labels before it.
        lead = re.match(r"(\s|#[^\n]*\n|\belse\b|(public|private):)*", source.code[start:end])
        start += lead.end()
        text = source.code[start:end]
        declares = re.match(r"(const|constexpr|static|using|typename|return|break|continue|typedef|enum|struct|asm|template)\b", text)
        if text.strip() and not declares and not re.match(r"[A-Za-z_][\w:<>]*\s+[*&]*\(?&?[A-Za-z_]", text):
            yield start, end


def drop_barrier(source):
    return tokens(source, r"__sync(?:threads|warp)\(\);", lambda found: ";")


def wait(source):
    for found in re.finditer(r"await_copies<([^<>]*)>\(\);", source.code):
        yield [(found.start(), found.end(), ";")]
        yield [(found.start(1), found.end(1), f"{found.group(1)} + 1")]


def drop_commit(source):
    return tokens(source, r"commit_copies\(\);", lambda found: ";")


def bound(source):
    other = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
    return tokens(source, r"(?<=[\w)\]] )(?:<=|>=|<|>)(?= [\w(-])", lambda found: other[found.group()])


def equality(source):
    other = {"==": "!=", "!=": "=="}
    return tokens(source, r"(?<= )(?:==|!=)(?= )", lambda found: other[found.group()])


def negate(source):
    for start, end in conditions(source):
        yield [(start, end, f"!({source.text[start:end]})")]


def drop_conjunct(source):
    for found in re.finditer(r"(?<= )(?:&&|\|\|)(?=\s)", source.code):
        left, right = operand_before(source, found.start()), operand_after(source, found.end())
        yield [(left[0], right[0], "")]
        yield [(left[1], right[1], "")]
        yield [(found.start(), found.end(), "||" if found.group() == "&&" else "&&")]


def swap_branches(source):
    for found in re.finditer(r" \? ", source.code):
        first = operand_after(source, found.end())
        if source.code[first[1] : first[1] + 3].strip() != ":":
            continue
        second = operand_after(source, source.code.index(":", first[1]) + 1)
        yes, no = (source.text[a:b] for a, b in (first, second))
        yield [(*first, no), (*second, yes)]
        # The condition forgotten.
        condition = operand_before(source, found.start())
        yield [(condition[0], second[1], yes)]
        yield [(condition[0], second[1], no)]


def swap_arguments(source):
    for name, _, _, arguments in calls(source):
        if name in COMMUTATIVE and len(arguments) == 2:
            continue
        for first, second in zip(arguments, arguments[1:]):
            a, b = source.text[slice(*first)], source.text[slice(*second)]
            if a != b:
                yield [(*first, b), (*second, a)]


def swap_names(source):
    for pair in SIBLINGS:
        for one, other in (pair, pair[::-1]):
            yield from tokens(source, rf"(?<![\w.]){re.escape(one)}(?!\w|\s*\()", lambda found, other=other: other)
            yield from tokens(source, rf"(?<=[\w)\]]\.){re.escape(one)}(?!\w|\s*\()", lambda found, other=other: other)


def sign(source):
    other = {"+": "-", "-": "+"}
    yield from tokens(source, r"(?<=[\w)\]] )[+-](?= )", lambda found: other[found.group()])
    yield from tokens(source, r"(?<=[(\[,=?:] )-(?=[\w(])|(?<=[(\[])-(?=[\w(])", lambda found: "")
    yield from tokens(source, r"(?<= )[+-]=(?= )", lambda found: other[found.group()[0]] + "=")


def factor(source):
    other = {"*": "/", "/": "*", "%": "/"}
    return tokens(source, r"(?<=[\w)\]] )[*/%](?= [\w(*])", lambda found: other[found.group()])


def bits(source):
    other = {"&": "|", "|": "&", "^": "|", "<<": ">>", ">>": "<<"}
    return tokens(source, r"(?<=[\w)\]] )(?:<<|>>|[&|^])(?= [\w(])", lambda found: other[found.group()])


def constant(source):
    def whole(found):
        number = int(found.group())
        return ["1"] if number == 0 else [str(number + 1), str(2 * number)]

    def real(found):
        number = float(found.group().rstrip("f"))
        return [f"{2 * number if number else 1.0}f"]

    yield from tokens(source, r"(?<![\w.])\d+(?=[u]?(?![\w.]))", whole)
    yield from tokens(source, r"(?<![\w.])\d+\.\d+(?:e-?\d+)?f(?!\w)", real)


def assignment(source):
    yield from tokens(source, r"(?<= )(?:[-+*/|&^]|<<|>>)=(?= )", lambda found: "=")
    yield from tokens(source, r"(?<= )(?:\+=)(?= )", lambda found: "-=")


def wrong_buffer(source):
    for found in re.finditer(r"\)\s*(?:const )?\{", source.code):
        paren = source.partner[found.start()]
        pointers = re.findall(r"(?:const )?(\w+) \*(\w+)(?=[,)\s]|$)", source.code[paren + 1 : found.start()])
        start = found.end() - 1
        for kind, name in pointers:
            for other_kind, other in pointers:
                if other_kind != kind or other == name:
                    continue
                for use in re.finditer(rf"(?<![\w.]){name}(?!\w)", source.code[start : source.partner[start]]):
                    yield [(start + use.start(), start + use.end(), other)]


def drop_bound(source):
    for name, start, end, arguments in calls(source):
        for kept in arguments[: BOUNDS.get(name, 0)]:
            yield [(start, end, f"({source.text[slice(*kept)]})")]


def drop_function(source):
    for name, start, end, arguments in calls(source):
        if name in PLAIN and arguments and source.code[end - 1 : end] == ")":
            yield [(start, end, f"({source.text[slice(*arguments[0])]})")]


def drop_flag(source):
    for found in re.finditer(r"\b\w+ \|= (?=[^;]*;)", source.code):
        yield [(found.start(), found.end(), "")]
    yield from tokens(source, r"\braise\([^;]*\);", lambda found: ";")
    yield from tokens(source, r"\b(?:true|false)\b", lambda found: "false" if found.group() == "true" else "true")


def drop_statement(source):
    for start, end in statements(source):
        if not re.match(r"__sync|await_copies|commit_copies|raise\(", source.code[start:end]):
            yield [(start, end, "")]


def drop_term(source):
    simple = r"[\w.:]+(?:\[[^\[\]]*\]|\([^()]*\))?"
    yield from tokens(source, rf" \+ {simple}(?=[;,)\]]| [+<])", lambda found: "")
    yield from tokens(source, rf"(?<=[(\[ ]){simple} \+ (?=[\w(])", lambda found: "")


def step(source):
    """Loops that begin one late or go on by another stride."""
    yield from tokens(source, r"(?<=[;=] )threadIdx\.x(?=;)", lambda found: "threadIdx.x + 1")
    yield from tokens(source, r"\b(?:BLOCK_THREADS|T::THREADS|First::THREADS|THREADS)\b(?=\) |\) \{|;)", lambda found: f"{found.group()} / 2")


OPERATORS = {
    "drop-barrier": drop_barrier,
    "wait": wait,
    "drop-commit": drop_commit,
    "bound": bound,
    "equality": equality,
    "negate": negate,
    "drop-conjunct": drop_conjunct,
    "swap-branches": swap_branches,
    "swap-arguments": swap_arguments,
    "swap-names": swap_names,
    "sign": sign,
    "factor": factor,
    "bits": bits,
    "constant": constant,
    "assignment": assignment,
    "wrong-buffer": wrong_buffer,
    "drop-bound": drop_bound,
    "drop-function": drop_function,
    "drop-flag": drop_flag,
    "drop-statement": drop_statement,
    "drop-term": drop_term,
    "step": step,
}


def mutants(paths):
    """All mutants of the files, in their order."""
    found = []
    for path in paths:
        source = Source(path.name, path.read_text())
        for name, operator in OPERATORS.items():
            for edits in operator(source):
                if not any(UNTOUCHED.search(source.line_text(start)) for start, _, _ in edits):
                    found.append(Mutant(source, name, edits))
    return named(found)
