# SPDX-License-Identifier: MIT OR Apache-2.0
"""Judges what the program paints by default, on the bundled pictures.

    look.py [FLAG OF neuralstyle image ...]

Paints every content of the README's gallery in each of its styles, 256 pixels
wide for the cost of 40 full-size steps, and judges the paintings as judge.py
does. Prints JSON: per pair and on the mean the relative Gram error under the
full VGG-16 and the high-frequency energy against the style's own.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import judge
import pictures
from network import Network

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "program"))
import built

CONTENTS = ["bunny", "cat", "astronaut"]
STYLES = ["starry_night", "night_cafe", "painter_on_the_road"]


def painted(content, style, flags, folder):
    result = folder / "result.png"
    command = [built.program("--release"), "image", "--content", content, "--style", style, "--output", result, "--size", "256", *flags]
    subprocess.run(command, check=True, capture_output=True)
    return pictures.tensor(pictures.read(result))


def main():
    teacher = Network.read(judge.HERE / "vgg16.safetensors")
    verdicts = {}
    with tempfile.TemporaryDirectory() as folder:
        for content in CONTENTS:
            for style in STYLES:
                paths = [ROOT / f"media/{name}.jpg" for name in (content, style)]
                result = painted(*paths, sys.argv[1:], Path(folder))
                area = result.shape[2] * result.shape[3]
                verdict = judge.judge_picture(teacher, result, pictures.style_picture(paths[1], 0.03, area))
                verdicts[f"{content} × {style}"] = {key: round(verdict[key], 4) for key in ("gram", "hf")}
    mean = {key: sum(verdict[key] for verdict in verdicts.values()) / len(verdicts) for key in ("gram", "hf")}
    print(json.dumps({"mean": mean, "pairs": verdicts}, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
