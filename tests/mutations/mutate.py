#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Plants bugs in the kernels and in the host code of the CUDA backend, and reports which of them the tests miss.

    tests/mutations/mutate.py --seed 1 --kernels 150 --hosts 60     draws, runs, and writes REPORT.md
    tests/mutations/mutate.py --list                                all mutants that could be drawn
    tests/mutations/mutate.py --only ID...                          these alone; nothing is written but what became of them
    tests/mutations/mutate.py --seed 1 --kernels 150 --hosts 60 --report    runs nothing, and writes what is known of these

What was caught once is remembered in target/mutations, and not run again without --fresh; what survived is run again, but
for those that survivors.ini explains.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import hosts
import kernel_operators
import report
from kernels import KERNELS, ROOT, Kernels, files
from suite import LIKELY_ON_HOSTS, Suite, Verdict

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
        # Those that are explained are not given to all tests, again and again.
        self.explained = set(report.explanations())
        self.known = json.loads(path.read_text()) if path.exists() and not fresh else {}

    def settled(self, mutant):
        known = self.known.get(mutant.id)
        if not known or known["state"] == "undecided" or (known["state"] == "survived" and mutant.id not in self.explained):
            return None
        return known

    def refused(self, mutant):
        return self.known.get(mutant.id, {}).get("state") == "refused"

    def put(self, mutant, state, verdict=None, seconds=0.0, reach=()):
        verdict = verdict or Verdict(None)
        self.known[mutant.id] = {
            "state": state, "detector": verdict.detector, "test": verdict.test, "words": verdict.words,
            "at_start": verdict.at_start, "seconds": round(seconds, 1), "reach": sorted(reach),
        }
        self.path.write_text(json.dumps(self.known, indent=1))
        return self.known[mutant.id]


class Patience:
    """Runs mutants for some seconds each, and those that nobody has caught by then for as long as it takes, at the end."""

    def __init__(self, suite, outcomes, seconds):
        self.suite, self.outcomes, self.seconds = suite, outcomes, seconds
        self.order, self.waiting = [], []

    def settled(self, mutant):
        """Notes what is known of a mutant already."""
        self.order.append(mutant)
        return self.outcomes.settled(mutant)

    def run(self, mutant, candidates, variables, reach, folder=None):
        began = time.monotonic()
        verdict, rest = self.suite.catch(candidates, variables, self.seconds)
        spent = time.monotonic() - began
        if verdict.detector or not rest or mutant.id in self.outcomes.explained:
            return self.settle(mutant, verdict, spent, reach, folder)
        self.waiting.append((mutant, rest, variables, reach, folder, spent))
        # Until the others have been run, in case they never are.
        self.outcomes.put(mutant, "undecided", None, spent, reach)
        print(f"     {mutant.id:50} is put aside", flush=True)
        return None

    def settle(self, mutant, verdict, spent, reach, folder):
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        state = "caught" if verdict.detector else "survived"
        outcome = self.outcomes.put(mutant, state, verdict, spent, reach)
        say(mutant, outcome)
        return outcome

    def finish(self):
        """What became of all, in the order in which they were drawn."""
        for mutant, rest, variables, reach, folder, spent in self.waiting:
            began = time.monotonic()
            of_host = mutant.source.name.endswith(".rs")
            likely = LIKELY_ON_HOSTS.get(mutant.operator) if of_host else None
            verdict, _ = self.suite.catch(rest, variables, likely=likely)
            self.settle(mutant, verdict, spent + time.monotonic() - began, reach, folder)
        return [(mutant, self.outcomes.known[mutant.id]) for mutant in self.order]


def say(mutant, outcome):
    caught = outcome["detector"] or ""
    print(f"     {mutant.id:50} {outcome['state']:10} {caught:13} {outcome['seconds']:6.1f} s  {outcome['test']}", flush=True)
    if outcome["state"] == "survived":
        print("\n".join(f"         {line}" for line in mutant.diff()), flush=True)


