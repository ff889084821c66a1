#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Usage: tests/leaks.sh
#
# Runs the element in a pipeline under GStreamer's leaks tracer, and fails if an object outlives it.

set -euo pipefail
# shellcheck source=pipelines/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../pipelines/common.sh"
help_if_asked "$@"

# As the tests build it, so that after them there is nothing left to build.
need_packages "${build_packages[@]}" "${run_packages[@]}"
need_rust
# With the examples, which want the same features of other crates as the tests do: otherwise all is built once more.
(cd "$root" && cargo build --locked --lib --examples)
GST_PLUGIN_PATH=$(target_folder)/debug
export GST_PLUGIN_PATH

log=$(mktemp)
trap 'rm -f "$log"' EXIT
GST_TRACERS=leaks GST_DEBUG=GST_TRACER:7 GST_DEBUG_FILE=$log GST_DEBUG_NO_COLOR=1 \
    gst-launch-1.0 -q videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48 ! videoconvert \
    ! neuralstyle style="$(quoted "$root/media/starry_night.jpg")" network=tiny first-iterations=2 iterations=1 \
    ! videoconvert ! fakesink

# The tracer announces its formats, with %s for the values; without those it did not run.
[ -s "$log" ] || fail "the leaks tracer said nothing"
if grep 'object-alive, type-name=(string)[^%]' "$log"; then
    fail "these objects were never freed"
fi
say "Nothing leaks"
