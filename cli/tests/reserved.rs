//! Requests that reserve an estimate and settle to their cost when they are over: by hand, against
//! the textbook of reservations, and on real requests against one who knows every cost beforehand.

mod support;

use std::fmt::Write as _;
use std::path::Path;
use support::reservations::{self, Reserve};
use support::textbook::{self, Answer, Policy, Rate, Request, read_csv};
use support::{Folder, Row, civil, data, decisions, replayed, sample, tool};

const MINUTE: Rate = Rate::Seconds(60);
const DAY: Rate = Rate::Calendar("day");
/// What an answer is made to take, a token.
const TOKEN_NS: u64 = 20_000_000;

/// The policy `p` over everybody that reserves the first and costs the second of these.
fn policy(estimate: &str, cost: &str, limit: u64, rate: Rate) -> String {
    let rate = match rate {
        Rate::Seconds(seconds) if limit > 127 => format!("window = '{seconds}s'\nbuckets = 127"),
        Rate::Seconds(seconds) => format!("window = '{seconds}s'"),
        Rate::Calendar(period) => format!("calendar = '{period}'"),
    };
    let amounts = format!("estimate = {estimate}\ncost = {cost}");
    format!("[[policy]]\nname = 'p'\nkey = '*'\n{amounts}\nlimit = {limit}\n{rate}\n")
}

/// What a log of `time,estimate,cost,took` gives under a policy: a wait for each line.
fn waits(limit: u64, rate: Rate, log: &str) -> Vec<i64> {
    let folder = Folder::new();
    let log = folder.file("log.csv", format!("time,estimate,cost,took\n{log}"));
    let policies = policy("'estimate'", "'cost'", limit, rate);
    let rows = decisions(&format!("duration = 'took'\n{policies}"), &log, &[]);
    rows.iter().map(|row| row.retry_after_ms).collect()
}

#[test]
fn a_settlement_comes_before_a_request_of_its_time() {
    let log = "2024-01-01 00:00:00,8,2,5\n\
               2024-01-01 00:00:04.9,8,8,1\n\
               2024-01-01 00:00:05,8,8,0\n\
               2024-01-01 00:00:05,1,1,0\n";
    // The fourth has to wait for the two units that the first has kept.
    assert_eq!(waits(10, MINUTE, log), [0, 55_100, 0, 55_000]);
}

#[test]
fn settlements_of_one_time_and_of_requests_that_end_at_once() {
    // Each gives back two of its three before the next one comes.
    let log = "2024-01-01 00:00:00,3,1,0\n".repeat(9);
    assert_eq!(waits(10, MINUTE, &log), [0, 0, 0, 0, 0, 0, 0, 0, 60_000]);
    let log = "2024-01-01 00:00:00,5,1,9\n2024-01-01 00:00:01,5,1,8\n2024-01-01 00:00:09,8,8,0\n";
    assert_eq!(waits(10, MINUTE, log), [0, 0, 0]);
}

#[test]
fn an_excess_is_charged_when_it_is_known() {
    let log = "2024-01-01 00:00:00,2,15,10\n\
               2024-01-01 00:00:09,8,0,0\n\
               2024-01-01 00:00:10,1,1,0\n\
               2024-01-01 00:01:09.999,1,1,0\n\
               2024-01-01 00:01:10,10,10,0\n";
    // 13 over the 2 at 00:00:10: in the way until 00:01:10.
    assert_eq!(waits(10, MINUTE, log), [0, 0, 60_000, 1, 0]);
}

#[test]
fn a_budget_gets_back_what_was_reserved_on_the_same_day_only() {
    let log = "2024-02-28 23:00:00,8,1,3600\n\
               2024-02-28 23:59:59,2,5,2\n\
               2024-02-28 23:59:59,1,1,0\n\
               2024-02-29 00:00:00,10,10,0\n\
               2024-02-29 00:00:00,9,0,1\n\
               2024-02-29 00:00:01,8,8,0\n\
               2024-02-29 00:00:01,7,7,0\n";
    // The first is over with the day; the second costs the next day 3.
    assert_eq!(waits(10, DAY, log), [0, 0, 1_000, 0, 86_400_000, 86_399_000, 86_399_000]);
}

#[test]
fn lengths_without_end_are_settled_in_the_end() {
    let log = "1970-01-01 00:00:00,8,2,99999999999999999999999\n\
               2500-12-31 23:59:59,8,9,584554049253\n\
               2500-12-31 23:59:59,8,9,1\n";
    for rate in [MINUTE, DAY, Rate::Calendar("month"), Rate::Seconds(400 * 86_400)] {
        assert_eq!(waits(10, rate, log)[..2], [0, 0]);
        assert!(waits(10, rate, log)[2] > 0);
    }
}

