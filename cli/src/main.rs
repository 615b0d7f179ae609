//! The `tollgate` command: checks a policy file, replays a log against it, or writes a sample log.

use clap::Parser as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use tollgate_cli::args::{Args, Command};
use tollgate_cli::command;

/// The exit code of every error.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() => {
            let message = error.render().to_string();
            return failed(message.strip_prefix("error: ").unwrap_or(&message).trim_end());
        }
        // `--help` or `--version`.
        Err(error) => error.exit(),
    };
    let done = match args.command {
        Command::Check(args) => command::check(&args),
        Command::Replay(args) => command::replay(args),
        Command::Sample(args) => command::sample(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(message: &str) -> ExitCode {
    // If standard error is closed, only the exit code reports the failure.
    let _ = writeln!(io::stderr(), "tollgate: {message}");
    ExitCode::from(FAILED)
}

#[cfg(test)]
mod tests {
    use super::Args;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_definition_is_valid() {
        Args::command().debug_assert();
    }
}
