#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Usage: pipelines/videotestsrc.sh [STYLE [PROPERTY=VALUE...]]
#
# Paints GStreamer's test picture with its bouncing ball, in a window, in the style of the picture STYLE (default:
# media/starry_night.jpg): the quickest way to see settings at work. Properties of the element may follow.
# SINK=fakesink, or any other sink, takes the place of the window; FRAMES=10 ends after so many.

set -euo pipefail
# shellcheck source=pipelines/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
help_if_asked "$@"

style=${1:-$root/media/starry_night.jpg}
need_file "$style"
read -ra sink <<<"${SINK:-autovideosink sync=false}"
[ -n "${SINK-}" ] || need_packages gstreamer1.0-x
build_plugin

exec gst-launch-1.0 videotestsrc pattern=ball num-buffers="${FRAMES:--1}" ! video/x-raw,width=320,height=240,framerate=15/1 \
    ! videoconvert ! neuralstyle style="$(quoted "$style")" "${@:2}" ! videoconvert ! "${sink[@]}"
