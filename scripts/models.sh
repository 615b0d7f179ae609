#!/usr/bin/env bash
# Checks the concurrent code in three ways:
#
# 1. loom models: every interleaving and every memory ordering, up to a bound on preemptions;
# 2. random schedules (shuttle) of the whole limiter, whose histories must be linearizable with
#    respect to the oracle;
# 3. tests on real threads, each of which must fail with the mutants that tests/mutants.txt names.
#
# Every mutant removes one step or weakens one ordering of the protocol. The table at the end lists
# which models, schedules and tests caught each one; a mutant that nothing caught is a failure.
#
# --long  explores one more preemption in each model, and ten times the schedules
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --long ]; then
    export TOLLGATE_LOOM_MORE=1 TOLLGATE_SCHEDULES=10
fi
target=${CARGO_TARGET_DIR:-target}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Runs the tests that match a filter under these flags; fails if none ran.
checker() {
    local name=$1 flags=$2 filter=$3
    RUSTFLAGS="$flags" RUST_BACKTRACE=0 CARGO_TARGET_DIR="$target/$name" \
        cargo test --profile loom --package tollgate --lib "$filter" -- --nocapture 2>&1 |
        tee -a "$log"
    if tail -n 20 "$log" | grep -q '^running 0 tests$'; then
        echo "$name ran no test" >&2
        return 1
    fi
}

# Each has its own target folder, since the flags apply to every dependency.
checker loom "--cfg tollgate_model" models::
checker shuttle "--cfg tollgate_model --cfg tollgate_shuttle" schedules::

# Runs one test of a build with mutants: `thread_test lib|TARGET NAME`.
thread_test() {
    local kind=(--test "$1")
    [ "$1" != lib ] || kind=(--lib)
    RUSTC_WORKSPACE_WRAPPER="$PWD/scripts/with-mutants.sh" RUST_BACKTRACE=0 \
        timeout 120 cargo test --quiet --package tollgate "${kind[@]}" -- --exact "$2" 2>&1 </dev/null
}

# Each test must pass without a mutant, and fail with each mutant that it is listed for.
caught=0
while read -r mutant kind name; do
    [[ $mutant =~ ^[A-Z] ]] || continue
    if ! grep -qx "$kind $name" <<<"${whole:-}"; then
        out=$(thread_test "$kind" "$name") && grep -q '^test result: ok. 1 passed' <<<"$out" || {
            printf '%s\n%s does not pass without a mutant\n' "$out" "$name" >&2
            exit 1
        }
        whole+=$'\n'"$kind $name"
    fi
    if out=$(TOLLGATE_MUTANT=$mutant thread_test "$kind" "$name") ||
        ! grep -q '^test result: FAILED' <<<"$out"; then
        printf '%s\n%s does not fail with %s\n' "$out" "$name" "$mutant" >&2
        exit 1
    fi
    echo "tests $kind $name: $mutant caught" | tee -a "$log"
    caught=$((caught + 1))
done <tests/mutants.txt
[ $caught -gt 0 ]

awk '
    /^twin / { name = $2; sub(/:$/, "", name); mutants[++n] = name; sub(/^twin [^:]*: */, ""); what[name] = $0 }
    /^model .* caught$/ { where = $0; sub(/^model /, "", where); sub(/: [A-Za-z]+ caught$/, "", where); by[$(NF - 1)] = by[$(NF - 1)] "; " where }
    /^tests .* caught$/ { where = $2 " " $3; sub(/:$/, "", where); by[$(NF - 1)] = by[$(NF - 1)] "; " where }
    /^schedules .* after [0-9]+$/ && !/: holds in / {
        split($0, part, ": "); name = part[2]; sub(/,.*/, "", name)
        where = part[1]; if (part[3] !~ /NOT CAUGHT/) by[name] = by[name] "; " where
    }
    END {
        printf "\n%-20s %-84s %s\n", "mutant", "change", "caught by"
        for (i = 1; i <= n; i++) {
            name = mutants[i]
            if (!(name in by)) missed++
            printf "%-20s %-84s %s\n", name, what[name], name in by ? substr(by[name], 3) : "NOT CAUGHT"
        }
        printf "%d of %d mutants are caught\n", n - missed, n
        exit missed > 0 || n == 0
    }
' "$log"
