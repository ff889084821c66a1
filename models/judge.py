# SPDX-License-Identifier: MIT OR Apache-2.0
"""Judges finished pictures, and networks by the pictures they paint.

    judge.py picture --result R.png --style S.jpg [--style-crop 0.03]
    judge.py network slim.safetensors [more.safetensors ...]

Both print JSON. The measure is the relative Gram error under the full VGG-16
of vgg16.safetensors, whichever network painted the picture:

    error[l] = |G[l](R) - G[l](S)|² / |G[l](S)|²     (squared Frobenius norms)

for relu1_1, relu2_1, relu3_1, relu4_1, and their mean. G is the sum over
positions of a aᵀ divided by the number of positions, so result and style
stand on the same footing whatever their areas. An unpainted photo scores
about 0.5 … 1.3 against a painting, a finished one below 0.05.
"""

import argparse
import json
from pathlib import Path

import torch

import pictures
from network import STYLE_LAYERS, Network, grams

HERE = Path(__file__).resolve().parent


def gram_errors(result, target):
    """The relative Gram error per layer, from two dictionaries of Gram matrices."""
    return {
        name: ((result[name] - target[name]).square().sum() / target[name].square().sum()).item()
        for name in target
    }


def high_frequency(picture):
    """The mean square of luma minus its 3×3 binomial blur: energy near the pixel grid."""
    red, green, blue = picture[0]
    luma = (0.299 * red + 0.587 * green + 0.114 * blue)[None, None]
    row = torch.tensor([0.25, 0.5, 0.25])
    # No padding: a made-up border would add energy of its own.
    blurred = torch.nn.functional.conv2d(luma, torch.outer(row, row)[None, None])
    return (luma[:, :, 1:-1, 1:-1] - blurred).square().mean().item()


def judge_picture(teacher, result, style):
    with torch.no_grad():
        errors = gram_errors(grams(teacher, result), grams(teacher, style))
    return {
        "gram": sum(errors.values()) / len(errors),
        "layers": errors,
        "hf": high_frequency(result) / high_frequency(style),
    }


def command_picture(arguments, teacher):
    result = pictures.tensor(pictures.read(arguments.result))
    area = result.shape[2] * result.shape[3]
    style = pictures.style_picture(arguments.style, arguments.style_crop, area)
    verdict = judge_picture(teacher, result, style)
    return {
        "result": str(arguments.result),
        "style": str(arguments.style),
        "size": [result.shape[3], result.shape[2]],
        "style_size": [style.shape[3], style.shape[2]],
        "gram_per_position": True,
        **verdict,
    }


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, default=HERE / "vgg16.safetensors")
    parser.add_argument("--threads", type=int, default=1)
    commands = parser.add_subparsers(dest="command", required=True)
    picture = commands.add_parser("picture", help="judge a finished picture")
    picture.add_argument("--result", type=Path, required=True)
    picture.add_argument("--style", type=Path, required=True)
    picture.add_argument("--style-crop", type=float, default=0.03)
    return parser.parse_args()


def main():
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    teacher = Network.read(arguments.teacher)
    verdict = command_picture(arguments, teacher)
    print(json.dumps(verdict, indent=2))


if __name__ == "__main__":
    main()
