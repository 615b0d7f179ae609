//! The program of the fuzz target [`tollgate_fuzz::log_lines`].
#![cfg_attr(fuzzing, no_main)]

tollgate_fuzz::target!(log_lines);
