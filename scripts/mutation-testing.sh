#!/usr/bin/env bash
# Mutation testing of the code that decides: cargo-mutants changes one operator, guard or function
# at a time, and a test must fail. First the mutations that a single thread can detect
# (.cargo/mutants.toml), then those that only another thread can detect, under loom's models
# (.cargo/mutants-models.toml). A missed mutation is a failure. A mutation that makes a loop endless
# runs into the time limit and counts as caught.
#
# Takes more than an hour on two cores. Arguments are passed to cargo mutants, such as `--jobs 2`.
# Installs cargo-mutants with cargo if it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v cargo-mutants >/dev/null; then
    echo "installing cargo-mutants: cargo install, for this user" >&2
    cargo install cargo-mutants --locked
fi
out=${CARGO_TARGET_DIR:-target}/mutants

# Runs the mutations of a configuration: `mutate NAME CONFIG`. The results are in
# $out/NAME/mutants.out.
mutate() {
    mkdir -p "$out/$1"
    # 0: all were caught, 2: some were missed, 3: some timed out. Any other code is an error of the tests
    # themselves.
    cargo mutants --package tollgate --config "$2" --output "$out/$1" "${@:3}" || [[ $? == [23] ]]
}

# Prints the counts of one run; fails if it caught nothing or missed a mutation.
summary() {
    local kind list=$out/$1/mutants.out
    # cargo-mutants deletes struct fields whatever the configuration says; the first run covers
    # them.
    [ "$1" != models ] || sed -i '/: delete field /d' "$list/missed.txt"
    for kind in caught missed timeout unviable; do
        printf '%s %s, ' "$(wc -l <"$list/$kind.txt")" "$kind"
    done
    echo "of the mutations under $1"
    sed 's/^/missed: /' "$list/missed.txt"
    [ -s "$list/caught.txt" ] && [ ! -s "$list/missed.txt" ]
}

mutate tests .cargo/mutants.toml "$@"
RUSTFLAGS="--cfg tollgate_model" RUST_BACKTRACE=0 mutate models .cargo/mutants-models.toml "$@"
missed=0
summary tests || missed=1
summary models || missed=1
exit $missed
