#!/usr/bin/env bash
# Installs missing tools: for each argument that is not a command, the Debian package of that name.
# Prints the packages and the method (apt-get, as root or through sudo) first. Does nothing if every
# command exists; fails if packages cannot be installed here. `scripts/install-tools.sh valgrind clang`
set -euo pipefail

missing=()
for command in "$@"; do
    command -v "$command" >/dev/null || missing+=("$command")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=() how="as root"
[ "$(id -u)" -eq 0 ] || as_root=(sudo) how="through sudo"
for command in apt-get "${as_root[@]}"; do
    if ! command -v "$command" >/dev/null; then
        echo "${missing[*]} cannot be installed here without $command: install by hand, then run again" >&2
        exit 1
    fi
done
echo "installing the Debian packages ${missing[*]}: apt-get install, $how" >&2
"${as_root[@]}" apt-get update -qq >&2
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >&2
