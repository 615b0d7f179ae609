//! A policy whose table is bounded: new keys are denied or not counted while it is full, and known keys are
//! decided as without a bound.

mod support;

use std::fmt::Write as _;
use support::{Folder, decisions};

/// Sends one request of each of 2,000 clients, and one of a known client after each of them.
#[test]
fn a_full_table_denies_new_keys_only() {
    const POLICY: &str = "[[policy]]\nname = 'ip'\nkey = 'ip'\nlimit = 100\nwindow = '1m'\n";
    let mut log = String::from("time,ip\n");
    for client in 0..2_000 {
        for ip in [format!("new-{client}"), "known".to_owned()] {
            writeln!(log, "2026-01-01T00:00:{:02}Z,{ip}", client / 100).unwrap();
        }
    }
    let folder = Folder::new();
    let log = folder.file("log.csv", log);
    let free = decisions(POLICY, &log, &[]);
    let bounded = decisions(&format!("{POLICY}max_bytes = 2_000_000\n"), &log, &[]);
    let (mut admitted, mut denied) = (0, 0);
    for (turn, (free, bounded)) in free.iter().zip(&bounded).enumerate() {
        if turn % 2 == 1 {
            assert_eq!(free, bounded, "a known client");
            continue;
        }
        assert_eq!((free.verdict.as_str(), free.line), ("admit", bounded.line));
        match (bounded.verdict.as_str(), bounded.retry_after_ms) {
            ("admit", 0) if denied == 0 => admitted += 1,
            ("deny", -1) => denied += 1,
            other => panic!("{other:?} in line {}", bounded.line),
        }
    }
    // Two million bytes are enough for some hundred keys, with 2,187 bytes for each.
    assert!((200..1_000).contains(&admitted), "{admitted} admitted, {denied} denied");
    assert_eq!(bounded.iter().filter(|row| row.verdict == "deny").count(), denied + 1_900);
}

/// Bounds on keys apply to a replay as to a server, whether they are of the policy or above it.
#[test]
fn a_bound_on_keys_applies_to_a_replay() {
    let policy = "[[policy]]\nname = 'ip'\nkey = 'ip'\nlimit = 1\nwindow = '1h'\n";
    let mut log = String::from("time,ip\n");
    for turn in 0..8 {
        writeln!(log, "2026-01-01T00:00:{turn:02}Z,client-{}", turn % 4).unwrap();
    }
    let folder = Folder::new();
    let log = folder.file("log.csv", log);
    let admitted = |text: &str| {
        let rows = decisions(text, &log, &[]);
        rows.iter().map(|row| if row.verdict == "admit" { '+' } else { '-' }).collect::<String>()
    };
    // Each client is admitted once. With two keys, the third and fourth client are new in every request.
    for (text, expected) in [
        (policy.to_owned(), "++++----"),
        (format!("{policy}max_keys = 2\n"), "++------"),
        (format!("max_keys = 2\n{policy}"), "++------"),
        (format!("max_keys = 1\n{policy}max_keys = 2\n"), "++------"),
        (format!("max_keys = 2\n{policy}overflow = 'allow'\n"), "++++--++"),
        (format!("overflow = 'allow'\n{policy}max_keys = 2\n"), "++++--++"),
    ] {
        assert_eq!(admitted(&text), expected, "{text}");
    }
}
