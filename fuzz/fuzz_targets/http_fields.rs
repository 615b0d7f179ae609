//! The program of the fuzz target [`tollgate_fuzz::http_fields`].
#![cfg_attr(fuzzing, no_main)]

tollgate_fuzz::target!(http_fields);
