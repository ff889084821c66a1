# SPDX-License-Identifier: MIT OR Apache-2.0
"""REPORT.md: what was planted, who noticed, and why the rest is not noticed."""

import configparser
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
EXPLANATIONS = FOLDER / "survivors.ini"
DETECTORS = ["sanitizer", "wrong result", "self-check", "refused", "timeout", "crash"]
# Of a mutant that nobody notices, and nobody could.
HARMLESS = {"equivalent": "nothing that is ever stored or returned changes", "speed": "only time or room changes"}


def explanations():
    """ID → (kind, why)."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), default_section="none")
    parser.optionxform = str
    parser.read(EXPLANATIONS)
    return {name: (parser[name]["kind"], " ".join(parser[name]["why"].split())) for name in parser.sections()}


def table(heading, rows):
    """Rows of (name, outcomes) as Markdown, with their sum."""
    lines = [f"| {heading} | run | caught | " + " | ".join(DETECTORS) + " | harmless | missed | refused or the same code |",
             "| --- " + "| ---: " * (len(DETECTORS) + 5) + "|"]
    total = [0] * (len(DETECTORS) + 5)
    for name, done in rows:
        run = [one for one in done if one[1]["state"] in ("caught", "survived")]
        caught = [one for one in run if one[1]["state"] == "caught"]
        numbers = [len(run), len(caught)]
        numbers += [sum(one["detector"] == detector for _, one, _ in caught) for detector in DETECTORS]
        harmless = sum(one["state"] == "survived" and kind in HARMLESS for _, one, kind in run)
        numbers += [harmless, len(run) - len(caught) - harmless, len(done) - len(run)]
        total = [a + b for a, b in zip(total, numbers)]
        lines.append(f"| {name} | " + " | ".join(str(number or "") for number in numbers) + " |")
    lines.append("| **all** | " + " | ".join(f"**{number}**" for number in total) + " |")
    return lines, total


def grouped(done, key):
    groups = {}
    for one in done:
        groups.setdefault(key(one[0]), []).append(one)
    return sorted(groups.items())


def write(options, done, seconds):
    known = explanations()
    open_ = [mutant.id for mutant, outcome in done if outcome["state"] == "undecided"]
    done = [
        (mutant, outcome, known.get(mutant.id, ("", ""))[0]) for mutant, outcome in done if outcome["state"] != "undecided"
    ]
    lines = [
        "# Which bugs the tests notice",
        "",
        f"Made by `tests/mutations/mutate.py --seed {options.seed} --kernels {options.kernels} --hosts {options.hosts}`; what the "
        "columns and the operators mean stands in",
        "[README.md](README.md).",
        "",
    ]
    for title, chosen in [
        ("Kernels", [one for one in done if not one[0].source.name.endswith(".rs")]),
        ("Host code", [one for one in done if one[0].source.name.endswith(".rs")]),
    ]:
        if not chosen:
            continue
        by_operator, total = table("operator", grouped(chosen, lambda mutant: mutant.operator))
        by_file, _ = table("file", grouped(chosen, lambda mutant: mutant.source.name))
        run, caught, harmless = total[0], total[1], total[-3]
        early = sum(one["state"] == "caught" and one["at_start"] for _, one, _ in chosen)
        times = sorted(one["seconds"] for _, one, _ in chosen if one["state"] == "caught")
        lines += [
            f"## {title}",
            "",
            f"{run} mutants were run. {caught} were caught, {harmless} of the others change nothing that anybody could notice: "
            f"**{100 * caught / max(run - harmless, 1):.1f} %** of those that do (of all: {100 * caught / max(run, 1):.1f} %). "
            f"{early} were noticed already when the backend checked itself. "
            f"A mutant that is caught takes {times[len(times) // 2] if times else 0:.1f} s of tests in the median, "
            f"{sum(times) / max(len(times), 1):.0f} s in the mean.",
            "",
            *by_operator,
            "",
            *by_file,
            "",
        ]
    if open_:
        lines += ["## Undecided", "", f"{len(open_)} were put aside and not given to the rest of the tests before the run was ended; "
                  "they are in none of the numbers: " + ", ".join(f"`{name}`" for name in open_) + ".", ""]
    survivors = [one for one in done if one[1]["state"] == "survived"]
    lines += ["## Those that nobody noticed", ""]
    for mutant, outcome, kind in survivors:
        why = known.get(mutant.id, ("", "**not explained yet**"))[1]
        reach = ", ".join(outcome["reach"][:4]) + (" …" if len(outcome["reach"]) > 4 else "")
        said = f"{kind or 'missed'}: {why}"
        lines += [f"### `{mutant.id}`", "", f"{mutant.source.name}, line {mutant.line}{f' ({reach})' if reach else ''}", "",
                  "```diff", *mutant.diff(), "```", "", said, ""]
    text = "\n".join(lines).rstrip() + "\n"
    (FOLDER / "REPORT.md").write_text(text)
    missed = [mutant.id for mutant, _, kind in survivors if kind not in HARMLESS]
    print(f"{len(survivors)} were not noticed, {len(missed)} of them for no good reason; {seconds / 60:.0f} minutes")
