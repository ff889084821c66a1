# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a launch has to do at least: the products that are wanted of it, and its inputs and outputs, each touched once."""

from dataclasses import dataclass


@dataclass
class Work:
    """Multiply-adds, and bytes of memory."""

    products: int = 0
    inputs: int = 0
    outputs: int = 0
    # Partial sums that another launch of the same operation reads; no input or output of it.
    between: int = 0

    @property
    def bytes(self):
        return self.inputs + self.outputs

    def __add__(self, other):
        return Work(
            self.products + other.products,
            self.inputs + other.inputs,
            self.outputs + other.outputs,
            self.between + other.between,
        )


def pooled(pixels, kind):
    return pixels // 4 if kind else pixels


def conv_forward(from_, pack, bias, to, mask, height, width, inputs, outputs, kind):
    pixels = height * width
    return Work(
        9 * pixels * inputs * outputs,
        2 * pixels * inputs + 18 * inputs * outputs,
        2 * pooled(pixels, kind) * outputs + pixels * outputs // 8,
    )


def conv_forward_split(from_, pack, partials, height, width, inputs, outputs, chunks_per_split):
    pixels = height * width
    splits = -(-(-(-inputs // 32)) // chunks_per_split)
    return Work(
        9 * pixels * inputs * outputs,
        2 * pixels * inputs + 18 * inputs * outputs,
        between=4 * splits * pixels * outputs,
    )


def conv_forward_finish(partials, splits, bias, to, mask, height, width, outputs, kind):
    pixels = height * width
    return Work(
        outputs=2 * pooled(pixels, kind) * outputs + pixels * outputs // 8, between=4 * splits * pixels * outputs
    )


def conv_backward(gradient, mask, pack, from_, height, width, gradients, inputs, kind, factor, overflow):
    pixels = height * width
    return Work(
        9 * pixels * gradients * inputs,
        2 * pooled(pixels, kind) * gradients + pixels * gradients // 8 + 18 * inputs * gradients,
        2 * pixels * inputs,
    )


def conv_backward_split(gradient, mask, pack, partials, height, width, gradients, inputs, kind, chunks_per_split):
    pixels = height * width
    splits = -(-(-(-gradients // 32)) // chunks_per_split)
    return Work(
        9 * pixels * gradients * inputs,
        2 * pooled(pixels, kind) * gradients + pixels * gradients // 8 + 18 * inputs * gradients,
        between=4 * splits * pixels * inputs,
    )


def conv_backward_finish(partials, splits, from_, count, factor, overflow):
    return Work(outputs=2 * count, between=4 * splits * count)


def conv_forward_picture(picture, pack, bias, to, mask, height, width, channels, outputs, kind):
    pixels = height * width
    return Work(
        9 * pixels * channels * outputs,
        4 * pixels * channels,
        2 * pooled(pixels, kind) * outputs + pixels * outputs // 8,
    )


def conv_backward_picture(gradient, mask, pack, picture, height, width, gradients, channels, kind, *rest):
    pixels = height * width
    return Work(
        9 * pixels * gradients * channels,
        2 * pooled(pixels, kind) * gradients + pixels * gradients // 8,
        4 * pixels * channels,
    )


def gram_partials(a, pixels, lanes, pixels_per_split, partials):
    splits = -(-pixels // pixels_per_split)
    return Work(pixels * lanes * (lanes + 1) // 2, 2 * pixels * lanes, between=2 * splits * lanes * (lanes + 64))


def gram_finish(partials, splits, channels, lanes, scale, gram, mean_scale, mean):
    return Work(outputs=4 * channels * (channels + 1), between=2 * splits * lanes * (lanes + 64))


def matrix_peak(matrix, count, partials):
    return Work(inputs=4 * count)


def matrix_pack(matrix, channels, lanes, partials, blocks, pack, scale):
    return Work(between=4 * channels * channels + 2 * lanes * lanes)


def gram_backward(a, pack, scale, offset, a_scale, channels, knob, at, factor, loss_scale, gradient, pixels, lanes, overflow):
    return Work(pixels * lanes * lanes, 4 * pixels * lanes, 2 * pixels * lanes, between=2 * lanes * lanes)


TILED = {
    f"conv_{way}_{tile}": function
    for way, function in (("forward", conv_forward), ("backward", conv_backward))
    for tile in ("large", "medium", "narrow", "small")
}
SPLIT = {
    f"conv_{way}_{tile}_split": function
    for way, function in (("forward", conv_forward_split), ("backward", conv_backward_split))
    for tile in ("medium", "small")
}
KNOWN = {
    **TILED,
    **SPLIT,
    **{
        function.__name__: function
        for function in (
            conv_forward_finish,
            conv_backward_finish,
            conv_forward_picture,
            conv_backward_picture,
            gram_partials,
            gram_finish,
            matrix_peak,
            matrix_pack,
            gram_backward,
        )
    },
}


def work(launch):
    """Of a launch as the software GPU's profile describes it. A pass over memory does what it is seen to do: each
    of its items once."""
    if function := KNOWN.get(launch["kernel"]):
        return function(*launch["parameters"])
    touched = launch["global"]
    scale = blocks(launch) / launch["sampled"]
    return Work(
        inputs=round(32 * touched["load_unique_sectors"] * scale),
        outputs=round(32 * touched["store_unique_sectors"] * scale),
    )


def blocks(launch):
    x, y, z = launch["grid"]
    return x * y * z
