#!/usr/bin/env bash
# Runs the C programs of ffi/tests/c and the C++ tests of ffi/tests/cpp under memory and thread
# checkers: valgrind on the release library, then the address and the thread sanitizer on libraries
# built for them. Each tool must first report planted faults that happen inside the library.
#
# Also makes ten million random calls of the whole ABI, natively and under the address sanitizer, and
# fewer under valgrind and the thread sanitizer. TOLLGATE_CALLS replaces the ten million, and
# TOLLGATE_SEED repeats a run.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-tools.sh gcc g++ valgrind

host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}
export TOLLGATE_SEED=${TOLLGATE_SEED:-$(date +%s)}
calls=${TOLLGATE_CALLS:-10000000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Allocation functions that starved.c wraps for the library alone: a limit on the whole process
# would starve the tools as well.
wrapped=(malloc calloc realloc posix_memalign mmap64 pthread_create)

# Compiles these sources for the current tool, links them with the current library, and prints the
# path of the program.
program() {
    local out source compiler objects=()
    for source in "$@"; do
        compiler=(gcc -std=c11 -D_XOPEN_SOURCE=700 -DTOLLGATE_TEST_PANIC -DSTARVED_BY_HAND)
        [[ $source != *.cpp ]] || compiler=(g++ -std=c++17)
        out=$work/$tool-$(basename "${source%.*}")
        "${compiler[@]}" -g -O2 "${instrument[@]}" -Iinclude -c -o "$out.o" "$source" || return 1
        objects+=("$out.o")
    done
    [[ $1 != */starved.c ]] || objects+=("${wrapped[@]/#/-Wl,--wrap=}")
    "${compiler[0]}" -o "$out" "${objects[@]}" "$library" "${runtime[@]}" -lm -lpthread -ldl ||
        return 1
    echo "$out"
}

# Fails unless the tool reports the planted fault with these words and the function it happens in:
# `must_report FAULT WORDS PROGRAM`.
must_report() {
    local log=$work/log
    if "${checker[@]}" "$3" "$1" >"$log" 2>&1 || ! grep -q "$2" "$log" ||
        ! grep -q 'tollgate_check_key\|tollgate_new' "$log"; then
        cat "$log"
        echo "$tool did not report a planted $1" >&2
        return 1
    fi
    echo "$tool: planted $1: reported, as required"
}

# A forked child leaks the memory of threads that it does not have; all other errors are reported.
leaks() {
    [ "$tool" != valgrind ] || [ "$1" != fork ] || echo --leak-check=no
}

# Runs the program of these sources under the current tool, and prints the number of its checks:
# `run_program NAME SOURCE...`.
run_program() {
    local name=$1 program result
    shift
    program=$(program "$@")
    if ! "${checker[@]}" $(leaks "$name") "$program" >"$work/log" 2>&1 ||
        ! result=$(grep -E '^[1-9][0-9]* (checks|tests, 0 failures)$' "$work/log"); then
        cat "$work/log"
        echo "$name failed under $tool" >&2
        return 1
    fi
    echo "$tool: $name: $result"
}

# Runs every C program, and the C++ tests as one program.
all_programs() {
    local source cpp started=$SECONDS
    for source in ffi/tests/c/*.c; do
        run_program "$(basename "$source" .c)" "$source"
    done
    # Without `no_alloc`, which replaces the same allocation functions as the tools.
    mapfile -t cpp < <(find ffi/tests/cpp -name '*.cpp' ! -name no_alloc.cpp | sort)
    run_program C++ "${cpp[@]}"
    echo "$tool: $((SECONDS - started)) s"
}

# A target folder of its own: only this build has the function that panics.
tool=valgrind instrument=() runtime=() checker=()
CARGO_TARGET_DIR=$target/ffi-plain \
    cargo build --quiet --release --package tollgate-ffi --features test-panic
library=$target/ffi-plain/release/libtollgate.a

started=$SECONDS
fuzz=$(program ffi/tests/c/fuzz.c)
TOLLGATE_CALLS=$calls "$fuzz"
echo "fuzz, plain: $((SECONDS - started)) s"

# Possible leaks are not errors: crossbeam-epoch keeps only a tagged pointer to the record of an ended
# thread, which valgrind reports as a possible leak.
checker=(valgrind --quiet --fair-sched=yes --leak-check=full --error-exitcode=99
    --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect)
fault=$(program ffi/tests/c/planted/fault.c)
must_report over-read 'Invalid read' "$fault"
must_report leak 'definitely lost' "$fault"
TOLLGATE_CALLS=100000 all_programs
checker=()

# Builds the static library for a sanitizer. Stable Rust needs RUSTC_BOOTSTRAP for that; --target
# keeps the flags away from build scripts. Rust's standard library is not instrumented.
sanitized() {
    local flags="-Zsanitizer=$1 -Zexternal-clangrt $2 --cfg crossbeam_sanitize"
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_TARGET_DIR=$target/ffi-$1 \
        cargo build --quiet --release --package tollgate-ffi --features test-panic --target "$host"
    library=$target/ffi-$1/$host/release/libtollgate.a
    tool=$1 instrument=("-fsanitize=$1")
}

# Checks that the library itself, not only the C program, calls this function of the sanitizer.
instrumented() {
    local uses
    uses=$(nm "$library" 2>/dev/null | grep -c " U $1\$" || true)
    echo "$tool: $uses objects of the library call $1"
    [ "$uses" -gt 0 ]
}

sanitized address ""
runtime=(-fsanitize=address)
instrumented __asan_report_load8
fault=$(program ffi/tests/c/planted/fault.c)
must_report over-read 'AddressSanitizer: heap-buffer-overflow' "$fault"
must_report leak 'LeakSanitizer: detected memory leaks' "$fault"
TOLLGATE_CALLS=$calls all_programs

sanitized thread "-Cunsafe-allow-abi-mismatch=sanitizer"
# rustc's runtime: gcc's is too old for rustc's instrumentation.
runtime=(-Wl,--whole-archive "$(rustc --print target-libdir)/librustc-stable_rt.tsan.a"
    -Wl,--no-whole-archive)
instrumented __tsan_write8
# Known false reports. An `Arc` is freed after a fence, which this sanitizer does not model. std is
# not instrumented, so the sanitizer does not see that another thread initialized a `OnceLock`. This
# concerns crossbeam-epoch's collector and the queue inside it.
printf 'race:%s\n' alloc::sync::Arc 'crossbeam_epoch::collector::Collector>::register' \
    'crossbeam_epoch::internal::Global>::new' >"$work/known"
export TSAN_OPTIONS=suppressions=$work/known
fault=$(program ffi/tests/c/planted/fault.c)
must_report race 'ThreadSanitizer: data race' "$fault"
TOLLGATE_CALLS=1000000 all_programs
