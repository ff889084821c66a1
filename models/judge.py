# SPDX-License-Identifier: MIT OR Apache-2.0
"""Judges finished pictures, and networks by the pictures they paint.

    judge.py picture --result R.png --style S.jpg [--content C.jpg] [--style-crop 0.03]
    judge.py network slim.safetensors [more.safetensors ...]

Both print JSON. The judge is the full VGG-16 of vgg16.safetensors, whichever
network painted the picture. With G the sum over positions of a aᵀ divided by
the number of positions, μ the mean of a and K = G - μ μᵀ on relu1_1, relu2_1,
relu3_1 and relu4_1:

    gram        |G(R) - G(S)|² / |G(S)|², the mean over the layers
    covariance  the same of K, which is what style the product paints, too
    hf          energy of the finest detail in luma over the style's (above 1: speckle)
    weak        the same along the colour axis of which the style has least (above 1: coloured specks)
    content     |a(R) - a(C)|² / |a(C)|² on relu4_2
    coherence   of strokes in the content's flattest quarter, over the style's everywhere

R is the result, S the style, C the content; the last two figures need C. The
style is cropped and scaled to the result's area, the content to its size.
`neuralstyle measure look` has the same figures (and calls hf hY). An unpainted
photo has a covariance error of 0.8 … 2.2 and a Gram error of 0.5 … 1.5 against
a painting, a finished one a tenth of that.

`network` paints the held-out pairs of photos.py. A network that paints more
style by forgetting the photo is no better: look at the content error, too.
"""

import argparse
import json
from pathlib import Path

import torch

import photos
import pictures
from figures import coherence, content_error, high_frequency, style_errors, weak
from network import Network
from paint import STATISTICS, STYLE_WEIGHTS, paint

HERE = Path(__file__).resolve().parent


def judge_picture(teacher, result, style, content=None):
    gram_errors, covariance_errors = style_errors(teacher, result, style)
    verdict = {
        "gram": mean(gram_errors.values()),
        "covariance": mean(covariance_errors.values()),
        "hf": high_frequency(result, style),
        "weak": weak(result, style),
    }
    if content is not None:
        verdict["content"] = content_error(teacher, result, content)
        verdict["coherence"] = coherence(result, content, style)
    return {**verdict, "layers": {"gram": gram_errors, "covariance": covariance_errors}}


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def command_picture(arguments, teacher):
    result = pictures.tensor(pictures.read(arguments.result))
    height, width = result.shape[2:]
    style = pictures.style_picture(arguments.style, arguments.style_crop, width * height)
    content = None
    if arguments.content:
        content = pictures.tensor(pictures.resized(pictures.read(arguments.content), width, height))
    return {
        "result": str(arguments.result),
        "style": str(arguments.style),
        "size": [width, height],
        "style_size": [style.shape[3], style.shape[2]],
        **judge_picture(teacher, result, style, content),
    }


def command_network(arguments, teacher):
    """Paints the held-out pairs with each network and judges the results."""
    width, height = arguments.size
    prepared = {}
    for name, (content, style) in photos.pairs(arguments.cache).items():
        style = pictures.with_area(pictures.without_border(style, 0.03), width * height)
        prepared[name] = (pictures.tensor(pictures.filling(content, width, height)), pictures.tensor(style))
    return {str(path): judge_network(Network.read(path), teacher, prepared, arguments) for path in arguments.networks}


def judge_network(network, teacher, prepared, arguments):
    verdicts = {}
    for name, (content, style) in prepared.items():
        result = paint(network, content, style, arguments.steps, arguments.statistic, arguments.style_weight)
        unpainted = judge_picture(teacher, content, style)
        verdicts[name] = {
            **judge_picture(teacher, result, style, content),
            "unpainted": {figure: unpainted[figure] for figure in ("gram", "covariance")},
        }
        if arguments.save:
            arguments.save.mkdir(parents=True, exist_ok=True)
            pictures.image(result).save(arguments.save / f"{len(verdicts)}.png")
    figures = ("gram", "covariance", "hf", "weak", "content", "coherence")
    means = {figure: mean(verdict[figure] for verdict in verdicts.values()) for figure in figures}
    return {"mean": means, "pairs": verdicts}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, default=HERE / "vgg16.safetensors")
    parser.add_argument("--threads", type=int, default=1)
    commands = parser.add_subparsers(dest="command", required=True)
    picture = commands.add_parser("picture", help="judge a finished picture")
    picture.add_argument("--result", type=Path, required=True)
    picture.add_argument("--style", type=Path, required=True)
    picture.add_argument("--content", type=Path)
    picture.add_argument("--style-crop", type=float, default=0.03)
    network = commands.add_parser("network", help="paint the held-out pairs and judge them")
    network.add_argument("networks", type=Path, nargs="+")
    network.add_argument("--size", type=int, nargs=2, default=(256, 160))
    network.add_argument("--steps", type=int, default=80)
    network.add_argument("--statistic", choices=list(STATISTICS), default="covariance")
    weights = ", ".join(f"{weight:g} for {statistic}" for statistic, weight in STYLE_WEIGHTS.items())
    network.add_argument("--style-weight", type=float, help=f"default: {weights}")
    network.add_argument("--cache", type=Path, default=HERE / "cache")
    network.add_argument("--save", type=Path, help="folder for the pictures painted")
    return parser.parse_args()


def main():
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    teacher = Network.read(arguments.teacher)
    command = {"picture": command_picture, "network": command_network}[arguments.command]
    verdict = command(arguments, teacher)
    print(json.dumps(verdict, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
