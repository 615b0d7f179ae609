//! Logs, from their bytes to the printed summary and the page of HTML.
//!
//! The first byte chooses the format, the policies, and what is tried besides; the rest is the log.

#[path = "../../../cli/tests/support/civil.rs"]
#[allow(dead_code, reason = "shared with the tests of the tool")]
mod civil;
mod html;
mod plain;
mod witness;

use crate::Reached;
use flate2::Compression;
use flate2::write::GzEncoder;
use indicatif::ProgressBar;
use std::io::Write as _;
use std::path::Path;
use std::sync::LazyLock;
use tollgate_cli::command::Failure;
use tollgate_cli::log::{self, Format, Input, LogError, Source, Unparsable};
use tollgate_cli::policy_file::{self, PolicyFile};
use tollgate_cli::recording::{Recorder, Recording};
use tollgate_cli::replay::{self, ReplayError};
use tollgate_cli::report;
use tollgate_cli::summary::Findings;
use tollgate_cli::tally::Tally;
use witness::{Seen, Witness};

pub const WANTED: [&str; 8] = [
    "as CLF",
    "as CSV",
    "bad gzip",
    "good gzip",
    "nothing read",
    "policy without a field",
    "denied",
    "skipped lines",
];

/// The first bytes of gzip data.
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// What a log is replayed against: an access log's policies, a priced service's, one that reserves.
static POLICIES: LazyLock<[PolicyFile; 4]> = LazyLock::new(|| {
    [
        include_str!("../../../examples/policies/site.toml"),
        include_str!("../../../examples/policies/llm.toml"),
        include_str!("../../../examples/policies/llm_reserved.toml"),
        include_str!("narrow.toml"),
    ]
    .map(|text| policy_file::from_bytes(Path::new("p.toml"), text.into()).expect("policies"))
});

/// What the first byte chooses.
struct Choice {
    format: Option<Format>,
    time_column: Option<&'static str>,
    policies: &'static PolicyFile,
    repack: bool,
    page: bool,
}

impl Choice {
    fn new(byte: u8) -> Self {
        let (format, time_column) = match byte % 4 {
            0 => (None, None),
            1 => (Some(Format::Clf), None),
            2 => (Some(Format::Csv), None),
            _ => (None, Some("time")),
        };
        let policies = &POLICIES[usize::from(byte / 4 % 4)];
        let [repack, page] = [16, 32].map(|bit| byte & bit != 0);
        Choice { format, time_column, policies, repack, page }
    }
}

/// What came of reading a log.
type Read<'p> = (Result<Unparsable, Failure>, Witness<'p>);

/// # Panics
/// If the log is read wrongly, or not alike when it is packed, or shown in a way that a terminal or
/// a browser could take for more than text.
pub fn run(data: &[u8]) -> Reached {
    let Some((first, log)) = data.split_first() else { return Reached::new() };
    let choice = Choice::new(*first);
    let read = read(log, &choice);
    // A policy without its field ends the reading at the first request.
    if !matches!(read.0, Err(Failure::Record(_))) {
        plain::check(log, choice.format, &read.1.seen);
    }
    if choice.repack && !log.starts_with(GZIP_MAGIC) {
        check_packed(log, &choice, &read);
    }
    let mut reached = Reached::new();
    if log.starts_with(GZIP_MAGIC) {
        reached.insert(if read.1.seen.is_empty() { "bad gzip" } else { "good gzip" });
    }
    let (outcome, witness) = read;
    match outcome {
        Err(failure) => {
            check_text(&failure.to_string());
            reached.insert(match failure {
                Failure::Record(_) => "policy without a field",
                _ => "nothing read",
            });
        }
        Ok(unparsable) => {
            let recorded = witness.recorded;
            let recording = witness.recorder.finish().expect("at least one request");
            assert_eq!(recording.stamps().len(), recorded);
            reached.insert(format_of(&witness.seen));
            show(&recording, &choice, &unparsable, &mut reached);
        }
    }
    reached
}

fn read<'p>(log: &[u8], choice: &Choice) -> Read<'p> {
    let mut witness = Witness::new(Recorder::new(Path::new("p.toml"), choice.policies));
    let source = Source::Memory { name: "log", bytes: log.to_vec() };
    let outcome = match Input::open(source, &ProgressBar::hidden()) {
        Ok(input) => {
            log::read::<_, Failure>(input, choice.format, choice.time_column, &mut witness)
        }
        Err(error) => Err(error.into()),
    };
    (outcome, witness)
}

/// The same log in two members of gzip gives the same requests and the same complaints.
fn check_packed(log: &[u8], choice: &Choice, (outcome, witness): &Read<'_>) {
    let (head, tail) = log.split_at(log.len() / 2);
    let (again, packed) = read(&[gzip(head), gzip(tail)].concat(), choice);
    assert_eq!(packed.seen, witness.seen);
    let text = |outcome: &Result<Unparsable, Failure>| match outcome {
        Ok(unparsable) => unparsable.to_string(),
        Err(failure) => failure.to_string(),
    };
    assert_eq!(text(&again), text(outcome));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).and_then(|()| packed.finish()).expect("memory")
}

fn format_of(seen: &[Seen]) -> &'static str {
    let clf = |seen: &Seen| seen.names == ["ip", "user", "path", "status", "bytes"];
    if seen.iter().all(clf) { "as CLF" } else { "as CSV" }
}

/// Decides all requests and shows what became of them.
fn show(recording: &Recording, choice: &Choice, unparsable: &Unparsable, reached: &mut Reached) {
    let stamps = recording.stamps();
    assert!(stamps.is_sorted_by_key(|stamp| stamp.unix_ns));
    let mut tally = Tally::new(recording);
    let decided: Result<_, ReplayError<LogError>> =
        replay::run(recording, &choice.policies.policies, |outcome| {
            tally.count(outcome);
            Ok(())
        });
    let speed = decided.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(speed.requests, stamps.len() as u64);
    let denied: u64 = tally.denied.iter().sum();
    assert_eq!(tally.admitted + denied, speed.requests);
    let (policies, tally) = (&choice.policies.policies[..], &tally);
    let findings = Findings { log: "<log>", policies, recording, tally, unparsable, speed };
    let mut printed = Vec::new();
    findings.print(&mut printed).expect("memory");
    check_text(&String::from_utf8(printed).expect("UTF-8"));
    if choice.page {
        html::check(&report::page(&findings));
    }
    let more = [("denied", denied > 0), ("skipped lines", unparsable.count > 0)];
    reached.extend(more.into_iter().filter(|(_, is)| *is).map(|(name, _)| name));
}

/// Lines that leave the terminal as it is.
fn check_text(text: &str) {
    let steers = |c: char| c != '\n' && c.is_control();
    assert!(!text.contains(steers), "{text:?}");
}
