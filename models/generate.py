# SPDX-License-Identifier: MIT OR Apache-2.0
"""Makes the embedded networks from scratch: run it and all of them are rewritten."""

import argparse
from pathlib import Path

import torch

import safetensors_file
import teacher

HERE = Path(__file__).resolve().parent


def write_full(layers, folder):
    safetensors_file.write(folder / "vgg16.safetensors", layers, "cut after conv4_2, rounded to fp16")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=HERE / "cache", help="where downloads are kept")
    parser.add_argument("--output", type=Path, default=HERE)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    layers = teacher.layers(arguments.cache)
    write_full(layers, arguments.output)


if __name__ == "__main__":
    main()
