//! Hostile input for everything that takes some: what each target does with the engine's bytes.
//!
//! `scripts/fuzz.sh` runs the targets of `fuzz_targets/` under libFuzzer. Without it they are programs
//! that take files, such as one that crashed: `cargo run -p tollgate-fuzz --bin limiter_calls --
//! FILE`; and `cargo test` passes them every file of `corpus/`, which is what was worth keeping of
//! long runs.
//!
//! A target is a module here with a function `run`, which panics where a law does not hold, a list
//! `WANTED` of what its kept inputs reach between them, and a file of one line in `fuzz_targets/`.

#![allow(missing_docs, reason = "public for the targets alone")]

mod fields;
pub mod http_fields;
pub mod kept;
pub mod limiter_calls;
pub mod log_lines;
pub mod policy_file;

use std::collections::BTreeSet;

/// What an input has led to, by name.
pub type Reached = BTreeSet<&'static str>;

/// The program of a target: for the engine, for files, and for the tests.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            $crate::$name::run(data);
        });

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::kept::main(stringify!($name), $crate::$name::run)
        }

        #[cfg(test)]
        #[test]
        fn the_kept_inputs_pass_and_reach_what_is_wanted() {
            let wanted = &$crate::$name::WANTED;
            $crate::kept::test(stringify!($name), $crate::$name::run, wanted);
        }
    };
}
