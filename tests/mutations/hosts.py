# SPDX-License-Identifier: MIT OR Apache-2.0
"""Host mutants: all of them in one build of a copy of the tree, chosen by the environment when the tests run."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

import host_operators
from source import Source
from suite import Suite

# The mutant's number, and a file to which the numbers are added that a process comes across.
CHOICE, TRACE = "NEURALSTYLE_MUTANT", "NEURALSTYLE_MUTANT_TRACE"

CHOOSER = """
/// Whether the mutant with this number is to be.
#[doc(hidden)]
pub fn mutant(number: u32) -> bool {
    use std::io::Write;
    use std::sync::{LazyLock, Mutex};
    static CHOSEN: LazyLock<u32> =
        LazyLock::new(|| std::env::var("NEURALSTYLE_MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(0));
    static TRACE: LazyLock<Option<Mutex<std::collections::HashSet<u32>>>> =
        LazyLock::new(|| std::env::var_os("NEURALSTYLE_MUTANT_TRACE").map(|_| Mutex::default()));
    if let Some(seen) = &*TRACE
        && seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(number)
        && let Some(path) = std::env::var_os("NEURALSTYLE_MUTANT_TRACE")
        && let Ok(mut file) = std::fs::File::options().append(true).create(true).open(path)
    {
        let _ = file.write_all(format!("{number}\\n").as_bytes());
    }
    number == *CHOSEN
}
"""

# Where an expression begins and ends, apart from brackets.
LEFT = re.compile(r"[;,]|=>|(?<!:):(?!:)|(?<![=!<>])=(?!=)|\b(?:return|if|while|match|in|else|let|for|break)\b")
RIGHT = re.compile(r"[;,]|=>|\belse\b|(?<!:):(?!:)")
HEADS = ("if", "while", "match", "in")


def files(root):
    """Names and texts of what is mutated. The check at the start is a test, and has no mutants."""
    paths = sorted((root / "src" / "backend" / "cuda").glob("*.rs")) + [root / "src" / "motion" / "stepped.rs"]
    paths = [path for path in paths if path.name != "self_check.rs"]
    return [(str(path.relative_to(root)), path.read_text()) for path in paths]


def signatures(root):
    """Kernel → the kinds of its parameters, of those that the host loads."""
    found = {}
    host = (root / "src" / "backend" / "cuda" / "kernels.rs").read_text()
    for path in sorted((root / "kernels" / "ptx").glob("*.sm_80.ptx")):
        for name, list_ in re.findall(r"\.entry (\w+)\(([^)]*)\)", path.read_text()):
            if re.search(rf"\b{name}\b", host):
                found[name] = (path.name, tuple(re.findall(r"\.param \.(\w+)", list_)))
    return found


def mutants(root):
    found = host_operators.mutants(files(root), signatures(root))
    return [mutant for mutant in found if not any(in_pattern(mutant.source, edit[0], edit[1]) for edit in mutant.edits)]


def ends_before(code, at):
    """What separates an expression that begins at `at` from what is before it, or nothing."""
    for found in LEFT.finditer(code, max(0, at - 7), at + 2):
        if found.end() == at:
            return found.group()
    return ""


def in_pattern(source, start, end):
    """Whether a place is in what a value is taken apart by, or in a type, where there is no choice."""
    while True:
        begin, stop = unit(source, start, end)
        head = ends_before(source.code, begin) or ends_before(source.code, begin - 1)
        rest = source.code[stop : stop + 3].strip()
        if head in ("let", "for") or source.code[begin - 1] + rest[:1] == "||" or (rest.startswith("=>") and head != "if"):
            return True
        at = begin
        while at > 0 and source.code[at - 1] not in "([{":
            at = source.partner[at - 1] if source.code[at - 1] in ")]}" else at - 1
        if at == 0 or re.search(r"\bfn \w+[^{};]*\Z|\b(impl|mod|trait) [^{};]*\Z", source.code[max(0, at - 400) : at - 1]):
            return False
        start, end = at - 1, source.partner[at - 1] + 1


def unit(source, start, end):
    """The whole expression, or the whole statement, around start..end that can be had twice."""
    code = source.code
    if code[start:end].endswith(";"):
        return start, end
    at, head = start, ""
    while at > 0:
        c = code[at - 1]
        if c in ")]}" and at - 1 in source.partner:
            if c == "}" and host_operators.starts_statement(source, at):
                break
            at = source.partner[at - 1]
            continue
        if c in "([{":
            break
        head = ends_before(code, at)
        if head:
            break
        if c == "|" and closure_head(code, at):
            break
        at -= 1
    begin, at = at, end
    while at < len(code):
        c = code[at]
        if c in ")]}" or (c == "{" and head in HEADS):
            break
        stop = RIGHT.match(code, at)
        # An `else` of its own belongs to an `if` of its own.
        if stop and not (stop.group() == "else" and re.search(r"\bif\b", code[begin:at])):
            break
        at = source.partner[at] + 1 if c in "([{" and at in source.partner else at + 1
    return source.trimmed(begin, at)


def closure_head(code, at):
    """Whether the bar before `at` ends the parameters of a closure."""
    line = code[code.rfind("\n", 0, at) + 1 : at]
    return bool(re.search(r"(?:^|[(,=]\s*|\bmove |return )\|[^|]*\|\Z", line))


class Unit:
    """A piece of a file that is there several times: as it is, and once for each mutant."""

    def __init__(self, start, end):
        self.start, self.end, self.mutants, self.inner = start, end, [], []


def written(source, mutants):
    """The text of the file with all these mutants (number, mutant) in it."""
    units = {}
    for number, mutant in mutants:
        pieces = {}
        for edit in mutant.edits:
            pieces.setdefault(unit(source, edit[0], edit[1]), []).append(edit)
        for span, edits in pieces.items():
            units.setdefault(span, Unit(*span)).mutants.append((number, edits))
    top, path = [], []
    for span in sorted(units, key=lambda span: (span[0], -span[1])):
        while path and path[-1].end <= span[0]:
            path.pop()
        if path and span[1] > path[-1].end:
            continue
        (path[-1].inner if path else top).append(units[span])
        path.append(units[span])
    return spliced(source, 0, len(source.text), top)


def spliced(source, start, end, units):
    text, at = "", start
    for one in units:
        text += source.text[at : one.start] + several(source, one)
        at = one.end
    return text + source.text[at:end]


def several(source, one):
    whole = source.text[one.start : one.end]
    otherwise = spliced(source, one.start, one.end, one.inner)
    statement = whole.endswith(";")
    text = ""
    for number, edits in one.mutants:
        changed = whole
        for start, end, new in sorted(edits, reverse=True):
            changed = changed[: start - one.start] + new + changed[end - one.start :]
        text += f"if crate::mutant({number}) {{ {changed}\n}} else "
    text += f"{{ {otherwise}\n}}"
    return text if statement else f"({text})"


def copied(root, tree, apart):
    """A copy of the tree to write to, as git knows it, without the files `apart`; what has not changed keeps its time."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=root, stdout=subprocess.PIPE, check=True)
    names = [name for name in listed.stdout.decode().split("\0") if name and (root / name).is_file()]
    for name in names:
        to = tree / name
        if name not in apart and (not to.exists() or to.read_bytes() != (root / name).read_bytes()):
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, to)
    for path in list(tree.rglob("*")):
        if path.is_file() and str(path.relative_to(tree)) not in names:
            path.unlink()


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def blamed(message, places):
    """The numbers of the mutants that an error of the compiler is about."""
    spans = sorted(message["spans"], key=lambda span: not span["is_primary"])
    whole = set()
    for span in spans:
        inside = []
        for start, end, chain, number in places.get(span["file_name"], []):
            if start <= span["byte_start"] and span["byte_end"] <= end:
                inside.append((end - start, number))
            if chain[0] <= span["byte_start"] and span["byte_end"] <= chain[1]:
                whole.add((chain[1] - chain[0], number))
        if inside:
            return {min(inside)[1]}
    # It shows in what is common to several, or in the original: then all of the nearest must go.
    nearest = min((size for size, _ in whole), default=0)
    return {number for size, number in whole if size == nearest}


def located(text):
    """Places in bytes of each mutant's branch and of the whole choice that it is part of."""
    source = Source("", text, rust=True)
    found, chains = [], {}
    for call in re.finditer(r"if crate::mutant\((\d+)\) \{", source.code):
        opening = call.end() - 1
        closing = source.partner[opening]
        first = chains.pop(call.start(), call.start())
        follows = re.compile(r" else (?=if crate::mutant)").match(source.code, closing + 1)
        if follows:
            chains[follows.end()] = first
        found.append((opening, closing, first, int(call.group(1))))
    lengths = {}

    def byte(at):
        if at not in lengths:
            lengths[at] = len(text[:at].encode())
        return lengths[at]

    places = []
    for opening, closing, first, number in found:
        last = closing
        while True:
            follows = re.compile(r" else (?:if crate::mutant\(\d+\) )?(?=\{)").match(source.code, last + 1)
            if not follows:
                break
            last = source.partner[follows.end()]
        places.append((byte(opening), byte(closing), (byte(first) - 1, byte(last) + 2), number))
    return places


def parses(mutant, scratch):
    """Whether the file with this mutant alone is Rust at all, which costs less to find out by itself."""
    scratch.write_text(written(mutant.source, [(1, mutant)]))
    command = ["rustfmt", "--edition", "2024", "--check", str(scratch)]
    run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    return not re.search(r"^error", run.stderr, re.MULTILINE)


def building(tree):
    """The environment in which the copy is built: in a folder of its own, so that nobody waits for it."""
    return dict(os.environ, CARGO_TARGET_DIR=str(tree.parent / "build"))


def written_tree(root, tree, numbered, refused):
    """Writes all mutants into the copy, and takes out those that do not compile, which `refused` is told; answers the
    others."""
    originals = {name: Source(name, text, rust=True) for name, text in files(root)}
    library = (root / "src" / "lib.rs").read_text()
    put(tree / "src" / "lib.rs", library + CHOOSER)
    for _ in range(25):
        places = {}
        for name, source in originals.items():
            of_file = [(number, mutant) for number, mutant in numbered.items() if mutant.source.name == name]
            text = written(source, of_file)
            put(tree / name, text)
            places[name] = located(text)
        # What lies across another one has been left out.
        there = {place[3] for of_file in places.values() for place in of_file}
        numbered = {number: mutant for number, mutant in numbered.items() if number in there}
        command = ["cargo", "build", "--locked", "--lib", "--message-format=json"]
        run = subprocess.run(command, cwd=tree, env=building(tree), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        if run.returncode == 0:
            return numbered
        guilty = set()
        for line in run.stdout.splitlines():
            message = json.loads(line).get("message") or {}
            if message.get("level") == "error" and message.get("spans"):
                guilty |= blamed(message, places)
                if os.environ.get("MUTATIONS_VERBOSE"):
                    print(message["rendered"], file=sys.stderr)
        if not guilty:
            print(run.stdout[-4000:], file=sys.stderr)
            sys.exit("the copy with the mutants does not compile, and none of them is to blame")
        print(f"{len(guilty)} of {len(numbered)} mutants do not compile", file=sys.stderr, flush=True)
        for number in guilty & numbered.keys():
            refused(numbered[number])
        numbered = {number: mutant for number, mutant in numbered.items() if number not in guilty}
    sys.exit("the copy with the mutants does not compile")


def most(wanted):
    """How many are drawn so that as many as are wanted compile."""
    return 3 * wanted + 20


def run(options, work, driver, order, outcomes, patient):
    """Draws host mutants until as many as are wanted have been run; answers them."""
    every = mutants(options.root)
    if options.only:
        chosen = [mutant for mutant in every if mutant.id in options.only]
    else:
        chosen = [mutant for _, mutant in zip(range(most(options.hosts)), order(every))]
    chosen = [mutant for mutant in chosen if parses(mutant, work / "scratch.rs")]
    # Those that are known not to compile keep their numbers, so that the others do.
    numbered = {number: mutant for number, mutant in enumerate(chosen, start=1) if not outcomes.refused(mutant)}
    tree = work / "tree"
    copied(options.root, tree, {name for name, _ in files(options.root)} | {"src/lib.rs"})
    numbered = written_tree(options.root, tree, numbered, lambda mutant: outcomes.put(mutant, "refused"))
    if not options.only:
        numbered = dict(list(numbered.items())[: options.hosts])
    suite = Suite(tree, driver, options.card, building(tree))
    if not suite.build("--lib", "-j", str(options.jobs)):
        sys.exit("the copy with the mutants does not build")
    # What a test comes across is told by numbers, which belong to this draw.
    digest = hashlib.sha256(" ".join(mutant.id for mutant in numbered.values()).encode()).hexdigest()[:8]
    suite.learn(work / f"reach-hosts-{digest}.json", TRACE, lambda lines: sorted({int(line) for line in lines}))
    patience = patient(suite)
    for number, mutant in numbered.items():
        if patience.settled(mutant) is None:
            candidates = [key for key, reached in suite.reached.items() if number in reached]
            patience.run(mutant, candidates, {CHOICE: str(number)}, [] if candidates else ["no test comes here"])
    return patience.finish()
