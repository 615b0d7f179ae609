#!/usr/bin/env bash
# Checks the installed library: installs tollgate under a prefix with ffi/install, moves the prefix,
# and builds and runs programs against it. Covers pkg-config and CMake, the static and the shared
# library, exported symbols, symbol versions, package roots and uninstalling.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-tools.sh cmake pkg-config g++

here=$PWD
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PREFIX LIBDIR DESTDIR LD_LIBRARY_PATH PKG_CONFIG_PATH CMAKE_PREFIX_PATH BUILD_SHARED_LIBS
strict=(-Wall -Wextra -Wpedantic -Werror)

fail() {
    echo "$*" >&2
    exit 1
}
same() { diff <(echo "$2") <(echo "$3") || fail "$1: not the same"; }
files() { find "$1" -type f -o -type l | sort; }

# Runs a program and checks its output: 19 admissions, then 11 denials with a wait.
runs() {
    local what=$1
    shift
    "$@" >"$work/output"
    same "$what" "19 200, # left
11 429, Retry-After: #" "$(sed 's/ [0-9][0-9]*/ #/' "$work/output" | uniq -c | sed 's/^ *//')"
    echo "$what: 19 times 200, 11 times 429"
}
# Checks that a program loads the moved shared library, or contains the static one:
# `linked PROGRAM shared|static [LIBRARY_PATH]`.
linked() {
    local found
    found=$(LD_LIBRARY_PATH=${3:-} ldd "$1" | sed -n 's/.*libtollgate.* => \([^ ]*\).*/\1/p')
    case $2 in
        shared) same "$1" "$prefix/lib/$soname" "$found" ;;
        static) same "$1" "" "$found" ;;
    esac
}

ffi/install --prefix "$work/first"
same "the list of files" "$(files "$work/first")" "$(ffi/install --prefix "$work/first" --list | sort)"
mkdir "$work/moved"
mv "$work/first" "$work/moved/tollgate"
prefix=$work/moved/tollgate
! grep -rqF "$work/first" "$prefix" || fail "a file contains the path it was installed to"
! grep -rqF "$here" "$prefix"/{include,lib/pkgconfig,lib/cmake} || fail "a file contains the path it was built in"

soname=libtollgate.so.$(sed -n 's/^#define TOLLGATE_ABI_VERSION //p' include/tollgate.h)
for library in "$target/release/libtollgate.so" "$prefix/lib/libtollgate.so"; do
    same "SONAME of $library" "$soname" \
        "$(readelf -d "$library" | sed -n 's/.*soname: \[\(.*\)\]/\1/p')"
done
# Each name with the first version that has it.
versioned=$(awk '/^TOLLGATE_/ { version = $1 } /^ *tollgate_/ { sub(/;/, ""); print $1 "@@" version }' \
    ffi/tollgate.map | sort)
names=$(cut -d @ -f 1 <<<"$versioned")
exported() { nm "$@" | awk '$2 != "A" { print $NF }' | sort; }
same "what cargo's library exports" "$names" "$(exported -D --defined-only "$target/release/libtollgate.so")"
same "what the shared library exports" "$versioned" \
    "$(exported -D --defined-only "$prefix/lib/libtollgate.so")"
same "what the static library exports" "$names" \
    "$(exported -g --defined-only "$prefix/lib/libtollgate.a" | sed '/^$/d; /:$/d')"

export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
mkdir "$work/consumer"
cp -r examples/{c,cpp,cmake} "$work/consumer"
cd "$work/consumer"

# The output of pkg-config is a list of words.
# shellcheck disable=SC2046,SC2086
{
    for standard in c99 c11 c17; do
        cc -std=$standard "${strict[@]}" c/check.c $(pkg-config --cflags --libs tollgate) -o shared
    done
    for standard in c++17 c++20; do
        c++ -std=$standard "${strict[@]}" cpp/check.cpp $(pkg-config --cflags --libs tollgate) -o shared_cpp
    done
    for program in shared shared_cpp; do
        linked $program shared "$prefix/lib"
        runs "pkg-config, $program" env LD_LIBRARY_PATH="$prefix/lib" ./$program
    done
    cc -std=c99 "${strict[@]}" c/check.c $(pkg-config --cflags --libs tollgate-static) -o static
    c++ -std=c++17 "${strict[@]}" cpp/check.cpp $(pkg-config --cflags --libs tollgate-static) -o static_cpp
    for program in static static_cpp; do
        linked $program static
        runs "pkg-config, $program" ./$program
    done
    cc -std=c99 "${strict[@]}" c/quickstart.c $(pkg-config --cflags --libs tollgate-static) -o quickstart
    same "the output of the README's C program" "$(printf '200\n%.0s' {1..20} && echo '429, Retry-After: 60')" \
        "$(./quickstart)"
    cc -std=c99 "${strict[@]}" -static c/check.c $(pkg-config --static --cflags --libs tollgate) -o whole
    runs "pkg-config, the whole program static" ./whole
}

