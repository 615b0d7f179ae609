#!/usr/bin/env bash
# Checks the concurrent code:
# - loom models: every interleaving and every ordering, up to a bound on preemptions;
# - random schedules of the whole limiter, compared with an oracle by a linearizability checker.
# They must hold in the clean tree. Then every mutant must be caught, in the mutated tree
# (scripts/mutated-tree.sh). Each mutant removes one step of the protocol, or weakens one ordering
# (src/verify/mutants/README.md). Exactly the models, the schedules and the tests on real threads that
# its patch names must catch it. A mutant of an ordering has no patch: any check may catch it.
#
# Prints a table of all mutants at the end. Fails if a mutant is caught by no check, or by other checks
# than its patch names. Then compares the run with docs/checks.md: the checks and mutants must
# be the same, and each model and schedule must have between half and twice the executions listed there.
#
# --accept  writes docs/checks.md
# --long    explores one more preemption in each model and ten times the schedules, and compares
#           nothing with docs/checks.md
set -euo pipefail
# Sort lines in the same order on every machine.
export LC_ALL=C
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

# Runs tests with these flags: `checker TREE NAME FLAGS FILTER LINE`. Fails if no test runs, or if no
# line about a model or schedule ends with LINE.
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
mv "$work/log" "$work/held"
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

# Writes docs/checks.md from the logs of this run.
{
    cat <<'TEXT'
# What the models and schedules explored

`scripts/models.sh --accept` writes this page from its run. Every other run compares itself with it.
[guarantees.md](guarantees.md) says what each letter means, and
[the mutants' README](../src/verify/mutants/README.md) what a mutant is.

## Loom models

Every interleaving and every memory ordering, up to a bound on preemptions. No mutant needs a higher bound
than its model runs with. If a row has two numbers, they are for the two orders of the model's threads.

| guarantee | model | executions |
|---|---|--:|
TEXT
    # The documentation of a test names the guarantees of the models in it.
    awk '
        match($0, /^\/\/\/ Guarantees? [A-H][A-H, and]*:/) {
            letter = substr($0, RSTART, RLENGTH - 1)
            sub(/^\/\/\/ Guarantees? /, "", letter)
            sub(/ and /, ", ", letter)
        }
        {
            rest = $0
            while (match(rest, /"[a-z_]+(, [a-z ]+)?"/)) {
                print substr(rest, RSTART + 1, RLENGTH - 2) "\t" letter
                rest = substr(rest, RSTART + RLENGTH)
            }
        }
    ' src/verify/models/*.rs >"$work/letters"
    sed -nE 's/^(test .* \.\.\. )?model (.*): holds in ([0-9]+) executions.*/\2\t\3/p' "$work/held" |
        sort -t "$(printf '\t')" -k1,1 -k2,2n |
        awk -F '\t' '
            FILENAME ~ /letters$/ { letter[$1] = $2; next }
            $1 != last && last != "" { print "| " letter[last] " | `" last "` | " all " |" }
            { all = $1 == last ? all ", " $2 : $2; last = $1 }
            END { print "| " letter[last] " | `" last "` | " all " |" }
        ' "$work/letters" -
    cat <<'TEXT'

## Random schedules of the whole limiter

Guarantees A, C, D, F and G: each execution is compared with an oracle by a linearizability checker. Each
schedule runs under two schedulers: one is random, the other gives the threads random priorities.

| schedule | executions |
|---|--:|
TEXT
    sed -nE 's/^(test .* \.\.\. )?schedules (.*): holds in ([0-9]+) executions.*/| `\2` | \3 |/p' "$work/held" |
        sort -u
    cat <<'TEXT'

## Mutants

| mutant | defect | caught by |
|---|---|---|
TEXT
    sort -u "$work/caught" | awk -F '\t' '
        FILENAME ~ /mutants$/ { does[$1] = $2; next }
        { by[$1] = by[$1] ", `" $2 "`" }
        END { for (name in by) print "| `" name "` | " does[name] " | " substr(by[name], 3) " |" }
    ' "$work/mutants" - | sort
} >"$work/checks.md"

# Compares the page of this run with docs/checks.md. The lines must be the same, without the numbers of
# executions, which may differ by a factor of up to two.
compare_checks() {
    awk '
        # Returns a line without the executions of a model or schedule, and keeps these in `counts`.
        function stripped(line) {
            counts = ""
            if (match(line, / [0-9]+(, [0-9]+)* \|$/)) {
                counts = substr(line, RSTART + 1, RLENGTH - 3)
                line = substr(line, 1, RSTART)
            }
            return line
        }
        FNR == NR { line = stripped($0); expected[line] = counts; next }
        { line = stripped($0) }
        !(line in expected) { print "not in docs/checks.md: " $0; failed = 1; next }
        {
            n = split(counts, now, ", ")
            same = n == split(expected[line], before, ", ")
            for (i = 1; i <= n; i++) if (now[i] > 2 * before[i] || 2 * now[i] < before[i]) same = 0
            if (!same) { print "executions were " expected[line] ", now " counts ": " line; failed = 1 }
            found[line]
        }
        END {
            for (line in expected) if (!(line in found)) { print "only in docs/checks.md: " line; failed = 1 }
            exit failed
        }
    ' "$1" "$2"
}

# Check the comparison itself: it must reject a changed count, a missing line and a new one.
for edit in 's/ | `known` | [0-9]* |/ | `known` | 1000000 |/' '/`LostOneAdmitted`/d' '$a| new |'; do
    sed "$edit" "$work/checks.md" >"$work/edited.md"
    if compare_checks "$work/checks.md" "$work/edited.md" >/dev/null; then
        echo "the comparison with docs/checks.md lets '$edit' pass" >&2
        exit 1
    fi
done

case ${1:-} in
    --long) ;;
    --accept) cp "$work/checks.md" docs/checks.md ;;
    *)
        compare_checks docs/checks.md "$work/checks.md" || {
            echo "to accept this: scripts/models.sh --accept" >&2
            exit 1
        }
        ;;
esac
