//! Calls and expected answers as files, shared by every language: `ffi/tests/vectors`.
//!
//! This test generates them. The oracle answers for exact policies. The limiter answers for
//! bucketed policies, checked against the oracle. Other answers are computed by hand.
//! `TOLLGATE_BLESS=1` rewrites the files.

mod case_builder;
mod format;
#[path = "../load/mod.rs"]
mod load;
mod manual_cases;
#[path = "../oracle/mod.rs"]
mod oracle;
mod random_cases;
mod rust_runner;

use format::{Case, Expect, from_json, to_json};
use rust_runner::run;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

fn files() -> Vec<(PathBuf, Vec<Case>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ffi/tests/vectors");
    let calendar = [random_cases::offset_cases(), manual_cases::month_cases()].concat();
    let files = [
        ("exact.json", random_cases::exact_cases()),
        ("calendar.json", calendar),
        ("operations.json", random_cases::operation_cases()),
        ("bucketed.json", random_cases::bucketed_cases()),
        ("full.json", manual_cases::full_cases()),
        ("faults.json", manual_cases::fault_cases()),
    ];
    files.map(|(name, cases)| (folder.join(name), cases)).into()
}

/// The files equal the generated cases.
#[test]
fn files_are_current() {
    for (path, cases) in files() {
        if std::env::var_os("TOLLGATE_BLESS").is_some() {
            std::fs::write(&path, to_json(&cases)).expect("a folder to write to");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == to_json(&cases), "{path:?} is old: TOLLGATE_BLESS=1 writes it anew");
        assert_eq!(from_json(&path), cases, "{path:?}");
    }
}

fn compare(case: &Case) {
    let lines = run(case);
    case.compare(&lines.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Guarantees B, C, G and H: the limiter gives every answer in the files.
#[test]
fn limiter_matches_the_files() {
    let mut calls = 0;
    for (path, _) in files() {
        for case in from_json(&path) {
            compare(&case);
            calls += case.calls.len();
        }
    }
    assert!(calls > 500, "{calls} calls");
}

/// The files contain every kind of answer.
#[test]
fn files_cover_every_kind_of_answer() {
    let calls: Vec<_> =
        files().into_iter().flat_map(|(_, cases)| cases).flat_map(|case| case.calls).collect();
    for (status, least) in [(0, 300), (1, 100), (2, 50), (3, 4)] {
        let count = calls.iter().filter(|call| call.expect.has_status(status)).count();
        assert!(count >= least, "{count} answers of status {status}");
    }
    for status in [-4, -6, -8, -23, -24] {
        assert!(calls.iter().any(|call| call.expect == Expect::Status(status)), "no {status}");
    }
}

/// A changed answer is detected.
#[test]
fn changed_answers_are_detected() {
    let mut wrong = 0;
    for mut case in files().into_iter().flat_map(|(_, cases)| cases) {
        for index in 0..case.calls.len() {
            let good = case.calls[index].expect.clone();
            match &mut case.calls[index].expect {
                Expect::Decision(decision) => decision.deciding.reset_after_ns ^= 1,
                Expect::Decisions(decisions) => drop(decisions.pop()),
                Expect::Units(units) => *units += 1,
                Expect::Status(status) => *status += 1,
            }
            if case.calls[index].expect != good && wrong < 100 {
                let found = catch_unwind(AssertUnwindSafe(|| compare(&case)));
                assert!(found.is_err(), "{}, call {index}", case.name);
                wrong += 1;
            }
            case.calls[index].expect = good;
        }
    }
    assert_eq!(wrong, 100);
}
