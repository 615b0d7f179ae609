//! Requests that reserve an estimate and settle with their cost when they end.
//!
//! The decisions are compared with results worked out by hand and with the oracle for reservations.
//! The test on real requests also prints what is admitted if every cost is known in advance.

mod support;

use std::fmt::Write as _;
use std::path::Path;
use support::oracle::{self, Answer, Interval, Policy, Request, read_csv};
use support::reservation_oracle::{self, Reserve};
use support::{Folder, Row, civil, data, decisions, replayed, sample, tool};

const MINUTE: Interval = Interval::Seconds(60);
const DAY: Interval = Interval::Calendar("day");
/// The assumed duration of a request per generated token.
const TOKEN_NS: u64 = 20_000_000;

/// A policy `p` with one shared key, whose requests reserve `estimate` and cost `cost`.
fn policy(estimate: &str, cost: &str, limit: u64, interval: Interval) -> String {
    let interval = match interval {
        Interval::Seconds(seconds) if limit > 127 => {
            format!("window = '{seconds}s'\nbuckets = 127")
        }
        Interval::Seconds(seconds) => format!("window = '{seconds}s'"),
        Interval::Calendar(period) => format!("calendar = '{period}'"),
    };
    let amounts = format!("estimate = {estimate}\ncost = {cost}");
    format!("[[policy]]\nname = 'p'\nkey = '*'\n{amounts}\nlimit = {limit}\n{interval}\n")
}

/// Replays a log of `time,estimate,cost,took` under one policy. Returns the wait of each line.
fn waits(limit: u64, interval: Interval, log: &str) -> Vec<i64> {
    let folder = Folder::new();
    let log = folder.file("log.csv", format!("time,estimate,cost,took\n{log}"));
    let policies = policy("'estimate'", "'cost'", limit, interval);
    let rows = decisions(&format!("duration = 'took'\n{policies}"), &log, &[]);
    rows.iter().map(|row| row.retry_after_ms).collect()
}

#[test]
fn a_settlement_precedes_a_request_at_the_same_time() {
    let log = "2024-01-01 00:00:00,8,2,5\n\
               2024-01-01 00:00:04.9,8,8,1\n\
               2024-01-01 00:00:05,8,8,0\n\
               2024-01-01 00:00:05,1,1,0\n";
    // The fourth request waits until the two units that the first one used expire.
    assert_eq!(waits(10, MINUTE, log), [0, 55_100, 0, 55_000]);
}

#[test]
fn requests_may_end_at_once_or_at_the_same_time() {
    // Each request gives back two of its three units before the next one.
    let log = "2024-01-01 00:00:00,3,1,0\n".repeat(9);
    assert_eq!(waits(10, MINUTE, &log), [0, 0, 0, 0, 0, 0, 0, 0, 60_000]);
    let log = "2024-01-01 00:00:00,5,1,9\n2024-01-01 00:00:01,5,1,8\n2024-01-01 00:00:09,8,8,0\n";
    assert_eq!(waits(10, MINUTE, log), [0, 0, 0]);
}

#[test]
fn an_excess_is_charged_when_the_request_ends() {
    let log = "2024-01-01 00:00:00,2,15,10\n\
               2024-01-01 00:00:09,8,0,0\n\
               2024-01-01 00:00:10,1,1,0\n\
               2024-01-01 00:01:09.999,1,1,0\n\
               2024-01-01 00:01:10,10,10,0\n";
    // The excess of 13 is charged at 00:00:10 and counts until 00:01:10.
    assert_eq!(waits(10, MINUTE, log), [0, 0, 60_000, 1, 0]);
}

#[test]
fn a_calendar_budget_gets_a_refund_only_within_the_same_day() {
    let log = "2024-02-28 23:00:00,8,1,3600\n\
               2024-02-28 23:59:59,2,5,2\n\
               2024-02-28 23:59:59,1,1,0\n\
               2024-02-29 00:00:00,6,6,0\n\
               2024-02-29 00:00:00,5,0,1\n\
               2024-02-29 00:00:01,2,2,0\n\
               2024-02-29 00:00:01,1,1,0\n";
    // The first request ends when the day ends, so the next day gets no refund: 6 + 5 do not fit.
    // The second ends with an excess of 3, which is charged to the next day: 6 + 3 + 2 do not fit,
    // and 6 + 3 + 1 do.
    assert_eq!(waits(10, DAY, log), [0, 0, 1_000, 0, 86_400_000, 86_399_000, 0]);
}

