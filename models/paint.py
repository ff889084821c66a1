# SPDX-License-Identifier: MIT OR Apache-2.0
"""Gatys' optimisation in its plainest form: one scale, L-BFGS, from the content."""

import torch

from network import STYLE_LAYERS, covariance, moments, moments_of, relative

CONTENT_LAYER = "relu4_1"

# What of a layer's moments is the style: each is compared with the style's by its relative error, and these are added.
STATISTICS = {
    "gram": lambda gram, mean: (gram,),
    "covariance": lambda gram, mean: (covariance(gram, mean), mean),
}
STYLE_WEIGHTS = {"gram": 30.0, "covariance": 3.0}


def paint(
    network, content, style, steps=80, statistic="covariance", style_weight=None,
    content_layer=CONTENT_LAYER, evaluations=None, history=10,
):
    """The finished picture, [1, 3, H, W] in 0..1, after so many steps or, at most, evaluations: 2 a step if not said.

    The loss is the content's relative error on `content_layer` plus `style_weight` times
    the mean over the style layers of their statistic's relative error, both in
    the network's own activations.
    """
    of = STATISTICS[statistic]
    share = (STYLE_WEIGHTS[statistic] if style_weight is None else style_weight) / len(STYLE_LAYERS)
    with torch.no_grad():
        targets = {name: of(*found) for name, found in moments_of(network, style).items()}
        anchor = network.activations(content, (content_layer,))[content_layer]
    picture = content.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [picture], max_iter=steps, max_eval=evaluations or 2 * steps, history_size=history,
        line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0)

    def loss():
        optimiser.zero_grad()
        found = network.activations(picture, {*STYLE_LAYERS, content_layer})
        total = relative(found[content_layer], anchor)
        for name in STYLE_LAYERS:
            for value, target in zip(of(*moments(found[name])), targets[name]):
                total = total + share * relative(value, target)
        total.backward()
        return total

    optimiser.step(loss)
    return picture.detach().clamp(0, 1)
