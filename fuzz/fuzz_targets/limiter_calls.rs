//! The program of the fuzz target [`tollgate_fuzz::limiter_calls`].
#![cfg_attr(fuzzing, no_main)]

tollgate_fuzz::target!(limiter_calls);
