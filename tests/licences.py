#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Fails if a crate of the workspace, or any crate that these need to be built or tested, has a licence that binds those who
pass it on.

Reads what `cargo metadata` says of every crate that is used on this kind of machine. The names are SPDX's.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Those that ask for no more than that their text goes along.
PERMISSIVE = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT",
    "MIT-0", "NCSA", "Unicode-3.0", "Unlicense", "Zlib",
}


def permits(expression):
    """Whether an SPDX expression can be fulfilled by permissive licences alone. "/" is an old way to write OR."""
    tokens = re.findall(r"[()]|[^\s()]+(?: WITH [^\s()]+)?", expression.replace("/", " OR "))

    def alternatives(at):
        value, at = all_of(at)
        while at < len(tokens) and tokens[at] == "OR":
            other, at = all_of(at + 1)
            value = value or other
        return value, at

    def all_of(at):
        value, at = one(at)
        while at < len(tokens) and tokens[at] == "AND":
            other, at = one(at + 1)
            value = value and other
        return value, at

    def one(at):
        if tokens[at] == "(":
            value, at = alternatives(at + 1)
            return value, at + 1
        return tokens[at] in PERMISSIVE, at + 1

    return alternatives(0)[0]


def main():
    told = subprocess.run(["rustc", "-vV"], stdout=subprocess.PIPE, text=True, check=True).stdout
    host = re.search(r"^host: (.*)$", told, re.MULTILINE).group(1)
    command = ["cargo", "metadata", "--locked", "--filter-platform", host, "--format-version", "1"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    refused = [
        f"{package['name']} {package['version']}: {package['license'] or 'no licence'}"
        for package in metadata["packages"]
        if not permits(package["license"] or "none")
    ]
    if refused:
        sys.exit("these crates have licences that are not on the list in tests/licences.py:\n" + "\n".join(refused))
    print(f"{len(metadata['packages'])} crates, all under permissive licences")


if __name__ == "__main__":
    main()
