//! The whole limiter against the textbook: every verb, from virtual threads whose clocks are late,
//! jump and stand on the edges of windows; every make of policy; tables that grow, are renewed,
//! evict and shrink meanwhile. What fails is shrunk to the fewest calls.

mod reference;

mod state_machine {
    use super::reference;

    mod aim;
    mod books;
    pub mod scene;
    mod stories;
    mod table;
    pub mod world;
}

use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner,
};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use reference::{cases, gate::Fault};
use state_machine::scene::{Scene, Transition, Wrong};
use state_machine::world::{SEEN, World};
use std::time::Duration;
use tollgate::{Limiter, ManualClock, Overflow, Period, Policy, PolicyId, Verdict};

struct Machine;

impl StateMachineTest for Machine {
    type SystemUnderTest = World;
    type Reference = Scene;

    fn init_test(scene: &Scene) -> World {
        World::new(scene)
    }

    fn apply(mut world: World, scene: &Scene, transition: Transition) -> World {
        world.apply(scene, transition);
        world
    }

    fn check_invariants(world: &World, scene: &Scene) {
        world.assert_invariants(scene);
    }
}

fn config() -> Config {
    let beside = FileFailurePersistence::WithSource("regressions");
    Config { failure_persistence: Some(Box::new(beside)), ..cases(500) }
}

prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn the_limiter_is_the_textbook(sequential 1..160 => Machine);
}

/// Runs the same cases each time, with this planted, until one fails; whether one does.
fn fails(wrong: Option<Wrong>, cases: u32) -> bool {
    let config =
        Config { cases, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config.clone(), random);
    let run = runner.run(&Scene::sequential_strategy(1..160), |(mut scene, transitions, _)| {
        scene.config.wrong = wrong;
        Machine::test_sequential(config.clone(), scene, transitions, None);
        Ok::<(), TestCaseError>(())
    });
    matches!(run, Err(TestError::Fail(..)))
}

/// Each fault that is planted is found, in the limiter and in the textbook.
#[test]
fn what_is_wrong_is_found() {
    let faults = Fault::ALL.map(Wrong::Limiter);
    for wrong in faults.into_iter().chain([Wrong::Textbook]) {
        assert!(fails(Some(wrong), 200), "{wrong:?} was not found");
    }
}

/// The cases meet what they are made for, or they would show nothing.
#[test]
fn the_calls_matter() {
    assert!(!fails(None, 150));
    let seen = SEEN.get();
    println!("{seen:?}");
    let requests = [seen.admitted, seen.denied, seen.refused, seen.uncounted, seen.late];
    assert!(requests.iter().all(|count| *count > 500), "{seen:?}");
    let rare = [seen.evicted, seen.migrations, seen.settled, seen.stopped];
    assert!(rare.iter().all(|count| *count > 50), "{seen:?}");
    assert!(seen.merged > 0 && seen.shrunk > 0, "{seen:?}");
}

/// Found by the machine: two layers of one key were told as they stood in between.
#[test]
fn a_settled_key_is_told_as_it_is_left() {
    let policy = Policy::sliding("p", 10, Duration::from_secs(1));
    let limiter = Limiter::builder().policy(policy).clock(ManualClock::new()).build().unwrap();
    let charge = limiter.policy("p").unwrap().charge("k", 3);
    let mut reservation = limiter.reserve(&[charge, charge]).unwrap();
    let decision = limiter.settle(&mut reservation, &[1, 1]).unwrap();
    assert_eq!(decision.remaining, 8);
    assert_eq!(limiter.peek(&[charge]).remaining, 8);
}

/// Two layers of a day, of which the first has just evicted a key to let another in.
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

/// Found by the machine: what was charged after an eviction in the same tick was not undone.
#[test]
fn a_refused_request_is_charged_nowhere() {
    let (limiter, evicts, denies) = after_an_eviction();
    let decision = limiter.check(&[evicts.charge(5_u64, 1), denies.charge(5_u64, 1)]);
    assert_eq!((decision.verdict, decision.policy), (Verdict::TableFull, denies));
    assert_eq!(limiter.peek(&[evicts.charge(5_u64, 1)]).remaining, 10);
}

/// Found by the machine: nor was what was reserved then given back.
#[test]
fn a_reservation_after_an_eviction_costs_what_it_has_cost() {
    let (limiter, evicts, _) = after_an_eviction();
    let mut reservation = limiter.reserve(&[evicts.charge(5_u64, 1)]).unwrap();
    assert!(limiter.cancel(&mut reservation).unwrap().is_allowed());
    assert_eq!(limiter.peek(&[evicts.charge(5_u64, 1)]).remaining, 10);
}
