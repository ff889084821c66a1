# SPDX-License-Identifier: MIT OR Apache-2.0
"""Machine code (SASS) as nvdisasm prints it: its instructions, its loops, and what a scheduler spends on them."""

import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

# An instruction, and the upper half of its 128 bits in the line below.
INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:@(!?U?P[T\d]+)\s+)?(\S+)\s*(.*?)\s*;?\s*/\*\s*0x[0-9a-f]+\s*\*/")
UPPER = re.compile(r"^\s*/\*\s*(0x[0-9a-f]{16})\s*\*/")
LABEL = re.compile(r"^(\.L_x_\d+):")
FUNCTION = re.compile(r"^\.text\.(\w+):")
LINE = re.compile(r'^\s*//## File "(?:[^"]*/)?([^"/]+)", line (\d+)')


@dataclass
class Instruction:
    opcode: str
    operands: str
    # `file:line` of the source.
    line: str
    # Cycles after which the scheduler may take the next instruction of the same warp: bits 41 to 44 of the upper half.
    stall: int = 1

    @property
    def kind(self):
        return self.opcode.split(".")[0]


@dataclass
class Loop:
    """The instructions from a label to the branch that goes back to it; loops inside of it are in them."""

    first: int
    last: int
    instructions: list = field(repr=False)

    def count(self, *kinds):
        return sum(instruction.kind in kinds for instruction in self.instructions)

    @property
    def stalls(self):
        return sum(instruction.stall for instruction in self.instructions)


@dataclass
class Function:
    name: str
    instructions: list
    loops: list

    @property
    def size(self):
        """Instructions without the padding at the end."""
        return sum(instruction.kind != "NOP" for instruction in self.instructions)

    def main_loop(self):
        """The loop with the most tensor instructions, the innermost of equals, or None."""
        with_tensor = [loop for loop in self.loops if loop.count("HMMA")]
        return max(with_tensor, key=lambda loop: (loop.count("HMMA"), -len(loop.instructions)), default=None)


def functions(text):
    """By name, from what `nvdisasm -c -hex` prints."""
    found, name, line = {}, None, ""
    for row in text.splitlines():
        if match := FUNCTION.match(row):
            name = match.group(1)
            found[name] = ([], {}, [])
            line = ""
        elif name is None:
            continue
        elif match := LINE.match(row):
            line = f"{match.group(1)}:{match.group(2)}"
        elif match := LABEL.match(row):
            found[name][1][match.group(1)] = len(found[name][0])
        elif match := INSTRUCTION.match(row):
            instructions, _, branches = found[name]
            _, _, opcode, operands = match.groups()
            # Those without operands may have their semicolon at once.
            opcode = opcode.rstrip(";")
            if target := re.search(r"`\((\.L_x_\d+)\)", operands):
                branches.append((len(instructions), target.group(1)))
            instructions.append(Instruction(opcode, operands, line))
        elif (match := UPPER.match(row)) and found[name][0]:
            found[name][0][-1].stall = int(match.group(1), 16) >> 41 & 15
    return {name: function(name, *parts) for name, parts in found.items()}


def function(name, instructions, labels, branches):
    loops = [
        Loop(labels[target], at, instructions[labels[target] : at + 1])
        for at, target in branches
        # The last instruction of a function branches to itself.
        if labels.get(target, at + 1) < at
    ]
    return Function(name, instructions, loops)


PTX_LOC = re.compile(r"^\s*\.loc\s+(\d+)\s+(\d+)")
PTX_FILE = re.compile(r'^\s*\.file\s+(\d+)\s+"(?:[^"]*/)?([^"/]+)"', re.MULTILINE)
PTX_INSTRUCTION = re.compile(r"^\s+(?:@!?%p\d+\s+)?[a-z][\w.:]*(?:\s[^;]*)?;")


def ptx_lines(text):
    """Kernel → `file:line` → instructions of PTX that were made of it."""
    files = dict(PTX_FILE.findall(text))
    found, lines, line = {}, None, ""
    for row in text.splitlines():
        if match := re.search(r"\.entry (\w+)\(", row):
            lines, line = found.setdefault(match.group(1), Counter()), ""
        elif match := PTX_LOC.match(row):
            line = f"{files[match.group(1)]}:{match.group(2)}"
        elif lines is not None and PTX_INSTRUCTION.match(row):
            lines[line] += 1
    return found


def disassembled(ptxas, nvdisasm, ptx, real):
    """The functions of a PTX file, assembled for sm_`real`."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "cubin"
        subprocess.run([str(ptxas), f"--gpu-name=sm_{real}", str(ptx), "-o", str(cubin)], check=True)
        listing = subprocess.run(
            [str(nvdisasm), "-c", "-g", "-hex", str(cubin)], capture_output=True, text=True, check=True
        ).stdout
    return functions(listing)
