//! A policy file with a limit of 0: the policy denies every request.

mod support;

use support::{Folder, replayed};

const LOG: &str = "\
time,user
2025-01-01T00:00:00Z,alice
2025-01-01T00:00:01Z,bob
2025-01-01T01:00:00Z,alice
";

#[test]
fn limit_zero_denies_every_request_for_good() {
    for interval in ["window = '1m'", "calendar = 'day'"] {
        let policies = format!(
            "[[policy]]\nname = 'open'\nkey = 'user'\nlimit = 5\nwindow = '1m'\n\
             [[policy]]\nname = 'closed'\nkey = 'user'\nlimit = 0\n{interval}\n"
        );
        let folder = Folder::new();
        let (rows, summary) = replayed(&policies, &folder.file("log.csv", LOG), &[]);
        assert_eq!(rows.len(), 3);
        for row in rows {
            let expected = ("deny", "closed", -1);
            assert_eq!((row.verdict.as_str(), row.policy.as_str(), row.retry_after_ms), expected);
        }
        let closed = summary.lines().find(|line| line.starts_with("closed")).unwrap();
        let fields: Vec<_> = closed.split_whitespace().collect();
        assert_eq!(fields[1], "0", "{summary}");
        assert_eq!(fields[4..], ["3", "0", "3", "100.0", "%"], "{summary}");
    }
}
