//! Measures the latency of single decisions. Without `load`, a limiter grows from empty to many live
//! keys. With `load`, the decisions are about known keys, while another thread uses known keys or inserts
//! new ones.
//!
//! ```sh
//! cargo run --release -p tollgate-peers --bin growth              # 10 million keys, 3 rounds
//! cargo run --release -p tollgate-peers --bin growth 2_000_000 5  # 2 million keys, 5 rounds
//! cargo run --release -p tollgate-peers --bin growth load         # a million known keys, 3 rounds
//! ```
//!
//! Every call is timed alone. The time of a call includes about one of the two clock readings around it.
//! The cache misses of a call do not overlap with those of other calls, so the time is the latency of a
//! single decision, not the inverse of the throughput.
//!
//! The measured limiters and controls (see below) are the peers. In each round, each peer runs once, in
//! a child process. The report has the medians over the rounds and, without `load`, the worst call of
//! each round.
//!
//! Without `load`, pseudorandom keys are inserted, each once, and every request must be admitted. A
//! table that moves all its keys at once makes the worst call long; a table that moves them in steps
//! does not.
//!
//! `max on cpu` is the worst call by CPU time: without the time in which the thread was descheduled. See
//! [`Stopwatch`](tollgate_peers::Stopwatch).
//!
//! A control is a peer without a limiter. It shows costs that are not the limiter's: `control-empty`
//! those of the clock and of the interruptions of this machine, `control-touch` those of the page faults
//! when each key touches one cache line of a table with the capacity of the limiters. With `load`,
//! `control-touch` also shows the contention of its mutex.
//!
//! With `load`, all known keys are inserted first. Then two threads call the limiter at the same time.
//! One makes twice as many requests as there are known keys, for random known keys, and each of its
//! calls is timed. The other uses known keys as well (the first two tables of the report), or inserts
//! new keys (the third table). In the second table, which says `maintained`, the maintenance of each
//! limiter that has any is done between the inserts and the measurement. In the other two tables,
//! limiters are used as the inserts leave them.
//!
//! A map of `governor` has four shards per core, rounded up to a power of two. A shard that grows moves
//! all its keys at once. The more cores, the smaller the shards, and the shorter the worst call.
//! `rate-net` has more shards for more keys, so that a shard never holds more than a fixed number of
//! keys. The tables of tollgate have no shards.

use std::env;
use std::io;
use std::process::ExitCode;
use std::time::Instant;
use tollgate_peers::tasks::{Growth, Job, LIMIT, MAX, MAX_ON_CPU, MEAN, WINDOW, child, number};
use tollgate_peers::{CHILD, Rounds, Table, clock_pair_ns, peers, report};

const USAGE: &str = "usage: growth [load] [KEYS] [ROUNDS]";
const KEYS: u64 = 10_000_000;
const KNOWN_KEYS: u64 = 1_000_000;
const ROUNDS: u64 = 3;

/// The options of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Options {
    /// Whether to measure known keys under load instead of new keys.
    load: bool,
    keys: u64,
    rounds: u64,
}

impl Options {
    fn parse(words: &[&str]) -> Option<Options> {
        let (load, words) = match words {
            ["load", rest @ ..] => (true, rest),
            _ => (false, words),
        };
        let default = if load { KNOWN_KEYS } else { KEYS };
        let (keys, rounds) = match words {
            [] => (default, ROUNDS),
            [keys] => (number(keys)?, ROUNDS),
            [keys, rounds] => (number(keys)?, number(rounds)?),
            _ => return None,
        };
        Some(Options { load, keys, rounds })
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [CHILD, rest @ ..] = words.as_slice()
        && let Some(figures) = child(rest)
    {
        println!("{}", figures.to_line());
        return ExitCode::SUCCESS;
    }
    let Some(options) = Options::parse(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match compare(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("growth: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all peers and prints the report.
fn compare(options: Options) -> io::Result<()> {
    let start = Instant::now();
    println!("{}.", report::machine());
    println!(
        "Times in ns by std::time::Instant. A pair of readings takes {:.1} ns.",
        clock_pair_ns()
    );
    println!(
        "The row control-empty shows the cost of the clock and the interruptions of the machine."
    );
    println!("Medians of the rounds.\n");
    let keys = Table::number(Some(options.keys as f64), 0);
    let run = |job: Job| {
        Rounds::run(&peers::GROWING, options.rounds as usize, &job.arguments::<u64>(options.keys))
    };
    if options.load {
        for (job, state, other) in [
            (Job::LoadKnown, "known keys", "known keys"),
            (Job::LoadKnownMaintained, "known keys, maintained", "known keys"),
            (Job::LoadGrowing, "known keys", "new keys"),
        ] {
            let rounds = run(job)?;
            println!("{keys} {state}, while another thread uses {other}");
            println!("{}", medians(&rounds, &Growth::head()[..=MAX_ON_CPU]));
        }
    } else {
        let rounds = run(Job::Growth)?;
        println!("From empty to {keys} live keys, each used once;");
        println!("{LIMIT} requests per {} s and key.", WINDOW.as_secs());
        println!("{}", medians(&rounds, &Growth::head()));
        worst_calls(&rounds);
    }
    println!("{}", report::guarantees());
    println!("It took {:.0} s.", start.elapsed().as_secs_f64());
    Ok(())
}

fn medians(rounds: &Rounds, head: &[&str]) -> Table {
    let mut table = Table::new([&["peer"], head].concat());
    for (name, figures) in rounds.medians() {
        let mut row = vec![name.to_owned()];
        row.extend(
            figures
                .0
                .iter()
                .enumerate()
                .map(|(column, figure)| Table::number(*figure, usize::from(column == MEAN))),
        );
        table.row(row);
    }
    table
}

/// Prints two tables of the worst call of each round: by wall time and by CPU time. The last columns have
/// the median worst call, divided by that of each limiter of this project.
fn worst_calls(rounds: &Rounds) {
    let medians: Vec<_> = rounds.medians().collect();
    let own: Vec<_> = medians.iter().filter(|(name, _)| name.starts_with("tollgate")).collect();
    for (title, column) in [("max", MAX), ("max on cpu", MAX_ON_CPU)] {
        let count = rounds.peers.first().map_or(0, |(_, all)| all.len());
        let mut head = vec![title.to_owned()];
        head.extend((1..=count).map(|round| format!("round {round}")));
        head.extend(own.iter().map(|(name, _)| format!("median / {name}'s")));
        let mut table = Table::new(head);
        for ((name, all), (_, median)) in rounds.peers.iter().zip(&medians) {
            let mut row = vec![(*name).to_owned()];
            row.extend(all.iter().map(|figures| Table::number(figures.0[column], 0)));
            row.extend(own.iter().map(|(_, own)| {
                let ratio = median.0[column].zip(own.0[column]).map(|(value, own)| value / own);
                Table::number(ratio, 2)
            }));
            table.row(row);
        }
        println!("{table}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_as_documented() {
        let options = |load, keys, rounds| Some(Options { load, keys, rounds });
        assert_eq!(Options::parse(&[]), options(false, 10_000_000, 3));
        assert_eq!(Options::parse(&["load"]), options(true, 1_000_000, 3));
        assert_eq!(Options::parse(&["2_000_000", "5"]), options(false, 2_000_000, 5));
        assert_eq!(Options::parse(&["load", "7"]), options(true, 7, 3));
        assert_eq!(Options::parse(&["7", "load"]), None);
    }
}
