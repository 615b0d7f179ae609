//! tollgate for C: every verb of the Rust API behind plain functions, integers and structs.
//!
//! The contract of each function is in its documentation here, from which `include/tollgate.h` is
//! generated. What holds for all of them is in the header's own introduction (`ffi/cbindgen.toml`).
//!
//! A call goes the same way everywhere: [`guard`] stops panics, [`argument`] checks pointers,
//! [`handle`] knows live handles from others, and then the limiter decides.
#![allow(non_camel_case_types, reason = "these are C's names")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one promise, the caller's, covers every pointer of a call"
)]

mod argument;
pub mod charge;
pub mod clock;
pub mod config;
pub mod decision;
pub mod error;
pub mod guard;
mod handle;
pub mod http;
pub mod policy;
pub mod price;
pub mod request;
pub mod reservation;
pub mod session;
pub mod stats;
pub mod status;
pub mod version;

#[cfg(all(test, target_pointer_width = "64"))]
mod abi;
#[cfg(test)]
mod header;
