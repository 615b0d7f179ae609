//! A day of made-up traffic in simulated time, the same for each seed: threads whose clocks drift,
//! step and stand still, clients who come and go, bursts, streams that live for minutes, limits
//! that are set and keys that are reset. Each seed does without one kind of these.
//!
//! An account that knows only what the limiter has answered holds it to its laws. A seed that fails
//! is printed with the command that replays it.

mod load;
mod reference;

mod simulation {
    use super::{load, reference};

    mod account;
    mod clocks;
    pub mod day;
    pub mod desk;
    pub mod make;
}

use load::by_size;
use reference::gate::Fault;
use simulation::day::{Day, Told};
use simulation::desk::gate;
use simulation::make::Make;
use std::panic::{catch_unwind, resume_unwind};

fn day(seed: u64, fault: Option<Fault>) -> Told {
    let make = Make::new(seed);
    let gate = gate(&make, fault);
    Day::new(&make, &gate).run()
}

/// The seeds to run: the one that is asked for, or so many.
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("TOLLGATE_SEED").ok().map(|seed| seed.parse().expect("a number"));
    asked.map_or(0..by_size(50, 3_000), |seed: u64| seed..seed + 1)
}

#[test]
fn every_day_is_lawful_and_repeats() {
    let mut all = Told::default();
    for seed in seeds() {
        let both = catch_unwind(|| (day(seed, None), day(seed, None)));
        let (told, again) = both.unwrap_or_else(|cause| {
            eprintln!("seed {seed}: TOLLGATE_SEED={seed} cargo test --test simulation");
            resume_unwind(cause);
        });
        assert_eq!(told, again, "seed {seed} is not the same twice");
        all.add(&told);
    }
    println!("{all:?}");
    if seeds().count() > 1 {
        all.assert_enough(seeds().count() as u64);
    }
}

#[test]
fn seeds_differ() {
    assert_ne!(day(0, None).digest, day(1, None).digest);
}

/// Each fault that is planted is found on some day.
#[test]
fn what_is_wrong_is_found() {
    for fault in Fault::ALL {
        let found = (0..12).any(|seed| catch_unwind(|| day(seed, Some(fault))).is_err());
        assert!(found, "{fault:?} was not found");
    }
}
