# SPDX-License-Identifier: MIT OR Apache-2.0
"""A VGG-16 stack of any width, read from a safetensors file.

The file says everything: tensors `features.N.weight|bias` with torchvision's
numbering, and in the metadata how a picture becomes the input and how to pool.
"""

import torch
import torch.nn.functional as F
from safetensors import safe_open

# torchvision's index of each convolution in `features`, and the name of the
# activation that follows it.
CONVOLUTIONS = {
    0: "relu1_1", 2: "relu1_2",
    5: "relu2_1", 7: "relu2_2",
    10: "relu3_1", 12: "relu3_2", 14: "relu3_3",
    17: "relu4_1", 19: "relu4_2",
}
# Each block but the first begins with a pooling step.
POOLED_FIRST = {"relu2_1", "relu3_1", "relu4_1"}
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")

METADATA = {
    "architecture": "vgg16",
    "input_channels": "bgr",
    "input_scale": "255",
    "input_mean": "103.939,116.779,123.68",
    "pooling": "average",
}


class Network:
    """Convolutions by torchvision index, and the preprocessing of the file."""

    def __init__(self, tensors, metadata):
        self.layers = {}
        for index, name in CONVOLUTIONS.items():
            if f"features.{index}.weight" in tensors:
                self.layers[name] = (
                    tensors[f"features.{index}.weight"].float(),
                    tensors[f"features.{index}.bias"].float(),
                )
        mean = [float(part) for part in metadata["input_mean"].split(",")]
        self.mean = torch.tensor(mean).view(1, 3, 1, 1)
        self.scale = float(metadata["input_scale"])
        self.bgr = metadata["input_channels"] == "bgr"
        self.pool = {"average": F.avg_pool2d, "max": F.max_pool2d}[metadata["pooling"]]

    @classmethod
    def read(cls, path):
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            return cls(tensors, file.metadata())

    def prepare(self, picture):
        """[N, 3, H, W] RGB in 0..1 → what the first convolution expects."""
        if self.bgr:
            picture = picture.flip(1)
        return picture * self.scale - self.mean

    def activations(self, picture, wanted=STYLE_LAYERS):
        """The activations named in `wanted`; nothing beyond the last is computed."""
        found = {}
        x = self.prepare(picture)
        for name, (weight, bias) in self.layers.items():
            if name in POOLED_FIRST:
                x = self.pool(x, 2)
            x = F.relu(F.conv2d(x, weight, bias, padding=1))
            if name in wanted:
                found[name] = x
            if len(found) == len(wanted):
                break
        return found


def moments(activation):
    """[1, C, H, W] → the Gram matrix [C, C] and the mean [C], per position, so that areas may differ."""
    a = activation[0].flatten(1)
    return a @ a.T / a.shape[1], a.mean(1)


def moments_of(network, picture, layers=STYLE_LAYERS):
    return {name: moments(a) for name, a in network.activations(picture, layers).items()}


def covariance(gram, mean):
    return gram - torch.outer(mean, mean)


def relative(value, target):
    """The squared distance, relative to the target's square sum."""
    return (value - target).square().sum() / target.square().sum()
