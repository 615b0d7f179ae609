//! Random sequences of calls to the whole limiter, compared with the oracle. They use every
//! operation and kind of policy, virtual threads whose clocks are late, jump and read the edges of
//! windows, and tables that grow, evict and shrink. A failure is shrunk to few calls.

mod call_sequences;
mod decisions;
mod model;
#[path = "../oracle/mod.rs"]
mod oracle;
mod oracle_pair;
mod strategies;
mod system;
mod table_checks;

use model::{Model, Planted, Transition};
use oracle::{cases, faulty_limiter::Fault};
use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner,
};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use std::time::Duration;
use system::{COVERAGE, System};
use tollgate::{Limiter, ManualClock, Overflow, Period, Policy, PolicyId, Verdict};

struct Machine;

impl StateMachineTest for Machine {
    type SystemUnderTest = System;
    type Reference = Model;

    fn init_test(model: &Model) -> System {
        System::new(model)
    }

    fn apply(mut system: System, model: &Model, transition: Transition) -> System {
        system.apply(model, transition);
        system
    }

    fn check_invariants(system: &System, model: &Model) {
        system.assert_invariants(model);
    }
}

fn config() -> Config {
    let persistence = FileFailurePersistence::WithSource("regressions");
    Config { failure_persistence: Some(Box::new(persistence)), ..cases(500) }
}

prop_state_machine! {
    #![proptest_config(config())]

    /// Guarantees A, B, C, F and G: every answer is the oracle's, or within its bounds.
    #[test]
    fn limiter_matches_the_oracle(sequential 1..160 => Machine);
}

/// Runs the same cases each time, with a planted fault if one is given. Returns whether a case
/// fails.
fn fails(planted: Option<Planted>, cases: u32) -> bool {
    let config =
        Config { cases, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config.clone(), random);
    let run = runner.run(&Model::sequential_strategy(1..160), |(mut model, transitions, _)| {
        model.config.planted = planted;
        Machine::test_sequential(config.clone(), model, transitions, None);
        Ok::<(), TestCaseError>(())
    });
    matches!(run, Err(TestError::Fail(..)))
}

/// Each planted fault is found, in the limiter and in the oracle.
#[test]
fn planted_faults_are_found() {
    let faults = Fault::ALL.map(Planted::Limiter);
    for planted in faults.into_iter().chain([Planted::Oracle]) {
        assert!(fails(Some(planted), 200), "{planted:?} was not found");
    }
}

/// The cases cover every kind of event, including rare ones.
#[test]
fn cases_cover_every_kind_of_event() {
    assert!(!fails(None, 150));
    let coverage = COVERAGE.get();
    println!("{coverage:?}");
    let requests =
        [coverage.admitted, coverage.denied, coverage.refused, coverage.untracked, coverage.late];
    assert!(requests.iter().all(|count| *count > 500), "{coverage:?}");
    let rare =
        [coverage.evicted, coverage.migrations, coverage.settled, coverage.denied_extensions];
    assert!(rare.iter().all(|count| *count > 50), "{coverage:?}");
    assert!(coverage.passed > 500, "{coverage:?}");
    assert!(coverage.merged > 0 && coverage.shrunk > 0, "{coverage:?}");
}

/// Guarantee C: a settle of two items of one key reports the state after both.
#[test]
fn settle_reports_the_final_state_of_a_key() {
    let policy = Policy::sliding("p", 10, Duration::from_secs(1));
    let limiter = Limiter::builder().policy(policy).clock(ManualClock::new()).build().unwrap();
    let charge = limiter.policy("p").unwrap().charge("k", 3);
    let mut reservation = limiter.reserve(&[charge, charge]).unwrap();
    let decision = limiter.settle(&mut reservation, &[1, 1]).unwrap();
    assert_eq!(decision.remaining, 8);
    assert_eq!(limiter.peek(&[charge]).remaining, 8);
}

/// Two daily budgets, the first of which has just evicted a key for a new one.
fn after_an_eviction() -> (Limiter, PolicyId, PolicyId) {
    let day = |name| Policy::calendar(name, 10, Period::Day).max_keys(4);
    let evicts = day("evicts").overflow(Overflow::EvictLightest { allowance: 5 });
    let mut builder = Limiter::builder().clock(ManualClock::new());
    let (evicts, denies) = (builder.add(evicts), builder.add(day("denies")));
    let limiter = builder.build().unwrap();
    for key in 0..4_u64 {
        assert!(limiter.check(&[evicts.charge(key, 1), denies.charge(key, 1)]).is_allowed());
    }
    assert!(limiter.check(&[evicts.charge(4_u64, 1)]).is_allowed());
    assert!(limiter.stats(evicts).unwrap().evictions > 0);
    (limiter, evicts, denies)
}

/// Guarantee C: a request that is refused at the instant of an eviction is rolled back.
#[test]
fn refused_request_after_an_eviction_is_rolled_back() {
    let (limiter, evicts, denies) = after_an_eviction();
    let decision = limiter.check(&[evicts.charge(5_u64, 1), denies.charge(5_u64, 1)]);
    assert_eq!((decision.verdict, decision.policy), (Verdict::TableFull, denies));
    assert_eq!(limiter.peek(&[evicts.charge(5_u64, 1)]).remaining, 10);
}

/// Guarantee C: a reservation made at the instant of an eviction can be cancelled in full.
#[test]
fn reservation_after_an_eviction_is_cancelled_in_full() {
    let (limiter, evicts, _) = after_an_eviction();
    let mut reservation = limiter.reserve(&[evicts.charge(5_u64, 1)]).unwrap();
    assert!(limiter.cancel(&mut reservation).unwrap().is_allowed());
    assert_eq!(limiter.peek(&[evicts.charge(5_u64, 1)]).remaining, 10);
}
