#!/usr/bin/env bash
# Runs all tests: unit, integration and documentation tests, two examples, the loom models and
# the random schedules. Key ids are tested with both hashers, if the processor has AES. Fails if any test
# program runs no test.
#
# Needs Rust and a C compiler. cargo downloads dependencies; apt-get installs g++ if it is missing.
#
# --long  also runs six tests at full size: `churn` (a hundred million decisions), `flood` (fifty
#         million new keys, fifty times the bound), `memory` (ten million live keys), `known_keys` (ten million
#         requests of each thread), `stopped_threads` (ten thousand stops), and `contention` (a billion
#         decisions on real clocks). They take twelve more minutes. The models explore more as well
#         (scripts/models.sh).
set -euo pipefail
cd "$(dirname "$0")/.."

# Runs cargo test with these arguments; fails if any test program ran no test.
suite() {
    local log
    log=$(mktemp)
    cargo test "$@" 2>&1 | tee "$log"
    if grep -qE '^running 0 tests$' "$log"; then
        echo "a test program of 'cargo test $*' ran no test" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

bash scripts/install-tools.sh g++
suite --workspace --exclude tollgate-criterion --lib --bins --tests
suite --package tollgate --doc
suite --package tollgate-policy-file --doc
cargo run --quiet --example embed
cargo run --quiet --package tollgate-policy-file --example llm_server

# Without vector instructions. The suites above use them where the processor has AVX2.
grep -qw avx2 /proc/cpuinfo 2>/dev/null || echo "not tested: sums in vector instructions: the processor has no AVX2"
suite --package tollgate --no-default-features --lib --test state_machine --test exact_decisions \
    --test bucketed --test vectors

# The other key hasher: ahash uses AES if the target has it, and the default target does not.
if rustc --print cfg -C target-cpu=native | grep -q 'target_feature="aes"'; then
    RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+aes" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/aes" \
        suite --package tollgate --lib engine::
else
    echo "skipped: key ids with the AES hasher: the processor has no AES"
fi

if [ "${1:-}" = --long ]; then
    TOLLGATE_FULL=1 suite --release --package tollgate --test churn --test flood --test memory \
        --test known_keys --test stopped_threads -- --nocapture
    # Optimised, but with the debug assertions that count failed compare-exchanges.
    CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/asserted" \
        TOLLGATE_FULL=1 suite --release --package tollgate --test contention -- --nocapture
fi

bash scripts/models.sh "$@"
