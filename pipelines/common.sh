# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=bash
#
# What the scripts here share; they source it. It looks after packages, the build and the place of the plugin.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The scripts compile everything once. A crate in one piece takes less processor time than in many, and what makes
# a second time faster makes the first one slower. Calling cargo itself still compiles incrementally.
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_CODEGEN_UNITS=1

# What is needed to build, and to run the launch lines. libgstreamer-plugins-bad1.0-dev is left out on purpose: it
# pulls in 400 MB, of which nothing is used.
build_packages=(ca-certificates gcc libc6-dev pkg-config git libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev)
run_packages=(gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good)

say() {
    printf '\n== %s\n' "$*" >&2
}

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Prints the comment at the head of the calling script, from its fourth line, when the first argument asks for
# help.
help_if_asked() {
    case ${1-} in
    -h | --help)
        sed -n '4,/^$/{s/^# \{0,1\}//p}' "$0"
        exit 0
        ;;
    esac
}

# Installs those of the named packages that are missing, and says so first.
need_packages() {
    local missing=() package
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        say "This is not Debian or Ubuntu. Please see to it that these are there: $*"
        return
    fi
    for package in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            missing+=("$package")
        fi
    done
    if [ ${#missing[@]} -eq 0 ]; then
        return
    fi
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            fail "these packages are missing, and there is no sudo to install them: ${missing[*]}"
        as_root=(sudo)
    fi
    say "Installing with apt-get: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${missing[@]}"
}

# Finds cargo, also where rustup puts it and a fresh shell does not look.
need_rust() {
    if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    fi
    command -v cargo >/dev/null ||
        fail "Rust is missing. Install it with: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    local version oldest=1.92
    version=$(rustc --version | cut -d ' ' -f 2)
    if [ "$(printf '%s\n%s\n' "$oldest" "$version" | sort -V | head -n 1)" != "$oldest" ]; then
        fail "Rust $oldest or newer is needed, this is $version. Update it with: rustup update stable"
    fi
}

# Prints the path of a file that cargo built, by its name, from cargo's messages on the standard input. Only cargo knows
# the path: its configuration and its variables may name another folder, and another kind of processor.
built_file() {
    local path
    path=$(grep -o "\"\([^\"\\\\]\|\\\\.\)*/${1//./\\.}\"" | tail -n 1)
    [ -n "$path" ] || fail "cargo says nothing of having built $1"
    path=${path#\"}
    sed 's/\\\(.\)/\1/g' <<<"${path%\"}"
}

# Runs cargo and prints its messages for built_file; what people should see goes to the standard error.
cargo_messages() {
    (cd "$root" && cargo "$@" --locked --message-format=json-render-diagnostics)
}

# The name of the plugin's file.
case $(uname) in
Darwin) plugin_file=libgstneuralstyle.dylib ;;
*) plugin_file=libgstneuralstyle.so ;;
esac

# Shows GStreamer a folder with plugins.
add_plugins() {
    local variable=GST_PLUGIN_PATH
    # GStreamer looks at this one alone where it is set.
    [ -z "${GST_PLUGIN_PATH_1_0+set}" ] || variable=GST_PLUGIN_PATH_1_0
    export "$variable=$1${!variable:+:${!variable}}"
}

# Builds the program and the plugin in the release profile: both at once, so that nothing is compiled twice. Sets
# `program` to the program's path, and shows GStreamer where the plugin is.
build() {
    need_packages "${build_packages[@]}" "${run_packages[@]}"
    need_rust
    say "Building; the first time takes some minutes"
    local messages plugin
    messages=$(cargo_messages build --release)
    program=$(built_file neuralstyle <<<"$messages")
    plugin=$(built_file "$plugin_file" <<<"$messages")
    add_plugins "$(dirname "$plugin")"
}

# Fails unless the named file is there.
need_file() {
    [ -f "$1" ] || fail "there is no file $1"
}

# A path inside a launch line, in quotes that it cannot escape from.
quoted() {
    local path=${1//\\/\\\\}
    printf '"%s"' "${path//\"/\\\"}"
}
