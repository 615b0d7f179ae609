//! Compares decisions of tollgate and its rivals in one run.
//!
//! ```sh
//! cargo run --release -p tollgate-peers --bin decisions                       # all, some minutes
//! cargo run --release -p tollgate-peers --bin decisions -- --quick            # about a minute
//! cargo run --release -p tollgate-peers --bin decisions -- hot uniform        # two scenarios
//! cargo run --release -p tollgate-peers --bin decisions -- --keys u64         # numeric keys
//! cargo run --release -p tollgate-peers --bin decisions -- --markdown out.md --svg out.svg
//! ```
//!
//! A scenario compares contenders: limiters that do the same work, each called in one way. In each of
//! many rounds, each contender takes one turn: it decides requests for some milliseconds. In
//! `after-inserts`, `new` and `bytes` each limiter instead runs in a child process, in few rounds. The
//! results are the medians over the rounds, and their ratios.
//!
//! Keys are texts of 16 letters by default. Each row names the kind and the number of its keys. In
//! scenarios with many keys, all keys are inserted in random order, and then keys are drawn at random.
//! Keys are stored in the order of use, so that reading them costs little.
//!
//! Limiters are used as the inserts leave them. Only for rows that say `maintained`, tollgate's
//! `Limiter::maintain` is called until it is done. In `bytes-maintained`, the rivals are maintained as
//! well, if they have such a function.
//!
//! A scenario fails if more than one verdict in a thousand is not the expected one, such as a denial
//! among requests that should be admitted. In a child process, a single one suffices.
//!
//! Decisions in a tight loop overlap, so the figures are throughput. For the latency of single decisions
//! see `growth load`.

use std::env;
use std::fs;
use std::io;
use std::process::ExitCode;
use std::time::Instant;
use tollgate_peers::scenarios::{self, Entry, Size};
use tollgate_peers::{CHILD, KeyKind, Outcome, chart, report, tasks};

const USAGE: &str =
    "usage: decisions [--quick] [--keys text|u64] [--markdown FILE] [--svg FILE] [SCENARIO...]";

/// The options of the command line.
#[derive(Debug, Default, PartialEq)]
struct Options {
    quick: bool,
    numbers: bool,
    markdown: Option<String>,
    svg: Option<String>,
    scenarios: Vec<String>,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Option<Options> {
        let mut options = Options::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => options.quick = true,
                "--keys" => {
                    options.numbers = match words.next()?.as_str() {
                        "text" => false,
                        "u64" => true,
                        _ => return None,
                    }
                }
                "--markdown" => options.markdown = Some(words.next()?),
                "--svg" => options.svg = Some(words.next()?),
                _ if scenarios::all::<u64>().iter().any(|entry| entry.name == word) => {
                    options.scenarios.push(word)
                }
                _ => return None,
            }
        }
        Some(options)
    }

    fn entries(&self) -> Vec<Entry> {
        let mut all =
            if self.numbers { scenarios::all::<u64>() } else { scenarios::all::<String>() };
        all.retain(|entry| {
            self.scenarios.is_empty() || self.scenarios.iter().any(|name| name == entry.name)
        });
        all
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if let [first, rest @ ..] = words.as_slice()
        && first == CHILD
    {
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        if let Some(figures) = tasks::child(&rest) {
            println!("{}", figures.to_line());
            return ExitCode::SUCCESS;
        }
    }
    let Some(options) = Options::parse(words.into_iter()) else {
        let names: Vec<&str> = scenarios::all::<u64>().iter().map(|entry| entry.name).collect();
        eprintln!("{USAGE}\nscenarios: {}", names.join(", "));
        return ExitCode::from(2);
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("decisions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    let start = Instant::now();
    let size = if options.quick { Size::QUICK } else { Size::FULL };
    let keys = if options.numbers { u64::NAME } else { String::NAME };
    println!("{}; {keys}.\n", report::machine());
    let mut outcomes: Vec<Outcome> = Vec::new();
    // If a child process fails, the figures of the other scenarios are kept.
    let mut result = Ok(());
    for entry in options.entries() {
        match entry.run(size) {
            Ok(results) => {
                for outcome in results {
                    println!("{}", report::scenario(&outcome));
                    outcomes.push(outcome);
                }
            }
            Err(error) => {
                eprintln!("{}: {error}", entry.name);
                result = Err(error);
            }
        }
    }
    println!("{}", report::targets(&outcomes));
    println!("{}", report::guarantees());
    if let Some(note) = report::unreliable(&outcomes) {
        println!("{note}\n");
    }
    if let Some(path) = &options.markdown {
        fs::write(path, report::markdown(&outcomes, keys))?;
    }
    if let Some(path) = &options.svg {
        fs::write(path, chart(&outcomes))?;
    }
    println!("It took {:.0} s.", start.elapsed().as_secs_f64());
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_and_scenarios_come_in_any_order() {
        assert_eq!(parse(""), Some(Options::default()));
        let options = parse("hot --quick --keys u64 --svg a.svg new --markdown b.md").unwrap();
        assert!(options.quick && options.numbers);
        assert_eq!(
            (options.svg.as_deref(), options.markdown.as_deref()),
            (Some("a.svg"), Some("b.md"))
        );
        let names: Vec<&str> = options.entries().iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["hot", "new"]);
        assert_eq!(parse("").unwrap().entries().len(), scenarios::all::<u64>().len());
    }

    #[test]
    fn unknown_arguments_are_rejected() {
        for line in ["--quik", "cold", "--keys", "--keys 64", "--svg", "hot nobody"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
