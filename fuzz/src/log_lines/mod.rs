//! Target: reads bytes as a log, replays it, and checks the printed summary and the HTML report.
//!
//! The first byte chooses the format, the policies and the extra checks. The rest is the log.

mod checking_sink;
#[path = "../../../cli/tests/support/civil.rs"]
#[allow(dead_code, reason = "shared with the tests of the tool")]
mod civil;
mod html;
mod line_oracle;

use crate::Reached;
use checking_sink::{CheckingSink, ReadRequest};
use flate2::Compression;
use flate2::write::GzEncoder;
use indicatif::ProgressBar;
use std::io::Write as _;
use std::path::Path;
use std::sync::LazyLock;
use tollgate_cli::command::Failure;
use tollgate_cli::log::{
    self, CsvOptions, Format, Input, LogError, Options, Source, TimeUnit, Unparsable,
};
use tollgate_cli::recording::{Recorder, Recording};
use tollgate_cli::replay::{self, ReplayError};
use tollgate_cli::report;
use tollgate_cli::summary::Findings;
use tollgate_cli::tally::Tally;
use tollgate_policy_file::PolicyFile;

/// The cases that the corpus must reach.
pub const CASES: [&str; 8] = [
    "as CLF",
    "as CSV",
    "gzip without requests",
    "gzip with requests",
    "log error",
    "missing field",
    "denied",
    "skipped lines",
];

/// The first bytes of gzip data.
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// The policy files to choose from: the three examples, and tight limits that a few lines exceed.
static POLICIES: LazyLock<[PolicyFile; 4]> = LazyLock::new(|| {
    [
        include_str!("../../../examples/policies/site.toml"),
        include_str!("../../../examples/policies/llm.toml"),
        include_str!("../../../examples/policies/llm_reserved.toml"),
        include_str!("tight_limits.toml"),
    ]
    .map(|text| PolicyFile::parse(text).expect("valid policies"))
});

/// The options that the first byte chooses.
struct Choice {
    options: Options,
    policies: &'static PolicyFile,
    /// Also read the log compressed with gzip.
    compress: bool,
    /// Also check the HTML report.
    report: bool,
}

impl Choice {
    fn new(byte: u8) -> Self {
        let (format, time) = match byte % 4 {
            0 => (None, None),
            1 => (Some(Format::Clf), None),
            2 => (Some(Format::Csv), None),
            _ => (None, Some("time".to_owned())),
        };
        let policies = &POLICIES[usize::from(byte / 4 % 4)];
        let [compress, report, numbers, positions] = [16, 32, 64, 128].map(|bit| byte & bit != 0);
        let mut csv = CsvOptions { time, ..CsvOptions::default() };
        if format == Some(Format::Csv) {
            csv.time_unit = numbers.then_some(TimeUnit::Ms);
            csv.midnight = !numbers;
            csv.no_header = positions;
        }
        Choice { options: Options { format, csv }, policies, compress, report }
    }
}

/// The result of reading a log.
type Read<'p> = (Result<Unparsable, Failure>, CheckingSink<'p>);

/// Reads and replays `data` as a log, and checks every result.
///
/// # Panics
/// If the requests differ from the line oracle's, if the compressed log gives other requests, or if
/// the output contains control characters or unexpected HTML.
pub fn run(data: &[u8]) -> Reached {
    let Some((first, log)) = data.split_first() else { return Reached::new() };
    let choice = Choice::new(*first);
    let read = read(log, &choice);
    // If a policy needs a field that the log lacks, reading stops at the first request.
    if !matches!(read.0, Err(Failure::Record(_))) {
        line_oracle::check(log, &choice.options, &read.1.requests);
    }
    if choice.compress && !log.starts_with(GZIP_MAGIC) {
        check_compressed(log, &choice, &read);
    }
    let mut reached = Reached::new();
    if log.starts_with(GZIP_MAGIC) {
        let is_empty = read.1.requests.is_empty();
        reached.insert(if is_empty { "gzip without requests" } else { "gzip with requests" });
    }
    let (outcome, sink) = read;
    match outcome {
        Err(failure) => {
            check_text(&failure.to_string());
            reached.insert(match failure {
                Failure::Record(_) => "missing field",
                _ => "log error",
            });
        }
        Ok(unparsable) => {
            let recorded = sink.recorded;
            let recording = sink.recorder.finish().expect("at least one request");
            assert_eq!(recording.stamps().len(), recorded);
            reached.insert(format_of(&sink.requests));
            replay_and_check(&recording, &choice, &unparsable, &mut reached);
        }
    }
    reached
}

fn read<'p>(log: &[u8], choice: &Choice) -> Read<'p> {
    let mut sink = CheckingSink::new(Recorder::new(Path::new("p.toml"), choice.policies));
    let source = Source::Memory { name: "log", bytes: log.to_vec() };
    let outcome = match Input::open(source, &ProgressBar::hidden()) {
        Ok(input) => log::read::<_, Failure>(input, &choice.options, &mut sink),
        Err(error) => Err(error.into()),
    };
    (outcome, sink)
}

/// Checks that the log compressed as two gzip members gives the same requests and messages.
fn check_compressed(log: &[u8], choice: &Choice, (outcome, sink): &Read<'_>) {
    let (head, tail) = log.split_at(log.len() / 2);
    let (again, compressed) = read(&[gzip(head), gzip(tail)].concat(), choice);
    assert_eq!(compressed.requests, sink.requests);
    let text = |outcome: &Result<Unparsable, Failure>| match outcome {
        Ok(unparsable) => unparsable.to_string(),
        Err(failure) => failure.to_string(),
    };
    assert_eq!(text(&again), text(outcome));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a write to memory")
}

fn format_of(requests: &[ReadRequest]) -> &'static str {
    let clf = |request: &ReadRequest| request.names == ["ip", "user", "path", "status", "bytes"];
    if requests.iter().all(clf) { "as CLF" } else { "as CSV" }
}

/// Replays the recording, and checks the summary and the report.
fn replay_and_check(
    recording: &Recording,
    choice: &Choice,
    unparsable: &Unparsable,
    reached: &mut Reached,
) {
    let stamps = recording.stamps();
    assert!(stamps.is_sorted_by_key(|stamp| stamp.unix_ns));
    let mut tally = Tally::new(recording);
    let decided: Result<_, ReplayError<LogError>> =
        replay::run(recording, choice.policies, |outcome| {
            tally.count(outcome);
            Ok(())
        });
    let speed = decided.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(speed.requests, stamps.len() as u64);
    let denied: u64 = tally.denied.iter().sum();
    assert_eq!(tally.admitted + denied, speed.requests);
    let (policies, tally) = (&choice.policies.specs[..], &tally);
    let findings = Findings { log: "<log>", policies, recording, tally, unparsable, speed };
    let mut printed = Vec::new();
    findings.print(&mut printed).expect("a write to memory");
    check_text(&String::from_utf8(printed).expect("UTF-8"));
    if choice.report {
        html::check(&report::page(&findings));
    }
    let cases = [("denied", denied > 0), ("skipped lines", unparsable.count > 0)];
    reached.extend(cases.into_iter().filter(|(_, is_reached)| *is_reached).map(|(name, _)| name));
}

/// Panics if the text contains control characters other than line ends.
fn check_text(text: &str) {
    let forbidden = |c: char| c != '\n' && c.is_control();
    assert!(!text.contains(forbidden), "{text:?}");
}
