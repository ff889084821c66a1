# SPDX-License-Identifier: MIT OR Apache-2.0
"""The model's figures as text."""

from collections import Counter

from cards import CARDS, GAP, SCHEDULERS
from estimate import estimate, issued, roofline
from work import Work, blocks, work

BOUNDS = ["tensor", "issue", "shared", "L2", "DRAM", "path"]

# The first kernel of an operation, and what that is called; convolutions and Gram matrices have names of their own.
BEGINS = {
    "centre": "centre",
    "squared_error_f16": "content loss",
    "total_variation_f32": "TV",
    "weighted_squared_error_f32": "temporal loss",
    "square_f32": "Adam",
}

INTRODUCTION = f"""# How fast the kernels should be

**A model, not a measurement.** No card was at hand. Made by `kernels/model/model.py` from what the software GPU of tests/softgpu counts
of each launch of a step, from the machine code that ptxas of CUDA 12.9 makes of the kernels, and from published
rates of the cards ([model/cards.py](model/cards.py) has them with their sources and the assumptions).

    time = max(tensor, issue, shared, L2, DRAM, path) + {GAP * 1e6:.0f} µs between launches

tensor, issue and shared are the clocks that the busiest multiprocessor needs, so that a grid that does not divide by their number
costs what it costs; path is what the stalls in the machine code let a single warp do. The roofline is what the operation
needs at the tensor cores' peak, or to read each input and write each output once, whichever is longer, with no launch at all; on the H100
its peak is that of an instruction (wgmma) which is not used. What the model does not know: latencies of memory that too few warps hide, clocks
that fall under load, what the L2 cache keeps from one launch to the next (which helps), and the driver's own compiler.
"""


class Operation:
    """Launches that belong together: a convolution with its second pass, a Gram matrix with all that is made of it."""

    def __init__(self, name):
        self.name, self.launches = name, []

    def work(self):
        return sum((work(launch) for launch in self.launches), Work())

    def least(self, card):
        return roofline(self.work(), card)


def operations(launches):
    """A step in its order."""
    found, layers, grams = [], [], []
    for launch in launches:
        kernel, parameters = launch["kernel"], launch["parameters"]
        if kernel.startswith("conv_forward") and not kernel.endswith("finish"):
            layers.append(parameters[3] if kernel.endswith("split") else parameters[5])
            found.append(Operation(f"{layer_name(layers)} forward"))
        elif kernel.startswith("conv_backward") and not kernel.endswith("finish"):
            found.append(Operation(f"{layer_name(layers)} backward"))
            layers.pop()
        elif kernel == "gram_partials":
            grams.append(len(grams) + 1)
            found.append(Operation(f"Gram {grams[-1]}, loss"))
        elif kernel == "matrix_peak":
            found.append(Operation(f"Gram {grams.pop()} backward"))
        elif kernel in BEGINS or not found:
            found.append(Operation(BEGINS.get(kernel, kernel)))
        found[-1].launches.append(launch)
    return found


def layer_name(heights):
    """`convI_J` of the last of so many convolutions: a block has ended where the picture gets smaller."""
    block = len(set(heights))
    return f"conv{block}_{heights.count(heights[-1])}"


def microseconds(seconds):
    return f"{seconds * 1e6:.1f}" if seconds < 1e-4 else f"{seconds * 1e6:.0f}"


def step(launches, machine, card):
    """Modelled time and roofline of a step, in seconds."""
    time = sum(estimate(launch, machine, card).seconds for launch in launches)
    return time, sum(operation.least(card) for operation in operations(launches))


def timed(operation, machine, card):
    """Seconds of an operation by the model, and those of its parts by what takes them."""
    parts, total = Counter(), 0.0
    for launch in operation.launches:
        found = estimate(launch, machine, card)
        parts.update(found.parts)
        total += found.seconds
    return total, parts


