//! How long single decisions take while a limiter grows from empty to many live keys; or those
//! about known keys, under load, while nothing moves and while new keys make it grow.
//!
//! ```sh
//! cargo run --release -p tollgate-peers --bin growth              # 10 million keys, 3 rounds
//! cargo run --release -p tollgate-peers --bin growth 2_000_000 5  # 2 million keys, 5 rounds
//! cargo run --release -p tollgate-peers --bin growth load         # a million known keys, 3 rounds
//! ```
//!
//! Every key is new, is asked for once, and must be admitted; keys come in random order. A table
//! that is moved to a larger one at once shows in the worst call, one that is moved step by step
//! does not. Every call is timed on its own, the clock included. All peers take turns, each run in
//! a process of its own; reported are the medians over the rounds, and each round's worst call.
//!
//! `max on cpu` is the worst call without the time for which its thread was set aside; see
//! [`Stopwatch`](tollgate_peers::Stopwatch). The controls show what else is not the limiter's:
//! `control-empty` the clock and the interruptions of this machine, `control-touch` what the system
//! takes for handing out memory when each key touches one cache line of a table as large as the
//! limiters have room for.
//!
//! Under load two threads ask all the time. One visits known keys at random, twice as often as
//! there are keys, and each of its calls is timed; the other asks for known keys as well, or for
//! new ones. A timed call includes about one of its two clock readings, and waits for its cache
//! misses alone: it is what a decision between other work takes, and not the inverse of the
//! throughput.
//!
//! `governor`'s map has four shards a core, so its worst call gets shorter with more cores;
//! `rate-net` keeps its shards below a fixed size, and tollgate has none.

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

/// What is asked for on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    /// About known keys, and not about new ones.
    load: bool,
    keys: u64,
    rounds: u64,
}

impl Asked {
    fn parse(words: &[&str]) -> Option<Asked> {
        let (load, words) = match words {
            ["load", rest @ ..] => (true, rest),
            _ => (false, words),
        };
        let most = if load { KNOWN_KEYS } else { KEYS };
        let (keys, rounds) = match words {
            [] => (most, ROUNDS),
            [keys] => (number(keys)?, ROUNDS),
            [keys, rounds] => (number(keys)?, number(rounds)?),
            _ => return None,
        };
        Some(Asked { load, keys, rounds })
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
    let Some(asked) = Asked::parse(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match compare(asked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("growth: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all peers and prints what came out.
fn compare(asked: Asked) -> io::Result<()> {
    let start = Instant::now();
    println!("{}.", report::machine());
    println!(
        "Times in ns by std::time::Instant. A pair of readings takes {:.1} ns; what of it",
        clock_pair_ns()
    );
    println!(
        "is in each time, and how often the machine interrupts, shows in the row control-empty."
    );
    println!("Medians of the rounds.\n");
    let keys = Table::number(Some(asked.keys as f64), 0);
    let run = |job: Job| {
        Rounds::run(&peers::GROWING, asked.rounds as usize, &job.arguments::<u64>(asked.keys))
    };
    if asked.load {
        for (job, title) in [(Job::LoadStill, "known keys"), (Job::LoadMoving, "new keys")] {
            let rounds = run(job)?;
            println!("{keys} known keys, while another thread asks for {title}");
            println!("{}", medians(&rounds, &Growth::head()[..=MAX_ON_CPU]));
        }
    } else {
        let rounds = run(Job::Growth)?;
        println!("From empty to {keys} live keys, each asked for once;");
        println!("{LIMIT} requests per {} s and key.", WINDOW.as_secs());
        println!("{}", medians(&rounds, &Growth::head()));
        worst_calls(&rounds);
    }
    println!("{}", report::promises());
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

/// The worst call of every round, and how the medians compare to those of this project's peers.
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
    fn what_is_not_asked_for_is_as_documented() {
        let asked = |load, keys, rounds| Some(Asked { load, keys, rounds });
        assert_eq!(Asked::parse(&[]), asked(false, 10_000_000, 3));
        assert_eq!(Asked::parse(&["load"]), asked(true, 1_000_000, 3));
        assert_eq!(Asked::parse(&["2_000_000", "5"]), asked(false, 2_000_000, 5));
        assert_eq!(Asked::parse(&["load", "7"]), asked(true, 7, 3));
        assert_eq!(Asked::parse(&["7", "load"]), None);
    }
}
