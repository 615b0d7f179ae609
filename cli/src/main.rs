//! Replays a log against rate-limit policies and shows what they would have done to it.

mod args;
mod command;
mod decisions;
mod log;
mod policy_file;
mod recording;
mod replay;
mod report;
mod sample;
mod summary;
mod tally;
mod text;

use args::{Args, Verb};
use clap::Parser as _;
use std::process::ExitCode;

/// The exit code of every error, as clap has it too.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let done = match Args::parse().verb {
        Verb::Replay(args) => command::replay(args),
        Verb::Sample(args) => command::sample(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tollgate: {error}");
            ExitCode::from(FAILED)
        }
    }
}
