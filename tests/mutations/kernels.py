# SPDX-License-Identifier: MIT OR Apache-2.0
"""Kernel mutants: compiled by NVRTC beside the original, and run in its place by the software GPU."""

import hashlib
import multiprocessing
import re
import shutil
import sys
from pathlib import Path

import kernel_operators

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "kernels"
HOST = ROOT / "src" / "backend" / "cuda" / "kernels.rs"


def start_compiler(library):
    """Makes this process one that compiles."""
    sys.path.insert(0, str(KERNELS))
    import build

    global COMPILER
    COMPILER = build.Compiler(library)


def compiled(source, headers, virtual):
    """The PTX, or None where the compiler refuses or warns."""
    try:
        return COMPILER.ptx(source, headers, virtual)
    except (SystemExit, RuntimeError, AssertionError):
        return None


def entries(text):
    """Kernel → digest of what it does, without line numbers, what says how many blocks are to fit, and the numbers that
    registers and labels happen to have."""
    text = re.sub(r"^\s*(\.loc|\.file|\.minnctapersm|\.reg|//)[^\n]*\n", "", text, flags=re.MULTILINE)
    parts = re.split(r"\.entry (\w+)\(", text)
    tables = "\n".join(line for line in text.splitlines() if line.startswith((".const", ".shared", ".func")))
    found = {}
    for name, body in zip(parts[1::2], parts[2::2]):
        numbers = {}

        def renumbered(match):
            return f"{match.group(1)}{numbers.setdefault(match.group(), len(numbers))}"

        body = re.sub(r"(%[a-z]+|\$L__BB)\d+(?:_\d+)?\b", renumbered, body.split("\n}\n", 1)[0])
        found[name] = hashlib.sha256((body + tables).encode()).hexdigest()
    return found


def files():
    """Sources and headers, in the order on which what a seed draws depends."""
    return sorted(KERNELS.glob("*.cu")), sorted(KERNELS.glob("*.cuh"))


class Kernels:
    """The kernels as they are, and their mutants."""

    def __init__(self, work, library, virtual, jobs):
        self.work, self.virtual = work, virtual
        self.sources, self.headers = files()
        context = multiprocessing.get_context("spawn")
        self.pool = context.Pool(jobs, start_compiler, [library])
        texts = self.pool.starmap(compiled, [(source, self.headers, virtual) for source in self.sources])
        if None in texts:
            sys.exit("the kernels do not compile as they are")
        self.original = {source.name: entries(text) for source, text in zip(self.sources, texts)}
        used = HOST.read_text()
        self.loaded = {name for of_file in self.original.values() for name in of_file if re.search(rf"\b{name}\b", used)}
        self.included = {source.name: self.closure(source) for source in self.sources}

    def closure(self, path):
        """The names of the files that a source is made of."""
        names, waiting = set(), [path]
        while waiting:
            file = waiting.pop()
            if file.name not in names:
                names.add(file.name)
                waiting += [KERNELS / name for name in re.findall(r'#include "(\w+\.cuh)"', file.read_text())]
        return names

    def mutants(self):
        return kernel_operators.mutants(self.sources + self.headers)

    def begin(self, mutant):
        """Starts compiling what a mutant changes; answers what `finish` wants."""
        folder = self.work / "kernels" / hashlib.sha256(mutant.id.encode()).hexdigest()[:12]
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "ptx").mkdir(parents=True)
        changed = folder / mutant.source.name
        changed.write_text(mutant.mutated())
        headers = [changed if header.name == changed.name else header for header in self.headers]
        jobs = {}
        for source in self.sources:
            if changed.name in self.included[source.name]:
                path = changed if source.name == changed.name else source
                jobs[source.name] = self.pool.apply_async(compiled, (path, headers, self.virtual))
        return folder, jobs

    def finish(self, begun):
        """The folder of PTX and the kernels that are not what they were; None for them where nothing compiled."""
        folder, jobs = begun
        changed = set()
        for name, job in jobs.items():
            text = job.get(300)
            if text is None:
                return folder, None
            now = entries(text)
            differing = {kernel for kernel, digest in now.items() if self.original[name].get(kernel) != digest}
            if differing & self.loaded:
                changed |= differing & self.loaded
                (folder / "ptx" / f"{name[:-3]}.sm_{self.virtual}.ptx").write_text(text)
        return folder, changed
