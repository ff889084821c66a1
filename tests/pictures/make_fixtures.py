#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes the small JPEGs of kinds that the tests cannot write themselves.

    python tests/pictures/make_fixtures.py        # needs Pillow; made with 13.0
"""

import pathlib

from PIL import Image

HERE = pathlib.Path(__file__).parent


def main():
    picture = Image.new("RGB", (60, 44))
    picture.putdata([(x * 4 % 256, y * 5 % 256, x * y % 256) for y in range(44) for x in range(60)])
    picture.save(HERE / "progressive.jpg", quality=80, progressive=True)
    picture.save(HERE / "restarts.jpg", quality=80, restart_marker_blocks=3)
    picture.save(HERE / "progressive_restarts.jpg", quality=80, progressive=True, restart_marker_blocks=2)
    picture.convert("L").save(HERE / "grey_progressive.jpg", quality=80, progressive=True)
    Image.new("CMYK", (20, 12), (255, 0, 0, 0)).save(HERE / "cyan.jpg", quality=95)


if __name__ == "__main__":
    main()
