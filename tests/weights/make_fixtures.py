#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes the small PyTorch files that the tests of the weight reader compare with known numbers.

    python tests/weights/make_fixtures.py        # needs torch; made with 2.15

Element i of a tensor is i / 4 - 1, exact in every float type, so that the tests can compute what they expect.
"""

import pathlib
from collections import OrderedDict

import torch

HERE = pathlib.Path(__file__).parent


def ramp(*shape, dtype=torch.float32):
    count = int(torch.tensor(shape).prod())
    return (torch.arange(count, dtype=torch.float64) / 4 - 1).reshape(shape).to(dtype)


def save(name, value, legacy=False):
    torch.save(value, HERE / name, _use_new_zipfile_serialization=not legacy)


class Net(torch.nn.Module):
    """One convolution and one normalisation: a state dict with `_metadata` and an integer counter."""

    def __init__(self):
        super().__init__()
        self.features = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
        with torch.no_grad():
            self.features[0].weight.copy_(ramp(3, 2, 3, 3))
            self.features[0].bias.copy_(ramp(3))


def main():
    torch.manual_seed(0)
    types = {
        "f16": ramp(2, 3, dtype=torch.float16),
        "bf16": ramp(2, 3, dtype=torch.bfloat16),
        "f32": ramp(2, 3),
        "f64": ramp(2, 3, dtype=torch.float64),
        "i64": torch.arange(3),
        "scalar": torch.tensor(0.5),
        "empty": torch.empty(0, 3),
    }
    whole = ramp(4, 6)
    views = {
        "whole": whole,
        "transposed": whole.t(),
        "columns": whole[:, 1:5:2],
        "row": whole[2],
        "channels_last": ramp(1, 2, 2, 2).contiguous(memory_format=torch.channels_last),
    }
    state_dict = Net().state_dict()
    checkpoint = {
        "epoch": 7,
        "best": 0.25,
        "arch": "vgg",
        "state_dict": state_dict,
        "optimizer": {"state": {0: {"momentum": ramp(2)}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999)}]},
    }
    parameters = OrderedDict(weight=torch.nn.Parameter(ramp(2, 2)), frozen=torch.nn.Parameter(ramp(2), False))
    for kind, legacy in [("zip", False), ("legacy", True)]:
        save(f"types_{kind}.pth", types, legacy)
        save(f"views_{kind}.pth", views, legacy)
        save(f"module_{kind}.pth", state_dict, legacy)
        save(f"checkpoint_{kind}.pth", checkpoint, legacy)
        save(f"parameters_{kind}.pth", parameters, legacy)
    save("two_models_zip.pth", {"generator": {"w": ramp(2)}, "discriminator": {"w": ramp(2)}})
    save("whole_module_zip.pth", torch.nn.Linear(1, 1))
    save("expanded_zip.pth", {"w": torch.ones(1).expand(1000)})
    save("not_a_number_zip.pth", {"w": torch.tensor([1.0, 2.0, float("nan")])})
    save("infinite_zip.pth", {"w": torch.tensor([[1.0], [1e300]], dtype=torch.float64)})
    torch.jit.script(torch.nn.ReLU()).save(str(HERE / "script_zip.pth"))


if __name__ == "__main__":
    main()
