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
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};
use tollgate_peers::{
    CHILD, Figures, Memory, Peer, QUANTILES, Rounds, Setting, Stopwatch, Table, Work,
    clock_pair_ns, huge_pages, key, peers, version,
};

const USAGE: &str = "usage: growth [KEYS] [ROUNDS]";
const KEYS: u64 = 10_000_000;
const ROUNDS: u64 = 3;
const LIMIT: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);
/// What limiters are given room for, or 8/5 of the keys if those are more: limiters that divide
/// their room among shards need some to spare.
const MAX_KEYS: u64 = 16_000_000;

/// Where some columns are.
const MEAN: usize = 0;
const MAX: usize = 1 + QUANTILES.len();
const MAX_ON_CPU: usize = MAX + 1;

fn head() -> Vec<&'static str> {
    let mut head = vec!["mean"];
    head.extend(QUANTILES.map(|(name, _)| name));
    head.extend(["max", "max on cpu", "resident MiB", "peak MiB", "bytes/key"]);
    head
}

/// The work: this many keys, each once.
struct Growth {
    keys: u64,
}

impl Work for Growth {
    type Report = Figures;

    fn run<P: Peer>(&self) -> Figures {
        let max_keys = MAX_KEYS.max(self.keys.saturating_mul(8) / 5);
        let max_keys = usize::try_from(max_keys).expect("keys that fit in memory");
        let mut watch = Stopwatch::new();
        let before = Memory::now();
        let peer = P::new(&Setting { limit: LIMIT, window: WINDOW, max_keys });
        let start = Instant::now();
        let mut admitted = 0;
        for counter in 0..self.keys {
            let key = key(counter);
            admitted += u64::from(watch.time(|| peer.check(key)));
        }
        let elapsed = start.elapsed();
        let after = Memory::now();
        assert_eq!(admitted, self.keys, "{}: every first request is admitted", P::NAME);
        assert!(elapsed < WINDOW, "{}: after {elapsed:?} keys are no longer live", P::NAME);

        const MIB: f64 = (1 << 20) as f64;
        let grown = before.zip(after).map(|(before, after)| {
            after.resident.saturating_sub(before.resident) as f64 / self.keys as f64
        });
        let mut figures = vec![Some(watch.mean())];
        figures.extend(QUANTILES.map(|(_, quantile)| Some(watch.quantile(quantile) as f64)));
        figures.push(Some(watch.worst() as f64));
        figures.push(watch.worst_on_cpu().map(|ns| ns as f64));
        figures.push(after.map(|memory| memory.resident as f64 / MIB));
        figures.push(after.map(|memory| memory.peak as f64 / MIB));
        figures.push(grown);
        Figures(figures)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let report = match words.as_slice() {
        [CHILD, name, keys] => {
            match number(keys).and_then(|keys| peers::run(name, &Growth { keys })) {
                Some(figures) => {
                    println!("{}", figures.to_line());
                    return ExitCode::SUCCESS;
                }
                None => None,
            }
        }
        [] => Some((KEYS, ROUNDS)),
        [keys] => number(keys).map(|keys| (keys, ROUNDS)),
        [keys, rounds] => number(keys).zip(number(rounds)),
        _ => None,
    };
    let Some((keys, rounds)) = report else {
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

/// A number above zero, in which digits may be grouped by underscores.
fn number(text: &str) -> Option<u64> {
    text.replace('_', "").parse().ok().filter(|number| *number > 0)
}

/// Runs all peers and prints what came out.
fn compare(keys: u64, rounds: u64) -> io::Result<()> {
    let pair = clock_pair_ns();
    let start = Instant::now();
    let rounds = Rounds::run(rounds as usize, &[keys.to_string()])?;

    println!("From empty to {} live keys, each asked for once;", group(keys));
    println!("{LIMIT} requests per {} s and key. Medians of the rounds.", WINDOW.as_secs());
    println!(
        "Times in ns by std::time::Instant. A pair of readings takes {pair:.1} ns; what of it is"
    );
    println!("in each time, and how often the machine interrupts, shows in the row control-empty.");
    let pages = huge_pages().unwrap_or_else(|| "unknown".into());
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    println!("Cores: {cores}. Transparent huge pages: {pages}.");
    let measured: Vec<String> = ["tollgate", "governor", "rate-net"]
        .iter()
        .map(|package| format!("{package} {}", version(package).unwrap_or("?")))
        .collect();
    println!("{}.\n", measured.join(", "));

    let mut table = Table::new([&["peer"], head().as_slice()].concat());
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
    promises();
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

/// What the figures do not tell.
fn promises() {
    for (name, promises) in peers::ALL.iter().filter(|(name, _)| !name.starts_with("control")) {
        println!("{name}");
        println!("  counts:        {}", promises.counting);
        println!("  in any window: {}", promises.most);
        println!("  memory:        {}", promises.memory);
        println!("  may wait for:  {}", promises.waiting);
    }
    println!();
}

fn group(number: u64) -> String {
    Table::number(Some(number as f64), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_grouped_and_are_not_zero() {
        assert_eq!(number("10_000_000"), Some(10_000_000));
        assert_eq!(number("0"), None);
        assert_eq!(number("-1"), None);
        assert_eq!(number("1e6"), None);
    }

    #[test]
    fn every_figure_has_its_column() {
        let figures = Growth { keys: 1000 }.run::<peers::Governor>();
        let head = head();
        assert_eq!(figures.0.len(), head.len());
        assert_eq!((head[MEAN], head[MAX], head[MAX_ON_CPU]), ("mean", "max", "max on cpu"));
    }
}
