#!/usr/bin/env bash
# Runs the multi-threaded tests under the address sanitizer (with leak detection). Also runs a plain
# program that uses every operation, under the address sanitizer, the thread sanitizer and valgrind.
# Each tool must first report the faults that are planted for it.
#
# None of them detects a memory ordering that is too weak but that the hardware strengthens; loom's
# models do. helgrind and drd do not support atomics.
#
# --long  runs longer
set -euo pipefail
cd "$(dirname "$0")/.."

turns=50000
[ "${1:-}" != --long ] || turns=1000000
host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}

# Runs cargo test in a build for this sanitizer: `sanitized SANITIZER FLAGS ARGUMENTS...`. Stable
# Rust needs RUSTC_BOOTSTRAP for that; --target keeps the flags away from build scripts.
# crossbeam_sanitize makes the garbage bags of crossbeam-epoch small.
sanitized() {
    local sanitizer=$1 flags=$2
    shift 2
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=$sanitizer $flags --cfg crossbeam_sanitize" \
        CARGO_TARGET_DIR="$target/$sanitizer" \
        cargo test --quiet --target "$host" --package tollgate "$@"
}
address() { sanitized address "" "$@"; }
# Needs no suppressions: the compiled code of std is not instrumented, but while threads run, the program
# does not synchronize through it.
thread() { sanitized thread "-Cunsafe-allow-abi-mismatch=sanitizer" --test all_operations; }

# Fails unless the tool reports the planted fault with these words and the function it happens in:
# `must_report FAULT WORDS COMMAND...`.
must_report() {
    local fault=$1 words=$2 log
    shift 2
    log=$(mktemp)
    if TOLLGATE_FAULT=$fault TOLLGATE_TURNS=2000 "$@" >"$log" 2>&1 ||
        ! grep -q "$words" "$log" || ! grep -q "planted_${fault//-/_}" "$log"; then
        cat "$log"
        echo "'$*' did not report a planted $fault" >&2
        return 1
    fi
    rm -f "$log"
    echo "$fault: reported, as required"
}

must_report use-after-free "AddressSanitizer: heap-use-after-free" address --test all_operations
must_report leak "LeakSanitizer: detected memory leaks" address --test all_operations
suites=(threads churn reservations eviction table multi_policy contention)
log=$(mktemp)
TOLLGATE_TURNS=$turns address --test all_operations "${suites[@]/#/--test=}" | tee "$log"
[ "$(grep -c '^test result: ok. [1-9]' "$log")" = ${#suites[@]} ]
rm -f "$log"
[ "${1:-}" != --long ] || TOLLGATE_FULL=1 address --test churn

must_report race "ThreadSanitizer: data race" thread
TOLLGATE_TURNS=$turns thread

scripts/install-tools.sh valgrind
# Fair scheduling: otherwise one thread runs for so long that the others hardly overlap with it.
valgrind="valgrind --quiet --fair-sched=yes --leak-check=full
    --errors-for-leak-kinds=definite,indirect,possible --error-exitcode=99"
runner=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$host")_RUNNER
under_valgrind() {
    env "$runner=${valgrind//$'\n'/}" cargo test --quiet --package tollgate --test all_operations
}
must_report use-after-free "Invalid read of size 8" under_valgrind
must_report leak "definitely lost" under_valgrind
TOLLGATE_TURNS=$((turns / 10)) under_valgrind
