//! The modules of the `tollgate` command line tool.
//!
//! Public only for the binary and its tests. This is not a stable API.

#![allow(
    missing_docs,
    missing_debug_implementations,
    clippy::len_without_is_empty,
    reason = "public only for the tool and its tests"
)]

mod address;
pub mod args;
mod check;
pub mod command;
pub mod decisions;
pub mod log;
mod notes;
pub mod recording;
pub mod replay;
pub mod report;
pub mod sample;
pub mod summary;
pub mod tally;
mod text;
mod value;
