#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Recomputes a run of `neuralstyle image --trace` in PyTorch, step by step, and says how far the losses are apart.

PyTorch does everything by itself: the network from the same safetensors file, the losses from their formulas, the
gradient by autograd, the steps by torch.optim. Only the two pictures, the settings and the trace are taken over.

    python3 -m venv venv && venv/bin/pip install torch numpy pillow safetensors
    neuralstyle image --content content.png --style style.png --output out.png \\
        --trace trace.json --iterations 20 --network slim --normalization gatys --optimizer adam --init content \\
        --scales 1 --overscan 0 --moment-blur 0 --rate-decay 0 --style-crop 0 --learning-rate 0.03 --style-weight 10
    venv/bin/python benches/check_pytorch.py --content content.png --style style.png --trace trace.json \\
        --weights models/slim.safetensors --normalization gatys --optimizer adam --learning-rate 0.03 --style-weight 10

With `--normalization relative` the steps must be plain, too: `neuralstyle image … --chroma-blur 0 --colour-axes 0`.

The content must have the size at which it was painted, and neither picture may be a JPEG, which decoders are free to
read a little differently. The first step has the same picture on both sides and shows how the losses agree; the
others also show how the gradients and the optimisers do. They drift apart with the steps, since f32 rounds, ReLUs and
max pooling have kinks, and Adam divides by the size of gradients that may be next to nothing. Exits with 1 if a
relative difference is above --tolerance in the first step or above --drift in another.
"""

import argparse
import json
import math
import struct
import sys

import numpy
import torch
import torch.nn.functional as functional
from PIL import Image
from safetensors.numpy import load_file


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--content", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--trace", required=True)
    parser.add_argument("--weights", required=True, help="the network's safetensors file")
    parser.add_argument("--content-layers", help="relu4_1=1,… (default: relu4_2, else relu4_1)")
    parser.add_argument("--style-layers", help="(default: the first layer of each block)")
    parser.add_argument("--content-weight", type=float, default=1.0)
    parser.add_argument("--style-weight", type=float, default=10.0)
    parser.add_argument("--tv-weight", type=float, default=0.0)
    parser.add_argument("--normalization", choices=["relative", "gatys"], default="relative")
    parser.add_argument("--style-statistic", choices=["gram", "covariance"], help="(default: gram with gatys)")
    parser.add_argument("--pooling", choices=["network", "average", "max"], default="network")
    parser.add_argument("--optimizer", choices=["adam", "sgd"], default="adam")
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--learning-rate", type=float, default=0.03)
    parser.add_argument("--precision", choices=["single", "double"], default="double")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--drift", type=float, default=1e-2)
    settings = parser.parse_args()
    if not settings.style_statistic:
        settings.style_statistic = "gram" if settings.normalization == "gatys" else "covariance"
    if settings.style_statistic == "covariance" and settings.normalization == "gatys":
        parser.error("covariances are recomputed with --normalization relative only")
    return settings


def metadata(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(length)).get("__metadata__", {})


class Network:
    """A chain of 3x3 convolutions with ReLUs, and a pooling wherever the numbers of its tensors leave room for one."""

    def __init__(self, path, pooling, dtype):
        tensors = load_file(path)
        about = metadata(path)
        numbers = sorted(int(name.split(".")[1]) for name in tensors if name.endswith(".weight"))
        self.stages = []
        block, index = 1, 0
        for place, number in enumerate(numbers):
            pooled = place > 0 and number - numbers[place - 1] == 3
            block, index = (block + 1, 1) if pooled else (block, index + 1)
            weight, bias = (
                torch.tensor(tensors[f"features.{number}.{part}"].astype("float64")).to(dtype)
                for part in ("weight", "bias")
            )
            self.stages.append((f"relu{block}_{index}", pooled, weight, bias))
        kind = about.get("pooling", "max") if pooling == "network" else pooling
        self.pool = functional.max_pool2d if kind == "max" else functional.avg_pool2d
        self.order = [2, 1, 0] if about.get("input_channels") == "bgr" else [0, 1, 2]
        self.scale = float(about.get("input_scale", 1))
        mean = [float(number) for number in about["input_mean"].split(",")]
        self.mean = torch.tensor(mean, dtype=dtype).view(1, 3, 1, 1)

    def names(self):
        return [name for name, _, _, _ in self.stages]

    def __call__(self, picture, wanted):
        """Activations by name; stops after the last that is wanted."""
        x = picture[:, self.order] * self.scale - self.mean
        seen = {}
        for name, pooled, weight, bias in self.stages:
            if pooled:
                x = self.pool(x, 2)
            x = functional.relu(functional.conv2d(x, weight, bias, padding=1))
            if name in wanted:
                seen[name] = x
                if len(seen) == len(wanted):
                    break
        return seen


def layers(text, default):
    if not text:
        return {name: 1.0 / len(default) for name in default}
    parts = (part.strip().partition("=") for part in text.split(","))
    return {name: float(weight or 1) for name, _, weight in parts}


def keys_cubic(inputs, outputs):
    """The matrix [outputs, inputs] of Keys' cubic (a = -1/2), stretched when shrinking, weighed up at the ends."""
    step = inputs / outputs
    stretch = max(step, 1.0)
    centres = (numpy.arange(outputs) + 0.5) * step - 0.5
    x = abs(numpy.arange(inputs)[None, :] - centres[:, None]) / stretch
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    weights = numpy.where(x < 1, near, numpy.where(x < 2, far, 0.0))
    return weights / weights.sum(axis=1, keepdims=True)


