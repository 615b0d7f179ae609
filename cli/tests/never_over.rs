//! Guarantee A for policies with buckets: no window admits more than the limit.
//!
//! The tests check the tool's decisions with an independent calculation. Buckets may deny for longer than
//! an exact limiter, so the tests also check that the tool admits almost as much as one.

mod support;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use support::oracle::{Answer, Interval, Policy, Request, decide, read_csv};
use support::{Folder, civil, data, decisions};

const WINDOW_S: u64 = 60;
const WINDOW_NS: u64 = WINDOW_S * civil::SECOND;

/// A policy with one shared key and the cost in column `cost`.
fn shared(limit: u64) -> Policy {
    Policy {
        name: "tokens",
        key: "*",
        cost: Some("cost"),
        limit,
        interval: Interval::Seconds(WINDOW_S),
    }
}

/// Replays a log under one policy with buckets. Returns the time and cost of each admitted request,
/// in time order. `requests` holds the costs of the lines.
fn admitted(
    log: &Path,
    cost: &str,
    limit: u64,
    buckets: u32,
    requests: &[Request],
) -> Vec<(u64, u64)> {
    let policies = format!(
        "[[policy]]\nname = \"tokens\"\nkey = \"*\"\ncost = {cost}\nlimit = {limit}\nwindow = \"1m\"\nbuckets = {buckets}\n"
    );
    let lines: HashMap<u64, &Request> =
        requests.iter().map(|request| (request.line, request)).collect();
    let rows = decisions(&policies, log, &[]);
    assert_eq!(rows.len(), requests.len());
    let passed = rows.iter().filter(|row| row.verdict == "admit").map(|row| {
        let request = lines[&row.line];
        assert_eq!(row.time, civil::to_iso(request.unix_ns));
        (request.unix_ns, request.fields["cost"].parse().unwrap())
    });
    passed.collect()
}

/// The maximum cost in any half-open window that ends at an admission.
fn greatest_window(admitted: &[(u64, u64)]) -> u64 {
    let (mut oldest, mut sum, mut greatest) = (0, 0, 0);
    for (index, (time, cost)) in admitted.iter().enumerate() {
        sum += cost;
        while time - admitted[oldest].0 >= WINDOW_NS {
            sum -= admitted[oldest].1;
            oldest += 1;
        }
        // Of several admissions at one instant, only the last sees the whole sum.
        if admitted.get(index + 1).is_none_or(|(next, _)| next > time) {
            greatest = greatest.max(sum);
        }
    }
    greatest
}

/// The total cost that the oracle, an exact limiter, admits.
fn exact_cost(limit: u64, requests: &[Request]) -> u64 {
    let policy = shared(limit);
    let answers = decide(&[policy], requests);
    let passed = requests.iter().zip(answers).filter(|(_, answer)| *answer == Answer::Admit);
    passed.map(|(request, _)| support::oracle::cost(&policy, request)).sum()
}

#[test]
fn greatest_window_is_half_open() {
    let second = civil::SECOND;
    assert_eq!(greatest_window(&[]), 0);
    assert_eq!(
        greatest_window(&[(0, 5), (60 * second - 1, 7), (60 * second, 1), (60 * second, 1)]),
        12
    );
    assert_eq!(greatest_window(&[(0, 5), (60 * second, 7)]), 7);
}

/// The number of copies of the real log that are replayed. The times of each copy are shifted, so that
/// buckets begin at other requests.
const SHIFTS: u64 = 9;
/// The shift from one copy to the next: no multiple of a bucket's span.
const SHIFT_NS: u64 = 1_111_111_111;

/// The real log with all times shifted, and its requests.
fn shifted(text: &str, shift_ns: u64) -> (String, Vec<Request>) {
    let columns = ["ContextTokens", "GeneratedTokens"];
    let mut log = "TIMESTAMP,ContextTokens,GeneratedTokens\n".to_owned();
    for request in read_csv(text.trim_start_matches('\u{feff}'), &columns) {
        let [context, generated] = columns.map(|column| &request.fields[column]);
        let time = civil::to_iso(request.unix_ns + shift_ns);
        writeln!(log, "{time},{context},{generated}").unwrap();
    }
    let mut requests = read_csv(&log, &columns);
    for request in &mut requests {
        let sum: u64 =
            columns.map(|column| request.fields[column].parse::<u64>().unwrap()).iter().sum();
        request.fields.insert("cost", sum.to_string());
    }
    (log, requests)
}

