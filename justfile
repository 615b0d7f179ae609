# Recipes over scripts/*.sh and cargo; `just --list` shows them. `just` is a convenience only: nothing
# in this repository requires it, and each recipe is one line that runs as well without it.

# List the recipes
default:
    @just --list

# Run all tests and models, as the README does; installs g++ if missing (--long: full size)
test *args:
    bash scripts/test.sh {{args}}

# Check the concurrent code: loom models, random schedules, mutants (--long: explore more)
models *args:
    bash scripts/models.sh {{args}}

# Run the random schedules of the whole limiter alone
schedules *args:
    RUSTFLAGS="--cfg tollgate_model --cfg tollgate_shuttle" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/shuttle" cargo test --profile loom --package tollgate --lib schedules:: -- --nocapture {{args}}

# Mutation testing with cargo-mutants, more than an hour; installs cargo-mutants if missing
mutants *args:
    bash scripts/mutation-testing.sh {{args}}

# Fuzz all targets ([--keep] [SECONDS] [TARGET...])
fuzz *args:
    bash scripts/fuzz.sh {{args}}

# Run the criterion benchmarks
bench *args:
    cargo bench {{args}}

# Compare with other limiters, 9 minutes (--quick: 1 minute)
compare *args:
    cargo run --release --package tollgate-peers --bin decisions -- {{args}}

# Count the instructions of one decision (--accept: write the counts; --time: nanoseconds)
instructions *args:
    bash scripts/instructions.sh {{args}}

# Run the tests under the address and thread sanitizers and valgrind (--long: longer)
sanitizers *args:
    bash scripts/sanitizers.sh {{args}}

# Run the C and C++ tests under the sanitizers and valgrind, and fuzz the C ABI
ffi:
    bash scripts/ffi.sh

# Check the installed C library with pkg-config and CMake
install-check:
    bash scripts/install-check.sh

# Test the example servers over real connections
servers:
    bash scripts/servers.sh

# Run everything that must pass before a change lands
ci:
    bash .ci/run

# Build the documentation; warnings are errors
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Format all Rust code
fmt:
    cargo fmt --all

# Check formatting and run clippy; warnings are errors
lint:
    cargo fmt --all --check && cargo clippy --workspace --all-targets -- -D warnings
