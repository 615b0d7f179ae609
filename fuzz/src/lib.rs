//! Fuzz targets for everything that reads untrusted input.
//!
//! `scripts/fuzz.sh` runs the targets in `fuzz_targets/` under libFuzzer. In a normal build, each target
//! is a program that runs files, such as an input that crashed:
//! `cargo run -p tollgate-fuzz --bin limiter_calls -- FILE`. `cargo test` runs every file in
//! `corpus/`, which holds the useful inputs of long fuzzing runs.
//!
//! A target is a module of this crate and a one-line file in `fuzz_targets/`. The module has a
//! function `run`, which panics if a property does not hold, and a list `CASES` of the cases that
//! the corpus must reach.

#![allow(missing_docs, reason = "public only for the fuzz targets")]

pub mod corpus;
mod http_checks;
pub mod http_fields;
pub mod limiter_calls;
pub mod log_lines;
pub mod policy_file;

use std::collections::BTreeSet;

/// The names of the cases that an input reached.
pub type Reached = BTreeSet<&'static str>;

/// Defines the program of a target: the fuzzing entry point, `main` for files, and a test of the
/// corpus.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            $crate::$name::run(data);
        });

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::corpus::main(stringify!($name), $crate::$name::run)
        }

        #[cfg(test)]
        #[test]
        fn the_corpus_passes_and_reaches_every_case() {
            let cases = &$crate::$name::CASES;
            $crate::corpus::test(stringify!($name), $crate::$name::run, cases);
        }
    };
}
