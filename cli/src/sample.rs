//! A generated log: one day of traffic with a daily cycle, crawlers, and bursts of abuse.
//!
//! The same seed gives the same log. All addresses are in the ranges reserved for documentation.

mod random;

use crate::log::{Format, time};
use jiff::Timestamp;
use random::Random;
use std::io::{self, Write};

/// The default number of lines.
pub const LINES: u64 = 5_000;

const MINUTES: usize = 24 * 60;
const MINUTE_NS: u64 = 60_000_000_000;
/// The start of the day of the sample: 2026-03-10.
const DAY_NS: u64 = 1_773_100_800_000_000_000;

/// A few minutes of heavy traffic from one client.
struct Burst {
    /// The minute of the day in which it starts.
    start: usize,
    minutes: usize,
    /// The traffic that it adds, in thousandths of the day's other traffic.
    thousandths: u64,
    client: &'static str,
    path: &'static str,
}

const BURSTS: [Burst; 6] = [
    Burst { start: 187, minutes: 2, thousandths: 90, client: "203.0.113.66", path: "/login" },
    Burst {
        start: 505,
        minutes: 3,
        thousandths: 130,
        client: "198.51.100.23",
        path: "/api/search",
    },
    Burst {
        start: 723,
        minutes: 1,
        thousandths: 50,
        client: "2001:db8:bad::7",
        path: "/api/export",
    },
    Burst { start: 871, minutes: 3, thousandths: 170, client: "203.0.113.66", path: "/login" },
    Burst {
        start: 1122,
        minutes: 1,
        thousandths: 60,
        client: "192.0.2.199",
        path: "/wp-login.php",
    },
    Burst { start: 1290, minutes: 2, thousandths: 70, client: "198.51.100.77", path: "/feed.xml" },
];

const CRAWLERS: [&str; 4] = ["192.0.2.10", "192.0.2.11", "198.51.100.200", "2001:db8:c0::1"];
const USERS: [&str; 8] = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];
const PATHS: [(&str, u64); 10] = [
    ("/", 9_000),
    ("/index.html", 9_000),
    ("/static/site.css", 4_200),
    ("/static/site.js", 31_000),
    ("/images/header.png", 58_000),
    ("/blog/rate-limits", 22_000),
    ("/blog/sliding-windows", 27_000),
    ("/api/items", 2_300),
    ("/api/search", 6_100),
    ("/downloads/manual.pdf", 1_400_000),
];
const TENANTS: [(&str, u64); 5] =
    [("acme", 40), ("globex", 25), ("initech", 15), ("umbrella", 12), ("hooli", 8)];

/// The time and the origin of one request.
struct Visit {
    unix_ns: u64,
    /// The index of its burst; `None` for other traffic.
    burst: Option<usize>,
}

/// Writes a sample log.
pub fn write(out: &mut impl Write, lines: u64, seed: u64, format: Format) -> io::Result<()> {
    let mut random = Random::new(seed);
    let day = Day::new();
    if format == Format::Csv {
        writeln!(out, "time,tenant,user,prompt_tokens,completion_tokens")?;
    }
    for line in 0..lines {
        let visit = day.visit(line, lines, &mut random);
        match format {
            Format::Clf => write_access(out, &visit, &mut random)?,
            Format::Csv => write_llm(out, &visit, &mut random)?,
        }
    }
    out.flush()
}

/// The distribution of traffic over the day. The traffic of a minute is proportional to its weight.
struct Day {
    /// For each minute, the sum of the weights up to its end.
    until: Vec<u64>,
    /// For each minute, the weight and the index of its burst; the weight is 0 if it has none.
    burst: Vec<(u64, usize)>,
}

impl Day {
    fn new() -> Self {
        // The weight rises from 20,000 at 04:00 to 100,000 at 16:00, and falls again until 04:00.
        let base = |minute: usize| {
            let from_low = (minute + MINUTES - 240) % MINUTES;
            let rise = from_low.min(MINUTES - from_low) as u64;
            20_000 + 80_000 * rise / (MINUTES as u64 / 2)
        };
        let total: u64 = (0..MINUTES).map(base).sum();
        let mut burst = vec![(0, 0); MINUTES];
        for (index, one) in BURSTS.iter().enumerate() {
            let weight = total * one.thousandths / 1_000 / one.minutes as u64;
            for minute in &mut burst[one.start..one.start + one.minutes] {
                *minute = (weight, index);
            }
        }
        let mut sum = 0;
        let until = (0..MINUTES).map(|minute| {
            sum += base(minute) + burst[minute].0;
            sum
        });
        Day { until: until.collect(), burst }
    }

