#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Plants bugs in the kernels and in the host code of the CUDA backend, and reports which of them the tests miss.

    tests/mutations/mutate.py --seed 1 --kernels 150 --hosts 60     draws, runs, and writes REPORT.md
    tests/mutations/mutate.py --list                                all mutants that could be drawn
    tests/mutations/mutate.py --only ID...                          these alone; nothing is written but what became of them

What was caught once is remembered in target/mutations, and not run again without --fresh; what survived is run again.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import hosts
import report
from kernels import KERNELS, ROOT, Kernels
from suite import Suite, Verdict

# Architecture → the card that is imitated.
CARDS = {"75": "sm_75", "80": "sm_86"}


def drawn(mutants, seed):
    """Yields mutants in an order that spreads any beginning of it over operators first, and then over files."""
    draws = random.Random(seed)
    cells = {}
    for mutant in mutants:
        cells.setdefault((mutant.operator, mutant.source.name), []).append(mutant)
    for cell in cells.values():
        draws.shuffle(cell)
    by_operator, by_file = {}, {}
    while cells:
        least = min(by_operator.get(operator, 0) for operator, _ in cells)
        operator = draws.choice(sorted({o for o, _ in cells if by_operator.get(o, 0) == least}))
        files = sorted(f for o, f in cells if o == operator)
        least = min(by_file.get(file, 0) for file in files)
        file = draws.choice([f for f in files if by_file.get(f, 0) == least])
        taken = cells[operator, file].pop()
        if not cells[operator, file]:
            del cells[operator, file]
        by_operator[operator] = by_operator.get(operator, 0) + 1
        by_file[file] = by_file.get(file, 0) + 1
        yield taken


class Outcomes:
    """What became of each mutant, kept on disk."""

    def __init__(self, path, fresh):
        self.path = path
        self.known = json.loads(path.read_text()) if path.exists() and not fresh else {}

    def settled(self, mutant):
        known = self.known.get(mutant.id)
        return known if known and known["state"] != "survived" else None

    def put(self, mutant, state, verdict=None, seconds=0.0, reach=()):
        verdict = verdict or Verdict(None)
        self.known[mutant.id] = {
            "state": state, "detector": verdict.detector, "test": verdict.test, "words": verdict.words,
            "at_start": verdict.at_start, "seconds": round(seconds, 1), "reach": sorted(reach),
        }
        self.path.write_text(json.dumps(self.known, indent=1))
        return self.known[mutant.id]


def say(number, mutant, outcome):
    caught = outcome["detector"] or ""
    print(f"{number:4} {mutant.id:50} {outcome['state']:10} {caught:13} {outcome['seconds']:6.1f} s  {outcome['test']}", flush=True)
    if outcome["state"] == "survived":
        print("\n".join(f"       {line}" for line in mutant.diff()), flush=True)


def run_kernels(options, work, driver, outcomes):
    """Draws kernel mutants until as many as are wanted have been run; answers them."""
    library = options.toolchain.resolve() / "libnvrtc.so.12"
    if not library.exists():
        subprocess.run([sys.executable, str(KERNELS / "build.py"), "--check", "--toolchain", str(library.parent)], check=True)
    kernels = Kernels(work, library, options.architecture, options.jobs)
    every = kernels.mutants()
    suite = Suite(ROOT, driver, options.card)
    if not suite.build("-j", str(options.jobs)):
        sys.exit("the tests do not build")
    suite.learn(work / f"reach-{options.architecture}.json", "SOFTGPU_TRACE", counted)
    least = at_start(suite)
    if options.only:
        wanted, order = len(options.only), iter([m for m in every if m.id in options.only])
    else:
        wanted, order = options.kernels, drawn(every, options.seed)
    queue, done, made = [], [], 0
    while True:
        # The next ones are compiled while the first of them is run.
        while len(queue) < 3:
            mutant = next(order, None)
            if mutant is None:
                break
            queue.append((mutant, None if outcomes.settled(mutant) else kernels.begin(mutant)))
        if not queue or made >= wanted:
            break
        mutant, begun = queue.pop(0)
        outcome = outcomes.settled(mutant)
        if outcome is None:
            outcome = run_kernel(mutant, kernels.finish(begun), suite, least, outcomes)
            shutil.rmtree(begun[0], ignore_errors=True)
        done.append((mutant, outcome))
        if outcome["state"] in ("caught", "survived"):
            made += 1
            say(made, mutant, outcome)
    kernels.pool.terminate()
    return done


def run_kernel(mutant, made, suite, least, outcomes):
    folder, changed = made
    if changed is None:
        return outcomes.put(mutant, "refused")
    if not changed:
        return outcomes.put(mutant, "same code")
    began = time.monotonic()
    candidates = [key for key, reached in suite.reached.items() if uses(reached, changed, least)]
    # The start of the backend alone may notice, and every test has that.
    candidates = candidates or [min(suite.durations, key=suite.durations.get)]
    verdict = suite.catch(candidates, {"SOFTGPU_PTX": str(folder / "ptx")})
    state = "caught" if verdict.detector else "survived"
    return outcomes.put(mutant, state, verdict, time.monotonic() - began, changed)


def counted(lines):
    """How often each kernel was launched."""
    counts = {}
    for line in lines:
        counts[line] = counts.get(line, 0) + 1
    return counts


def at_start(suite):
    """How often each kernel is launched when the backend starts: as often as in the test that does least."""
    started = [reached for reached in suite.reached.values() if reached]
    return min(started, key=lambda reached: sum(reached.values()))


def uses(reached, changed, least):
    """Whether a test launches one of the kernels by itself: more often than its starts of the backend do."""
    starts = min((reached.get(kernel, 0) // count for kernel, count in least.items()), default=0)
    return any(reached.get(kernel, 0) > starts * least.get(kernel, 0) for kernel in changed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kernels", type=int, default=0, help="how many mutants of kernels are to be run")
    parser.add_argument("--hosts", type=int, default=0, help="how many mutants of the host code are to be run")
    parser.add_argument("--only", nargs="+", default=[], metavar="ID")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--fresh", action="store_true", help="forget what was caught before")
    parser.add_argument("--architecture", choices=sorted(CARDS), default="80")
    parser.add_argument("--jobs", type=int, default=2, help="how much is compiled at a time")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--toolchain", type=Path, default=target / "cuda-toolchain")
    options = parser.parse_args()
    options.root, options.card = ROOT, CARDS[options.architecture]

    if options.list:
        import kernel_operators

        found = kernel_operators.mutants(sorted(KERNELS.glob("*.cu*"))) + hosts.mutants(ROOT)
        for mutant in found:
            print(f"{mutant.id}  line {mutant.line}", *mutant.diff(), sep="\n    ")
        return
    work = target / "mutations"
    work.mkdir(parents=True, exist_ok=True)
    # The tests must not depend on what others do to the driver that is installed meanwhile.
    driver = work / "driver"
    install = [str(ROOT / "tests" / "softgpu" / "install.sh"), "--into", str(driver)]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    outcomes = Outcomes(work / f"outcomes-{options.architecture}.json", options.fresh)
    began, done = time.monotonic(), []
    hosts_only = [name for name in options.only if name.split(":")[0].endswith(".rs")]
    if options.kernels or len(options.only) > len(hosts_only):
        done += run_kernels(options, work, driver, outcomes)
    if options.hosts or hosts_only:
        done += hosts.run(options, work, driver, outcomes, say, lambda every: drawn(every, options.seed))
    if not options.only:
        report.write(options, done, time.monotonic() - began)


if __name__ == "__main__":
    main()
