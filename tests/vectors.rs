//! Calls and their answers as files, for every language that has the limiter: `ffi/tests/vectors`.
//!
//! They are written here: the answers of exact policies by the textbook, those of bucketed ones by
//! the limiter under the textbook's laws, others by hand. `TOLLGATE_BLESS=1` writes the files anew.

mod load;
mod reference;

mod vectors {
    use super::{load, reference};

    mod author;
    pub mod by_hand;
    pub mod format;
    pub mod random;
    pub mod run;
}

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use vectors::format::{Expect, Scene, from_json, to_json};
use vectors::{by_hand, random, run::run};

fn files() -> Vec<(PathBuf, Vec<Scene>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ffi/tests/vectors");
    let calendar = [random::offset_scenes(), by_hand::month_scenes()].concat();
    let files = [
        ("exact.json", random::exact_scenes()),
        ("calendar.json", calendar),
        ("verbs.json", random::verb_scenes()),
        ("bucketed.json", random::bucketed_scenes()),
        ("full.json", by_hand::full_scenes()),
        ("faults.json", by_hand::fault_scenes()),
    ];
    files.map(|(name, scenes)| (folder.join(name), scenes)).into()
}

#[test]
fn the_files_are_current() {
    for (path, scenes) in files() {
        if std::env::var_os("TOLLGATE_BLESS").is_some() {
            std::fs::write(&path, to_json(&scenes)).expect("a folder to write to");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == to_json(&scenes), "{path:?} is old: TOLLGATE_BLESS=1 writes it anew");
        assert_eq!(from_json(&path), scenes, "{path:?}");
    }
}

fn compare(scene: &Scene) {
    let lines = run(scene);
    scene.compare(&lines.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_limiter_answers_as_the_files_say() {
    let mut calls = 0;
    for (path, _) in files() {
        for scene in from_json(&path) {
            compare(&scene);
            calls += scene.calls.len();
        }
    }
    assert!(calls > 500, "{calls} calls");
}

/// Every kind of answer is there.
#[test]
fn nothing_is_left_out() {
    let calls: Vec<_> =
        files().into_iter().flat_map(|(_, scenes)| scenes).flat_map(|scene| scene.calls).collect();
    for (status, least) in [(0, 300), (1, 100), (2, 50), (3, 4)] {
        let count = calls.iter().filter(|call| call.expect.has_status(status)).count();
        assert!(count >= least, "{count} answers of status {status}");
    }
    for status in [-4, -6, -8, -23, -24] {
        assert!(calls.iter().any(|call| call.expect == Expect::Status(status)), "no {status}");
    }
}

/// An answer that is wrong by one is noticed.
#[test]
fn a_wrong_answer_is_found() {
    let mut wrong = 0;
    for mut scene in files().into_iter().flat_map(|(_, scenes)| scenes) {
        for place in 0..scene.calls.len() {
            let good = scene.calls[place].expect.clone();
            match &mut scene.calls[place].expect {
                Expect::Decision(decision) => decision.stand.reset_after_ns ^= 1,
                Expect::Decisions(decisions) => drop(decisions.pop()),
                Expect::Units(units) => *units += 1,
                Expect::Status(status) => *status += 1,
            }
            if scene.calls[place].expect != good && wrong < 100 {
                let found = catch_unwind(AssertUnwindSafe(|| compare(&scene)));
                assert!(found.is_err(), "{}, call {place}", scene.name);
                wrong += 1;
            }
            scene.calls[place].expect = good;
        }
    }
    assert_eq!(wrong, 100);
}
