# SPDX-License-Identifier: MIT OR Apache-2.0
"""Fine-tunes a pruned student on the teacher's activations, with Adam.

At each style layer a linear readout R, thrown away afterwards, maps the
student's channels to *all* of the teacher's: the student may keep whatever
spans them best instead of imitating the channels that were selected. The loss
per layer is the relative error of the activations plus that of the Gram
matrices seen through R.
"""

import math

import torch

from network import POOLED_FIRST, STYLE_LAYERS
from prune import convolve, gather, gather_patches, inverse_gram, positions_of, ridge

BATCH = 4
GRAM_WEIGHT = 1.0
POSITIONS = 20000
DAMPING = 1e-3
CROPS_TO_WHITEN = 96
WARM_UP = 50


@torch.no_grad()
def targets_of(teacher, crops):
    """The teacher's style activations per crop, as f16 to fit in memory."""
    found = {name: [] for name in STYLE_LAYERS}
    for crop in crops:
        for name, activation in teacher.activations(crop[None]).items():
            found[name].append(activation.half())
    return {name: torch.cat(parts) for name, parts in found.items()}


def whitening(rows):
    """P and its inverse, such that rows·P has about unit covariance; [n, D] → two [D, D].

    Activations are never centred and neighbours are alike, so plain Adam would
    crawl. It trains V instead, with weights = P·V.
    """
    rows = rows.double()
    values, vectors = torch.linalg.eigh(rows.T @ rows / rows.shape[0])
    spread = (values.clamp_min(0) + DAMPING * values.mean()).sqrt()
    return ((vectors / spread) @ vectors.T).float(), ((vectors * spread) @ vectors.T).float()


class Whitened:
    """A matrix [D, O] that acts on rows [n, D], trained in whitened coordinates."""

    def __init__(self, rows, matrix, rate):
        self.whiten, unwhiten = whitening(rows)
        self.values = (unwhiten @ matrix).requires_grad_(True)
        self.rate = rate * self.values.detach().square().mean().sqrt().item()

    def matrix(self):
        return self.whiten @ self.values

    def group(self):
        return {"params": [self.values], "lr": self.rate}


@torch.no_grad()
def parameters_of(student, crops, targets, rate, seed):
    """The student's layers and the first readouts, as `Whitened`: two dictionaries."""
    generator = torch.Generator().manual_seed(seed)
    crops = crops[:CROPS_TO_WHITEN]
    maps = student.prepare(crops)
    layers, readouts = {}, {}
    for name, (weight, bias) in student.layers.items():
        if name in POOLED_FIRST:
            maps = student.pool(maps, 2)
        positions = positions_of(maps.shape, POSITIONS, generator)
        matrix = torch.cat([weight.flatten(1), bias[:, None]], dim=1).T
        layers[name] = Whitened(gather_patches(maps, positions), matrix, rate)
        maps = convolve(maps, weight, bias).relu_()
        if name in STYLE_LAYERS:
            rows, wanted = gather(maps, positions).double(), gather(targets[name][:len(crops)], positions).double()
            readout = ridge(rows, inverse_gram(rows, 1e-3), wanted)
            readouts[name] = Whitened(rows, readout.float(), rate)
    return layers, readouts


def convolutions(layers):
    """Weights and biases as the network wants them."""
    found = {}
    for name, layer in layers.items():
        matrix = layer.matrix()
        inputs = (matrix.shape[0] - 1) // 9
        found[name] = (matrix[:-1].T.reshape(-1, inputs, 3, 3), matrix[-1])
    return found


def layer_loss(found, wanted, readout):
    """Relative error of the activations seen through R, plus that of the Gram matrices.

    With A = Σ s sᵀ and B = Σ s tᵀ over positions (s: student, t: teacher) the
    squared error is tr(Rᵀ A R) - 2 tr(Rᵀ B) + Σ |t|², so that R is never applied
    to every position.
    """
    student, teacher = found.flatten(2), wanted.flatten(2)
    own, cross = student @ student.transpose(1, 2), student @ teacher.transpose(1, 2)
    target = teacher @ teacher.transpose(1, 2)
    seen = readout.T @ own @ readout
    energy = target.diagonal(dim1=1, dim2=2).sum()
    features = (seen.diagonal(dim1=1, dim2=2).sum() - 2 * (readout * cross).sum() + energy) / energy
    grams = (seen - target).square().sum((1, 2)) / target.square().sum((1, 2))
    return features + GRAM_WEIGHT * grams.mean()


def warm_then_cosine(steps):
    def factor(step):
        return min(1, (step + 1) / WARM_UP) * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)
    return factor


def distil(student, crops, targets, steps, rate, seed, report=print):
    """Trains the student's layers and weighs its channels afresh, in place."""
    layers, readouts = parameters_of(student, crops, targets, rate, seed)
    trained = [*layers.values(), *readouts.values()]
    optimiser = torch.optim.Adam([part.group() for part in trained], betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, warm_then_cosine(steps))
    generator = torch.Generator().manual_seed(seed)
    smooth = {}
    for step in range(steps):
        batch = torch.randint(len(crops), (BATCH,), generator=generator)
        student.layers = convolutions(layers)
        found = student.activations(crops[batch])
        losses = {
            name: layer_loss(found[name], targets[name][batch].float(), readouts[name].matrix())
            for name in STYLE_LAYERS
        }
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
        schedule.step()
        for name, loss in losses.items():
            smooth[name] = 0.98 * smooth.get(name, loss.item()) + 0.02 * loss.item()
        if step % 100 == 99:
            report(f"  step {step + 1}: " + ", ".join(f"{name} {loss:.4f}" for name, loss in smooth.items()))
    student.layers = {name: (w.detach().contiguous(), b.detach().clone())
                      for name, (w, b) in convolutions(layers).items()}
    weigh(student, {name: readout.matrix().detach() for name, readout in readouts.items()})


@torch.no_grad()
def weigh(student, readouts):
    """Scales each style layer's channels by the norm of their readouts (see prune.importance).

    The layer after it takes the inverse, so that nothing else changes.
    """
    names = list(student.layers)
    for name in STYLE_LAYERS:
        scale = readouts[name].norm(dim=1).clamp(0.25, 4.0)
        weight, bias = student.layers[name]
        weight *= scale.view(-1, 1, 1, 1)
        bias *= scale
        after = names.index(name) + 1
        if after < len(names):
            student.layers[names[after]][0].div_(scale.view(1, -1, 1, 1))
