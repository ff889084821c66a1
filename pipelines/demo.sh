#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Usage: pipelines/demo.sh
#
# From a fresh clone to a painted video: installs what is missing, builds, and paints the bundled clip (Big Buck
# Bunny, © Blender Foundation, CC BY 3.0) in the style of the bundled picture (The Starry Night, Vincent van Gogh).
# Writes out/demo.webm, and out/demo.png with a frame before and after. It may be run as often as you like.

set -euo pipefail
# shellcheck source=pipelines/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
help_if_asked "$@"

build

clip=$root/media/bunny.webm
style=$root/media/starry_night.jpg
video=$root/out/demo.webm
picture=$root/out/demo.png
mkdir -p "$root/out"

# Larger than the default and with fewer steps, for a minute on two cores.
say "Painting media/bunny.webm in the style of media/starry_night.jpg"
SECONDS=0
"$program" film "$clip" "$video" --force --style "$style" \
    --working-size 320 --iterations 4

# Frame 40 of both, where the bunny is; the clip is 640 pixels wide, and the painting has its size. Each frame is written
# over the one before, and the stream ends with that.
say "Putting a frame before and after side by side"
gst-launch-1.0 -q compositor name=both sink_1::xpos=640 \
    ! videoconvert ! video/x-raw,format=RGB ! identity eos-after=41 ! pngenc \
    ! multifilesink max-files=1 location="$(quoted "$picture")" \
    filesrc location="$(quoted "$clip")" ! decodebin ! videoconvert ! both.sink_0 \
    filesrc location="$(quoted "$video")" ! decodebin ! videoconvert ! both.sink_1

say "Done after $SECONDS s of painting. Look at
   $video
   $picture"
