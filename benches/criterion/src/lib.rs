//! An empty library: the package contains only benchmarks.
//!
//! `cargo bench`, `cargo bench --bench near`, `cargo bench -- 'hot/1 text key/session'`
