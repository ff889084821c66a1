#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Paints the gallery's nine pairs as patience would: L-BFGS in PyTorch, 500 evaluations of the full VGG-16, one scale.

Nothing of neuralstyle paints here; it only judges the pictures that were written, as it judges its own:

    python3 -m venv venv && venv/bin/pip install torch numpy pillow safetensors
    venv/bin/python benches/paint_pytorch.py --statistic gram --folder paintings
    venv/bin/python benches/paint_pytorch.py --statistic gram --folder paintings --judge target/release/neuralstyle

The loss is `normalization=relative` with the default layers, each term divided by the target's square sum. The start is the
content, as in Gatys et al. (2016). A pair takes six minutes on a core of its own; what is written already is not painted again.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "models"))

import pictures  # noqa: E402
from network import Network  # noqa: E402
from paint import paint  # noqa: E402

CONTENT_LAYER = "relu4_2"
CONTENTS = ("bunny", "cat", "astronaut")
STYLES = ("starry_night", "night_cafe", "painter_on_the_road")
# What `style-weight` is by default with each statistic.
STYLE_WEIGHTS = {"gram": 10.0, "covariance": 3.0}
# What `style-crop` is by default.
CROP = 0.03


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--statistic", choices=list(STYLE_WEIGHTS), default="gram")
    parser.add_argument("--size", type=int, default=256, help="longer side in pixels")
    parser.add_argument("--evaluations", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--judge", help="the program that judges; nothing is painted then")
    settings = parser.parse_args()
    if settings.judge:
        return judge(settings)
    torch.set_num_threads(settings.threads)
    settings.folder.mkdir(parents=True, exist_ok=True)
    network = Network.read(ROOT / "models" / "vgg16.safetensors")
    for content, style, path in pairs(settings):
        if path.exists():
            continue
        picture = fit(pictures.read(content), settings.size)
        painted = paint(
            network,
            pictures.tensor(picture),
            pictures.tensor(style_picture(style, picture.width * picture.height)),
            steps=settings.evaluations,
            evaluations=settings.evaluations,
            statistic=settings.statistic,
            style_weight=STYLE_WEIGHTS[settings.statistic],
            content_layer=CONTENT_LAYER,
            history=20,
        )
        pictures.image(painted).save(path)
        print(path, flush=True)
    return 0


def pairs(settings):
    """The paths of content, style and painting."""
    for content in CONTENTS:
        for style in STYLES:
            yield media(content), media(style), settings.folder / f"{settings.statistic}-{content}-{style}.png"


def media(name):
    return ROOT / "media" / f"{name}.jpg"


def fit(picture, longer):
    """The picture with its longer side of that length."""
    factor = longer / max(picture.size)
    return pictures.resized(picture, *(round(side * factor) for side in picture.size))


def style_picture(path, area):
    """The style without its edges, scaled to the area of what is painted."""
    return pictures.with_area(pictures.without_border(pictures.read(path), CROP), area, pictures.Image.Resampling.LANCZOS)


def judge(settings):
    """Prints the mean of each figure over the pairs that were painted."""
    figures = []
    for content, style, painting in pairs(settings):
        if not painting.exists():
            continue
        command = [settings.judge, "measure", "look", "--content", content, "--style", style, "--painting", painting]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        figures.append(json.loads(ran.stdout)["mean"])
    means = {name: sum(row[name] for row in figures) / len(figures) for name in figures[0]}
    print(json.dumps(means, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