# A newer library runs older programs. With an older library the dynamic linker rejects a newer
# program and names the missing version.
mkdir newer
cat "$here/ffi/tollgate.map" - <<<'TOLLGATE_0.2 { global: tollgate_newer; } TOLLGATE_0.1;' >newer.map
cc -shared -fPIC -o "newer/$soname" -Wl,-soname,"$soname" -Wl,--version-script=newer.map -x c - \
    -x none -Wl,--whole-archive "$prefix/lib/libtollgate.a" -Wl,--no-whole-archive \
    <<<'int tollgate_newer(void) { return 0; }'
cc -o wants -x c - -x none "newer/$soname" \
    <<<'int tollgate_newer(void); int main(void) { return tollgate_newer(); }'
runs "an older program, a newer library" env LD_LIBRARY_PATH=newer ./shared
LD_LIBRARY_PATH=newer ./wants
if LD_LIBRARY_PATH=$prefix/lib ./wants 2>message || ! grep "version \`TOLLGATE_0.2' not found" message; then
    fail "the dynamic linker does not reject an older library: $(cat message)"
fi

# Constants and struct layouts in the installed headers, which programs compile in.
cc -std=c11 "${strict[@]}" -I"$prefix/include" -fsyntax-only "$here/ffi/tests/layout.c"
c++ -std=c++17 "${strict[@]}" -I"$prefix/include" -fsyntax-only -x c++ "$here/ffi/tests/layout.c"

# CMake: the default library, the one that each variable selects, and the accepted versions.
with_cmake() {
    local kind=$1 build="cmake-$1-${2:-default}"
    cmake -S cmake -B "$build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_FLAGS="${strict[*]}" \
        -DCMAKE_CXX_FLAGS="${strict[*]}" ${2:+"-D$2"} >/dev/null
    cmake --build "$build" >/dev/null
    for program in "$build"/check_{c,cpp}; do
        linked "$program" "$kind"
        runs "CMake, $kind, ${2:-by default}, ${program##*/}" "$program"
    done
}
with_cmake shared
with_cmake shared BUILD_SHARED_LIBS=ON
with_cmake static BUILD_SHARED_LIBS=OFF
with_cmake static TOLLGATE_SHARED=OFF
cmake -S "$here/ffi/tests/install/versions" -B versions -DCMAKE_PREFIX_PATH="$prefix" >/dev/null

# Two Rust libraries in one program: they do not link as they are built, but do when the symbols
# of one or both are local. The neighbour, which is the other library, panics, to check that unwinding
# still works.
neighbours() {
    cc "${strict[@]}" -I"$prefix/include" "$here/ffi/tests/install/neighbours.c" "$@" -o neighbours && ./neighbours
}
rustc --edition 2024 --crate-type staticlib -O -C lto=fat -o libneighbour.a \
    "$here/ffi/tests/install/neighbour.rs"
printf 'neighbour_%s\n' letters catches >names
"$here/ffi/localize" libneighbour.a names neighbour.o
if neighbours "$target/release/libtollgate.a" libneighbour.a 2>/dev/null; then
    fail "the two unchanged libraries link: this check proves nothing"
fi
neighbours "$prefix/lib/libtollgate.a" libneighbour.a
neighbours "$prefix/lib/libtollgate.a" neighbour.o
neighbours "$prefix/lib/libtollgate.so" -Wl,-rpath,"$prefix/lib" libneighbour.a

# A package root with Debian's library folder; then uninstall everything.
cd "$here"
libdir=lib/$(cc -print-multiarch)
packaged=(PREFIX=/usr LIBDIR=/usr/"$libdir" DESTDIR="$work/package")
ffi/install "${packaged[@]}"
same "the list of a package's files" "$(files "$work/package")" "$(ffi/install "${packaged[@]}" --list | sort)"
prefix=$work/package/usr
cd "$work/consumer"
cmake -S cmake -B package -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_LIBRARY_ARCHITECTURE="$(cc -print-multiarch)" >/dev/null
cmake --build package >/dev/null
runs "CMake, a package root" package/check_c
export PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig
# shellcheck disable=SC2046
cc c/check.c $(pkg-config --cflags --libs tollgate) -o packaged
runs "pkg-config, a package root" env LD_LIBRARY_PATH="$prefix/$libdir" ./packaged
cd "$here"
ffi/install "${packaged[@]}" --list | xargs rm
same "the files left after uninstalling" "" "$(files "$work/package")"
if ffi/install --prefix "$work/third" LIBDIR=/usr/lib 2>/dev/null; then
    fail "ffi/install accepts a library folder outside the prefix"
fi

# --plain: the libraries exactly as cargo builds them.
ffi/install --prefix "$work/plain" --plain
cmp "$target/release/libtollgate.a" "$work/plain/lib/libtollgate.a"
cmp "$target/release/libtollgate.so" "$work/plain/lib/$soname"
echo "the installed library passes all checks"
