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

import numpy
import torch
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "models"))

from network import STYLE_LAYERS, Network, moments, moments_of, relative  # noqa: E402
from paint import STATISTICS  # noqa: E402

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
    for content in CONTENTS:
        for style in STYLES:
            path = settings.folder / f"{settings.statistic}-{content}-{style}.png"
            if path.exists():
                continue
            picture = fit(Image.open(media(content)).convert("RGB"), settings.size)
            painted = paint(network, tensor(picture), tensor(style_picture(style, picture.size)), settings)
            values = (painted[0].permute(1, 2, 0).numpy() * 255).round().astype(numpy.uint8)
            Image.fromarray(values).save(path)
            print(path, flush=True)
    return 0


def media(name):
    return ROOT / "media" / f"{name}.jpg"


def fit(picture, longer):
    """The picture with its longer side of that length."""
    factor = longer / max(picture.size)
    return picture.resize([round(side * factor) for side in picture.size], Image.LANCZOS)


def style_picture(name, size):
    """The style without its edges, scaled to the area of what is painted."""
    picture = Image.open(media(name)).convert("RGB")
    width, height = picture.size
    left, top = round(CROP * width), round(CROP * height)
    picture = picture.crop((left, top, width - left, height - top))
    factor = (size[0] * size[1] / (picture.width * picture.height)) ** 0.5
    return picture.resize([round(side * factor) for side in picture.size], Image.LANCZOS)


def tensor(picture):
    return torch.from_numpy(numpy.array(picture, dtype=numpy.float32)).permute(2, 0, 1)[None].contiguous() / 255


def paint(network, content, style, settings):
    """The finished picture, [1, 3, H, W] in 0..1."""
    statistic = STATISTICS[settings.statistic]
    with torch.no_grad():
        targets = {name: statistic(*found) for name, found in moments_of(network, style).items()}
        anchor = network.activations(content, (CONTENT_LAYER,))[CONTENT_LAYER]
    weight = STYLE_WEIGHTS[settings.statistic] / len(STYLE_LAYERS)
    picture = content.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [picture],
        max_iter=settings.evaluations,
        max_eval=settings.evaluations,
        history_size=20,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,
        tolerance_change=0,
    )

    def loss():
        optimiser.zero_grad()
        found = network.activations(picture, (*STYLE_LAYERS, CONTENT_LAYER))
        total = relative(found[CONTENT_LAYER], anchor)
        for name in STYLE_LAYERS:
            for value, target in zip(statistic(*moments(found[name])), targets[name]):
                total = total + weight * relative(value, target)
        total.backward()
        return total

    optimiser.step(loss)
    return picture.detach().clamp(0, 1)


def judge(settings):
    """Prints the mean of each figure over the pairs that were painted."""
    figures = []
    for content in CONTENTS:
        for style in STYLES:
            painting = settings.folder / f"{settings.statistic}-{content}-{style}.png"
            if not painting.exists():
                continue
            command = [settings.judge, "measure", "look", "--content", media(content), "--style", media(style)]
            ran = subprocess.run([*command, "--painting", painting], check=True, capture_output=True, text=True)
            figures.append(json.loads(ran.stdout)["mean"])
    print(json.dumps({name: numpy.mean([row[name] for row in figures]) for name in figures[0]}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
