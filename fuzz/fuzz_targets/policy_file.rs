//! The program of the fuzz target [`tollgate_fuzz::policy_file`].
#![cfg_attr(fuzzing, no_main)]

tollgate_fuzz::target!(policy_file);
