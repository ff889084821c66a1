# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes a network as fp16 safetensors."""

import torch
from safetensors.torch import save_file

from network import CONVOLUTIONS, METADATA

ATTRIBUTION = "VGG-16 (Simonyan and Zisserman, CC BY 4.0), modified: "


def write(path, layers, modification):
    """`layers`: activation name → (weight, bias), f32."""
    tensors = {name: halved(values) for name, values in tensors_of(layers).items()}
    save_file(tensors, str(path), {**METADATA, "teacher": ATTRIBUTION + modification})


def tensors_of(layers):
    """The same under torchvision's names."""
    tensors = {}
    for index, name in CONVOLUTIONS.items():
        if name in layers:
            tensors[f"features.{index}.weight"], tensors[f"features.{index}.bias"] = layers[name]
    return tensors


def halved(values):
    half = values.detach().half().contiguous()
    if not torch.isfinite(half).all():
        raise ValueError("a weight does not fit fp16")
    return half
