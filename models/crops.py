# SPDX-License-Identifier: MIT OR Apache-2.0
"""Training crops: photos cut at many scales, their colours shaken, some mixed."""

import random

import torch

import pictures

SIZE = 160


def crops(images, count, seed):
    """[count, 3, SIZE, SIZE]: half plain photo crops, half with their colours changed."""
    chance = random.Random(seed)
    plain = [pictures.tensor(cut(images[i % len(images)], chance)) for i in range(count)]
    return torch.cat([shaken(crop, plain, chance) if i % 2 else crop for i, crop in enumerate(plain)])


def cut(image, chance):
    """A square of a third to three times SIZE, scaled to SIZE and perhaps mirrored."""
    shorter = min(image.size)
    side = chance.randint(min(shorter, SIZE * 2 // 3), min(shorter, SIZE * 3))
    x, y = chance.randint(0, image.width - side), chance.randint(0, image.height - side)
    square = pictures.resized(image.crop((x, y, x + side, y + side)), SIZE, SIZE)
    return square.transpose(0) if chance.random() < 0.5 else square


def shaken(crop, others, chance):
    """Paintings are more colourful than photos: mix the channels, and two pictures."""
    if chance.random() < 0.3:
        share = chance.uniform(0.2, 0.8)
        crop = share * crop + (1 - share) * chance.choice(others)
    mixing = torch.eye(3) + torch.tensor([[chance.uniform(-0.4, 0.4) for _ in range(3)] for _ in range(3)])
    mixing /= mixing.sum(1, keepdim=True)
    contrast, brightness = chance.uniform(0.6, 1.5), chance.uniform(-0.15, 0.15)
    mixed = torch.einsum("dc,nchw->ndhw", mixing, crop)
    return ((mixed - 0.5) * contrast + 0.5 + brightness).clamp(0, 1)