#[test]
fn very_long_requests_are_settled() {
    let log = "1970-01-01 00:00:00,8,2,99999999999999999999999\n\
               2500-12-31 23:59:59,8,9,584554049253\n\
               2500-12-31 23:59:59,8,9,1\n";
    for interval in [MINUTE, DAY, Interval::Calendar("month"), Interval::Seconds(400 * 86_400)] {
        assert_eq!(waits(10, interval, log)[..2], [0, 0]);
        assert!(waits(10, interval, log)[2] > 0);
    }
}

#[test]
fn policies_without_an_estimate_charge_the_cost() {
    let folder = Folder::new();
    let log = "time,n,k\n2024-01-01 00:00:00,3,a\n2024-01-01 00:00:01,3,a\n2024-01-01 00:00:02,3,a\n\
               2024-01-01 00:00:03,4,b\n";
    let log = folder.file("log.csv", log);
    let requests = "[[policy]]\nname = 'requests'\nkey = 'k'\nlimit = 2\nwindow = '1m'\n";
    let both = policy("['n', 9]", "'n'", 20, MINUTE) + requests;
    let (rows, summary) = replayed(&both, &log, &[]);
    let verdicts: Vec<&str> = rows.iter().map(|row| row.policy.as_str()).collect();
    // The denied third request leaves nothing reserved under `p`. The fourth therefore fits: 6 + 13
    // of 20.
    assert_eq!(verdicts, ["", "", "requests", ""]);
    let expected = "\
reserved under  estimated  used  unused   share  excess
p                      37    10      27  73.0 %       0
";
    assert!(summary.contains(expected), "{summary}");
    // 36 bytes: 16 for the line, 4 for its key, and 8 for each of two amounts.
    assert!(summary.contains("memory    36 bytes per line"), "{summary}");
    let plain = replayed(requests, &log, &[]).1;
    assert!(!plain.contains("reserved"), "{plain}");
}

#[test]
fn the_report_shows_estimates_and_costs() {
    let folder = Folder::new();
    let log = folder.file("log.csv", "time,n\n2024-01-01 00:00:00,30\n2024-01-01 00:00:01,1500\n");
    let policy = folder.file("p.toml", policy("1000", "'n'", 5_000, MINUTE));
    let report = folder.path("r.html");
    let words = ["replay", "--policy"].map(Path::new);
    let more = [&policy, &log, Path::new("--report"), &report];
    assert!(tool(&[&words[..], &more].concat(), b"").status.success());
    let page = std::fs::read_to_string(&report).unwrap();
    let expected = "The admitted requests reserved 2,000 and used 1,530. Reserved but unused: 970 \
                  (48.5 %). Used beyond the estimates: 500.";
    assert!(page.contains(expected));
}

#[test]
fn an_estimate_equal_to_the_cost_changes_no_decision() {
    let folder = Folder::new();
    let log = folder.file("llm.csv", sample("csv", 9));
    let cost = "['prompt_tokens', 'completion_tokens']";
    let duration = "duration = { field = 'completion_tokens', unit = '20ms' }\n";
    for (limit, interval) in [(60_000, MINUTE), (2_000_000, DAY)] {
        let reserved = policy(cost, cost, limit, interval);
        let plain = reserved.replace(&format!("estimate = {cost}\n"), "");
        let rows = decisions(&plain, &log, &[]);
        assert!(rows.iter().any(|row| row.verdict == "deny"));
        for text in [reserved.clone(), format!("{duration}{reserved}")] {
            let (same, summary) = replayed(&text, &log, &[]);
            assert_eq!(same, rows);
            assert!(summary.contains("  0.0 %       0\n"), "{summary}");
        }
    }
}

/// The admitted requests of these rows.
fn admitted_requests(rows: &[Row], requests: &[Reserve]) -> Vec<Reserve> {
    assert_eq!(rows.len(), requests.len());
    let pairs = rows.iter().zip(requests).inspect(|(row, request)| {
        assert_eq!(row.time, civil::to_iso(request.unix_ns));
    });
    pairs.filter(|(row, _)| row.verdict == "admit").map(|(_, request)| *request).collect()
}

