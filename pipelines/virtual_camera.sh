#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Usage: pipelines/virtual_camera.sh [STYLE [PROPERTY=VALUE...]]
#
# Paints what the camera sees into a virtual camera, for video calls. The virtual camera is a kernel module; make one:
#
#     sudo apt install v4l2loopback-dkms
#     sudo modprobe v4l2loopback video_nr=10 card_label=neuralstyle exclusive_caps=1
#
# CAMERA=/dev/video2 chooses the camera, VIRTUAL_CAMERA=/dev/video11 the virtual one. Properties of the element may
# follow the picture.

set -euo pipefail
# shellcheck source=pipelines/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
help_if_asked "$@"

style=${1:-$root/media/starry_night.jpg}
camera=${CAMERA:-/dev/video0}
virtual=${VIRTUAL_CAMERA:-/dev/video10}
need_file "$style"
[ -e "$camera" ] || fail "there is no camera $camera; CAMERA=/dev/video… names another"
[ -e "$virtual" ] || fail "there is no virtual camera $virtual; --help says how to make one"
build_plugin

exec gst-launch-1.0 v4l2src device="$camera" ! decodebin ! videoconvert \
    ! queue leaky=downstream max-size-buffers=1 \
    ! neuralstyle style="$(quoted "$style")" network=tiny "${@:2}" \
    ! videoconvert ! video/x-raw,format=YUY2 ! v4l2sink device="$virtual" sync=false
