# SPDX-License-Identifier: MIT OR Apache-2.0
"""The tests that are to catch mutants: where they are, how long each takes, what each reaches, and how they are run."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time

PROGRAMS = ["cuda", "cuda_faults"]
# It builds drivers that lack something, which takes minutes in a tree of its own.
LEFT_OUT = {"machines::drivers_that_are_not_there_or_lack_something"}
# Operator on host code → a part of the names of the tests that are most likely to notice. They come first where nobody has
# caught a mutant quickly.
LIKELY_ON_HOSTS = {
    "size": "planning::", "arithmetic": "planning::", "drop-bound": "planning::", "constant": "planning::", "negate": "planning::",
    "drop-check": "failures::", "drop-statement": "failures::", "drop-flag": "overflows::",
}
# Seconds beyond what tests take as a rule, and that many times over, after which they are taken to hang.
GRACE, PATIENCE = 45, 5


class Verdict:
    """What became of a run: `detector` is None where all tests passed."""

    def __init__(self, detector, test="", words="", at_start=False):
        self.detector, self.test, self.words, self.at_start = detector, test, words, at_start


class Suite:
    """The test programs, built from the tree at `root`."""

    def __init__(self, root, driver, card, environment):
        self.root, self.programs = root, {}
        self.environment = dict(environment, LD_LIBRARY_PATH=str(driver), NEURALSTYLE_TEST_CUDA="1", RUST_BACKTRACE="0")
        self.environment["SOFTGPU_CARD"] = card
        self.durations, self.reached = {}, {}

    def build(self, *flags):
        """Builds the programs and notes where they are; `--lib` adds the tests beside the code."""
        tests = [flag for program in PROGRAMS for flag in ("--test", program)]
        command = ["cargo", "test", "--locked", "--no-run", "--message-format=json", *tests, *flags]
        run = subprocess.run(command, cwd=self.root, env=self.environment, stdout=subprocess.PIPE, text=True, check=False)
        for line in run.stdout.splitlines():
            message = json.loads(line) if line.startswith("{") else {}
            if message.get("executable") and message.get("profile", {}).get("test"):
                name = message["target"]["name"]
                kind = message["target"]["kind"]
                self.programs["lib" if "lib" in kind or "rlib" in kind else name] = message["executable"]
        return run.returncode == 0

    def tests(self, program):
        listed = subprocess.run([self.programs[program], "--list"], stdout=subprocess.PIPE, text=True, check=True)
        names = [line[: -len(": test")] for line in listed.stdout.splitlines() if line.endswith(": test")]
        if program == "lib":
            return [name for name in names if name.startswith("backend::cuda::")]
        ignored = subprocess.run([self.programs[program], "--list", "--ignored"], stdout=subprocess.PIPE, text=True, check=True)
        left_out = LEFT_OUT | {line[: -len(": test")] for line in ignored.stdout.splitlines()}
        return [name for name in names if name not in left_out]

    def learn(self, cache, variable, read):
        """Runs each test alone, once, with `variable` naming a file, and keeps what `read` makes of its lines in the file
        `cache`, so that later runs know it."""
        known = json.loads(cache.read_text()) if cache.exists() else {}
        for program in self.programs:
            for test in self.tests(program):
                key = f"{program} {test}"
                if key not in known:
                    trace = cache.with_suffix(".trace")
                    trace.write_text("")
                    began = time.monotonic()
                    verdict = self.run(program, [test], {variable: str(trace)}, 300)
                    if verdict.detector:
                        sys.exit(f"{key} fails without a mutant: {verdict.words}")
                    known[key] = {
                        "seconds": time.monotonic() - began,
                        "reached": read(trace.read_text().splitlines()),
                    }
                    trace.unlink()
                    cache.write_text(json.dumps(known))
                self.durations[key], self.reached[key] = known[key]["seconds"], known[key]["reached"]

    def run(self, program, tests, variables, seconds):
        """Runs some tests until the first fails."""
        command = [self.programs[program], "--nocapture", "--test-threads=2", "--exact", *tests]
        process = subprocess.Popen(
            command, cwd=self.root, env=dict(self.environment, **variables), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )
        until, output, failed = time.monotonic() + seconds, b"", None
        try:
            while True:
                ready, _, _ = select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))
                if not ready:
                    return Verdict("timeout", tests[0] if len(tests) == 1 else program, last_words(output))
                read = os.read(process.stdout.fileno(), 1 << 16)
                output += read
                failed = failed or re.search(rb"(?:test (\S+) \.\.\. |^)FAILED", output, re.MULTILINE)
                if failed or not read:
                    break
            if failed is None and process.wait(timeout=10) == 0:
                return Verdict(None)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
        return judged(output.decode(errors="replace"), failed, tests)

    def catch(self, candidates, variables, limit=float("inf"), likely=None):
        """Runs the tests `candidates` (keys) until one fails, or `limit` seconds' worth of them have been run: those with
        `likely` in their name first, then those of single operations, which fail early if at all, and the quick ones before
        the others. Answers what came of it and the tests that are left."""
        least = self.shortest()

        def order(key):
            unlikely = not (likely and likely in key)
            return unlikely, not key.startswith("cuda every_operation::"), self.durations[key], key

        rest = sorted(candidates, key=order)
        portion, spent = 4.0, 0.0
        while rest and spent < limit:
            # A few seconds' worth of one program's tests, then more.
            program = rest[0].split(" ", 1)[0]
            chosen, expected = [], least
            for key in rest:
                if key.split(" ", 1)[0] == program and (not chosen or expected < portion):
                    chosen.append(key)
                    expected += max(self.durations[key] - least, 0.02)
            rest = [key for key in rest if key not in chosen]
            portion *= 3
            spent += expected
            names = [key.split(" ", 1)[1] for key in chosen]
            verdict = self.run(program, names, variables, GRACE + PATIENCE * expected)
            if verdict.detector:
                return verdict, []
        return Verdict(None), rest

    def shortest(self):
        """What a test takes that does next to nothing: the start of the backend."""
        return min((seconds for key, seconds in self.durations.items() if not key.startswith("lib ")), default=1.0)


def last_words(output):
    return " | ".join(output.decode(errors="replace").strip().splitlines()[-2:])[:300]


def judged(output, failed, tests):
    """Who noticed, by what was printed."""
    report = re.search(r"softgpu: (?!the module|the launch|leak)[^\n]*", output)
    refused = re.search(r"softgpu: the (?:module|launch)[^\n]*", output)
    wrong = re.search(r"[^\n]*computes wrongly: [^\n;]*", output)
    unusable = re.search(r"[^\n]*cannot be used: [^\n]*", output)
    panics = re.findall(r"panicked at [^\n]*\n([^\n]*)", output)
    test = failed.group(1).decode() if failed and failed.group(1) else tests[0]
    if report:
        return Verdict("sanitizer", test, report.group()[:200], bool(unusable))
    if refused:
        return Verdict("refused", test, refused.group()[:200], bool(unusable))
    if wrong:
        return Verdict("self-check", test, wrong.group()[:200], True)
    if failed is None:
        return Verdict("crash", test, last_words(output.encode()))
    return Verdict("wrong result", test, (panics[-1] if panics else last_words(output.encode()))[:200], bool(unusable))