/// A log of random estimates, costs and durations, in time order.
fn generated(mut seed: u64, max_amount: u64) -> Vec<Reserve> {
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut now = civil::from_iso("2024-02-28 23:40:00");
    let request = |_| {
        // Whole milliseconds, which every window resolves. Some requests have equal times.
        now += random(4) * random(700) * 1_000_000;
        let (estimate, cost) = (1 + random(max_amount), random(max_amount) * random(13) / 8);
        let took = [0, random(900), random(20_000), random(90_000)][random(4) as usize];
        Reserve { unix_ns: now, estimate, cost, end_ns: now + took * 1_000_000 }
    };
    (0..3_000).map(request).collect()
}

#[test]
fn decisions_match_the_reservation_oracle_on_generated_logs() {
    let folder = Folder::new();
    let cases = [
        // Exact policies: every decision equals the oracle's.
        (20, 7, MINUTE, true),
        (127, 20, MINUTE, true),
        (100, 30, Interval::Seconds(10), true),
        (9_000, 40, Interval::Calendar("hour"), true),
        (60_000, 300, DAY, true),
        // Policies with buckets: more than 97 % of the oracle's number of admitted requests.
        (1_000, 40, MINUTE, false),
        (50_000, 3_000, MINUTE, false),
    ];
    for seed in 1..=5 {
        for (limit, max_amount, interval, exact) in cases {
            let requests = generated(seed, max_amount);
            let mut text = "time,estimate,cost,took\n".to_owned();
            for Reserve { unix_ns, estimate, cost, end_ns } in &requests {
                let took = (end_ns - unix_ns) as f64 / 1e9;
                writeln!(text, "{},{estimate},{cost},{took}", civil::to_iso(*unix_ns)).unwrap();
            }
            let log = folder.file("log.csv", text);
            let policies = policy("'estimate'", "'cost'", limit, interval);
            let rows = decisions(&format!("duration = 'took'\n{policies}"), &log, &[]);
            let answers = reservation_oracle::decide(limit, interval, &requests);
            let admits = rows.iter().map(|row| row.verdict == "admit");
            if exact {
                assert!(admits.eq(answers.iter().copied()), "{limit} {interval:?} seed {seed}");
            }
            let admitted = admitted_requests(&rows, &requests);
            reservation_oracle::assert_never_over(limit, interval, &admitted);
            let expected = answers.iter().filter(|admits| **admits).count();
            assert!(
                admitted.len() > 100 && admitted.len() < 2_900,
                "{} of {limit}",
                admitted.len()
            );
            let share = admitted.len() as f64 / expected as f64;
            assert!(share > 0.97, "{share} of the oracle at {limit} {interval:?} seed {seed}");
        }
    }
}

/// One limit for the real requests.
struct Scenario {
    limit: u64,
    interval: Interval,
    text: &'static str,
}

/// The number of admitted requests, and the tokens that they used and reserved.
#[derive(Clone, Copy)]
struct Sums {
    requests: u64,
    used: u64,
    reserved: u64,
}

