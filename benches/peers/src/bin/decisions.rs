//! The same decisions by tollgate and by its rivals.
use std::env;
use std::time::Instant;
use tollgate_peers::{Outcome, Turns, chart, report, scenes};

fn main() {
    let mut wanted: Vec<String> = env::args().skip(1).collect();
    let numbers = wanted.first().is_some_and(|w| w == "--numbers");
    if numbers {
        wanted.remove(0);
    }
    let all = if numbers { scenes::all::<u64>() } else { scenes::all::<String>() };
    let mut outcomes = vec![];
    for entry in all {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == entry.name) {
            continue;
        }
        let start = Instant::now();
        let scene = (entry.stage)(scenes::Size::FULL);
        let staged = start.elapsed();
        let outcome = Outcome::of(scene, Turns { rounds: 40, slice: entry.slice });
        println!("{:.1} + {:.1} s", staged.as_secs_f64(), (start.elapsed() - staged).as_secs_f64());
        println!("{}", report::scene(&outcome));
        outcomes.push(outcome);
    }
    println!("{}", report::aims(&outcomes));
    std::fs::write("/tmp/chart.svg", chart(&outcomes)).unwrap();
    std::fs::write("/tmp/t.md", report::markdown(&outcomes, "text")).unwrap();
}
