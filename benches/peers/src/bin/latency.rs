//! How long single decisions about known keys take under load, while nothing moves and while new
//! keys make the tables grow.
//!
//! ```sh
//! cargo run --release -p tollgate-peers --bin latency              # a million keys, 3 rounds
//! cargo run --release -p tollgate-peers --bin latency 200_000 5    # 200,000 keys, 5 rounds
//! ```
//!
//! Two threads ask all the time. One visits known keys at random, twice as often as there are keys,
//! and each of its calls is timed by itself; the other asks for known keys as well, or for new ones.
//! A timed call includes about one of its two clock readings, and waits for its cache misses alone:
//! it is what a decision between other work takes, and not the inverse of the throughput. All peers
//! take turns, each run in a process of its own; reported are the medians over the rounds.
//! `max on cpu` is the worst call without the time for which its thread was set aside.

use std::env;
use std::io;
use std::process::ExitCode;
use std::time::Instant;
use tollgate_peers::tasks::{Growth, Job, MAX_ON_CPU, MEAN, child, number};
use tollgate_peers::{CHILD, KeyKind, Rounds, Table, clock_pair_ns, peers, report};

const USAGE: &str = "usage: latency [KEYS] [ROUNDS]";
const KEYS: u64 = 1_000_000;
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
    match compare(keys, rounds as usize) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("latency: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all peers and prints what came out.
fn compare(keys: u64, rounds: usize) -> io::Result<()> {
    let start = Instant::now();
    println!("{}; {}.", report::machine(), String::NAME);
    println!(
        "Times in ns by std::time::Instant. A pair of readings takes {:.1} ns;",
        clock_pair_ns()
    );
    println!("what of it is in each time shows in the row control-empty. Medians of the rounds.\n");
    let jobs = [
        (Job::LoadStill, "the other thread asks for known keys"),
        (Job::LoadMoving, "the other thread asks for new keys"),
    ];
    let head = &Growth::head()[..=MAX_ON_CPU];
    for (job, title) in jobs {
        let figures = Rounds::run(&peers::GROWING, rounds, &job.arguments::<String>(keys))?;
        let count = Table::number(Some(keys as f64), 0);
        println!("{count} known keys; {title}");
        let mut table = Table::new([&["peer"], head].concat());
        for (name, figures) in figures.medians() {
            let cells = figures.0.iter().enumerate();
            let cell = |(column, figure): (usize, &Option<f64>)| {
                Table::number(*figure, usize::from(column == MEAN))
            };
            let mut row = vec![name.to_owned()];
            row.extend(cells.map(cell));
            table.row(row);
        }
        println!("{table}");
    }
    println!("It took {:.0} s.", start.elapsed().as_secs_f64());
    Ok(())
}
