#!/usr/bin/env bash
# Fuzzes the targets of fuzz/ under the address sanitizer, with overflow checks and debug
# assertions:
#
#   scripts/fuzz.sh [--keep] [SECONDS] [TARGET...]
#
# Each target starts from its committed corpus and runs for SECONDS (default: 10). Fails if a target
# crashes or makes too few executions, or if libFuzzer does not find the planted fault. A crashing
# input is stored in fuzz/artifacts/TARGET; `cargo run -p tollgate-fuzz --bin TARGET -- FILE` runs it again.
#
# --keep  adds the new inputs to the corpus, and minimizes it
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

keep=
[ "${1:-}" != --keep ] || { keep=yes && shift; }
seconds=${1:-10}
[ $# -eq 0 ] || shift
targets=("$@")
[ $# -gt 0 ] || targets=(http_fields limiter_calls log_lines policy_file)

# Minimum executions a second, low enough for the slowest machine.
min_per_second=20
planted_seconds=60
# Maximum length of an input in bytes, and maximum number of inputs in a corpus. Both are below the
# limits that the tests of the corpus check (fuzz/src/corpus.rs).
max_length=2048
max_inputs=150

bash scripts/install-tools.sh g++
host=$(rustc -vV | sed -n 's/^host: //p')
# The flags of cargo-fuzz: coverage counters, compared values, and the sanitizer. RUSTC_BOOTSTRAP
# enables the unstable ones on the stable toolchain.
flags=(--cfg fuzzing -Zsanitizer=address -Ccodegen-units=1 -Cpasses=sancov-module)
for option in sanitizer-coverage-level=4 sanitizer-coverage-inline-8bit-counters \
    sanitizer-coverage-pc-table sanitizer-coverage-trace-compares \
    simplifycfg-branch-fold-threshold=0; do
    flags+=("-Cllvm-args=-$option")
done
build=${CARGO_TARGET_DIR:-$root/target}/fuzz
RUSTC_BOOTSTRAP=1 RUSTFLAGS="${flags[*]}" cargo build --quiet --package tollgate-fuzz --bins \
    --profile fuzz --target "$host" --target-dir "$build"
bin=$build/$host/fuzz

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Check the detection of crashes: the planted fault must be found from an empty corpus.
mkdir "$work/planted"
if "$bin/planted" -max_total_time=$planted_seconds -artifact_prefix="$work/" "$work/planted" \
    >"$work/planted.log" 2>&1; then
    echo "the planted fault was not found in $planted_seconds seconds" >&2
    exit 1
fi
if ! grep -q 'the planted fault' "$work/planted.log"; then
    tail -n 20 "$work/planted.log" >&2
    echo 'the run failed, but not with the planted fault' >&2
    exit 1
fi
echo 'the planted fault was found'

# Prints a number from libFuzzer's final statistics.
statistic() {
    sed -n "s/^stat::$1: *\([0-9]*\)$/\1/p" "$log"
}

# Merges the new inputs into the corpus and minimizes it: the fewest and shortest inputs that cover
# every edge. libFuzzer writes the inputs with the most coverage first; only the first $max_inputs are kept.
keep_best() {
    local target=$1 found=$2 kept=fuzz/corpus/$1 best
    mkdir "$work/$target.best"
    "$bin/$target" -set_cover_merge=1 -use_counters=0 -max_len=$max_length "$work/$target.best" \
        "$kept" "$found" >"$log" 2>&1
    mapfile -t best < <(ls -tr "$work/$target.best" | head -n $max_inputs)
    [ ${#best[@]} -gt 0 ]
    rm -f "$kept"/*
    for name in "${best[@]}"; do
        cp "$work/$target.best/$name" "$kept/"
    done
}

for target in "${targets[@]}"; do
    found=$work/$target.found
    log=$work/$target.log
    mkdir -p "$found" "fuzz/artifacts/$target"
    if ! "$bin/$target" -max_total_time="$seconds" -max_len=$max_length -timeout=10 \
        -print_final_stats=1 -artifact_prefix="fuzz/artifacts/$target/" \
        "$found" "fuzz/corpus/$target" >"$log" 2>&1; then
        grep -vE '^#[0-9]' "$log" | tail -n 80 >&2
        echo "$target crashed" >&2
        exit 1
    fi
    executions=$(statistic number_of_executed_units)
    coverage=$(sed -n 's/^#[0-9]*.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    found_count=$(find "$found" -type f | wc -l)
    printf '%-14s %10d executions  %7d a second  %6d edges  %5d found\n' "$target" "$executions" \
        "$(statistic average_exec_per_sec)" "$coverage" "$found_count"
    if ! [ "${executions:-0}" -ge $((seconds * min_per_second)) ]; then
        echo "$target made too few executions: ${executions:-none} in $seconds seconds" >&2
        exit 1
    fi
    [ -z "$keep" ] || keep_best "$target" "$found"
done
