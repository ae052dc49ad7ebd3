#!/bin/sh
# One command from a fresh machine to a trained network, another to a tested build. See usage below.
set -eu

usage()
{
    cat <<'TEXT'
usage: ./pleat.sh COMMAND [ARGUMENTS]

  train [ARGS]     install what is missing, build, train a small network on the digits that Pleat draws itself
  test [ARGS]      install what is missing, build everything, run every test; ARGS go to ctest (-L unit, -R conv2d)
  build            install what is missing, build everything
  install [DIR]    build, and install headers and libraries under DIR (/usr/local); with sudo if it must
  deps [PACKAGE]   only install what is missing, and these packages too
  help             this text

What is missing is installed with apt-get, dnf or brew, whichever is there: a C and C++ compiler, CMake, Ninja,
pkg-config, Check (for the tests), zlib (gzip'd data) and cJSON (safetensors). It is named before it is installed, and
sudo is used only by those who are not root.

environment:
  PLEAT_NO_INSTALL=1    install no packages, use what is there
  PLEAT_BUILD=DIR       where to build (build/release beside this script)
  PLEAT_CMAKE="..."     more options for CMake: PLEAT_CMAKE="-DPLEAT_OPENMP=OFF"
  CC, JOBS              the compiler; how many to run at once (all processors)
TEXT
}

say()
{
    if [ -t 1 ]; then
        printf '\033[1m==> %s\033[0m\n' "$*"
    else
        printf '==> %s\n' "$*"
    fi
}

die()
{
    printf 'pleat.sh: %s\n' "$*" >&2
    exit 1
}

# Runs what it is given, and shows it.
run()
{
    printf '    %s\n' "$*"
    "$@"
}

as_root()
{
    if [ "$(id -u)" = 0 ]; then
        run "$@"
    elif command -v sudo >/dev/null; then
        run sudo "$@"
    else
        die "this needs root, and there is no sudo: $*"
    fi
}

# The packages of this system: what lists, and what installs them.
manager=none
if command -v apt-get >/dev/null; then
    manager=apt
    packages='build-essential cmake ninja-build pkg-config check zlib1g-dev libcjson-dev'
elif command -v dnf >/dev/null; then
    manager=dnf
    packages='gcc gcc-c++ cmake ninja-build pkgconf-pkg-config check-devel zlib-devel cjson-devel'
elif command -v brew >/dev/null; then
    manager=brew
    packages='cmake ninja pkgconf check cjson libomp'
fi

has_package()
{
    case $manager in
    apt) dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed' ;;
    dnf) rpm -q --whatprovides "$1" >/dev/null 2>&1 ;;
    brew) brew list --versions "$1" >/dev/null 2>&1 ;;
    esac
}

# Networks fail now and then.
three_times()
{
    "$@" || { sleep 5 && "$@"; } || { sleep 20 && "$@"; } || die "failed three times: $*"
}

deps()
{
    if [ -n "${PLEAT_NO_INSTALL:-}" ]; then
        return
    fi
    if [ $manager = none ]; then
        say "No apt-get, dnf or brew here: using what is installed"
        return
    fi
    missing=
    for package in $packages "$@"; do
        has_package "$package" || missing="$missing $package"
    done
    if [ -z "$missing" ]; then
        return
    fi
    if [ "$(id -u)" != 0 ] && [ $manager != brew ] && ! command -v sudo >/dev/null; then
        die "missing:$missing. Installing needs root, and there is no sudo; PLEAT_NO_INSTALL=1 tries without"
    fi
    say "Installing with $manager:$missing"
    # shellcheck disable=SC2086 # a list
    case $manager in
    apt)
        three_times as_root apt-get update -q
        three_times as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
        ;;
    dnf) three_times as_root dnf install -y $missing ;;
    brew) three_times run brew install $missing ;;
    esac
}

need()
{
    command -v "$1" >/dev/null || die "$1 is missing: install $2 (./pleat.sh help says what else is needed)"
}

build=${PLEAT_BUILD:-build/release}
jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)}

# Configures with the options given, and builds the target, or everything where it is empty.
make_target()
{
    target=$1
    shift
    need cmake "CMake 3.20 or later"
    need "${CC:-cc}" "a C compiler (GCC or Clang)"
    version=$(cmake --version | sed -n 's/^cmake version //p')
    case $version in
    [0-2].* | 3.?.* | 3.1?.*) die "CMake $version is too old: 3.20 or later is needed" ;;
    esac
    if [ ! -f "$build/CMakeCache.txt" ] && command -v ninja >/dev/null; then
        set -- -G Ninja "$@"
    fi
    if [ $manager = brew ]; then
        set -- "-DOpenMP_ROOT=$(brew --prefix libomp)" "$@"
    fi
    say "Building in $build"
    # shellcheck disable=SC2086 # a list
    set -- cmake -S . -B "$build" "$@" ${PLEAT_CMAKE:-}
    printf '    %s\n' "$*"
    "$@" >"$log" 2>&1 || { cat "$log" && die "CMake failed; see above"; }
    grep '^-- Pleat ' "$log" || true
    run cmake --build "$build" -j "$jobs" ${target:+--target "$target"}
}

cd "$(dirname "$0")"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
command=${1:-help}
[ $# = 0 ] || shift

case $command in
train)
    deps
    make_target 04_train_digits -DPLEAT_TESTS=OFF
    say "Training"
    run "$build/examples/04_train_digits" "$@"
    ;;
test)
    deps
    need pkg-config "pkg-config or pkgconf"
    make_target '' -DPLEAT_TESTS=ON
    say "Testing"
    cd "$build"
    run ctest --output-on-failure --no-tests=error -j "$jobs" "$@"
    ;;
build)
    deps
    make_target ''
    ;;
install)
    deps
    make_target '' -DPLEAT_TESTS=OFF
    prefix=${1:-/usr/local}
    say "Installing under $prefix"
    if mkdir -p "$prefix" 2>/dev/null && [ -w "$prefix" ]; then
        run cmake --install "$build" --prefix "$prefix"
    else
        as_root cmake --install "$build" --prefix "$prefix"
    fi
    case $prefix in
    /usr | /usr/local) ! command -v ldconfig >/dev/null || as_root ldconfig ;; # its list of shared libraries
    *) say "Tell CMake by -DCMAKE_PREFIX_PATH=$prefix, pkg-config by PKG_CONFIG_PATH: see the README" ;;
    esac
    ;;
deps)
    deps "$@"
    ;;
help | -h | --help)
    usage
    ;;
*)
    usage >&2
    die "no such command: $command"
    ;;
esac
