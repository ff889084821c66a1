# SPDX-License-Identifier: MIT OR Apache-2.0
"""The pictures used to make the networks, and others, held out, to judge them.

All come with packages, so nothing has to be licensed or stored here:
scikit-image and scikit-learn are installed with the requirements, the Debian
packages are downloaded (not installed) and checked by sha256.
"""

import hashlib
import importlib.util
import io
import struct
import subprocess
import tarfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent

OPENCV = ("opencv-doc", "4.6.0+dfsg-12", "4b12681df35878207ac7097dc66184b2ae552e4bf4ddd2af04a0f03ed0b8682a")
GCOMPRIS = ("gcompris-qt-data", "3.1-2", "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f")

# Calibration: only what is in the public domain, CC0, CC BY or Apache-2.0.
CALIBRATION = {
    # scikit-image: public domain or CC0, each said so beside its loader.
    "skimage": [
        "data/astronaut.png", "data/brick.png", "data/camera.png", "data/chelsea.png",
        "data/coins.png", "data/grass.png", "data/gravel.png", "data/hubble_deep_field.jpg",
        "data/ihc.png", "data/moon.png", "data/retina.jpg",
    ],
    # scikit-learn: CC BY 2.0, by "vultilion".
    "sklearn": ["datasets/images/flower.jpg"],
    # OpenCV's samples: Apache-2.0. lena.jpg is not in the Debian package.
    "opencv": [
        "alphamat/input_images/plant.jpg", "data/aero1.jpg", "data/aloeL.jpg", "data/apple.jpg",
        "data/board.jpg", "data/building.jpg", "data/butterfly.jpg", "data/chicky_512.png",
        "data/ela_original.jpg", "data/home.jpg", "data/leuvenA.jpg", "data/licenseplate_motion.jpg",
        "data/orange.jpg", "data/rubberwhale1.png", "data/smarties.png", "data/squirrel_cls.jpg",
        "data/stuff.jpg", "dnn_superres/butterfly.png", "hfs/data/000.jpg", "hfs/data/001.jpg",
        "hfs/data/002.jpg", "reg/home.png",
    ],
}

# Held out: none of these is seen while the networks are made.
#   china.jpg: CC BY 2.0, by "danielbuechele"; rocket.jpg: SpaceX, public domain;
#   coffee.png: Rachel Michetti, CC0; fruits.jpg, graf1.png: OpenCV, Apache-2.0;
#   The Starry Night and The Night Café: Vincent van Gogh, public domain.
PAIRS = {
    "china × starry night": (("sklearn", "datasets/images/china.jpg"), ("repository", "media/starry_night.jpg")),
    "rocket × starry night": (("skimage", "data/rocket.jpg"), ("repository", "media/starry_night.jpg")),
    "coffee × night café": (("skimage", "data/coffee.png"), ("gcompris", "details/Van_Gogh_The_Night_Cafe_background.webp")),
    "fruits × graffiti": (("opencv", "data/fruits.jpg"), ("opencv", "data/graf1.png")),
}


def calibration(cache):
    """Every calibration photo as an RGB image."""
    return [read(source, path, cache) for source, paths in CALIBRATION.items() for path in paths]


def pairs(cache):
    """Name → (content, style), RGB images."""
    return {name: tuple(read(*place, cache) for place in places) for name, places in PAIRS.items()}


def read(source, path, cache):
    data = READERS[source](path, cache)
    return Image.open(io.BytesIO(data)).convert("RGB")


def from_repository(path, _cache):
    return (HERE.parent / path).read_bytes()


def from_module(module):
    def read_from_module(path, _cache):
        return (Path(importlib.util.find_spec(module).origin).parent / path).read_bytes()
    return read_from_module


def from_opencv(path, cache):
    return from_debian(OPENCV, f"./usr/share/doc/opencv-doc/examples/{path}", cache)


def from_gcompris(path, cache):
    activity, name = path.split("/")
    resources = from_debian(GCOMPRIS, f"./usr/share/gcompris-qt/rcc/{activity}.rcc", cache)
    return qt_resource(resources, name)


READERS = {
    "repository": from_repository,
    "skimage": from_module("skimage"),
    "sklearn": from_module("sklearn"),
    "opencv": from_opencv,
    "gcompris": from_gcompris,
}


def from_debian(package, member, cache):
    """One file of a Debian package, kept in the cache once it was unpacked."""
    kept = cache / package[0] / Path(member).relative_to(".")
    if not kept.exists():
        unpack(package, cache)
    return kept.read_bytes()


def unpack(package, cache):
    name, version, sha256 = package
    archive = cache / f"{name}_{version}_all.deb"
    if not archive.exists():
        subprocess.run(["apt-get", "download", f"{name}={version}"], cwd=cache, check=True)
    if hashlib.sha256(archive.read_bytes()).hexdigest() != sha256:
        raise ValueError(f"{archive}: not the package that was expected")
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE, check=True).stdout
    tarfile.open(fileobj=io.BytesIO(tar)).extractall(cache / name, filter="data")


def qt_resource(data, wanted):
    """A file's bytes out of an uncompressed Qt resource collection (.rcc)."""
    _, version, tree, contents, names = struct.unpack_from(">4sIIII", data)
    node_size = 14 if version == 1 else 22

    def name(offset):
        length, = struct.unpack_from(">H", data, names + offset)
        start = names + offset + 6
        return data[start:start + 2 * length].decode("utf-16-be")

    def find(node):
        entry = tree + node * node_size
        name_offset, flags = struct.unpack_from(">IH", data, entry)
        if flags & 2:  # a folder: the number of its children and the first of them
            count, first = struct.unpack_from(">II", data, entry + 6)
            return next((found for child in range(first, first + count) if (found := find(child))), None)
        if name(name_offset) != wanted:
            return None
        start, = struct.unpack_from(">I", data, entry + 10)
        length, = struct.unpack_from(">I", data, contents + start)
        return data[contents + start + 4:contents + start + 4 + length]

    found = find(0)
    if found is None:
        raise ValueError(f"{wanted} is not in the collection")
    return found
