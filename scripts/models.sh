#!/usr/bin/env bash
# Checks the concurrent code:
# - loom models: every interleaving and every ordering, up to a bound on preemptions;
# - random schedules of the whole limiter, compared with an oracle by a linearizability checker;
# - the tests on real threads, with each mutant that they must catch (tests/mutants.txt).
# Then prints a table of all mutants. Each mutant removes one step or one ordering of the protocol,
# and at least one check must catch it. Fails if a mutant is not caught.
# --long explores one more preemption in each model and ten times the schedules.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --long ]; then
    export TOLLGATE_LOOM_MORE=1 TOLLGATE_SCHEDULES=10
fi
target=${CARGO_TARGET_DIR:-target}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Runs the tests with these flags. A run without a test is a failure.
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

# Each checker has its own target folder, because the flags apply to every dependency.
checker loom "--cfg tollgate_model" models::
checker shuttle "--cfg tollgate_model --cfg tollgate_shuttle" schedules::

# Runs one test on real threads in a build with mutants: `thread_test lib|TARGET NAME`.
thread_test() {
    local kind=(--test "$1")
    [ "$1" != lib ] || kind=(--lib)
    RUSTC_WORKSPACE_WRAPPER="$PWD/scripts/with-mutants.sh" RUST_BACKTRACE=0 \
        timeout 120 cargo test --quiet --package tollgate "${kind[@]}" -- --exact "$2" 2>&1 </dev/null
}

# Each test must pass without a mutant, and fail with each mutant that it is listed with.
caught=0
while read -r mutant kind name; do
    [[ $mutant =~ ^[A-Z] ]] || continue
    if ! grep -qx "$kind $name" <<<"${passed:-}"; then
        out=$(thread_test "$kind" "$name") && grep -q '^test result: ok. 1 passed' <<<"$out" || {
            printf '%s\n%s does not pass without a mutant\n' "$out" "$name" >&2
            exit 1
        }
        passed+=$'\n'"$kind $name"
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
    /^mutant / { name = $2; sub(/:$/, "", name); names[++n] = name; sub(/^mutant [^:]*: */, ""); does[name] = $0 }
    /^model .* caught$/ { where = $0; sub(/^model /, "", where); sub(/: [A-Za-z]+ caught$/, "", where); by[$(NF - 1)] = by[$(NF - 1)] "; " where }
    /^tests .* caught$/ { where = $2 " " $3; sub(/:$/, "", where); by[$(NF - 1)] = by[$(NF - 1)] "; " where }
    /^schedules .* after [0-9]+$/ && !/: holds in / {
        split($0, part, ": "); name = part[2]; sub(/,.*/, "", name)
        where = part[1]; if (part[3] !~ /NOT CAUGHT/) by[name] = by[name] "; " where
    }
    END {
        printf "\n%-24s %-89s %s\n", "mutant", "defect", "caught by"
        for (i = 1; i <= n; i++) {
            name = names[i]
            if (!(name in by)) missed++
            printf "%-24s %-89s %s\n", name, does[name], name in by ? substr(by[name], 3) : "NOBODY"
        }
        printf "%d of %d mutants are caught\n", n - missed, n
        exit missed > 0 || n == 0
    }
' "$log"
