#!/usr/bin/env bash
# Checks the concurrent code:
# - loom models: every interleaving and every ordering, up to a bound on preemptions;
# - random schedules of the whole limiter, compared with an oracle by a linearizability checker.
# They must hold in the clean tree. Then every mutant must be caught, in the mutated tree
# (scripts/mutated-tree.sh), by the models, the schedules and the tests on real threads that its
# patch names. Each mutant removes one step or one ordering of the protocol
# (src/verify/mutants/README.md).
#
# Prints a table of all mutants at the end. Fails if no check catches a mutant, or if other checks catch it than
# its patch names.
# --long explores one more preemption in each model and ten times the schedules.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --long ]; then
    export TOLLGATE_LOOM_MORE=1 TOLLGATE_SCHEDULES=10
fi
unset TOLLGATE_MUTANT
mkdir -p "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
mutated=$target/mutated
wrapper=$PWD/scripts/with-mutants.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bash scripts/mutated-tree.sh "$mutated"

# Lists the mutants (name, tab, description) and what their patches name (name, tab, check).
for patch in src/verify/mutants/*.patch; do
    name=$(basename "$patch" .patch)
    sed '/^--- a\//,$d' "$patch" >"$work/header"
    printf '%s\t%s\n' "$name" "$(head -n 1 "$work/header")" >>"$work/mutants"
    grep -qx 'Caught by:' "$work/header" && grep -q '^- ' "$work/header" || {
        echo "the header of $patch names no check" >&2
        exit 1
    }
    sed -n "s/^- /$name\t/p" "$work/header" >>"$work/named"
done
sed -nE 's/^ *(\w+): \w+, or relaxed with (\w+);$/\2\tOrdering: \1 is relaxed./p' src/sync/order.rs >"$work/orderings"
[ -s "$work/orderings" ]
cat "$work/orderings" >>"$work/mutants"

# Runs tests with these flags: `checker TREE NAME FLAGS FILTER LINE`. Fails without a test, and
# without a line of output that ends with LINE.
checker() {
    local log=$work/$2.log
    echo "== $2: $1"
    (
        [ "$1" = . ] || export RUSTC_WORKSPACE_WRAPPER=$wrapper
        cd "$1"
        RUSTFLAGS="$3" RUST_BACKTRACE=0 CARGO_TARGET_DIR="$target/$2" \
            cargo test --profile loom --package tollgate --lib "$4" -- --nocapture
    ) 2>&1 | tee "$log"
    if grep -q '^running 0 tests$' "$log" || ! grep -qE "^(test .* \.\.\. )?(model|schedules) .*$5" "$log"; then
        echo "$2 ran no check in $1" >&2
        return 1
    fi
    cat "$log" >>"$work/log"
}

# Each checker has its own target folder, because the flags apply to every dependency. Both trees
# share it: the wrapper recompiles only the crates of this workspace.
loom="--cfg tollgate_model"
shuttle="--cfg tollgate_model --cfg tollgate_shuttle"
checker . loom "$loom" models:: ': holds in [0-9]+ executions'
checker . shuttle "$shuttle" schedules:: ': holds in [0-9]+ executions'
: >"$work/log"
checker "$mutated" loom "$loom" models:: ' caught$'
checker "$mutated" shuttle "$shuttle" schedules:: ' after [0-9]+$'
sed -nE 's/^(test .* \.\.\. )?(model .*): (\w+) caught$/\3\t\2/p
    /NOT CAUGHT/!s/^(test .* \.\.\. )?(schedules [^:]*): (\w+), (Random|Priorities): .* after [0-9]+$/\3\t\2/p' \
    "$work/log" >"$work/caught"

# Runs one test on real threads in the mutated tree: `thread_test lib|TARGET NAME`.
thread_test() {
    local kind=(--test "$1")
    [ "$1" != lib ] || kind=(--lib)
    (cd "$mutated" && CARGO_TARGET_DIR="$target" RUSTC_WORKSPACE_WRAPPER="$wrapper" RUST_BACKTRACE=0 \
        timeout 120 cargo test --quiet --package tollgate "${kind[@]}" -- --exact "$2" 2>&1 </dev/null)
}

# Each test must pass without a mutant, and fail with each mutant whose patch names it.
grep $'\ttest ' "$work/named" >"$work/tests"
while read -r mutant _ kind name; do
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
    echo "test $kind $name: $mutant caught"
    printf '%s\ttest %s %s\n' "$mutant" "$kind" "$name" >>"$work/caught"
done <"$work/tests"

# Compares what has caught each mutant with what its patch names. An ordering has no patch.
awk -F '\t' '
    FILENAME ~ /mutants$/ { names[++n] = $1; does[$1] = $2; next }
    FILENAME ~ /orderings$/ { is_ordering[$1]; next }
    FILENAME ~ /named$/ { named[$1, $2]; next }
    ($1, $2) in caught { next }
    { caught[$1, $2]; by[$1] = by[$1] "; " $2 }
    !($1 in does) { print $1 ", which " $2 " catches, has no patch"; failed = 1; next }
    !($1 in is_ordering) && !(($1, $2) in named) { print "the patch of " $1 " does not name: " $2; failed = 1 }
    END {
        for (pair in named) if (!(pair in caught)) {
            split(pair, part, SUBSEP)
            print part[2] " does not catch " part[1] ", though its patch names it"
            failed = 1
        }
        printf "\n%-24s %-89s %s\n", "mutant", "defect", "caught by"
        for (i = 1; i <= n; i++) {
            name = names[i]
            if (!(name in by)) missed++
            printf "%-24s %-89s %s\n", name, does[name], name in by ? substr(by[name], 3) : "NOBODY"
        }
        printf "%d of %d mutants are caught\n", n - missed, n
        exit failed || missed > 0 || n == 0
    }
' "$work/mutants" "$work/orderings" "$work/named" "$work/caught"
