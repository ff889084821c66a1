# SPDX-License-Identifier: MIT OR Apache-2.0
"""A narrower VGG-16 in closed form: channels selected, weights refitted.

Layer by layer, with the teacher's activations on the calibration crops:
select the channels that best span all of them, then find by ridge regression
the weights that predict the selected ones from what the student's own layers
before it deliver. Both networks pool alike.
"""

import torch
import torch.nn.functional as F

from network import POOLED_FIRST, STYLE_LAYERS

ROUNDS = 8
RIDGE = 1e-4


def select(activations, count):
    """Greedy column subset selection: `activations` [positions, C] → channel indices.

    Each round takes the channel whose removal (projecting all channels onto its
    complement) leaves the least energy.
    """
    residual = (activations.T.double() @ activations.double()) / activations.shape[0]
    floor = 1e-9 * residual.diagonal().max()
    chosen = []
    for _ in range(count):
        diagonal = residual.diagonal()
        gain = residual.square().sum(0) / diagonal.clamp_min(floor)
        gain[diagonal < floor] = 0
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        column = residual[:, best].clone()
        residual -= torch.outer(column, column) / column[best].clamp_min(floor)
    return sorted(chosen)


def ridge(inputs, gram_inverse, targets):
    return gram_inverse @ (inputs.T @ targets)


def inverse_gram(inputs, strength=RIDGE):
    gram = inputs.T @ inputs
    return torch.linalg.inv(gram + strength * gram.diagonal().mean() * torch.eye(gram.shape[0], dtype=gram.dtype))


def fit(patches, wanted):
    """Weights W such that relu(patches·W) ≈ relu(wanted).

    Where the teacher is negative any negative value serves as well, so after
    each round the target there becomes the prediction itself, cut off at zero.
    """
    patches, wanted = patches.double(), wanted.double()
    inverse = inverse_gram(patches)
    weights = ridge(patches, inverse, wanted)
    for _ in range(ROUNDS):
        free = torch.minimum(patches @ weights, torch.zeros(()).double())
        weights = ridge(patches, inverse, torch.where(wanted > 0, wanted, free))
    return weights


def importance(student, teacher):
    """How much each student channel stands for in the teacher's activations.

    Least squares gives R with teacher ≈ student·R; a change δ of channel k's
    features changes the teacher's by |R_k|·δ. With channel k scaled by |R_k|
    the student's Gram error weighs its channels as the teacher's would.
    """
    student, teacher = student.double(), teacher.double()
    readout = ridge(student, inverse_gram(student, 1e-3), teacher)
    return readout.norm(dim=1).clamp(0.25, 4.0).float()


def positions_of(shape, count, generator):
    """Random positions in each crop: [crops, per crop] flat indices."""
    crops, _, height, width = shape
    each = min(height * width, max(1, count // crops))
    return torch.stack([torch.randperm(height * width, generator=generator)[:each] for _ in range(crops)])


def gather(maps, positions):
    """[N, C, H, W] at [N, P] → [N·P, C]"""
    channels = maps.shape[1]
    flat = maps.reshape(maps.shape[0], channels, -1)
    index = positions[:, None, :].expand(-1, channels, -1)
    return flat.gather(2, index).permute(0, 2, 1).reshape(-1, channels)


def gather_patches(maps, positions):
    """The 3×3 neighbourhoods as rows [N·P, 9·C + 1]; the last column is the bias's 1."""
    rows = [gather(F.unfold(one[None], 3, padding=1)[:, :, None], where[None]) for one, where in zip(maps, positions)]
    rows = torch.cat(rows)
    return torch.cat([rows, torch.ones(rows.shape[0], 1)], dim=1)


def convolve(maps, weight, bias):
    # Crop by crop: the widest layer of all crops at once would take gigabytes.
    return torch.cat([F.conv2d(one[None], weight, bias, padding=1) for one in maps])


@torch.no_grad()
def prune(teacher, last, fraction, last_fraction, crops, count, seed):
    """A student of `fraction` of the teacher's width, up to the activation `last`, which has `last_fraction`.

    Returns its layers (name → weight, bias) and the channels selected per layer.
    """
    generator = torch.Generator().manual_seed(seed)
    wide = narrow = teacher.prepare(crops)
    layers, selected = {}, {}
    for name, (weight, bias) in teacher.layers.items():
        if name in POOLED_FIRST:
            wide, narrow = F.avg_pool2d(wide, 2), F.avg_pool2d(narrow, 2)
        wide = convolve(wide, weight, bias)
        positions = positions_of(wide.shape, count, generator)
        wanted = gather(wide, positions)
        wide.relu_()
        share = last_fraction if name == last else fraction
        kept = select(wanted.relu(), int(weight.shape[0] * share))
        solution = fit(gather_patches(narrow, positions), wanted[:, kept])
        layers[name], narrow = student_layer(solution, narrow, positions, wanted, name)
        selected[name] = kept
        if name == last:
            return layers, selected


def student_layer(solution, narrow, positions, wanted, name):
    """The convolution that `solution` stands for, and its activations."""
    weight = solution[:-1].T.reshape(-1, narrow.shape[1], 3, 3).float()
    bias = solution[-1].float()
    out = convolve(narrow, weight, bias).relu_()
    if name in STYLE_LAYERS:
        scale = importance(gather(out, positions), wanted.relu())
        weight, bias = weight * scale.view(-1, 1, 1, 1), bias * scale
        out *= scale.view(1, -1, 1, 1)
    return (weight.contiguous(), bias), out
