#!/usr/bin/env bash
# Counts the instructions of one decision with callgrind; the counts do not depend on the load of
# the machine. Prints each kind of benches/instructions with its committed count (counts.txt there).
# Fails if a count is more than 3 % above the committed one, or if a kind is new or missing.
#
# --accept         writes today's counts to counts.txt
# --time [ROUNDS]  instead measures the same call from C and from Rust, in nanoseconds
set -euo pipefail
cd "$(dirname "$0")/.."

bash scripts/install-tools.sh valgrind gcc
target=${CARGO_TARGET_DIR:-target}
work=benches/instructions
committed=$work/counts.txt
times=16000
today=$(mktemp)
trap 'rm -f "$today" "$today".*' EXIT

cargo build --quiet --release --package tollgate-instructions --package tollgate-ffi
# The build without vector instructions.
CARGO_TARGET_DIR=$target/scalar \
    cargo build --quiet --release --package tollgate-instructions --no-default-features
gcc -std=c99 -O2 -Iinclude $work/check.c -o "$target/release/instructions-c" \
    "$target/release/libtollgate.a" -lm -lpthread -ldl

# Prints the nanoseconds of one decision of this program, without its startup and exit.
nanoseconds() {
    local calls=20000000 times before between after
    before=${EPOCHREALTIME/./}
    "$@" $calls
    between=${EPOCHREALTIME/./}
    "$@" 0
    after=${EPOCHREALTIME/./}
    times=$((2 * between - before - after))
    awk "BEGIN { printf \"%.2f\\n\", $times * 1000 / $calls }"
}

# Alternates the two programs, so that other load affects both alike, and prints medians.
if [ "${1:-}" = --time ]; then
    for ((round = 0; round < ${2:-21}; round++)); do
        nanoseconds "$target/release/instructions" check_at >>"$today.rust"
        nanoseconds "$target/release/instructions-c" check_at >>"$today.c"
    done
    paste "$today.rust" "$today.c" | awk '{ print $2 - $1 }' >"$today.more"
    for of in rust c more; do
        echo "$of: $(sort -n "$today.$of" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }') ns"
    done
    exit
fi

# Prints the instructions of one decision: `count FUNCTION PROGRAM [KIND]`. FUNCTION makes $times
# decisions.
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="$1" "${@:2}" $times 2>&1 |
        awk -v times=$times '/ Collected : / { sum = $NF } END { if (sum < times) exit 1; printf "%.0f\n", sum / times }'
}

# Prints the counts of $2 next to those of $1. Fails if a count is more than 3 % above that of $1, or if a
# kind is new or missing.
compare() {
    awk '
        /^#/ { next }
        NR == FNR { before[$1] = $2; next }
        # Test with `in` first: reading before[$1] would create it.
        { after[$1] = 1; known = $1 in before; change = known ? ($2 / before[$1] - 1) * 100 : 0 }
        $2 !~ /^[1-9][0-9]*$/ { failed = 1 }
        !known { worse = "new"; failed = 1 }
        known { worse = change > 3 ? "worse" : ""; failed += change > 3 }
        { printf "%-22s %9d %6d %+6.1f %% %s\n", $1, before[$1], $2, change, worse }
        END {
            for (name in before) if (!(name in after)) { print name, "is gone"; failed = 1 }
            exit failed > 0 || length(after) == 0
        }
    ' "$1" "$2"
}

# Check the comparison itself: 2 % more passes; 4 % more fails, and so does a missing kind.
printf '%s\n' 'a 100' 'b 100' >"$today.before"
printf '%s\n' 'a 100' 'b 102' >"$today.little"
printf '%s\n' 'a 100' 'b 104' >"$today.more"
printf '%s\n' 'a 100' >"$today.gone"
compare "$today.before" "$today.little" >/dev/null
printf '%s\n' 'a 100' 'b' >"$today.none"
for other in "before more" "before gone" "gone before" "before none"; do
    if compare "$today.${other% *}" "$today.${other#* }" >/dev/null; then
        echo "the comparison lets '$other' pass" >&2
        exit 1
    fi
done

{
    echo "# Instructions of one decision, by kind: scripts/instructions.sh"
    kinds=$("$target/release/instructions")
    for kind in $kinds; do
        counted=$(count '*::counted*' "$target/release/instructions" "$kind")
        echo "$kind $counted"
    done
    for kind in check_all_live session_all_live denied_all_live; do
        counted=$(count '*::counted*' "$target/scalar/release/instructions" "$kind")
        echo "${kind}_scalar $counted"
    done
    for kind in check_at check_all_live three_layers; do
        counted=$(count 'counted_*' "$target/release/instructions-c" "$kind")
        echo "${kind}_from_c $counted"
    done
} >"$today"

if [ "${1:-}" = --accept ]; then
    cp "$today" $committed
fi
printf '%-22s %9s %6s\n' kind committed now
if ! compare $committed "$today"; then
    echo "more instructions than committed; to accept them: scripts/instructions.sh --accept" >&2
    exit 1
fi
