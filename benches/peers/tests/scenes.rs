//! Every scene does what its name says, on few keys. One test, since there can be only one of
//! governor's clock threads in a process.

use tollgate_peers::scenes::{self, Size};
use tollgate_peers::{KeyKind, Outcome, Pace, Turns};

const TINY: Size =
    Size { million: 2000, ten_million: 3000, new: 1000, block: 1 << 20, turns: 1, rounds: 1 };

/// A slice ends with a panic if requests are denied where they ought to be admitted, or the other
/// way round; the aims end with one if they are about a contender that is not there.
fn play<K: KeyKind>() -> usize {
    let mut contenders = 0;
    for entry in scenes::all::<K>() {
        let Some(mut scene) = entry.stage(TINY) else { continue };
        for contender in &mut scene.contenders {
            let (ns, idle) = contender.slice(2048);
            assert!(ns > 0.0 && ns < 1e9 && (0.0..=1.0).contains(&idle), "{contender:?}: {ns}");
        }
        let short = std::time::Duration::from_micros(200);
        let turns = Turns { rounds: 2, pace: Pace { warm_up: short, slice: short } };
        let outcome = Outcome::of(scene, turns);
        assert_eq!(outcome.name, entry.name);
        assert!(outcome.lines.iter().all(|line| line.ns > 0.0), "{outcome:?}");
        contenders += outcome.lines.len();
    }
    contenders
}

#[test]
fn every_scene_does_what_its_name_says() {
    let (texts, numbers) = (play::<String>(), play::<u64>());
    assert_eq!(texts, numbers);
    assert!(texts > 80, "{texts}");
}
