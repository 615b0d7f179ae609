#!/usr/bin/env bash
# Builds the example servers against an installed tollgate and sends each of them a hundred thousand
# requests over real connections. Every key must get exactly what its limits allow, and a client
# that obeys Retry-After must be admitted.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-tools.sh pkg-config g++
pkg-config --exists libmicrohttpd cpp-httplib ||
    scripts/install-tools.sh libmicrohttpd-dev libcpp-httplib-dev

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ffi/install --prefix "$work"
export PKG_CONFIG_PATH=$work/lib/pkgconfig
strict=(-O2 -Wall -Wextra -Wpedantic -Werror)
# The output of pkg-config is a list of words.
# shellcheck disable=SC2046
{
    cc "${strict[@]}" -o "$work/microhttpd" \
        examples/servers/microhttpd.c $(pkg-config --cflags --libs tollgate-static libmicrohttpd)
    c++ -std=c++17 "${strict[@]}" -o "$work/httplib" \
        examples/servers/httplib.cpp $(pkg-config --cflags --libs tollgate-static cpp-httplib)
}

TOLLGATE_SERVERS=$work/microhttpd:$work/httplib \
    cargo test --package tollgate-ffi --test servers -- --ignored --nocapture | tee "$work/log"
grep -q '^test result: ok. [1-9]' "$work/log"
