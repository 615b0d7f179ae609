//! A policy with `dry_run`: it denies nothing, and what it would deny is shown.

mod support;

use std::path::Path;
use support::{Folder, Row, decisions, replay_files, replayed, sample};

const IP: &str = "[[policy]]\nname = 'ip'\nkey = 'ip'\nlimit = 100\nwindow = '1m'\n";
const SITE: &str =
    "[[policy]]\nname = 'site'\nkey = '*'\nlimit = 250\nwindow = '5m'\nbuckets = 31\n";
const DRY_RUN: &str = "dry_run = true\n";

/// The numbers of a row of the policies' table: requests, admitted, denied.
fn counts(summary: &str, policy: &str) -> [u64; 3] {
    let row = summary.lines().find(|line| line.split_whitespace().next() == Some(policy));
    let words: Vec<&str> = row.expect("a row of that policy").split_whitespace().collect();
    // The last two words are the share: `5.0 %`.
    let numbers = &words[words.len() - 5..words.len() - 2];
    std::array::from_fn(|index| numbers[index].replace(',', "").parse().unwrap())
}

fn verdicts(rows: &[Row]) -> Vec<(&str, &str, i64)> {
    rows.iter().map(|row| (&*row.verdict, &*row.policy, row.retry_after_ms)).collect()
}

/// Alone, a dry run reports exactly what it would deny if it were enforced.
#[test]
fn a_dry_run_reports_the_denials_of_the_enforced_policy() {
    let folder = Folder::new();
    let log = folder.file("access.log", sample("clf", 7));
    for policy in [IP, SITE] {
        let (enforced, enforced_summary) = replayed(policy, &log, &[]);
        let (dry, summary) = replayed(&format!("{policy}{DRY_RUN}"), &log, &[]);
        assert!(dry.iter().all(|row| row.verdict == "admit" && row.retry_after_ms == 0));
        let would_deny = |row: &Row| !row.dry_run.is_empty();
        let denied: Vec<u64> =
            enforced.iter().filter(|row| row.verdict == "deny").map(|row| row.line).collect();
        let reported: Vec<u64> =
            dry.iter().filter(|row| would_deny(row)).map(|row| row.line).collect();
        assert!(denied.len() > 100, "{} denials", denied.len());
        assert_eq!(reported, denied);
        let name = if policy == IP { "ip" } else { "site" };
        assert_eq!(counts(&summary, name), counts(&enforced_summary, name));
        assert_eq!(counts(&summary, "all"), [5_000, 5_000, 0], "{summary}");
    }
}

/// A dry run changes no decision of the policies around it.
#[test]
fn other_policies_decide_as_without_the_dry_run() {
    let folder = Folder::new();
    let log = folder.file("access.log", sample("clf", 7));
    let strict =
        "[[policy]]\nname = 'strict'\nkey = 'ip'\nlimit = 3\nwindow = '1m'\ndry_run = true\n";
    let (without, expected) = replayed(&format!("{IP}{SITE}"), &log, &[]);
    for policies in [
        format!("{strict}{IP}{SITE}"),
        format!("{IP}{strict}{SITE}"),
        format!("{IP}{SITE}{strict}"),
    ] {
        let (with, summary) = replayed(&policies, &log, &[]);
        assert_eq!(verdicts(&with), verdicts(&without));
        for policy in ["ip", "site", "all"] {
            assert_eq!(counts(&summary, policy), counts(&expected, policy), "{summary}");
        }
        let named = with.iter().filter(|row| row.dry_run == "strict").count() as u64;
        let [requests, admitted, denied] = counts(&summary, "strict");
        assert!(named > 100 && denied == named && requests == admitted + denied, "{summary}");
        let row = summary.lines().find(|line| line.starts_with("strict ")).unwrap();
        assert!(row.contains("3 / 1m, dry run"), "{row}");
    }
}

const LOG: &str = "\
time,user
2025-01-01T00:00:00Z,alice
2025-01-01T00:00:01Z,alice
2025-01-01T00:00:02Z,alice
2025-01-01T00:00:03Z,bob
";

