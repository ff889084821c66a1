# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes a network as fp16 safetensors."""

import json
import struct

import torch
from safetensors.torch import save_file

from network import CONVOLUTIONS, METADATA

ATTRIBUTION = "VGG-16 (Simonyan and Zisserman, CC BY 4.0), modified: "


def write(path, layers, modification):
    """`layers`: activation name → (weight, bias), f32."""
    tensors = {name: halved(values) for name, values in tensors_of(layers).items()}
    save_file(tensors, path, {**METADATA, "teacher": ATTRIBUTION + modification})
    sort_header(path)


def sort_header(path):
    """Puts the metadata in order: the library shuffles it, and equal files should be equal bytes."""
    data = path.read_bytes()
    length, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    # The tensors begin at a multiple of 8 bytes.
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length:])


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