    /// The visit of a line. Lines are almost in order of time.
    fn visit(&self, line: u64, lines: u64, random: &mut Random) -> Visit {
        let total = self.until.last().copied().unwrap_or(1);
        let scaled = u128::from(total) * u128::from(line) / u128::from(lines.max(1));
        let position = scaled as u64 + random.below((total / lines.max(1)).max(1));
        let minute = self.until.partition_point(|until| *until <= position).min(MINUTES - 1);
        let before = minute.checked_sub(1).map_or(0, |before| self.until[before]);
        let weight = self.until[minute] - before;
        let into = u128::from(position - before) * u128::from(MINUTE_NS) / u128::from(weight);
        // A server writes a line when a request ends, but with the time when the request started.
        let took = if random.below(20) == 0 { random.below(4_000_000_000) } else { 0 };
        let in_day = minute as u64 * MINUTE_NS + into as u64;
        let (burst, index) = self.burst[minute];
        Visit {
            unix_ns: DAY_NS + in_day.saturating_sub(took),
            burst: (random.below(weight) < burst).then_some(index),
        }
    }
}

/// The address of a random visitor: a few visit often, most rarely.
fn visitor(random: &mut Random) -> String {
    let range = random.below(u64::MAX);
    let number = random.below(200).min(random.below(200)) + 1;
    match range % 8 {
        0..3 => format!("192.0.2.{number}"),
        3..5 => format!("198.51.100.{number}"),
        5..7 => format!("203.0.113.{number}"),
        _ => format!("2001:db8:{number:x}::{:x}", range % 65_536),
    }
}

fn write_access(out: &mut impl Write, visit: &Visit, random: &mut Random) -> io::Result<()> {
    let instant = Timestamp::from_second((visit.unix_ns / 1_000_000_000) as i64);
    let when = instant.unwrap_or_default().strftime("%d/%b/%Y:%H:%M:%S +0000");
    let mut user = "-";
    let (client, path, bytes, status, agent) = match visit.burst.map(|index| &BURSTS[index]) {
        Some(burst) => {
            let status = if random.below(3) == 0 { 200 } else { 401 };
            (burst.client.to_owned(), burst.path, 512, status, "python-requests/2.31")
        }
        None if random.below(100) < 12 => {
            let client = CRAWLERS[random.below(CRAWLERS.len() as u64) as usize];
            let (path, bytes) = PATHS[random.below(PATHS.len() as u64) as usize];
            (client.to_owned(), path, bytes, 200, "ExampleBot/2.1 (+https://bot.example)")
        }
        None => {
            if random.below(3) == 0 {
                user = USERS[random.below(USERS.len() as u64) as usize];
            }
            let (path, bytes) = PATHS[random.below(PATHS.len() as u64) as usize];
            let status = [200, 200, 200, 200, 200, 200, 304, 404][random.below(8) as usize];
            (visitor(random), path, bytes, status, "Mozilla/5.0 (X11; Linux x86_64)")
        }
    };
    let query = if random.below(6) == 0 { "?ref=mail" } else { "" };
    write!(out, "{client} - {user} [{when}] \"GET {path}{query} HTTP/1.1\" {status} ")?;
    match status {
        304 => write!(out, "-")?,
        _ => write!(out, "{}", bytes / 2 + random.below(bytes))?,
    }
    writeln!(out, " \"-\" \"{agent}\"")
}

fn write_llm(out: &mut impl Write, visit: &Visit, random: &mut Random) -> io::Result<()> {
    let tenant = match visit.burst {
        Some(index) => TENANTS[index % TENANTS.len()].0,
        None => {
            let mut rest = random.below(TENANTS.iter().map(|(_, weight)| weight).sum());
            let at = |(_, weight): &&(&str, u64)| match rest.checked_sub(*weight) {
                Some(remaining) => {
                    rest = remaining;
                    false
                }
                None => true,
            };
            TENANTS.iter().find(at).map_or("acme", |(tenant, _)| tenant)
        }
    };
    let user = USERS[random.below(USERS.len() as u64) as usize];
    // Most prompts are short, and a few are long.
    let prompt = 20 + random.below(200) + random.below(9).pow(4);
    let completion = match random.below(50) {
        0 => "-".to_owned(),
        _ => (5 + random.below(60) + random.below(7).pow(3)).to_string(),
    };
    // Round down to milliseconds, as most services log.
    let when = time::rfc3339(visit.unix_ns / 1_000_000 * 1_000_000);
    writeln!(out, "{when},{tenant},{user},{prompt},{completion}")
}
