//! A simulated day of traffic for each seed, the same in every run: threads whose clocks drift, step
//! and stand still, changing clients, bursts, streams that last minutes, changed limits and reset
//! keys. Each seed omits one of these features.
//!
//! A ledger that is computed only from the limiter's answers checks them. A failing seed is printed
//! with the command that replays it.

mod checked_limiter;
mod ledger;
#[path = "../load/mod.rs"]
mod load;
#[path = "../oracle/mod.rs"]
mod oracle;
mod setup;
mod thread_clocks;
mod traffic;

use checked_limiter::faulty_limiter;
use load::by_size;
use oracle::faulty_limiter::Fault;
use setup::Setup;
use std::panic::{catch_unwind, resume_unwind};
use traffic::{Summary, Traffic};

fn day(seed: u64, fault: Option<Fault>) -> Summary {
    let setup = Setup::new(seed);
    let limiter = faulty_limiter(&setup, fault);
    Traffic::new(&setup, &limiter).run()
}

/// The seeds to run: TOLLGATE_SEED if it is set, or a default range.
fn seeds() -> std::ops::Range<u64> {
    let seed = std::env::var("TOLLGATE_SEED").ok().map(|seed| seed.parse().expect("a number"));
    seed.map_or(0..by_size(50, 3_000), |seed: u64| seed..seed + 1)
}

/// Guarantees A, B, C and G: every answer of a day keeps the ledger's invariants. A second run of the
/// seed gives the same answers.
#[test]
fn every_seed_keeps_the_invariants_and_repeats() {
    let mut all = Summary::default();
    for seed in seeds() {
        let both = catch_unwind(|| (day(seed, None), day(seed, None)));
        let (summary, again) = both.unwrap_or_else(|cause| {
            eprintln!("seed {seed}: TOLLGATE_SEED={seed} cargo test --test simulation");
            resume_unwind(cause);
        });
        assert_eq!(summary, again, "seed {seed} is not the same twice");
        all.add(&summary);
    }
    println!("{all:?}");
    if seeds().count() > 1 {
        all.assert_enough(seeds().count() as u64);
    }
}

/// Two seeds give different answers.
#[test]
fn seeds_differ() {
    assert_ne!(day(0, None).digest, day(1, None).digest);
}

/// Each planted fault is found by some seed.
#[test]
fn planted_faults_are_found() {
    for fault in Fault::ALL {
        let found = (0..12).any(|seed| catch_unwind(|| day(seed, Some(fault))).is_err());
        assert!(found, "{fault:?} was not found");
    }
}