def picture(path, size=None, area=None):
    """[1, 3, H, W] on the 0..1 scale, as it is or scaled to an area."""
    image = Image.open(path)
    if image.format == "JPEG":
        sys.exit(f"{path}: decoders differ; convert it to PNG first")
    values = numpy.asarray(image.convert("RGB")).astype("float64") / 255
    height, width, _ = values.shape
    if size and (width, height) != size:
        sys.exit(f"{path} has {width}x{height} pixels, but was painted at {size[0]}x{size[1]}")
    if area:
        factor = math.sqrt(area / (width * height))
        width, height = (max(16, math.floor(side * factor + 0.5)) for side in (width, height))
        if values.shape[:2] != (height, width):
            down, across = keys_cubic(values.shape[0], height), keys_cubic(values.shape[1], width)
            values = numpy.einsum("yi,ijc,xj->yxc", down, values, across)
    return torch.tensor(values).permute(2, 0, 1)[None]


def gram(a):
    flat = a[0].flatten(1)
    return flat @ flat.T


def moments(a):
    """The covariance over the pixels, and the mean."""
    mean = a[0].flatten(1).mean(dim=1)
    return gram(a) / a[0, 0].numel() - torch.outer(mean, mean), mean


def relative_error(found, target):
    return ((found - target) ** 2).sum() / (target**2).sum()


class Objective:
    """The terms of J as functions of a picture."""

    def __init__(self, settings, network, content, style):
        names = network.names()
        deep = next((name for name in ("relu4_2", "relu4_1") if name in names), names[-1])
        self.settings, self.network = settings, network
        self.content_layers = layers(settings.content_layers, [deep])
        self.style_layers = layers(settings.style_layers, [name for name in names if name.endswith("_1")])
        self.wanted = set(self.content_layers) | set(self.style_layers)
        self.content = network(content, self.wanted)
        seen = network(style, self.wanted)
        self.style = {name: (gram(a), a[0, 0].numel()) for name, a in seen.items()}
        self.moments = {name: moments(a) for name, a in seen.items()}

    def terms(self, x):
        seen = self.network(x, self.wanted)
        relative = self.settings.normalization == "relative"
        content = style = 0.0
        for name, weight in self.content_layers.items():
            target = self.content[name]
            term = ((seen[name] - target) ** 2).sum() / 2
            content += weight * term / ((target**2).sum() if relative else 1)
        for name, weight in self.style_layers.items():
            if self.settings.style_statistic == "covariance":
                pairs = zip(moments(seen[name]), self.moments[name])
                style += weight * sum(relative_error(found, target) for found, target in pairs)
                continue
            target, pixels = self.style[name]
            _, channels, height, width = seen[name].shape
            target = target * (height * width / pixels)
            term = ((gram(seen[name]) - target) ** 2).sum()
            style += weight * term / ((target**2).sum() if relative else (2 * height * width * channels) ** 2)
        down, right = x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]
        tv = ((down**2).sum() + (right**2).sum()) / (x.numel() if relative else 1)
        total = (
            self.settings.content_weight * content
            + self.settings.style_weight * style
            + self.settings.tv_weight * tv
        )
        return {"content": content, "style": style, "tv": tv, "total": total}


def main():
    settings = arguments()
    with open(settings.trace, encoding="utf-8") as file:
        trace = json.load(file)
    dtype = torch.float64 if settings.precision == "double" else torch.float32
    width, height = trace["width"], trace["height"]
    content = picture(settings.content, size=(width, height)).to(dtype)
    style = picture(settings.style, area=width * height).to(dtype)
    with torch.no_grad():
        objective = Objective(settings, Network(settings.weights, settings.pooling, dtype), content, style)
    x = content.clone().requires_grad_()
    if settings.optimizer == "adam":
        optimizer = torch.optim.Adam([x], lr=settings.learning_rate, betas=(0.9, 0.99), eps=1e-8)
    else:
        optimizer = torch.optim.SGD([x], lr=settings.learning_rate, momentum=settings.momentum)

    agrees = bool(trace["steps"])
    worst = dict.fromkeys(("content", "style", "tv", "total"), 0.0)
    print(f"{'step':>4}  {'total here':>14}  {'total there':>14}  relative differences: " + ", ".join(worst))
    for step, there in enumerate(trace["steps"]):
        optimizer.zero_grad()
        here = objective.terms(x)
        here["total"].backward()
        apart = {}
        for name in worst:
            value = here[name].item()
            # A loss that is nothing on both sides, as the content's in the first step, agrees.
            apart[name] = abs(value - there[name]) / max(abs(value), 1e-30) if value != there[name] else 0.0
            worst[name] = max(worst[name], apart[name])
            agrees &= apart[name] <= (settings.drift if step else settings.tolerance)
        figures = ", ".join(f"{apart[name]:.1e}" for name in worst)
        print(f"{step:4}  {here['total'].item():14.8g}  {there['total']:14.8g}  {figures}")
        optimizer.step()
    print("worst: " + ", ".join(f"{name} {value:.1e}" for name, value in worst.items()))
    sys.exit(0 if agrees else 1)


if __name__ == "__main__":
    main()
