#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Usage: tests/run.sh [ARGUMENT OF cargo test...]
#
# Installs what is missing, builds, and runs all tests: beside the code, on the library, on the element in pipelines,
# on the program and the scripts. No GPU, camera or window is needed. With CI=true nothing is asked or coloured.

set -euo pipefail
# shellcheck source=pipelines/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../pipelines/common.sh"
help_if_asked "$@"

# Beside what the program needs: what films of many kinds are made and read with, and what hosts and packages are tried with.
need_packages "${build_packages[@]}" "${run_packages[@]}" python3 \
    ffmpeg gstreamer1.0-libav gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly ges1.0-tools appstream
need_rust
cd "$root"

# Any critical warning of GLib ends the test that caused it.
export G_DEBUG=fatal_warnings
# Plugins that are installed elsewhere must not be tested in place of this one, and a registry of its own keeps the
# tests out of the user's.
registry=$(mktemp -d)
coverage=$(mktemp -d)
trap 'rm -rf "$registry" "$coverage"' EXIT
export GST_REGISTRY=$registry/registry.bin

# Without --all-targets, which leaves out the examples in the documentation.
say "Running the tests, beside the code and in tests/, and the examples in the documentation"
cargo test --locked "$@"

say "Running the examples"
for example in examples/*.rs element/examples/*.rs; do
    cargo run --locked --quiet --example "$(basename "$example" .rs)"
done

say "Testing the software GPU, on which the CUDA kernels run in the tests"
cargo test --locked --package softgpu

say "Running the tests of the CUDA backend on it"
driver=$(tests/softgpu/install.sh)
on_softgpu=(env "LD_LIBRARY_PATH=$driver" NEURALSTYLE_TEST_CUDA=1 "SOFTGPU_COVERAGE=$coverage" cargo test --locked)
# What is never given back to the card ends them with an error as well.
SOFTGPU_LEAKS=1 "${on_softgpu[@]}" --test cuda --test cuda_faults
SOFTGPU_LEAKS=1 "${on_softgpu[@]}" --test element on_a_card
SOFTGPU_LEAKS=1 "${on_softgpu[@]}" --test program doctor::a_card

# With few multiprocessors small pictures are enough for each kind of tile.
say "Running each of its operations on the oldest kind of card, which has kernels of its own"
SOFTGPU_CARD=sm_75 SOFTGPU_MULTIPROCESSORS=6 "${on_softgpu[@]}" --test cuda every_operation
SOFTGPU_CARD=sm_75 "${on_softgpu[@]}" --test element on_a_card::the_software_gpu_paints

say "Looking for instructions of the kernels that no test executed"
cargo run --quiet --locked --package softgpu --bin coverage -- \
    "$coverage" --unreachable tests/softgpu/src/bin/coverage/unreachable.txt kernels/ptx/*.ptx

say "Testing the model of the kernels' speed"
python3 -m unittest discover kernels/model

say "All tests passed"
