#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Computes how long a step should take on cards that are not here: a model, no measurement.

    kernels/model/model.py                  writes kernels/MODEL.md
    kernels/model/model.py --only "RTX 3060" --launches    prints every launch of one card's steps instead

Steps are run on the software GPU of tests/softgpu, which counts what each launch does; of large launches it runs a few blocks.
What ptxas makes of the kernels is read with nvdisasm (a wheel of PyPI, pinned by hash, kept beside those of build.py).
Builds the program that it needs. Takes an hour on two cores; --profiles keeps what was counted.
"""

import argparse
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "program")]
import build
import built
import report
import sass
from cards import CARDS
from estimate import Machine

ROOT = build.KERNELS.parent
# Blocks of a launch that are run; borders are a little over-represented in so few.
SAMPLE = 6
NVDISASM = (
    "https://files.pythonhosted.org/packages/b2/99/754bd821ec8557ae95192c0fc397c1df47be79e983e4458dc16b26310313/"
    "nvidia_cuda_nvdisasm-13.2.86-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    "53606e719ecae07a2335f95902d5a1393a0cc1c317499ee7ffcf628a44385f2c",
    ["nvidia/cu13/bin/nvdisasm"],
)
# Channels of VGG-19's convolutions; 0 halves the picture.
VGG_19 = [64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512]


def vgg19(path):
    """A VGG-19 of random weights as fp16 safetensors: what it has learnt has no influence on the time."""
    table = struct.Struct("<4096e")
    draw = random.Random(1)
    tensors, data, index, inputs = {}, bytearray(), 0, 3
    for channels in VGG_19:
        if channels == 0:
            index += 1
            continue
        count, scale = channels * inputs * 9, math.sqrt(2 / (inputs * 9))
        numbers = table.pack(*(draw.gauss(0, scale) for _ in range(4096)))
        weights = (numbers * (count // 4096 + 1))[: 2 * count]
        for name, shape, values in (
            (f"features.{index}.weight", [channels, inputs, 3, 3], weights),
            (f"features.{index}.bias", [channels], bytes(2 * channels)),
        ):
            tensors[name] = {
                "dtype": "F16",
                "shape": shape,
                "data_offsets": [len(data), len(data) + len(values)],
            }
            data += values
        index, inputs = index + 2, channels
    header = json.dumps(tensors).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def profile(card, command, driver, file, sample, enough):
    """What `command` launches on a card until that is enough, as it is written to `file` unless that is there."""
    if not file.exists():
        environment = {
            **os.environ,
            "LD_LIBRARY_PATH": str(driver),
            "SOFTGPU_CARD": f"sm_{card.real}",
            "SOFTGPU_PROFILE": str(file),
            "SOFTGPU_SAMPLE": str(sample),
            "SOFTGPU_SEED": "1",
        }
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
            # What is left out makes nonsense of the results, so that it would go on looking for a scale of its gradients.
            while run.poll() is None and not enough(launches(file)):
                time.sleep(1)
            run.kill()
            said = run.stderr.read().decode()
    found = launches(file)
    if not enough(found):
        sys.exit(f"{' '.join(map(str, command))}: has ended too early: {said}")
    return found


def step_of(card, arguments, program, driver, file):
    """The launches of one step."""
    # The first is the backend's check of itself.
    command = [program, "measure", "step", "--backend", "cuda", *arguments]
    found = profile(card, command, driver, file, SAMPLE, lambda found: len(ends(found)) >= 2)
    last = ends(found)[1]
    return found[begin_of_step(found, last) : last + 1]


def begin_of_step(found, end):
    """A step begins with the picture on its way to the network."""
    return max(at for at, launch in enumerate(found[:end]) if launch["kernel"] == "centre")


def frame_of(program, driver, file):
    """What is launched for a frame of a film beside its steps and the network's look at it: from the end of one step to the
    beginning of the next. Neither the network nor the card matters here, so they are the smallest."""
    command = [program, "film", "--backend", "cuda", "--network", "tiny", "--style", ROOT / "media/starry_night.jpg"]
    command += ["--iterations", "1", "--first-iterations", "1", "--scales", "1", "--working-size", "320", "--force"]
    command += [ROOT / "media/bunny.webm", file.with_suffix(".webm")]

    def steps_after_flow(found):
        # The first search is the backend's check of itself.
        flow = [at for at, launch in enumerate(found) if launch["kernel"] == "flow_search"][1:]
        return [end for end in ends(found) if flow and end > flow[0]]

    found = profile(CARDS[0], command, driver, file, 0, steps_after_flow)
    end = steps_after_flow(found)[0]
    begin = max(at for at in ends(found) if at < end)
    between = found[begin + 1 : begin_of_step(found, end)]
    return [launch for launch in between if not launch["kernel"].startswith("conv_")]


def launches(file):
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [json.loads(line) for line in lines]


def ends(found):
    return [at for at, launch in enumerate(found) if launch["kernel"] == "adam"]


def machine(card, ptxas, nvdisasm):
    functions, usage, lines = {}, {}, {}
    virtual = build.REAL[card.real]
    for path in sorted(build.PTX.glob(f"*.sm_{virtual}.ptx")):
        text = path.read_text()
        functions.update(sass.disassembled(ptxas, nvdisasm, path, card.real))
        usage.update(build.assemble(ptxas, path.name, text, card.real))
        for kernel, counts in sass.ptx_lines(text).items():
            lines.setdefault(kernel, Counter()).update(counts)
    return Machine(functions, usage, lines)


def runs(folder):
    """Title, arguments of `neuralstyle measure step`, and how often such a step is made."""
    weights = folder / "vgg19.safetensors"
    vgg19(weights)
    return [
        ("VGG-19 at 512×512", ["--weights", str(weights), "--sizes", "512x512"]),
        ("slim at 512×288", ["--networks", "slim", "--sizes", "512x288"]),
        ("vgg16 at 320×180, the live size", ["--networks", "vgg16", "--sizes", "320x180"]),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="CARD", help="print for this card, write nothing")
    parser.add_argument("--run", metavar="TEXT", default="", help="only runs whose title has this in it")
    parser.add_argument("--launches", action="store_true", help="each launch by itself")
    parser.add_argument("--profiles", type=Path, help="a folder in which what was counted is kept, and found again")
    parser.add_argument("--toolchain", type=Path, default=ROOT / "target" / "cuda-toolchain")
    parser.add_argument("--program", type=Path, help="the built program")
    parser.add_argument("--driver", type=Path, help="the folder that tests/softgpu/install.sh prints")
    arguments = parser.parse_args()
    build.WHEELS.append(NVDISASM)
    _, ptxas = build.toolchain(arguments.toolchain.resolve())
    nvdisasm = ptxas.parent / "nvdisasm"
    program, driver = arguments.program or built.program(), arguments.driver
    if driver is None:
        said = subprocess.run([ROOT / "tests/softgpu/install.sh"], check=True, capture_output=True, text=True)
        driver = Path(said.stdout.strip())

    cards = [card for card in CARDS if arguments.only in (None, card.name)]
    if not cards:
        sys.exit(f"--only {arguments.only}: there are {', '.join(card.name for card in CARDS)}")
    machines = {card: machine(card, ptxas, nvdisasm) for card in cards}
    with tempfile.TemporaryDirectory() as folder:
        found, folder = [], Path(folder)
        profiles = arguments.profiles or folder
        profiles.mkdir(exist_ok=True)
        for title, options in runs(folder):
            if arguments.run in title:
                name = "-".join(word for word in title.split() if word.isascii())
                files = {card: profiles / f"{name}-sm_{card.real}.jsonl" for card in cards}
                steps = {card: step_of(card, options, program, driver, file) for card, file in files.items()}
                found.append((title, steps))
        if arguments.only is None and not arguments.run:
            live = frame_of(program, driver, profiles / "frame.jsonl")
    if arguments.only is not None or arguments.run:
        for title, steps in found:
            for card, launches in steps.items():
                print(report.details(title, card, launches, machines[card], arguments.launches))
        return
    (build.KERNELS / "MODEL.md").write_text(report.document(found, machines, live))


if __name__ == "__main__":
    main()
