//! A policy with `max_bytes`: new keys are denied while its table is full, and known keys are decided as
//! without it.

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
