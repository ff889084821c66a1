# SPDX-License-Identifier: MIT OR Apache-2.0
"""Pictures as tensors [1, 3, H, W], RGB in 0..1."""

import numpy as np
import torch
from PIL import Image


def read(path):
    return Image.open(path).convert("RGB")


def tensor(image):
    pixels = np.asarray(image, dtype=np.float32) / 255.0
    return torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0).contiguous()


def image(picture):
    pixels = picture[0].permute(1, 2, 0).clamp(0, 1).numpy()
    return Image.fromarray((pixels * 255.0 + 0.5).astype(np.uint8))


def without_border(image, fraction):
    """Leaves out `fraction` of each side: a scan's frame ruins the Gram matrices."""
    x, y = round(image.width * fraction), round(image.height * fraction)
    return image.crop((x, y, image.width - x, image.height - y))


def resized(image, width, height, resampling=Image.Resampling.LANCZOS):
    # Pillow's resampling widens its kernel when it shrinks, i.e. antialiases.
    return image.resize((width, height), resampling)


def with_area(image, area, resampling=Image.Resampling.BICUBIC):
    """Scaled to about `area` pixels, its aspect kept; by default with the cubic of neuralstyle's own style pictures."""
    factor = (area / (image.width * image.height)) ** 0.5
    width, height = (max(1, round(side * factor)) for side in image.size)
    return resized(image, width, height, resampling)


def filling(image, width, height):
    """Scaled to cover width × height, the overhang cut off evenly."""
    factor = max(width / image.width, height / image.height)
    scaled = resized(image, max(width, round(image.width * factor)), max(height, round(image.height * factor)))
    x, y = (scaled.width - width) // 2, (scaled.height - height) // 2
    return scaled.crop((x, y, x + width, y + height))


def style_picture(path, crop, area):
    return tensor(with_area(without_border(read(path), crop), area))
