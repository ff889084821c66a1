#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Usage: tests/package.sh [PROFILE OF cargo]
#
# Makes the packages neuralstyle and gstreamer1.0-neuralstyle for Debian with cargo-deb, in the profile dist unless another
# is named, and leaves them in out/package. Then installs both, uses them, removes them, and sees to it that nothing is left.
# It needs Debian or Ubuntu, root or sudo, and takes as long as a build.

set -euo pipefail
# shellcheck source=pipelines/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../pipelines/common.sh"
help_if_asked "$@"
profile=${1-dist}

need_packages "${build_packages[@]}" "${run_packages[@]}" dpkg-dev
command -v dpkg-deb >/dev/null || fail "packages for Debian are made on Debian or Ubuntu"
need_rust
cargo deb --version >/dev/null 2>&1 || fail "cargo-deb is missing. Install it with: cargo install --locked cargo-deb"
names=(neuralstyle gstreamer1.0-neuralstyle)
for name in "${names[@]}"; do
    # dpkg also remembers packages that it has removed.
    status=$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) || status=not-installed
    if [ "$status" != not-installed ]; then
        fail "the package $name is installed, and would be replaced and removed; remove it first: apt-get purge $name"
    fi
done
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)

say "Building"
program=$(cargo_messages build --profile "$profile" | built_file neuralstyle)

say "Making the packages"
made=$root/out/package
rm -rf "$made"
mkdir -p "$made/man"
"$program" man --into "$made/man"
for shell in bash fish zsh; do
    "$program" completions "$shell" >"$made/neuralstyle.$shell"
done
make_package() {
    (cd "$root" && cargo deb --quiet --locked --no-build --profile "$profile" --output "$made/" "$@")
}
make_package --package neuralstyle-program
make_package --package gst-plugin-neuralstyle --multiarch same
packages=("$made"/*.deb)
for package in "${packages[@]}"; do
    dpkg-deb --info "$package"
    dpkg-deb --contents "$package"
done
if command -v appstreamcli >/dev/null; then
    appstreamcli validate --no-net "$root"/program/package/*.metainfo.xml
else
    say "Skipped: the metadata for software centres; the package appstream brings what checks it"
fi

folder=$(mktemp -d)
remove() {
    "${as_root[@]}" dpkg --purge "${names[@]}" >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap remove EXIT
say "Installing them"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
installed=$(dpkg-query --listfiles "${names[@]}" | sort -u)

say "Using them"
cd "$folder"
# Neither a plugin that was built here nor what is known of one may stand in for those that were installed.
unset GST_PLUGIN_PATH GST_PLUGIN_PATH_1_0
export GST_REGISTRY=$folder/registry.bin
quick=(--network tiny --working-size 64 --first-iterations 4 --iterations 1)
/usr/bin/neuralstyle film "$root/media/bunny.webm" painted.webm --style "$root/media/starry_night.jpg" "${quick[@]}"
need_file painted.webm
gst-inspect-1.0 neuralstyle >/dev/null
gst-launch-1.0 -q videotestsrc num-buffers=2 ! video/x-raw,width=64,height=48 \
    ! neuralstyle style="$root/media/starry_night.jpg" network=tiny working-size=32 first-iterations=2 ! fakesink
for page in neuralstyle neuralstyle-film; do
    need_file "/usr/share/man/man1/$page.1.gz"
done

say "Removing them"
"${as_root[@]}" dpkg --purge "${names[@]}"
left=
while read -r path; do
    # What other packages have, too, such as /usr/bin, stays.
    if [ -e "$path" ] && ! dpkg-query --search "$path" >/dev/null 2>&1; then
        left="$left $path"
    fi
done <<<"$installed"
[ -z "$left" ] || fail "after their removal these are left:$left"

say "Both packages are in out/package"
