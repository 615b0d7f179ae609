//! The modules of the tool, for its own binary and for those who test it; not made for others.

#![allow(
    missing_docs,
    missing_debug_implementations,
    clippy::len_without_is_empty,
    reason = "public for the tool and its tests alone"
)]

pub mod args;
pub mod command;
pub mod decisions;
pub mod log;
pub mod policy_file;
pub mod recording;
pub mod replay;
pub mod report;
pub mod sample;
pub mod summary;
pub mod tally;
mod text;
