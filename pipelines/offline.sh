#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Usage: pipelines/offline.sh FILE STYLE OUT [FLAG...]
#
# Paints the video FILE in the style of the picture STYLE and writes OUT (.webm, .mkv or .mp4), with its sound. Flags
# go to the example stylize_video, e.g. --working-size 384 --iterations 10 --force; its --help lists them.

set -euo pipefail
# shellcheck source=pipelines/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
help_if_asked "$@"

[ $# -ge 3 ] || fail "three files are needed: FILE STYLE OUT; --help says more"
need_file "$1"
need_file "$2"
build_example stylize_video
exec "$(release_folder)/examples/stylize_video" --style "$2" "${@:4}" -- "$1" "$3"