def details(title, card, launches, machine, each):
    """One card's step, with all that bounds it."""
    time, least = step(launches, machine, card)
    lines = [
        f"{title}, {card.name}: {time * 1e3:.3f} ms by the model, {time / least:.2f} × the roofline of {least * 1e3:.3f} ms",
        "",
        f"{'operation':20} {'':26} {'µs':>8} {'roofline':>8} {'×':>5}  bound   " + " ".join(f"{name:>7}" for name in BOUNDS),
    ]
    for operation in operations(launches):
        total, parts = timed(operation, machine, card)
        if each:
            for launch in operation.launches:
                x, y, z = launch["grid"]
                found = estimate(launch, machine, card)
                cells = " ".join(f"{microseconds(found.parts[name]):>7}" for name in BOUNDS)
                where = f"{launch['kernel']} {x}×{y}×{z}"
                lines.append(f"  {where:45} {microseconds(found.seconds):>8} {'':14}  {found.bound:7} {cells}")
        least = operation.least(card)
        cells = " ".join(f"{microseconds(parts[name]):>7}" for name in BOUNDS)
        lines.append(
            f"{operation.name:20} {tile(operation):26} {microseconds(total):>8} {microseconds(least):>8} {total / least:5.2f}  "
            f"{max(BOUNDS, key=parts.get):7} {cells}"
        )
    return "\n".join(lines) + "\n"


def tile(operation):
    """How a convolution is cut, or how many launches another operation is."""
    first = operation.launches[0]
    if first["kernel"].startswith("conv_"):
        name = first["kernel"].split("_")[2]
        return f"{name}, {blocks(first)} blocks" + (f" in {first['grid'][2]} parts" if first["grid"][2] > 1 else "")
    count = len(operation.launches)
    return "1 launch" if count == 1 else f"{count} launches"


def document(found, machines, live):
    """MODEL.md. `found`: (title, card → launches of a step); `live`: launches of a frame beside its steps."""
    lines = [INTRODUCTION, "## A step", "", "| | " + " | ".join(card.name for card in CARDS) + " |"]
    lines.append("| --- | " + " | ".join("---:" for _ in CARDS) + " |")
    for title, steps in found:
        cells = []
        for card in CARDS:
            time, least = step(steps[card], machines[card], card)
            cells.append(f"{time * 1e3:.2f} ms = **{time / least:.2f}** × {least * 1e3:.2f}")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    title, steps = found[-1]
    frames = []
    for card in CARDS:
        time, _ = step(steps[card], machines[card], card)
        # The frame's content is looked at by the network, as far as a step looks.
        looks = [launch for launch in steps[card] if launch["kernel"].startswith("conv_forward")]
        beside = sum(estimate(launch, machines[card], card).seconds for launch in live + looks)
        frames.append(f"{(8 * time + beside) * 1e3:.1f} ms ({8 * time * 1e3:.1f} + {beside * 1e3:.1f})")
    lines.append(
        "| A live frame of 640×360: 8 steps of vgg16 at 320×180, and the flow, warp, resampling and content of a frame | "
        + " | ".join(frames)
        + " |"
    )
    lines += main_loops(found, machines)
    lines += by_hand(*found[0], machines)
    for title, steps in found:
        lines += layers(title, steps, machines)
    return "\n".join(lines) + "\n"


