#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Usage: pipelines/webcam.sh [STYLE [PROPERTY=VALUE...]]
#
# Paints what the camera sees, in a window, in the style of the picture STYLE (default: media/starry_night.jpg).
# Properties of the element may follow, e.g. network=tiny working-size=192. CAMERA=/dev/video2 chooses the camera.

set -euo pipefail
# shellcheck source=pipelines/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
help_if_asked "$@"

style=${1:-$root/media/starry_night.jpg}
camera=${CAMERA:-/dev/video0}
need_file "$style"
[ -e "$camera" ] || fail "there is no camera $camera; CAMERA=/dev/video… names another"
need_packages gstreamer1.0-x
build_plugin

# The queue has the filter work beside the camera, and leaves out frames on a machine too slow even for showing them.
exec gst-launch-1.0 v4l2src device="$camera" ! decodebin ! videoconvert \
    ! queue leaky=downstream max-size-buffers=1 \
    ! neuralstyle style="$(quoted "$style")" network=tiny "${@:2}" \
    ! videoconvert ! autovideosink
