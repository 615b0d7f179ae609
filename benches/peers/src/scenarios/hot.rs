//! One hot key.

use super::bare::Bare;
use super::{Size, baseline};
use crate::contender::{Expected, Side};
use crate::entry_points::EntryPoint;
use crate::key_sequence::KeySequence;
use crate::keys::KeyKind;
use crate::peer::Setting;
use crate::scenario::{Reference, Scenario, Setup, Target};
use std::time::Duration;
use tollgate::Clock;

/// A limit that admits all requests. The window is short, so that a log of times stays in the
/// cache.
const ADMIT_ALL: Setting =
    Setting { limit: 20_000_000, window: Duration::from_millis(20), max_keys: 4096 };
/// A limit that is used up by the fill, with a window longer than the benchmark.
const DENY_ALL: Setting =
    Setting { limit: 20, window: Duration::from_secs(24 * 60 * 60), max_keys: 4096 };

fn admit_all<K: KeyKind>() -> Setup<K> {
    setup(ADMIT_ALL, 1, Expected::Admitted)
}

fn deny_all<K: KeyKind>() -> Setup<K> {
    setup(DENY_ALL, DENY_ALL.limit as usize, Expected::Denied)
}

fn setup<K: KeyKind>(setting: Setting, times: usize, expected: Expected) -> Setup<K> {
    let key = K::of(1);
    let mut setup =
        Setup::new(setting, vec![key.clone()], KeySequence::new(vec![key; 1024]), expected);
    setup.times = times;
    setup
}

pub(super) fn admitted<K: KeyKind>(_: Size) -> Scenario {
    let mut setup = admit_all::<K>();
    let own = setup.own_limiter(Some(7), Clock::precise());
    setup.entry_point("tollgate", &own, EntryPoint::Check);
    setup.entry_point("tollgate, session", &own, EntryPoint::Session);
    setup.entry_point("tollgate, check_at", &own, EntryPoint::CHECK_AT);
    let own = setup.own_limiter(Some(7), super::coarse());
    setup.entry_point("tollgate, coarse clock", &own, EntryPoint::Check);
    let own = setup.own_limiter(None, Clock::precise());
    setup.entry_point("tollgate, 15 words", &own, EntryPoint::Check);
    setup.rivals();
    setup.coarse_rivals();
    setup.contenders.extend(baseline::parts::<K>());
    let bare = [
        Bare::COUNT,
        Bare::COUNT_PIN,
        Bare::COUNT_PIN_CLOCK,
        Bare::WINDOW_VERDICT,
        Bare::WINDOW,
        Bare::WINDOW_PIN,
        Bare::WINDOW_PIN_CLOCK,
    ];
    setup.contenders.extend(bare.map(|bare| bare.contender(&setup)));
    let coarse = Reference::Fastest(Side::CoarseRival);
    Scenario {
        name: "hot",
        title: "one key, admitted".into(),
        contenders: setup.contenders,
        targets: vec![
            Target::time("hot_key_admitted_one_call", "tollgate", 0.75)
                .lower_bound(&[Bare::WINDOW_PIN_CLOCK.name]),
            Target::time("hot_key_admitted_one_call_vs_parts", "tollgate", 1.25)
                .against(Reference::Sum(baseline::PARTS)),
            Target::time("hot_key_admitted_session", "tollgate, session", 0.35)
                .lower_bound(&[Bare::WINDOW.name]),
            Target::time("hot_key_admitted_check_at", "tollgate, check_at", 0.35)
                .lower_bound(&[Bare::WINDOW_PIN.name]),
            Target::time("hot_key_admitted_coarse_clock", "tollgate, coarse clock", 0.8)
                .against(coarse)
                .lower_bound(&[Bare::WINDOW_PIN.name]),
            Target::time("hot_key_admitted_check_at_vs_coarse_clock", "tollgate, check_at", 0.8)
                .against(coarse)
                .lower_bound(&[Bare::WINDOW_PIN.name]),
            Target::time("hot_key_admitted_session_vs_coarse_clock", "tollgate, session", 0.8)
                .against(coarse)
                .lower_bound(&[Bare::WINDOW.name]),
        ],
    }
}

pub(super) fn admitted_by_two<K: KeyKind>(_: Size) -> Scenario {
    let mut setup = admit_all::<K>();
    setup.two_threads();
    let own = setup.own_limiter(Some(7), Clock::precise());
    setup.entry_point("tollgate", &own, EntryPoint::Check);
    setup.rivals();
    setup.contenders.push(baseline::shared_cas());
    Scenario {
        name: "hot-2",
        title: "one key, admitted, two threads".into(),
        contenders: setup.contenders,
        targets: vec![Target::throughput("hot_key_admitted_2_threads", "tollgate", 1.5)],
    }
}

pub(super) fn denied<K: KeyKind>(_: Size) -> Scenario {
    let mut setup = deny_all::<K>();
    let own = setup.own_limiter(Some(7), Clock::precise());
    let exact = setup.own_limiter(None, Clock::precise());
    setup.entry_point("tollgate", &own, EntryPoint::Check);
    setup.entry_point("tollgate-exact", &exact, EntryPoint::Check);
    setup.rivals();
    Scenario {
        name: "denied",
        title: "one key, denied".into(),
        contenders: setup.contenders,
        targets: Vec::new(),
    }
}

pub(super) fn denied_to_two<K: KeyKind>(_: Size) -> Scenario {
    let mut setup = deny_all::<K>();
    let own = setup.own_limiter(Some(7), Clock::precise());
    setup.entry_point(ALONE, &own, EntryPoint::Check);
    setup.two_threads();
    setup.entry_point("tollgate", &own, EntryPoint::Check);
    let exact = setup.own_limiter(None, Clock::precise());
    setup.entry_point("tollgate-exact", &exact, EntryPoint::Check);
    setup.rivals();
    setup.contenders.extend([Bare::WINDOW_PIN_CLOCK.contender(&setup)]);
    setup.contenders.extend(baseline::pins());
    Scenario {
        name: "denied-2",
        title: "one key, denied, two threads".into(),
        contenders: setup.contenders,
        targets: vec![
            Target::throughput("hot_key_denied_2_threads", "tollgate", 5.0)
                .lower_bound(&[Bare::WINDOW_PIN_CLOCK.name]),
            Target::throughput("hot_key_denied_2_threads_vs_1", "tollgate", 1.9)
                .against(Reference::Sum(&[ALONE])),
        ],
    }
}

/// The same limiter, used by one thread only.
const ALONE: &str = "tollgate, 1 thread";
