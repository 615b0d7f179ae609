//! Guarantee B: under exact policies, every decision equals the oracle's, including the policy and
//! the wait.

mod support;

use support::oracle::{Answer, Interval, Policy, Request, decide, read_clf, read_csv};
use support::{Folder, Row, civil, data, decisions, sample};

const fn policy(name: &'static str, key: &'static str, limit: u64, interval: Interval) -> Policy {
    Policy { name, key, cost: None, limit, interval }
}

const fn bytes(limit: u64, interval: Interval) -> Policy {
    Policy { name: "bytes", key: "ip", cost: Some("bytes"), limit, interval }
}

const MINUTE: Interval = Interval::Seconds(60);
const DAY: Interval = Interval::Calendar("day");

fn by_ip(limit: u64) -> Vec<Policy> {
    vec![policy("ip", "ip", limit, MINUTE)]
}

/// Three policies: per address, for the whole site, and a budget of bytes per day.
fn three_policies() -> Vec<Policy> {
    vec![policy("ip", "ip", 10, MINUTE), policy("site", "*", 60, MINUTE), bytes(5_000_000, DAY)]
}

/// Compares the tool's decisions with the oracle's. Returns the numbers of admitted and of denied
/// requests.
fn compare(policies: &[Policy], requests: &[Request], rows: &[Row]) -> (usize, usize) {
    let answers = decide(policies, requests);
    assert_eq!(rows.len(), answers.len());
    for ((request, answer), row) in requests.iter().zip(&answers).zip(rows) {
        let (verdict, policy) = match answer {
            Answer::Admit => ("admit", ""),
            Answer::Deny(index, _) => ("deny", policies[*index].name),
        };
        let expected = Row {
            line: request.line,
            time: civil::to_iso(request.unix_ns),
            verdict: verdict.to_owned(),
            policy: policy.to_owned(),
            retry_after_ms: answer.retry_after_ms(),
            dry_run: String::new(),
        };
        assert_eq!(*row, expected, "under {policies:?}");
    }
    let admitted = answers.iter().filter(|answer| **answer == Answer::Admit).count();
    (admitted, answers.len() - admitted)
}

fn toml(policies: &[Policy]) -> String {
    policies.iter().map(Policy::toml).collect()
}

#[test]
fn decisions_equal_the_oracle_on_sample_access_logs() {
    let folder = Folder::new();
    for seed in [1, 2, 77] {
        let log = sample("clf", seed);
        let path = folder.file("access.log", &log);
        let requests = read_clf(str::from_utf8(&log).unwrap());
        let sorted = requests.windows(2).all(|pair| pair[0].line < pair[1].line);
        assert!(!sorted, "the sample should have lines out of order");
        let cases = [
            by_ip(5),
            by_ip(10),
            by_ip(100),
            three_policies(),
            vec![
                policy("burst", "ip", 1, Interval::Seconds(1)),
                policy("user", "user", 20, Interval::Seconds(3600)),
            ],
            vec![
                policy("path", "path", 3, Interval::Seconds(10)),
                policy("day", "ip", 30, Interval::Seconds(86_400)),
            ],
            vec![
                policy("user", "user", 127, Interval::Seconds(7_200)),
                policy("hour", "path", 40, Interval::Calendar("hour")),
            ],
            vec![
                bytes(1_000_000, Interval::Calendar("hour")),
                bytes(9_000_000, Interval::Calendar("month")),
            ],
        ];
        for mut policies in cases {
            if policies.iter().all(|policy| policy.name == "bytes") {
                policies[1].name = "month";
            }
            let rows = decisions(&toml(&policies), &path, &[]);
            let (admitted, denied) = compare(&policies, &requests, &rows);
            assert!(
                admitted > 0 && denied > 0,
                "{policies:?}: {admitted} admitted, {denied} denied"
            );
        }
    }
}

#[test]
fn decisions_equal_the_oracle_on_sample_csv_logs() {
    let folder = Folder::new();
    for seed in [3, 4] {
        let log = sample("csv", seed);
        let path = folder.file("llm.csv", &log);
        let columns = ["tenant", "user", "prompt_tokens", "completion_tokens"];
        let requests = read_csv(str::from_utf8(&log).unwrap(), &columns);
        let tokens =
            Policy { cost: Some("completion_tokens"), ..policy("tokens", "tenant", 9_000, DAY) };
        let policies = [
            policy("user", "user", 3, Interval::Seconds(5)),
            policy("all", "*", 20, MINUTE),
            tokens,
        ];
        let rows = decisions(&toml(&policies), &path, &[]);
        let (admitted, denied) = compare(&policies, &requests, &rows);
        assert!(admitted > 0 && denied > 0, "{admitted} admitted, {denied} denied");
        assert!(rows.iter().any(|row| row.policy == "tokens"));
    }
}

#[test]
fn decisions_equal_the_oracle_on_a_real_access_log() {
    let Some(path) = data("access.log") else { return };
    let text = std::fs::read_to_string(&path).unwrap();
    let requests = read_clf(&text);
    assert_eq!(requests.len(), 5_000);
    for policies in [by_ip(5), by_ip(10), by_ip(100), three_policies()] {
        let rows = decisions(&toml(&policies), &path, &[]);
        let (admitted, denied) = compare(&policies, &requests, &rows);
        println!("{} first: {admitted} admitted, {denied} denied", policies[0].limit);
        assert!(denied > 0);
    }
}
