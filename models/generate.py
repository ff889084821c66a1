# SPDX-License-Identifier: MIT OR Apache-2.0
"""Makes the embedded networks from scratch: run it and all of them are rewritten."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch

import crops
import distil
import photos
import prune
import safetensors_file
import teacher
from network import METADATA, Network

HERE = Path(__file__).resolve().parent

LAST = "relu4_1"
CROPS = 240
CROPS_TO_PRUNE = 96
POSITIONS = 30000
SEED = 0


@dataclass(frozen=True)
class Recipe:
    """How a student is made: its shares of the teacher's width, below and in the last layer, and its training."""

    width: float
    last_width: float
    steps: int
    rate: float = 0.01


STUDENTS = {
    # The last layer is what a narrow network lacks most, and at an eighth of the resolution it is cheap.
    "tiny": Recipe(width=0.25, last_width=0.5, steps=1000),
    "slim": Recipe(width=0.5, last_width=0.5, steps=200),
}


def network_of(layers):
    tensors = safetensors_file.tensors_of(layers)
    return Network(tensors, METADATA)


def write_full(layers, folder):
    safetensors_file.write(folder / "vgg16.safetensors", layers, "cut after conv4_2, rounded to fp16")


def say(message):
    print(message, flush=True)


def write_student(name, full, training, folder):
    recipe = STUDENTS[name]
    say(f"{name}: selecting channels and refitting")
    layers, _ = prune.prune(full, LAST, recipe.width, recipe.last_width, training[:CROPS_TO_PRUNE], POSITIONS, SEED)
    student = network_of(layers)
    say(f"{name}: distilling")
    targets = distil.targets_of(full, training)
    distil.distil(student, training, targets, recipe.steps, recipe.rate, SEED, report=say)
    safetensors_file.write(folder / f"{name}.safetensors", student.layers, "channels pruned, refitted and distilled")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=HERE / "cache", help="where downloads are kept")
    parser.add_argument("--output", type=Path, default=HERE)
    parser.add_argument("--only", nargs="+", choices=["vgg16", *STUDENTS], default=["vgg16", *STUDENTS])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    layers = teacher.layers(arguments.cache)
    full = network_of(layers)
    if "vgg16" in arguments.only:
        write_full(layers, arguments.output)
    training = crops.crops(photos.calibration(arguments.cache), CROPS, SEED)
    for name in STUDENTS:
        if name in arguments.only:
            write_student(name, full, training, arguments.output)


if __name__ == "__main__":
    main()
