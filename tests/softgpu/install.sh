#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Usage: tests/softgpu/install.sh [--without SYMBOL] [--into FOLDER]
#
# Builds the software GPU and lays it into a folder under the names of the driver's library, libcuda.so and
# libcuda.so.1, and prints the folder: programs that have it on LD_LIBRARY_PATH see a card.
# --without gives a driver that lacks a function, as an old one does.

set -euo pipefail
# shellcheck source=pipelines/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../pipelines/common.sh"
folder= without=
while (($#)); do
    case $1 in
    --without) without=$2 && shift 2 ;;
    --into) folder=$2 && shift 2 ;;
    *) sed -n '4,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
    esac
done

messages=$(cargo_messages build --quiet --package softgpu --lib)
library=$(built_file libsoftgpu.so <<<"$messages")
# Beside the profile's folder: there it outlives what cargo does.
folder=${folder:-$(dirname "$(dirname "$library")")/softgpu${without:+-without-$without}}
mkdir -p "$folder"
if [[ $without ]]; then
    # The name in the table of symbols becomes another one of the same length, so that nobody finds it.
    perl -pe "s/\\b\Q$without\E\\0/'x' x length('$without') . \"\\0\"/ge" "$library" >"$folder/libcuda.so.1.new"
else
    cp "$library" "$folder/libcuda.so.1.new"
fi
# Renamed into its place: a program that has the old one open keeps it.
mv "$folder/libcuda.so.1.new" "$folder/libcuda.so.1"
ln -sf libcuda.so.1 "$folder/libcuda.so"
echo "$folder"