#[test]
fn layers_without_an_estimate_are_charged_their_cost() {
    let folder = Folder::new();
    let log = "time,n,k\n2024-01-01 00:00:00,3,a\n2024-01-01 00:00:01,3,a\n2024-01-01 00:00:02,3,a\n\
               2024-01-01 00:00:03,4,b\n";
    let log = folder.file("log.csv", log);
    let requests = "[[policy]]\nname = 'requests'\nkey = 'k'\nlimit = 2\nwindow = '1m'\n";
    let both = policy("['n', 9]", "'n'", 20, MINUTE) + requests;
    let (rows, summary) = replayed(&both, &log, &[]);
    let verdicts: Vec<&str> = rows.iter().map(|row| row.policy.as_str()).collect();
    // What the third had reserved under the first layer was given back: the fourth needs all of it.
    assert_eq!(verdicts, ["", "", "requests", ""]);
    let wanted = "\
reserved under  held  used  in vain   share  excess
p                 37    10       27  73.0 %       0
";
    assert!(summary.contains(wanted), "{summary}");
    // Two amounts from the log and a key.
    assert!(summary.contains("memory    36 bytes per line"), "{summary}");
    let plain = replayed(requests, &log, &[]).1;
    assert!(!plain.contains("reserved"), "{plain}");
}

#[test]
fn the_report_shows_what_was_held() {
    let folder = Folder::new();
    let log = folder.file("log.csv", "time,n\n2024-01-01 00:00:00,30\n2024-01-01 00:00:01,1500\n");
    let policy = folder.file("p.toml", policy("1000", "'n'", 5_000, MINUTE));
    let report = folder.path("r.html");
    let words = ["replay", "--policy"].map(Path::new);
    let more = [&policy, &log, Path::new("--report"), &report];
    assert!(tool(&[&words[..], &more].concat(), b"").status.success());
    let page = std::fs::read_to_string(&report).unwrap();
    let wanted = "The admitted requests held 2,000 and used 1,530. Held in vain: 970, 48.5 % of it. \
                  Used beyond the estimates: 500.";
    assert!(page.contains(wanted));
}