/// Buckets may deny for longer than an exact limiter. How much longer depends on where the buckets begin,
/// so the log is replayed at several shifts. At no shift may a window be over the limit. The admitted
/// cost, as a share of the exact limiter's, must have a median over the shifts of at least `floor`.
#[test]
fn no_window_is_over_the_limit_on_a_real_token_log() {
    let Some(path) = data("llm_requests.csv") else { return };
    let text = std::fs::read_to_string(&path).unwrap();
    let folder = Folder::new();
    let logs: Vec<(std::path::PathBuf, Vec<Request>)> = (0..SHIFTS)
        .map(|index| {
            let (log, requests) = shifted(&text, index * SHIFT_NS);
            assert_eq!(requests.len(), 8_819);
            (folder.file(&format!("{index}.csv"), log), requests)
        })
        .collect();
    println!(
        "admitted cost as a share of an exact limiter's (least, median), by limit and buckets"
    );
    println!("{:>9} {:>12} {:>15} {:>15} {:>15}", "limit", "exact", 7, 15, 127);
    for limit in [50_000, 100_000, 200_000, 300_000, 500_000] {
        let exact = exact_cost(limit, &logs[0].1);
        let mut line = format!("{limit:>9} {exact:>12}");
        for (buckets, floor) in [(7, 0.94), (15, 0.97), (127, 0.999)] {
            let mut shares: Vec<f64> = logs
                .iter()
                .map(|(path, requests)| {
                    let cost = "[\"ContextTokens\", \"GeneratedTokens\"]";
                    let admitted = admitted(path, cost, limit, buckets, requests);
                    let greatest = greatest_window(&admitted);
                    assert!(
                        greatest <= limit,
                        "{greatest} in a window, at limit {limit} with {buckets} buckets"
                    );
                    admitted.iter().map(|(_, cost)| cost).sum::<u64>() as f64 / exact as f64
                })
                .collect();
            shares.sort_by(f64::total_cmp);
            let (least, median) = (shares[0], shares[shares.len() / 2]);
            write!(line, " {:>6.2} {:>6.2} %", least * 100.0, median * 100.0).unwrap();
            assert!(median >= floor, "{shares:?} of {limit} with {buckets} buckets");
        }
        println!("{line}");
    }
}

/// A log of random times and costs, with periods of heavy traffic and gaps.
fn generated(mut seed: u64, requests: usize) -> String {
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut now = civil::from_iso("2024-02-28 23:50:00");
    let mut log = "time,cost\n".to_owned();
    for index in 0..requests {
        let most_ns = match index / 100 % 4 {
            0 => 50_000,
            1 => 2 * civil::SECOND,
            2 => 300_000_000,
            _ => 30 * civil::SECOND / 4,
        };
        now += random(most_ns);
        writeln!(log, "{},{}", civil::to_iso(now), 1 + random(9) * random(9) * random(9)).unwrap();
    }
    log
}

#[test]
fn no_window_is_over_the_limit_on_generated_logs() {
    let folder = Folder::new();
    let mut denied = 0;
    for seed in 1..=6 {
        let log = generated(seed, 3_000);
        let requests = read_csv(&log, &["cost"]);
        let path = folder.file("generated.csv", &log);
        for (limit, buckets) in
            [(128, 7), (1_000, 7), (1_000, 15), (5_000, 31), (999, 2), (50_000, 127)]
        {
            let admitted = admitted(&path, "\"cost\"", limit, buckets, &requests);
            let greatest = greatest_window(&admitted);
            assert!(
                greatest <= limit,
                "{greatest} in a window, at limit {limit} with {buckets} buckets, seed {seed}"
            );
            assert!(greatest * 2 > limit.min(5_000), "too little was admitted at limit {limit}");
            denied += requests.len() - admitted.len();
        }
    }
    assert!(denied > 1_000, "{denied} were denied");
}
