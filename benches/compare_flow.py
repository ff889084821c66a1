#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Compares the motion that is found with OpenCV's DIS at its presets, on clips whose motion is known exactly.

    python3 -m venv venv && venv/bin/pip install numpy opencv-python-headless
    venv/bin/python benches/compare_flow.py

Given is the mean end-point error in pixels where what a pixel shows can be seen in both frames, of the flow from each
frame to the one before. Both see the same frames as luma; OpenCV is given the flow before as a start, as ours is.
"""

import argparse
import os
import subprocess
import sys
import tempfile

import cv2
import numpy

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "program"))
import built

PRESETS = {"fast": cv2.DISOPTICAL_FLOW_PRESET_FAST, "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM}


def true_flow(path):
    with open(path, "rb") as file:
        data = file.read()
    width, height = numpy.frombuffer(data, "<i4", 2, 4)
    return numpy.frombuffer(data, "<f4", width * height * 2, 12).reshape(height, width, 2)


def error_of_opencv(folder, frames, preset):
    search = cv2.DISOpticalFlow_create(preset)
    gray = [cv2.imread(os.path.join(folder, f"{at:04}.png"), cv2.IMREAD_GRAYSCALE) for at in range(frames)]
    errors, flow = [], None
    for now in range(1, frames):
        flow = search.calc(gray[now], gray[now - 1], None if flow is None else flow.copy())
        visible = cv2.imread(os.path.join(folder, f"{now:04}.visible.png"), cv2.IMREAD_GRAYSCALE) > 0
        apart = numpy.linalg.norm(flow - true_flow(os.path.join(folder, f"{now:04}.flo")), axis=2)
        errors.append(apart[visible].mean())
    return float(numpy.mean(errors))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", help="the built program; otherwise it is built")
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--sizes", default="192x112,320x180")
    arguments = parser.parse_args()
    program = arguments.program or built.program("--release")
    print("| scene | size | ours | OpenCV " + " | OpenCV ".join(PRESETS) + " |")
    print("| --- " * (3 + len(PRESETS)) + "|")
    for size in arguments.sizes.split(","):
        width, height = size.split("x")
        with tempfile.TemporaryDirectory() as folder:
            command = [program, "measure", "flow", "--width", width, "--height", height]
            command += ["--frames", str(arguments.frames), "--save", folder]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            for line in told.splitlines():
                name, ours = line.split()
                place = os.path.join(folder, name)
                others = [error_of_opencv(place, arguments.frames, preset) for preset in PRESETS.values()]
                print(f"| {name} | {size} | {float(ours):.3f} | " + " | ".join(f"{e:.3f}" for e in others) + " |")


if __name__ == "__main__":
    main()
