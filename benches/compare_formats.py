#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""A stream in its own format against the same stream through a videoconvert on either side, taking turns.

    GST_PLUGIN_PATH=target/release benches/compare_formats.py [--formats NV12,I420] [--runs 9]

Each run paints --frames frames of 1280x720 offline by as little painting as there is, so that converting weighs most. Printed
are the medians of the time that passes and of the processor's, and the ratio of the medians: below 1 the stream in its own
format is faster. --plugins-before names a folder with an older plugin for the side with videoconvert.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STYLE = Path(__file__).resolve().parent.parent / "media" / "starry_night.jpg"
PAINTER = (f"neuralstyle style={STYLE} mode=offline network=tiny working-size=96 scales=1 first-iterations=1 iterations=1 "
           "cut-threshold=1")


def run(line, environment):
    """Seconds that a launch line takes, and the processor's."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    subprocess.run(["gst-launch-1.0", "-q", *line.split()], env=environment, check=True, stdout=subprocess.DEVNULL)
    took = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", default="NV12,I420,YUY2,RGB")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--plugins-before", help="a folder with an older plugin")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        native = dict(os.environ, GST_REGISTRY=f"{folder}/native.bin")
        converted = dict(os.environ, GST_REGISTRY=f"{folder}/converted.bin")
        if options.plugins_before:
            converted["GST_PLUGIN_PATH"] = options.plugins_before
        for name in options.formats.split(","):
            caps = f"video/x-raw,format={name},width=1280,height=720,framerate=30/1"
            source = f"videotestsrc num-buffers={options.frames} ! {caps}"
            sides = {
                "converted": (f"{source} ! videoconvert ! video/x-raw,format=RGB ! {PAINTER} ! videoconvert ! {caps} ! fakesink",
                              converted),
                "native": (f"{source} ! {PAINTER} ! {caps} ! fakesink", native),
            }
            times = {side: [] for side in sides}
            for turn in range(options.runs + 1):
                for side, (line, environment) in sides.items():
                    measured = run(line, environment)
                    # The first makes the registry and warms the caches.
                    if turn:
                        times[side].append(measured)
            for what, at in (("time", 0), ("processor", 1)):
                medians = {side: statistics.median(run[at] for run in runs) for side, runs in times.items()}
                print(f"{name:5} {what:9} converted {medians['converted']:.2f} s, native {medians['native']:.2f} s, "
                      f"ratio {medians['native'] / medians['converted']:.3f}")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
