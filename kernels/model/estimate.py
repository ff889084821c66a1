# SPDX-License-Identifier: MIT OR Apache-2.0
"""How long a launch takes by the model, and by the roofline.

    time = max(tensor, issue, shared, L2, DRAM, path) + gap

tensor, issue and shared are the clocks of the multiprocessor that gets the most blocks; L2 and DRAM those of all. `path` is what
a single warp cannot do faster: the stalls that the compiler wrote between its instructions, once for each round of blocks that
are on a multiprocessor together. Nothing else is known of latency: a launch that has too little to do to hide it takes
longer than this says.
"""

from collections import Counter
from dataclasses import dataclass

from cards import GAP, SCHEDULERS, SHARED_BYTES
from work import blocks, work


@dataclass
class Machine:
    """What a card makes of the kernels: instructions and loops of its machine code, and blocks that fit."""

    functions: dict
    usage: dict
    ptx_lines: dict


def issued(launch, machine):
    """Instructions of machine code that warps issue, of the blocks that were run: each line of the source as often as the
    software GPU ran it, with as many instructions as ptxas made of one of PTX there."""
    function = machine.functions[launch["kernel"]]
    ptx = machine.ptx_lines[launch["kernel"]]
    made = Counter(instruction.line for instruction in function.instructions if instruction.kind != "NOP")
    executed = launch["per_line"]
    known = sum(line["n"] * made[name] / ptx[name] for name, line in executed.items() if ptx[name] and made[name])
    # What only one of the two compilers attributes to a line.
    rest = sum(line["n"] for name, line in executed.items() if not (ptx[name] and made[name]))
    return known + rest


def tensor_instructions(launch):
    per = 1024 if launch["target"] == "sm_75" else 2048
    return launch["mma_products"] / per


def warps(launch):
    return launch["warps"] * launch["sampled"] / blocks(launch)


@dataclass
class Estimate:
    # Seconds by what takes them.
    parts: dict
    roofline: float

    @property
    def bound(self):
        return max(self.parts, key=self.parts.get)

    @property
    def seconds(self):
        return max(self.parts.values()) + GAP


def estimate(launch, machine, card):
    count, sampled = blocks(launch), launch["sampled"]
    usage = machine.usage[launch["kernel"]]
    resident = usage.blocks(card.real)
    busiest = -(-count // card.multiprocessors)
    # Of what the sampled blocks did, that of the busiest multiprocessor, and that of all.
    busy, whole = busiest / sampled, count / sampled
    clock = card.gigahertz * 1e9
    done = work(launch)

    shared = launch["shared"]
    wavefronts = (shared["load_wavefronts"] + shared["store_wavefronts"]) * 128 / SHARED_BYTES
    memory = launch["global"]
    sectors = memory["load_block_sectors"] + memory["store_sectors"] + memory["atomic_sectors"]
    parts = {
        "tensor": launch["mma_products"] * busy / (card.products * card.mma) / clock,
        "issue": issued(launch, machine) * busy / SCHEDULERS / clock,
        "shared": wavefronts * busy / clock,
        "L2": 32 * sectors * whole / card.l2 / clock,
        "DRAM": dram_bytes(launch, done, card) / (card.dram * 1e9),
        "path": -(-busiest // resident) * path(launch, machine) / clock,
    }
    return Estimate(parts, roofline(done, card))


def dram_bytes(launch, done, card):
    """Inputs are read again for each column of the grid when the cache cannot keep them, and partial sums then go by memory."""
    fits = card.l2_size // 2
    if launch["kernel"] == "gram_partials":
        # Tiles of 64 channels, each with each.
        columns = -(-launch["parameters"][2] // 64)
    else:
        columns = launch["grid"][1] if done.products else 1
    inputs = done.inputs * (columns if done.inputs > fits else 1)
    return inputs + done.outputs + (done.between if done.between > fits else 0)


def path(launch, machine):
    """Clocks that a warp takes at least."""
    function = machine.functions[launch["kernel"]]
    loop = function.main_loop()
    if loop is None:
        return 0
    iterations = tensor_instructions(launch) / loop.count("HMMA") / warps(launch)
    return iterations * loop.stalls


def roofline(done, card):
    """Seconds that the operation needs when nothing stands in its way."""
    peak = card.products * card.multiprocessors * card.gigahertz * 1e9
    return max(done.products / peak, done.bytes / (card.dram * 1e9))
