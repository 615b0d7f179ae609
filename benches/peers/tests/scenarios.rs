//! Runs every scenario that needs no child processes, with few keys. All run in one test, because a
//! process can have only one of governor's clock threads at a time.

use tollgate_peers::scenarios::{self, Size};
use tollgate_peers::{KeyKind, Outcome, Pace, Turns};

const TINY: Size = Size {
    million: 2000,
    ten_million: 3000,
    new: 1000,
    populations: &[700, 1300],
    turns: 1,
    rounds: 1,
};

/// Runs these scenarios with one kind of keys, and returns the number of their contenders. A contender
/// panics if its verdicts are not the expected ones; a target panics if it names a missing contender.
fn run_all<K: KeyKind>() -> usize {
    let mut contenders = 0;
    for entry in scenarios::all::<K>() {
        let Some(mut scenario) = entry.build(TINY) else { continue };
        for contender in &mut scenario.contenders {
            let (ns, idle) = contender.measure_slice(2048);
            assert!(ns > 0.0 && ns < 1e9 && (0.0..=1.0).contains(&idle), "{contender:?}: {ns}");
        }
        let short = std::time::Duration::from_micros(200);
        let turns = Turns { rounds: 2, pace: Pace { warm_up: short, slice: short } };
        let outcome = Outcome::of(scenario, turns);
        assert_eq!(outcome.name, entry.name);
        for result in &outcome.targets {
            let row = &result.target.name;
            assert!(row.contains(K::NAME) || row.contains(&K::many(1)), "{row}: which keys?");
            assert_eq!(
                row.contains("maintained"),
                result.target.own.contains("maintained"),
                "{row}"
            );
        }
        assert!(outcome.results.iter().all(|result| result.ns > 0.0), "{outcome:?}");
        contenders += outcome.results.len();
    }
    contenders
}

#[test]
fn every_scenario_has_the_expected_verdicts() {
    let (texts, numbers) = (run_all::<String>(), run_all::<u64>());
    assert_eq!(texts, numbers);
    assert!(texts > 120, "{texts}");
}