impl Sums {
    fn of<'r>(admitted: impl IntoIterator<Item = &'r Reserve>) -> Self {
        let start = Sums { requests: 0, used: 0, reserved: 0 };
        admitted.into_iter().fold(start, |sums, request| Sums {
            requests: sums.requests + 1,
            used: sums.used + request.cost,
            reserved: sums.reserved + request.estimate,
        })
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string().into_bytes();
    let groups: Vec<&str> =
        digits.rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// Replays the real requests. Returns the sums of the admitted ones, and the unused share that the
/// tool reports.
fn replay_real_requests(
    scenario: &Scenario,
    duration: &str,
    log: &Path,
    requests: &[Reserve],
) -> (Sums, String) {
    let (estimate, cost) = ("['ContextTokens', 1000]", "['ContextTokens', 'GeneratedTokens']");
    let policies =
        format!("{duration}{}", policy(estimate, cost, scenario.limit, scenario.interval));
    let (rows, summary) = replayed(&policies, log, &[]);
    let admitted = admitted_requests(&rows, requests);
    let max_usage =
        reservation_oracle::assert_never_over(scenario.limit, scenario.interval, &admitted);
    assert!(
        max_usage * 10 > scenario.limit * 9,
        "at most {max_usage} of {} were ever in use",
        scenario.limit
    );
    let sums = Sums::of(&admitted);
    let excess: u64 = admitted.iter().map(Reserve::excess).sum();
    let unused = sums.reserved + excess - sums.used;
    let share = format!("{:.1} %", unused as f64 * 100.0 / sums.reserved as f64);
    let Sums { used, reserved, .. } = sums;
    let numbers = [reserved, used, unused].map(grouped).join("  ");
    let expected = format!("p               {numbers}  {share}  ");
    let shown = summary.lines().skip_while(|line| !line.starts_with("reserved under")).nth(1);
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let expected = words(&format!("{expected}{}", grouped(excess)));
    assert_eq!(shown.map(words), Some(expected), "{summary}");
    (sums, share)
}

#[test]
fn decisions_are_close_to_the_reservation_oracle_on_real_requests() {
    let Some(path) = data("llm_requests.csv") else { return };
    let text = std::fs::read_to_string(&path).unwrap();
    let columns = ["ContextTokens", "GeneratedTokens"];
    let mut lines = read_csv(text.trim_start_matches('\u{feff}'), &columns);
    assert_eq!(lines.len(), 8_819);
    let reserve = |line: &Request, token_ns: u64| {
        let [context, generated] = columns.map(|name| line.fields[name].parse::<u64>().unwrap());
        let (unix_ns, end_ns) = (line.unix_ns, line.unix_ns + generated * token_ns);
        Reserve { unix_ns, estimate: context + 1000, cost: context + generated, end_ns }
    };
    let at_once: Vec<Reserve> = lines.iter().map(|line| reserve(line, 0)).collect();
    let later: Vec<Reserve> = lines.iter().map(|line| reserve(line, TOKEN_NS)).collect();
    for (line, request) in lines.iter_mut().zip(&at_once) {
        line.fields.insert("cost", request.cost.to_string());
    }
    let duration = "duration = { field = 'GeneratedTokens', unit = '20ms' }\n";
    let mut table = "| limit | cost known in advance | reserved, settled at once | reserved, settled after its duration | unused |\n|---|---|---|---|---|\n".to_owned();
    println!("requests, tokens used, tokens reserved: of the tool and of the oracle");
    for scenario in [
        Scenario { limit: 100_000, interval: MINUTE, text: "100,000 / minute" },
        Scenario { limit: 300_000, interval: MINUTE, text: "300,000 / minute" },
        Scenario { limit: 10_000_000, interval: DAY, text: "10,000,000 / day" },
    ] {
        let Scenario { limit, interval, text } = scenario;
        let known = Policy { name: "p", key: "*", cost: Some("cost"), limit, interval };
        let answers = oracle::decide(&[known], &lines);
        let known = at_once.iter().zip(answers).filter(|(_, answer)| *answer == Answer::Admit);
        let known = Sums::of(known.map(|(request, _)| request));
        let cell =
            |sums: Sums| format!("{} ({} tokens)", grouped(sums.requests), grouped(sums.used));
        write!(table, "| {text} | {} |", cell(known)).unwrap();
        let mut unused = String::new();
        for (name, duration, requests) in [("at once", "", &at_once), ("later", duration, &later)] {
            let answers = reservation_oracle::decide(limit, interval, requests);
            let expected = requests.iter().zip(answers).filter(|(_, admits)| *admits);
            let expected = Sums::of(expected.map(|(request, _)| request));
            let (sums, share) = replay_real_requests(&scenario, duration, &path, requests);
            for (source, sums) in [("tool  ", sums), ("oracle", expected)] {
                let [count, used, held] = [sums.requests, sums.used, sums.reserved].map(grouped);
                println!("{text:>17} {name:>8} {source}: {count:>6} {used:>11} {held:>11}");
            }
            let close = sums.used as f64 / expected.used as f64;
            assert!((0.99..1.01).contains(&close), "{close} of the oracle at {text}, {name}");
            write!(table, " {} |", cell(sums)).unwrap();
            unused = share;
        }
        writeln!(table, " {unused} |").unwrap();
    }
    println!("{table}");
}