#[test]
fn an_estimate_that_is_the_cost_changes_nothing() {
    let folder = Folder::new();
    let log = folder.file("llm.csv", sample("csv", 9));
    let cost = "['prompt_tokens', 'completion_tokens']";
    let duration = "duration = { field = 'completion_tokens', unit = '20ms' }\n";
    for (limit, rate) in [(60_000, MINUTE), (2_000_000, DAY)] {
        let reserved = policy(cost, cost, limit, rate);
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

/// The requests of these rows that passed.
fn passed(rows: &[Row], requests: &[Reserve]) -> Vec<Reserve> {
    assert_eq!(rows.len(), requests.len());
    let pairs = rows.iter().zip(requests).inspect(|(row, request)| {
        assert_eq!(row.time, civil::to_iso(request.unix_ns));
    });
    pairs.filter(|(row, _)| row.verdict == "admit").map(|(_, request)| *request).collect()
}

/// A log of random estimates, costs and durations, in time order.
fn generated(mut seed: u64, most: u64) -> Vec<Reserve> {
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut now = civil::from_iso("2024-02-28 23:40:00");
    let request = |_| {
        // Whole milliseconds, which every window's resolution can tell apart; some at one time.
        now += random(4) * random(700) * 1_000_000;
        let (estimate, cost) = (1 + random(most), random(most) * random(13) / 8);
        let took = [0, random(900), random(20_000), random(90_000)][random(4) as usize];
        Reserve { unix_ns: now, estimate, cost, end_ns: now + took * 1_000_000 }
    };
    (0..3_000).map(request).collect()
}

#[test]
fn generated_logs() {
    let folder = Folder::new();
    let cases = [
        // Exact: as the textbook, request for request.
        (20, 7, MINUTE, true),
        (127, 20, MINUTE, true),
        (100, 30, Rate::Seconds(10), true),
        (9_000, 40, Rate::Calendar("hour"), true),
        (60_000, 300, DAY, true),
        // In buckets.
        (1_000, 40, MINUTE, false),
        (50_000, 3_000, MINUTE, false),
    ];
    for seed in 1..=5 {
        for (limit, most, rate, exact) in cases {
            let requests = generated(seed, most);
            let mut text = "time,estimate,cost,took\n".to_owned();
            for Reserve { unix_ns, estimate, cost, end_ns } in &requests {
                let took = (end_ns - unix_ns) as f64 / 1e9;
                writeln!(text, "{},{estimate},{cost},{took}", civil::to_iso(*unix_ns)).unwrap();
            }
            let log = folder.file("log.csv", text);
            let policies = policy("'estimate'", "'cost'", limit, rate);
            let rows = decisions(&format!("duration = 'took'\n{policies}"), &log, &[]);
            let answers = reservations::decide(limit, rate, &requests);
            let passes = rows.iter().map(|row| row.verdict == "admit");
            if exact {
                assert!(passes.eq(answers.iter().copied()), "{limit} {rate:?} seed {seed}");
            }
            let passed = passed(&rows, &requests);
            reservations::never_over(limit, rate, &passed);
            let wanted = answers.iter().filter(|passes| **passes).count();
            assert!(passed.len() > 100 && passed.len() < 2_900, "{} of {limit}", passed.len());
            let share = passed.len() as f64 / wanted as f64;
            assert!(share > 0.97, "{share} of the textbook at {limit} {rate:?} seed {seed}");
        }
    }
}

/// One way to limit the real requests.
struct Way {
    limit: u64,
    rate: Rate,
    text: &'static str,
}

/// How a way went: how many requests passed, and the tokens that they used and held.
#[derive(Clone, Copy)]
struct Sums {
    requests: u64,
    used: u64,
    held: u64,
}

impl Sums {
    fn of<'r>(passed: impl IntoIterator<Item = &'r Reserve>) -> Self {
        let start = Sums { requests: 0, used: 0, held: 0 };
        passed.into_iter().fold(start, |sums, request| Sums {
            requests: sums.requests + 1,
            used: sums.used + request.cost,
            held: sums.held + request.estimate,
        })
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string().into_bytes();
    let groups: Vec<&str> =
        digits.rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// What the tool lets pass of the real requests, and what it says was held in vain.
fn tool_passes(way: &Way, duration: &str, log: &Path, requests: &[Reserve]) -> (Sums, String) {
    let (estimate, cost) = ("['ContextTokens', 1000]", "['ContextTokens', 'GeneratedTokens']");
    let policies = format!("{duration}{}", policy(estimate, cost, way.limit, way.rate));
    let (rows, summary) = replayed(&policies, log, &[]);
    let passed = passed(&rows, requests);
    let most = reservations::never_over(way.limit, way.rate, &passed);
    assert!(most * 10 > way.limit * 9, "only {most} of {} was ever held", way.limit);
    let sums = Sums::of(&passed);
    let excess: u64 = passed.iter().map(Reserve::excess).sum();
    let in_vain = sums.held + excess - sums.used;
    let share = format!("{:.1} %", in_vain as f64 * 100.0 / sums.held as f64);
    let Sums { used, held, .. } = sums;
    let numbers = [held, used, in_vain].map(grouped).join("  ");
    let wanted = format!("p               {numbers}  {share}  ");
    let shown = summary.lines().skip_while(|line| !line.starts_with("reserved under")).nth(1);
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let wanted = words(&format!("{wanted}{}", grouped(excess)));
    assert_eq!(shown.map(words), Some(wanted), "{summary}");
    (sums, share)
}

#[test]
fn what_reservation_costs_on_real_requests() {
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
    let mut readme = "| limit | knows the cost | reserved, settled at once | reserved, settled after its duration | held in vain |\n|---|---|---|---|---|\n".to_owned();
    println!("requests, tokens used, tokens held: the tool's and the textbook's of reservations");
    for way in [
        Way { limit: 100_000, rate: MINUTE, text: "100,000 / minute" },
        Way { limit: 300_000, rate: MINUTE, text: "300,000 / minute" },
        Way { limit: 10_000_000, rate: DAY, text: "10,000,000 / day" },
    ] {
        let Way { limit, rate, text } = way;
        let known = Policy { name: "p", key: "*", cost: Some("cost"), limit, rate };
        let answers = textbook::decide(&[known], &lines);
        let known = at_once.iter().zip(answers).filter(|(_, answer)| *answer == Answer::Admit);
        let known = Sums::of(known.map(|(request, _)| request));
        let cell =
            |sums: Sums| format!("{} ({} tokens)", grouped(sums.requests), grouped(sums.used));
        write!(readme, "| {text} | {} |", cell(known)).unwrap();
        let mut in_vain = String::new();
        for (name, duration, requests) in [("at once", "", &at_once), ("later", duration, &later)] {
            let answers = reservations::decide(limit, rate, requests);
            let wanted = requests.iter().zip(answers).filter(|(_, passes)| *passes);
            let wanted = Sums::of(wanted.map(|(request, _)| request));
            let (sums, share) = tool_passes(&way, duration, &path, requests);
            for (who, sums) in [("the tool", sums), ("textbook", wanted)] {
                let [count, used, held] = [sums.requests, sums.used, sums.held].map(grouped);
                println!("{text:>17} {name:>8} {who}: {count:>6} {used:>11} {held:>11}");
            }
            let close = sums.used as f64 / wanted.used as f64;
            assert!((0.99..1.01).contains(&close), "{close} of the textbook at {text}, {name}");
            write!(readme, " {} |", cell(sums)).unwrap();
            in_vain = share;
        }
        writeln!(readme, " {in_vain} |").unwrap();
    }
    println!("{readme}");
}
