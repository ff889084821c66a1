# SPDX-License-Identifier: MIT OR Apache-2.0
"""Figures of a finished picture, each defined as `neuralstyle measure look` defines it.

Pictures are tensors [1, 3, H, W], RGB in 0..1, the result and the content of one size. The judge is the full VGG-16,
whichever network painted.
"""

import math

import torch
import torch.nn.functional as F

from network import STYLE_LAYERS, covariance, moments_of, relative

CONTENT_LAYER = "relu4_2"
LUMA = (0.299, 0.587, 0.114)
# The standard deviation of the structure tensor's Gaussian in pixels, where the longer side has REFERENCE_SIDE.
SIGMA = 2.0
REFERENCE_SIDE = 256.0


@torch.no_grad()
def style_errors(teacher, result, style):
    """The relative errors per layer of the Gram matrix and of the covariance: two dictionaries."""
    found, wanted = (moments_of(teacher, picture) for picture in (result, style))
    gram_errors = {name: relative(found[name][0], wanted[name][0]).item() for name in STYLE_LAYERS}
    covariance_errors = {name: relative(covariance(*found[name]), covariance(*wanted[name])).item() for name in STYLE_LAYERS}
    return gram_errors, covariance_errors


@torch.no_grad()
def content_error(teacher, result, content):
    """How far the picture moved from the content, relative, on the content layer."""
    found, wanted = (teacher.activations(x, (CONTENT_LAYER,))[CONTENT_LAYER] for x in (result, content))
    return relative(found, wanted).item()


def luma(picture):
    """[H, W]"""
    return torch.einsum("c,chw->hw", torch.tensor(LUMA, dtype=torch.float64), picture[0].double())


def finest_detail(picture):
    """What a 3×3 binomial blur takes away, [3, pixels]. The outermost pixels do not count: a border would have to be made up."""
    picture = picture.double()
    row = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    blurred = F.conv2d(picture.transpose(0, 1), torch.outer(row, row)[None, None])
    return picture[0, :, 1:-1, 1:-1].flatten(1) - blurred.flatten(1)


def energy_along(axis, detail):
    return (axis @ detail).square().mean().item()


def high_frequency(result, style):
    """The energy of the finest detail in luma over the style's."""
    axis = torch.tensor(LUMA, dtype=torch.float64)
    return energy_along(axis, finest_detail(result)) / energy_along(axis, finest_detail(style))


def weak(result, style):
    """The same along the colour axis on which the style has least of it: specks of colours that it lacks."""
    found, wanted = finest_detail(result), finest_detail(style)
    # The eigenvalues ascend.
    axis = torch.linalg.eigh(wanted @ wanted.T).eigenvectors[:, 0]
    return energy_along(axis, found) / energy_along(axis, wanted)


def coherence(result, content, style):
    """The mean coherence of the result's strokes in the content's flattest quarter, over the style's everywhere."""
    side = max(result.shape[2:])
    energy, _ = structure(content, side)
    _, of_result = structure(result, side)
    _, of_style = structure(style, side)
    most = energy.flatten().sort().values[max(energy.numel() // 4, 1) - 1]
    return (of_result[energy <= most].mean() / of_style.mean()).item()


def structure(picture, side):
    """Energy λ₁ + λ₂ and coherence (λ₁ - λ₂) / (λ₁ + λ₂) of the luma's structure tensor, two [H, W].

    The gradient by central differences, its products smoothed by a Gaussian.
    """
    padded = F.pad(luma(picture)[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    across = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2
    down = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2
    xx, xy, yy = smoothed(torch.stack([across * across, across * down, down * down]), SIGMA * side / REFERENCE_SIDE)
    energy = xx + yy
    apart = torch.hypot(xx - yy, 2 * xy)
    return energy, torch.where(energy > 0, apart / energy, 0)


def smoothed(planes, sigma):
    """[N, H, W] under a Gaussian; the border's values go on beyond the border."""
    reach = math.ceil(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma).square())
    kernel = kernel / kernel.sum()
    padded = F.pad(planes[:, None], (reach,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, 1, -1))
    return F.conv2d(rows, kernel.view(1, 1, -1, 1))[:, 0]
