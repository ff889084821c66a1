# SPDX-License-Identifier: MIT OR Apache-2.0
"""Builds the program `neuralstyle` for the scripts that measure with it."""

import functools
import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@functools.cache
def program(*flags):
    """The path of the program, built with these flags of cargo. Only cargo knows it: its configuration and its variables may
    name another folder, and another kind of processor."""
    command = ["cargo", "build", "--quiet", "--locked", "--message-format=json-render-diagnostics", *flags]
    told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in told.splitlines()]
    return next(Path(message["executable"]) for message in messages if message.get("executable"))
