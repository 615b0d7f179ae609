//! The C ABI of tollgate: every operation of the Rust API as a plain function over integers and
//! structs.
//!
//! The documentation of each function here is its contract. cbindgen copies it to
//! `include/tollgate.h`. The rules that hold for all functions are in that header's introduction
//! (`ffi/cbindgen.toml`).
//!
//! Every call has the same steps: [`guard`] catches panics, [`argument`] checks pointers,
//! [`handle`] checks handles, then the limiter decides.
#![allow(non_camel_case_types, reason = "these are C's names")]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "the contract of the call covers all its pointers"
)]

// cbindgen writes the header in the order of these modules, which is the order of use. The blank
// lines keep rustfmt from sorting them.

pub mod config;

pub mod policy_file;

pub mod limiter;

pub mod error;

pub mod key;

pub mod charge;

pub mod decision;

pub mod request;

pub mod reservation;

pub mod refund;

pub mod session;

pub mod policy;

pub mod http;

pub mod clock;

pub mod stats;

pub mod price;

pub mod status;

pub mod version;

pub mod guard;

mod argument;
mod failure;
mod handle;
mod sockaddr;

#[cfg(all(test, target_pointer_width = "64"))]
mod abi;
#[cfg(test)]
mod header;
