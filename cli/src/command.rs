//! The commands: from input files to output files.

use crate::args;
use crate::check;
use crate::decisions::{Decisions, WriteError};
use crate::log::{self, Format, Input, LogError, Source};
use crate::recording::{RecordError, Recorder};
use crate::replay::{self, ReplayError};
use crate::report;
use crate::sample;
use crate::summary::Findings;
use crate::tally::Tally;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use tollgate::ConfigError;
use tollgate_policy_file::{PolicyFile, PolicyFileError};

/// The reason why a command failed.
#[derive(Debug)]
pub enum Failure {
    Policy(PolicyFileError),
    /// The limiter of the policies cannot be built: there is no memory for it.
    Build(ConfigError),
    Log(LogError),
    Record(RecordError),
    Replay(ReplayError<WriteError>),
    Write(WriteError),
    /// An output file that is also an input file.
    Overwrite(PathBuf),
    /// One file for both outputs.
    OneOutput(PathBuf),
    /// An option for CSV with another format.
    OptionWithoutCsv(&'static str),
    Stdout(io::Error),
}

impl Failure {
    /// Returns whether the reader of standard output has closed it.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Failure::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Policy(error) => error.fmt(f),
            Failure::Build(error) => error.fmt(f),
            Failure::Log(error) => error.fmt(f),
            Failure::Record(error) => error.fmt(f),
            Failure::Replay(error) => error.fmt(f),
            Failure::Write(error) => error.fmt(f),
            Failure::Overwrite(path) => {
                write!(f, "{}: is an input; choose another output file", path.display())
            }
            Failure::OneOutput(path) => {
                let path = path.display();
                write!(f, "{path}: is given for --decisions and for --report; choose two files")
            }
            Failure::OptionWithoutCsv(option) => {
                write!(f, "{option} applies only to CSV; remove it, or use --format csv")
            }
            Failure::Stdout(error) => write!(f, "standard output: cannot be written: {error}"),
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Failure::Log(error)
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        Failure::Record(error)
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        Failure::Write(error)
    }
}

/// Runs `tollgate replay`.
pub fn replay(args: args::Replay) -> Result<(), Failure> {
    check_options(&args)?;
    let file = PolicyFile::read(&args.policy).map_err(Failure::Policy)?;
    let policies = &file.specs[..];
    let bar = progress_bar();
    let input = Input::open(source(&args)?, &bar)?;
    let name = input.name.clone();
    let mut recorder = Recorder::new(&args.policy, &file);
    let unparsable = log::read::<_, Failure>(input, &args.options(), &mut recorder);
    bar.finish_and_clear();
    let unparsable = unparsable?;
    let Some(recording) = recorder.finish() else {
        return Err(LogError::Empty { name }.into());
    };
    let mut tally = Tally::new(&recording);
    let mut decisions = match &args.decisions {
        Some(path) => Some(Decisions::create(path, policies)?),
        None => None,
    };
    let speed = replay::run(&recording, &file, |outcome| {
        tally.count(outcome);
        decisions.as_mut().map_or(Ok(()), |decisions| decisions.write(outcome))
    })
    .map_err(Failure::Replay)?;
    if let Some(decisions) = decisions {
        decisions.finish()?;
    }
    let (recording, tally) = (&recording, &tally);
    let findings =
        Findings { log: &name, policies, recording, tally, unparsable: &unparsable, speed };
    if let Some(path) = &args.report {
        report::write(path, &findings)?;
    }
    findings.print(&mut BufWriter::new(io::stdout().lock())).map_err(Failure::Stdout)
}

/// Runs `tollgate check`: prints the policies to standard output.
pub fn check(args: &args::Check) -> Result<(), Failure> {
    let file = PolicyFile::read(&args.file).map_err(Failure::Policy)?;
    let text = check::describe(&args.file, &file).map_err(Failure::Build)?;
    io::stdout().lock().write_all(text.as_bytes()).map_err(Failure::Stdout)
}

/// Runs `tollgate sample`: writes a sample log to standard output.
pub fn sample(args: &args::Sample) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    sample::write(&mut out, args.lines, args.seed, args.format).map_err(Failure::Stdout)
}

/// Rejects options that exclude each other, and an output file that is also an input or given twice.
fn check_options(args: &args::Replay) -> Result<(), Failure> {
    let option = args.options().csv.first_set();
    if let Some(option) = option.filter(|_| args.format == Some(Format::Clf)) {
        return Err(Failure::OptionWithoutCsv(option));
    }
    let inputs = [Some(&args.policy), args.log.as_ref()];
    for output in [&args.decisions, &args.report].into_iter().flatten() {
        if inputs.into_iter().flatten().any(|input| same_file(input, output)) {
            return Err(Failure::Overwrite(output.clone()));
        }
    }
    match (&args.decisions, &args.report) {
        (Some(decisions), Some(report)) if decisions == report => {
            Err(Failure::OneOutput(report.clone()))
        }
        _ => Ok(()),
    }
}

/// Chooses the source of the log: standard input, a file, or the sample.
fn source(args: &args::Replay) -> Result<Source, Failure> {
    Ok(match &args.log {
        Some(path) if path.as_os_str() == "-" => Source::Stdin,
        Some(path) => Source::File(path.clone()),
        None => {
            let mut bytes = Vec::new();
            let format = args.format.unwrap_or(Format::Clf);
            sample::write(&mut bytes, sample::LINES, 1, format).map_err(Failure::Stdout)?;
            Source::Memory { name: "sample log", bytes }
        }
    })
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// A progress bar over the bytes of the log; hidden if standard error is not a terminal.
fn progress_bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("reading {bar:40} {bytes} of {total_bytes} ({eta})");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