def run_kernels(options, work, driver):
    """Draws kernel mutants until as many as are wanted have been run; answers what became of them."""
    library = options.toolchain.resolve() / "libnvrtc.so.12"
    if not library.exists():
        subprocess.run([sys.executable, str(KERNELS / "build.py"), "--check", "--toolchain", str(library.parent)], check=True)
    kernels = Kernels(work, library, options.architecture, options.jobs)
    every = kernels.mutants()
    suite = Suite(ROOT, driver, options.card, os.environ)
    if not suite.build("-j", str(options.jobs)):
        sys.exit("the tests do not build")
    suite.learn(work / f"reach-{options.architecture}.json", "SOFTGPU_TRACE", counted)
    least = at_start(suite)
    if options.only:
        wanted, order = len(options.only), iter([mutant for mutant in every if mutant.id in options.only])
    else:
        wanted, order = options.kernels, drawn(every, options.seed)
    outcomes = Outcomes(work / f"outcomes-{options.architecture}.json", options.fresh)
    patience = Patience(suite, outcomes, options.patience)
    queue, made = [], 0
    while made < wanted:
        # The next ones are compiled while the first of them is run.
        while len(queue) < 3:
            mutant = next(order, None)
            if mutant is None:
                break
            queue.append((mutant, None if outcomes.settled(mutant) else kernels.begin(mutant)))
        if not queue:
            break
        mutant, begun = queue.pop(0)
        known = patience.settled(mutant)
        if known is None:
            folder, changed = kernels.finish(begun)
            if not changed:
                shutil.rmtree(folder, ignore_errors=True)
                known = outcomes.put(mutant, "refused" if changed is None else "same code")
            else:
                candidates = [key for key, reached in suite.reached.items() if uses(reached, changed, least)]
                # The start of the backend alone may notice, and every test has that.
                candidates = candidates or [min(suite.durations, key=suite.durations.get)]
                known = patience.run(mutant, candidates, {"SOFTGPU_PTX": str(folder / "ptx")}, changed, folder)
        if known is None or known["state"] in ("caught", "survived"):
            made += 1
    kernels.pool.terminate()
    return patience.finish()


def remembered(options, work):
    """What is known of the mutants that a run with these options draws."""
    kernels = Outcomes(work / f"outcomes-{options.architecture}.json", False).known
    of_hosts = Outcomes(work / "outcomes-hosts.json", False).known
    sources, headers = files()
    drawn_kernels = drawn(kernel_operators.mutants(sources + headers), options.seed)
    drawn_hosts = itertools.islice(drawn(hosts.mutants(ROOT), options.seed), hosts.most(options.hosts))
    done = []
    for order, known, wanted, kept in (
        (drawn_kernels, kernels, options.kernels, ("caught", "survived", "undecided", "refused", "same code")),
        (drawn_hosts, of_hosts, options.hosts, ("caught", "survived", "undecided")),
    ):
        made = 0
        for mutant in order:
            outcome = known.get(mutant.id)
            if made < wanted and outcome and outcome["state"] in kept:
                done.append((mutant, outcome))
                made += outcome["state"] in ("caught", "survived", "undecided")
    return done


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
    parser.add_argument("--report", action="store_true", help="write what is known, and run nothing")
    parser.add_argument("--fresh", action="store_true", help="forget what was caught before")
    parser.add_argument("--patience", type=float, default=30, help="seconds of tests before a mutant is put aside")
    parser.add_argument("--learn", action="store_true", help="run each test again to see what it reaches")
    parser.add_argument("--architecture", choices=sorted(CARDS), default="80")
    parser.add_argument("--jobs", type=int, default=2, help="how much is compiled at a time")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--toolchain", type=Path, default=target / "cuda-toolchain")
    options = parser.parse_args()
    options.root, options.card = ROOT, CARDS[options.architecture]

    if options.list:
        found = kernel_operators.mutants(sorted(KERNELS.glob("*.cu*"))) + hosts.mutants(ROOT)
        for mutant in found:
            print(f"{mutant.id}  line {mutant.line}", *mutant.diff(), sep="\n    ")
        return
    work = target / "mutations"
    work.mkdir(parents=True, exist_ok=True)
    if options.report:
        report.write(options, remembered(options, work), 0.0)
        return
    # The tests must not depend on what others do to the driver that is installed meanwhile.
    driver = work / "driver"
    install = [str(ROOT / "tests" / "softgpu" / "install.sh"), "--into", str(driver)]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    if options.learn:
        for path in work.glob("reach-*.json"):
            path.unlink()
    began, done = time.monotonic(), []
    hosts_only = [name for name in options.only if name.split(":")[0].endswith(".rs")]
    if options.kernels or len(options.only) > len(hosts_only):
        done += run_kernels(options, work, driver)
    if options.hosts or hosts_only:
        outcomes = Outcomes(work / "outcomes-hosts.json", options.fresh)
        done += hosts.run(options, work, driver, lambda every: drawn(every, options.seed), outcomes,
                          lambda suite: Patience(suite, outcomes, options.patience))
    if not options.only:
        report.write(options, done, time.monotonic() - began)


if __name__ == "__main__":
    main()
