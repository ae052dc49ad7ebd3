#!/bin/sh
# Checks of the installed library; CMakeLists.txt beside this file says which, and sets the variables in capitals.
#   check.sh tree                       installs into $WORK/tree, and a copy without the shared library
#   check.sh headers                    each public header compiles alone, as C11 and as C++17
#   check.sh symbols                    what the libraries define for others to see
#   check.sh cmake KIND FOLDER          builds and runs FOLDER's programs, the library found by find_package
#   check.sh pkgconfig KIND FOLDER      the same, by pkg-config
#   check.sh subdirectory               the same for consumer/, the library built as a part of it
set -eu

skip()
{
    echo "skipped: $1"
    exit 77
}

fail()
{
    echo "FAILED: $1" >&2
    exit 1
}

CXX=$(dirname "$CC")/$(basename "$CC" | sed -E 's/clang/clang++/; s/gcc/g++/; s/^cc$/c++/')
warnings='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror'
tree=$WORK/tree
archive_only=$WORK/archive-only # as the tree, moved, and without the shared library

need_cxx()
{
    command -v "$CXX" >/dev/null || skip "no C++ compiler beside $CC"
}

# Configures, builds and tests the project consumer/ in $WORK/$1, with the options that follow.
consume()
{
    name=$1
    shift
    rm -rf "${WORK:?}/$name"
    "$CMAKE" -S "$SOURCE/tests/install/consumer" -B "$WORK/$name" -G "$GENERATOR" -DCMAKE_BUILD_TYPE=Release \
        "-DCMAKE_C_COMPILER=$CC" "-DCMAKE_CXX_COMPILER=$CXX" "-DCMAKE_C_FLAGS=$CFLAGS" "-DCMAKE_CXX_FLAGS=$CFLAGS" \
        "-DCMAKE_C_COMPILER_LAUNCHER=$LAUNCHER" "-DCMAKE_CXX_COMPILER_LAUNCHER=$LAUNCHER" "$@"
    "$CMAKE" --build "$WORK/$name"
    (cd "$WORK/$name" && "$(dirname "$CMAKE")/ctest" --output-on-failure --no-tests=error)
}

case $1 in
tree)
    rm -rf "$tree" "$archive_only"
    "$CMAKE" --install "$BUILD" --prefix "$tree"
    cp -R "$tree" "$archive_only"
    find "$archive_only" \( -name 'libpleat*.so*' -o -name 'libpleat*.dylib' \) -exec rm {} +
    ;;

headers)
    need_cxx
    for header in "$SOURCE"/include/pleat/*.h; do
        line="#include <pleat/$(basename "$header")>"
        for language in "$CC -x c -std=c11" "$CXX -x c++ -std=c++17"; do
            # shellcheck disable=SC2086
            echo "$line" | $language $warnings -fsyntax-only -I"$tree/include" - || fail "$language: $line"
        done
    done
    ;;

symbols)
    [ -z "$SANITIZED" ] || skip "an instrumented library has symbols of its tools"
    archive=$(find "$tree" -name libpleat.a)
    shared=$(find "$tree" \( -name libpleat.so -o -name libpleat.dylib \))
    # name and kind of what is defined for others, without macOS's underscore
    defined()
    {
        "$NM" "$@" | awk 'NF == 3 && $2 ~ /[A-TV-Z]/ { sub(/^_pleat/, "pleat", $3); print $3 }' | sort -u
    }
    strays=$(defined -g "$archive" | grep -v '^pleat_' || true)
    [ -z "$strays" ] || fail "the archive defines, without the prefix: $strays"
    if [ "$(uname)" = Darwin ]; then
        defined -gU "$shared" >"$WORK/exported"
    else
        defined -D "$shared" >"$WORK/exported"
    fi
    strays=$(grep -v '^pleat_' "$WORK/exported" || true)
    [ -z "$strays" ] || fail "the shared library exports, without the prefix: $strays"
    # what the headers declare, and nothing else, is exported
    cat "$tree"/include/pleat/*.h | sed -nE 's/^PLEAT_API [^(]*[ *](pleat_[a-z0-9_]+)\(.*/\1/p' | sort -u >"$WORK/declared"
    diff "$WORK/declared" "$WORK/exported" || fail "declared (<) and exported (>) differ"
    echo "$(wc -l <"$WORK/exported") functions exported"
    ;;

cmake)
    need_cxx
    [ -n "${3:-}" ] || skip "no folder of programs (PLEAT_PROGRAMS)"
    consume "cmake-$2-$(basename "$3")" "-DCMAKE_PREFIX_PATH=$tree" "-DKIND=$2" "-DFOLDER=$3"
    ;;

subdirectory)
    need_cxx
    [ -z "$SANITIZED" ] || skip "what is built is the same, and was tested instrumented"
    consume subdirectory "-DPLEAT_DIR_TO_ADD=$SOURCE" -DPLEAT_ISAS=generic
    ;;

pkgconfig)
    need_cxx
    [ -n "${3:-}" ] || skip "no folder of programs (PLEAT_PROGRAMS)"
    command -v "$PKG_CONFIG" >/dev/null || skip "no pkg-config"
    if [ "$2" = static ]; then
        root=$archive_only
        options=--static
    else
        root=$tree
        options=
    fi
    libdir=$(dirname "$(find "$root" -name pleat.pc)")/..
    export PKG_CONFIG_PATH="$libdir/pkgconfig" LD_LIBRARY_PATH="$libdir" DYLD_LIBRARY_PATH="$libdir"
    flags=$("$PKG_CONFIG" $options --cflags --libs pleat)
    echo "flags: $flags"
    work=$WORK/pkgconfig-$2-$(basename "$3")
    rm -rf "$work"
    mkdir -p "$work"
    cd "$work"
    for source in "$3"/*.c "$3"/*.cpp; do
        case $source in
        *\*.c*) continue ;; # none of the kind
        *.c) compiler="$CC -std=c11" ;;
        *) compiler="$CXX -std=c++17" ;;
        esac
        program=./$(basename "$source" | sed 's/\.[a-z]*$//')
        # shellcheck disable=SC2086
        $compiler -O2 $warnings $CFLAGS "$source" -o "$program" $flags
        echo "== $program"
        "$program" || fail "$program"
    done
    ;;

*)
    fail "no such check: $1"
    ;;
esac
