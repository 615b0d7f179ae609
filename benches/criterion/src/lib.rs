//! An empty library: the package contains only benchmarks.
//!
//! All benchmarks: `cargo bench`. One file: `cargo bench --bench near`. One benchmark:
//! `cargo bench -- 'hot/1 text key/session'`.