#[test]
fn the_first_dry_run_before_the_denying_policy_is_named() {
    let policy = |name: &str, limit: u64, more: &str| {
        format!("[[policy]]\nname = '{name}'\nkey = 'user'\nlimit = {limit}\nwindow = '1m'\n{more}")
    };
    let policies = [
        policy("loose", 2, DRY_RUN),
        policy("tight", 1, DRY_RUN),
        policy("user", 2, ""),
        policy("late", 0, DRY_RUN),
    ];
    let folder = Folder::new();
    let log = folder.file("log.csv", LOG);
    let (rows, summary) = replayed(&policies.concat(), &log, &[]);
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row.verdict.as_str(), row.policy.as_str(), row.dry_run.as_str()))
        .collect();
    // The second request passes `tight` uncharged, and charges `loose` and `user`.
    let expected = [
        ("admit", "", "late"),
        ("admit", "", "tight"),
        ("deny", "user", "loose"),
        ("admit", "", "late"),
    ];
    assert_eq!(found, expected);
    assert_eq!(counts(&summary, "loose"), [4, 3, 1]);
    assert_eq!(counts(&summary, "tight"), [4, 2, 2]);
    assert_eq!(counts(&summary, "user"), [4, 3, 1]);
    assert_eq!(counts(&summary, "late"), [3, 0, 3]);
    assert_eq!(counts(&summary, "all"), [4, 3, 1]);
    let denied = |policy: &str, key: &str, denied: &str| {
        let words = [policy, key, denied];
        summary.lines().any(|line| line.split_whitespace().take(3).eq(words))
    };
    assert!(denied("late", "alice", "2") && denied("tight", "alice", "2"), "{summary}");
}

/// Reservations that a dry run would have denied are not among its sums.
#[test]
fn a_dry_run_reserves_only_what_has_room() {
    let policies = "[[policy]]\nname = 'tokens'\nkey = 'user'\nestimate = 6\ncost = 4\nlimit = 10\n\
                    window = '1m'\ndry_run = true\n";
    let folder = Folder::new();
    let log = folder.file("log.csv", LOG);
    let (rows, summary) = replayed(policies, &log, &[]);
    let named: Vec<_> = rows.iter().map(|row| row.dry_run.as_str()).collect();
    // Alice has used 4, then 8, so her third estimate of 6 has no room.
    assert_eq!(named, ["", "", "tokens", ""]);
    let sums = summary.lines().skip_while(|line| !line.starts_with("reserved under")).nth(1);
    let sums: Vec<_> = sums.unwrap().split_whitespace().collect();
    assert_eq!(sums, ["tokens", "18", "12", "6", "33.3", "%", "0"]);
}

#[test]
fn without_a_dry_run_the_decisions_have_no_such_column() {
    let folder = Folder::new();
    let log = folder.file("log.csv", LOG);
    let policy = "[[policy]]\nname = 'user'\nkey = 'user'\nlimit = 1\nwindow = '1m'\n";
    let enforced = decisions(policy, &log, &[]);
    assert_eq!(enforced, decisions(&format!("{policy}dry_run = false\n"), &log, &[]));
    assert_eq!(enforced.iter().filter(|row| row.verdict == "deny").count(), 2);
}

#[test]
fn the_report_counts_a_dry_run_apart() {
    let folder = Folder::new();
    let log = folder.file("log.csv", LOG);
    let policies = "[[policy]]\nname = 'user'\nkey = 'user'\nlimit = 1\nwindow = '1m'\ndry_run = true\n\
                    [[policy]]\nname = 'site'\nkey = '*'\nlimit = 3\nwindow = '1m'\n";
    let page = folder.path("report.html");
    replay_files(policies, &log, &[Path::new("--report"), &page]);
    let page = std::fs::read_to_string(page).unwrap();
    for text in [
        "<small>1 / 1m, dry run</small>",
        "Would have denied 2 of 4 requests: 50.0 %.",
        "Denied 1 of 4 requests that no earlier policy denied: 25.0 %.",
        "2 other requests, 2 would be denied by this policy.",
        "3 admitted, 1 denied by this policy, 0 denied by another policy.",
        "3 admitted, 1 denied.",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_dry_run_must_be_true_or_false() {
    let folder = Folder::new();
    let log = folder.file("log.csv", LOG);
    let policies = folder.file("p.toml", format!("{IP}dry_run = 'yes'\n"));
    let arguments = [Path::new("replay"), Path::new("--policy"), &policies, &log];
    let output = support::tool(&arguments, b"");
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        message.contains(
            "p.toml:6:11: policy \"ip\": \"dry_run\" must be true or false, but its type is string"
        ),
        "{message}"
    );
}
