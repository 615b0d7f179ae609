//! How long single decisions take while a limiter grows from empty to many live keys.
//!
//! ```sh
//! cargo run --release -p tollgate-peers --bin growth              # 10 million keys, 3 rounds
//! cargo run --release -p tollgate-peers --bin growth 2_000_000 5  # 2 million keys, 5 rounds
//! ```
//!
//! Every key is new, is asked for once, and must be admitted; keys come in random order. A table
//! that is moved to a larger one at once shows in the worst call, one that is moved step by step
//! does not. Every call is timed on its own, the clock included. All peers take turns, each run in
//! a process of its own; reported are the medians over the rounds, and each round's worst call.
//!
//! `max on cpu` is the worst call without the time for which its thread was set aside; see
//! [`Stopwatch`]. The controls show what else is not the limiter's: `control-empty` the clock and
//! the interruptions of this machine, `control-touch` what the system takes for handing out memory
//! when each key touches one cache line of a table as large as the limiters have room for.
//!
//! `governor`'s map has four shards a core, so its worst call gets shorter with more cores;
//! `rate-net` keeps its shards below a fixed size, and tollgate has none.

use std::env;
use std::io;
use std::process::ExitCode;
use std::time::Instant;
use tollgate_peers::tasks::{Growth, Job, LIMIT, MAX, MAX_ON_CPU, MEAN, WINDOW, child, number};
use tollgate_peers::{CHILD, Rounds, Table, clock_pair_ns, peers, report};

const USAGE: &str = "usage: growth [KEYS] [ROUNDS]";
const KEYS: u64 = 10_000_000;
const ROUNDS: u64 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [CHILD, rest @ ..] = words.as_slice()
        && let Some(figures) = child(rest)
    {
        println!("{}", figures.to_line());
        return ExitCode::SUCCESS;
    }
    let asked = match words.as_slice() {
        [] => Some((KEYS, ROUNDS)),
        [keys] => number(keys).map(|keys| (keys, ROUNDS)),
        [keys, rounds] => number(keys).zip(number(rounds)),
        _ => None,
    };
    let Some((keys, rounds)) = asked else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match compare(keys, rounds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("growth: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all peers and prints what came out.
fn compare(keys: u64, rounds: u64) -> io::Result<()> {
    let pair = clock_pair_ns();
    let start = Instant::now();
    let rounds =
        Rounds::run(&peers::GROWING, rounds as usize, &Job::Growth.arguments::<u64>(keys))?;

    println!("From empty to {} live keys, each asked for once;", group(keys));
    println!("{LIMIT} requests per {} s and key. Medians of the rounds.", WINDOW.as_secs());
    println!(
        "Times in ns by std::time::Instant. A pair of readings takes {pair:.1} ns; what of it is"
    );
    println!("in each time, and how often the machine interrupts, shows in the row control-empty.");
    println!("{}.\n", report::machine());

    let mut table = Table::new([&["peer"], Growth::head().as_slice()].concat());
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
    println!("{table}");

    worst_calls(&rounds);
    println!("{}", report::promises());
    println!("It took {:.0} s.", start.elapsed().as_secs_f64());
    Ok(())
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

fn group(number: u64) -> String {
    Table::number(Some(number as f64), 0)
}
