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
about 0.5 … 1.4 against a painting, a finished one below 0.05.

`hf` is the mean square of what a 3×3 binomial blur takes away from the luma,
the result's divided by that of the style picture at its scaled size.

`network` paints the held-out pairs of photos.py. Beside the Gram error stands
`content`: how far the picture moved from the photo, |a(R) - a(C)|² / |a(C)|² on
relu4_1 of the full VGG-16. A network that paints more style by forgetting the
photo is no better.
"""

import argparse
import json
from pathlib import Path

import torch

import photos
import pictures
from network import STYLE_LAYERS, Network, grams
from paint import CONTENT_LAYER, STYLE_WEIGHT, paint, relative

HERE = Path(__file__).resolve().parent


def gram_errors(result, target):
    """The relative Gram error per layer, from two dictionaries of Gram matrices."""
    return {name: relative(result[name], target[name]).item() for name in target}


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
        result = paint(network, content, style, arguments.steps, arguments.style_weight)
        verdicts[name] = {
            **judge_picture(teacher, result, style),
            "unpainted": judge_picture(teacher, content, style)["gram"],
            "content": content_error(teacher, result, content),
        }
        if arguments.save:
            arguments.save.mkdir(parents=True, exist_ok=True)
            pictures.image(result).save(arguments.save / f"{len(verdicts)}.png")
    mean = sum(verdict["gram"] for verdict in verdicts.values()) / len(verdicts)
    return {"gram": mean, "pairs": verdicts}


def content_error(teacher, result, content):
    """How far the picture moved from the photo, relative, on the content layer."""
    with torch.no_grad():
        found, wanted = (teacher.activations(x, (CONTENT_LAYER,))[CONTENT_LAYER] for x in (result, content))
    return relative(found, wanted).item()


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, default=HERE / "vgg16.safetensors")
    parser.add_argument("--threads", type=int, default=1)
    commands = parser.add_subparsers(dest="command", required=True)
    picture = commands.add_parser("picture", help="judge a finished picture")
    picture.add_argument("--result", type=Path, required=True)
    picture.add_argument("--style", type=Path, required=True)
    picture.add_argument("--style-crop", type=float, default=0.03)
    network = commands.add_parser("network", help="paint the held-out pairs and judge them")
    network.add_argument("networks", type=Path, nargs="+")
    network.add_argument("--size", type=int, nargs=2, default=(256, 160))
    network.add_argument("--steps", type=int, default=80)
    network.add_argument("--style-weight", type=float, default=STYLE_WEIGHT)
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
