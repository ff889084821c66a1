# SPDX-License-Identifier: MIT OR Apache-2.0
"""Training crops: photos cut at many scales, their colours shaken, some painted over."""

import random

import torch
import torch.nn.functional as F

import pictures

SIZE = 128


def crops(images, count, seed):
    """[count, 3, SIZE, SIZE]: in turn plain photo crops, with other colours, and with strokes."""
    chance = random.Random(seed)
    cuts = [pictures.tensor(cut(images[i % len(images)], chance)) for i in range(count)]
    # The photos repeat every len(images) crops: a turn of its own reaches all of them.
    return torch.cat([TURNS[(i + i // len(images)) % len(TURNS)](crop, cuts, chance) for i, crop in enumerate(cuts)])


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


def stroked(crop, others, chance):
    """Strokes along a smooth field: the busy, coarse-grained look that no photo has.

    Noise of a random grain is smeared along the field, in the photo's own local
    colours, so that its flat areas carry strokes as those of a painting do.
    """
    crop = shaken(crop, others, chance) if chance.random() < 0.5 else crop
    generator = torch.Generator().manual_seed(chance.randrange(2**31))
    direction = smooth_field(chance.choice((2, 3, 5)), generator)
    grain = SIZE // chance.choice((1, 2, 2, 3))
    noise = torch.randn(1, 3, grain, grain, generator=generator)
    # Mostly lighter and darker, a little of other colours.
    noise = 0.8 * noise[:, :1] + 0.4 * noise
    noise = F.interpolate(noise, SIZE, mode="bilinear", align_corners=False)
    length = chance.randint(3, 12)
    strokes = smeared(noise, direction, length) * length**0.5
    return (smeared(crop, direction, length // 2) + chance.uniform(0.05, 0.25) * strokes).clamp(0, 1)


def smooth_field(cells, generator):
    """Unit vectors [1, 2, SIZE, SIZE] that turn slowly."""
    field = torch.randn(1, 2, cells, cells, generator=generator)
    field = F.interpolate(field, SIZE, mode="bicubic", align_corners=True)
    return field / field.norm(dim=1, keepdim=True).clamp_min(1e-3)


def smeared(picture, direction, length):
    """The mean over a line of `length` pixels on either side along the field."""
    axis = torch.linspace(-1, 1, SIZE)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)[None]
    step = direction.permute(0, 2, 3, 1) * 2 / (SIZE - 1)
    samples = [
        F.grid_sample(picture, grid + k * step, padding_mode="reflection", align_corners=True)
        for k in range(-length, length + 1)
    ]
    return torch.stack(samples).mean(0)


def plain(crop, _others, _chance):
    return crop


TURNS = (plain, stroked, shaken)
