#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Usage: pipelines/gallery.sh [OUT.jpg CONTENT... -- STYLE... [-- FLAG...]]
#
# Without arguments: the README's gallery, from the pictures in media/.
# Paints every CONTENT in every STYLE and lays the paintings out as a table: the styles across, the contents down, the
# pictures themselves along the edges. Flags go to `neuralstyle image`, e.g. --network vgg16.

set -euo pipefail
# shellcheck source=pipelines/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
help_if_asked "$@"

if [ $# -eq 0 ]; then
    media=$root/media
    set -- "$root/docs/gallery.jpg" "$media"/{bunny,cat,astronaut}.jpg \
        -- "$media"/{starry_night,night_cafe,painter_on_the_road}.jpg
fi
[ $# -ge 4 ] || fail "OUT.jpg CONTENT... -- STYLE... are needed; --help says more"
out=$1
shift
[ -d "$(dirname "$out")" ] || fail "there is no folder $(dirname "$out") for $out"
contents=() styles=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    need_file "$1"
    contents+=("$1")
    shift
done
shift || true
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    need_file "$1"
    styles+=("$1")
    shift
done
shift || true
if [ ${#contents[@]} -eq 0 ] || [ ${#styles[@]} -eq 0 ]; then
    fail "pictures are missing; --help says more"
fi
build

cell_width=320 cell_height=213 gap=6
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Each cell has two options, its place across and down.
cells=() sources=()

# Puts a picture into the table, scaled to a cell and never distorted.
place() {
    local column=$1 row=$2 picture=$3 cell=sink_$((${#cells[@]} / 2))
    cells+=("$cell::xpos=$((column * (cell_width + gap)))" "$cell::ypos=$((row * (cell_height + gap)))")
    sources+=(filesrc location="$(quoted "$picture")" ! decodebin ! videoconvert ! videoscale add-borders=true
        ! "video/x-raw,format=RGB,width=$cell_width,height=$cell_height,pixel-aspect-ratio=1/1" ! imagefreeze num-buffers=1
        ! "table.$cell")
}

for column in "${!styles[@]}"; do
    place $((column + 1)) 0 "${styles[column]}"
done
for row in "${!contents[@]}"; do
    place 0 $((row + 1)) "${contents[row]}"
    for column in "${!styles[@]}"; do
        painting=$folder/$row-$column.png
        "$program" image --content "${contents[row]}" --style "${styles[column]}" \
            --output "$painting" --size "$cell_width" "$@"
        place $((column + 1)) $((row + 1)) "$painting"
    done
done
gst-launch-1.0 -q compositor name=table background=white "${cells[@]}" ! videoconvert ! jpegenc quality=80 snapshot=true \
    ! filesink location="$(quoted "$out")" "${sources[@]}"
say "The gallery is $out"
