//! Calls and expected answers as files, shared by every language: `ffi/tests/vectors`.
//!
//! This test generates them. For exact policies, the answers are those of the oracle. For bucketed
//! policies they are those of the limiter, checked against the oracle. The messages of configuration
//! errors are the limiter's own. All other answers are computed by hand. `TOLLGATE_BLESS=1` rewrites
//! the files.

mod case_builder;
mod format;
mod key_cases;
#[path = "../load/mod.rs"]
mod load;
mod manual_cases;
#[path = "../oracle/mod.rs"]
mod oracle;
mod random_cases;
mod rust_runner;

use format::{Case, Expect, from_json, status, to_json};
use rust_runner::run;
use std::collections::HashSet;
use std::mem::discriminant;
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
        ("dry_run.json", random_cases::dry_run_cases()),
        ("full.json", manual_cases::full_cases()),
        ("zero.json", manual_cases::zero_cases()),
        ("keys.json", key_cases::key_cases()),
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
        assert!(kept == to_json(&cases), "{path:?} is out of date: TOLLGATE_BLESS=1 writes it");
        assert_eq!(from_json(&path), cases, "{path:?}");
    }
}

/// Panics if the limiter's answers differ from those of the case.
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

/// The files contain every kind of answer, with every status that a call can have.
#[test]
fn files_cover_every_kind_of_answer() {
    let cases = files().into_iter().flat_map(|(_, cases)| cases);
    let answers: Vec<_> = cases.flat_map(|case| case.calls).map(|call| call.expect).collect();
    let count = |is_counted: &dyn Fn(&Expect) -> bool| {
        answers.iter().filter(|expect| is_counted(expect)).count()
    };
    let decided = [
        (status::ALLOWED, 300),
        (status::DENIED, 100),
        (status::IMPOSSIBLE, 50),
        (status::TABLE_FULL, 4),
    ];
    for (status, least) in decided {
        let found = count(&|expect| expect.has_status(status));
        assert!(found >= least, "{found} decisions of status {status}");
    }
    for status in
        [status::ALLOWED, status::POLICY, status::CLOSED, status::AMOUNTS, status::MAX_LIMIT]
    {
        assert!(count(&|expect| *expect == Expect::Status(status)) > 0, "no status {status}");
    }
    let several = count(&|expect| matches!(expect, Expect::Decisions(all) if all.len() > 1));
    let refunded = count(&|expect| matches!(expect, Expect::Units(units) if *units > 0));
    assert!(several >= 5 && refunded >= 5, "{several} lists of decisions, {refunded} refunds");
}

/// Every changed answer is detected, and every changed message of a configuration error.
#[test]
fn changed_answers_are_detected() {
    let mut kinds = HashSet::new();
    for mut case in files().into_iter().flat_map(|(_, cases)| cases) {
        for index in 0..case.calls.len() {
            let good = case.calls[index].expect.clone();
            match &mut case.calls[index].expect {
                Expect::Decision(decision) => decision.deciding.reset_after_ns ^= 1,
                Expect::Decisions(decisions) => {
                    decisions.truncate(decisions.len().saturating_sub(1))
                }
                Expect::Units(units) => *units += 1,
                Expect::Status(status) => *status += 1,
            }
            // An empty list of decisions has none to remove.
            if case.calls[index].expect != good {
                assert_detected(&case, index);
                kinds.insert(discriminant(&good));
            }
            case.calls[index].expect = good;
        }
        if let Some(error) = &mut case.error {
            error.message.push('.');
            assert_detected(&case, 0);
        }
    }
    assert_eq!(kinds.len(), 4, "decisions, lists of decisions, units and statuses");
}

/// Asserts that a case with a changed answer fails.
fn assert_detected(case: &Case, call: usize) {
    let compared = catch_unwind(AssertUnwindSafe(|| compare(case)));
    assert!(compared.is_err(), "{}, call {call}", case.name);
}
