# SPDX-License-Identifier: MIT OR Apache-2.0
"""Gatys' optimisation in its plainest form: one scale, L-BFGS, from the content."""

import torch

from network import STYLE_LAYERS, gram, grams

CONTENT_LAYER = "relu4_1"
STYLE_WEIGHT = 30.0


def paint(network, content, style, steps=80, style_weight=STYLE_WEIGHT):
    """The finished picture, [1, 3, H, W] in 0..1.

    The loss is the content's relative error on relu4_1 plus `style_weight` times
    the mean relative Gram error, both in the network's own activations.
    """
    with torch.no_grad():
        targets = grams(network, style)
        anchor = network.activations(content, (CONTENT_LAYER,))[CONTENT_LAYER]
    picture = content.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [picture], max_iter=steps, max_eval=2 * steps, history_size=10,
        line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0)

    def loss():
        optimiser.zero_grad()
        found = network.activations(picture)
        total = relative(found[CONTENT_LAYER], anchor)
        for name in STYLE_LAYERS:
            total = total + style_weight / len(STYLE_LAYERS) * relative(gram(found[name]), targets[name])
        total.backward()
        return total

    optimiser.step(loss)
    return picture.detach().clamp(0, 1)


def relative(value, target):
    return (value - target).square().sum() / target.square().sum()