def by_hand(title, steps, machines):
    """One launch with all the numbers that go into its time."""
    card = CARDS[0]
    launch = next(launch for launch in steps[card] if launch["kernel"] == "conv_forward_large")
    machine, count, sampled = machines[card], blocks(launch), launch["sampled"]
    found, done = estimate(launch, machine, card), work(launch)
    shared, memory, loop = launch["shared"], launch["global"], machine.functions[launch["kernel"]].main_loop()
    wavefronts = shared["load_wavefronts"] + shared["store_wavefronts"]
    sectors = memory["load_block_sectors"] + memory["store_sectors"] + memory["atomic_sectors"]
    busiest, clock = -(-count // card.multiprocessors), card.gigahertz * 1e3
    resident = machine.usage[launch["kernel"]].blocks(card.real)
    iterations = launch["mma_products"] / 2048 / loop.count("HMMA") / (launch["warps"] * sampled / count)
    inputs = ", ".join(str(number) for number in launch["parameters"] if number is not None)

    def micro(name):
        return f"{found.parts[name] * 1e6:.1f} µs"

    return [
        "",
        "## One launch by hand",
        "",
        f"The first `{launch['kernel']}` of {title} on the {card.name}: {count} blocks (parameters {inputs}), of which {sampled} were counted.",
        f"The busiest of {card.multiprocessors} multiprocessors gets {busiest}; the clock is {clock:.0f} a µs.",
        "",
        f"- tensor: {launch['mma_products'] // sampled} products a block · {busiest} / {card.products} a clock = {micro('tensor')}",
        f"- issue: {issued(launch, machine) / sampled:.0f} instructions a block · {busiest} / {SCHEDULERS} a clock = {micro('issue')}",
        f"- shared: {wavefronts // sampled} turns of 128 bytes a block · {busiest} / 1 a clock = {micro('shared')}",
        f"- L2: {sectors // sampled} sectors of 32 bytes a block · {count} / {card.l2} bytes a clock = {micro('L2')}",
        f"- DRAM: {done.inputs} bytes in and {done.outputs} out at {card.dram} GB/s, in as often as columns of the grid"
        f" if half of the L2 cache cannot keep it = {micro('DRAM')}",
        f"- path: {iterations:.0f} passes of {loop.stalls} clocks · {-(-busiest // resident)} rounds of {resident} blocks = {micro('path')}",
        f"- roofline: {done.products} products at {card.products} · {card.multiprocessors} a clock, or {done.bytes} bytes"
        f" = {roofline(done, card) * 1e6:.1f} µs",
    ]


def main_loops(found, machines):
    """What the loops of the tensor cores' kernels are made of, and their conflicts."""
    lines = [
        "",
        "## Main loops",
        "",
        "Instructions of a pass through the loop; clocks in which its tensor work keeps the tensor core of a scheduler busy, as a",
        "multiple of the clocks in which the scheduler issues the loop (1 or more: all of the issue slots lie under tensor work);",
        "turns of the shared memory's banks beyond those that are needed, in the profiled launches.",
        "",
        "| kernel | HMMA | LDSM | all | " + " | ".join(card.name for card in CARDS) + " | conflicts |",
        "| --- | ---: | ---: | ---: | " + " | ".join("---:" for _ in CARDS) + " | ---: |",
    ]
    launches = [launch for _, steps in found for step in steps.values() for launch in step]
    for kernel in sorted({launch["kernel"] for launch in launches}):
        loops = {card: machines[card].functions[kernel].main_loop() for card in CARDS}
        if loops[CARDS[0]] is None:
            continue
        covered = []
        for card, loop in loops.items():
            tensor = loop.count("HMMA") * 2048 * 4 / (card.products * card.mma)
            covered.append(f"{tensor / len(loop.instructions):.1f}")
        loop = loops[CARDS[0]]
        lines.append(
            f"| `{kernel}` | {loop.count('HMMA')} | {loop.count('LDSM')} | {len(loop.instructions)} | "
            + " | ".join(covered)
            + f" | {conflicts([launch for launch in launches if launch['kernel'] == kernel], loop)} |"
        )
    return lines


def conflicts(launches, loop):
    """On the lines of the source of which the loop is made."""
    lines = {instruction.line for instruction in loop.instructions}
    counts = (line for launch in launches for name, line in launch["per_line"].items() if name in lines)
    return sum(line["shared_wavefronts"] - line["shared_ideal"] for line in counts)


def layers(title, steps, machines):
    lines = [
        "",
        f"## {title}",
        "",
        "µs by the model, × the roofline, what bounds it, and how it is cut.",
        "",
        "| operation | " + " | ".join(card.name for card in CARDS) + " |",
        "| --- | " + " | ".join("---" for _ in CARDS) + " |",
    ]
    columns = {card: operations(steps[card]) for card in CARDS}
    for row in zip(*columns.values()):
        cells = []
        for card, operation in zip(CARDS, row):
            total, parts = timed(operation, machines[card], card)
            least = operation.least(card)
            bound = max(BOUNDS, key=parts.get)
            cells.append(f"{microseconds(total)} × {total / least:.2f} {bound}, {tile(operation)}")
        lines.append(f"| {row[0].name} | " + " | ".join(cells) + " |")
    return lines
