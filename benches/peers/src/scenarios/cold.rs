//! Many keys, most of which are not in a cache when they are used.

use super::bare::Bare;
use super::{Size, many, sequence_len};
use crate::contender::{Expected, Side};
use crate::entry_points::EntryPoint;
use crate::key_sequence::{KeySequence, shuffled, uniform, zipf};
use crate::keys::KeyKind;
use crate::peer::Setting;
use crate::scenario::{Reference, Scenario, Setup, Target};
use std::time::Duration;
use tollgate::Clock;

/// A setup that admits all requests, with a window in which all keys stay live. With the Zipf
/// distribution one request in fifteen has the same key, through four entry points.
pub(super) fn setup<K: KeyKind>(keys: usize, sequence: Vec<K>) -> Setup<K> {
    let setting = Setting {
        limit: 100_000_000,
        window: Duration::from_secs(20 * 60),
        // Limiters that divide their capacity among shards need a reserve.
        max_keys: keys * 8 / 5,
    };
    Setup::new(setting, shuffled(keys, 1), KeySequence::new(sequence), Expected::Admitted)
}

/// Adds all entry points of a limiter with seven words and the precise clock.
fn all_entry_points<K: KeyKind>(setup: &mut Setup<K>) {
    let own = setup.own_limiter(Some(7), Clock::precise());
    setup.entry_point("tollgate", &own, EntryPoint::Check);
    setup.entry_point("tollgate, session", &own, EntryPoint::Session);
    setup.entry_point("tollgate, check_at", &own, EntryPoint::CHECK_AT);
    setup.entry_point("tollgate, check_many", &own, EntryPoint::CheckMany);
}

pub(super) fn uniform_million<K: KeyKind>(size: Size) -> Scenario {
    let keys = size.million;
    let mut setup = setup::<K>(keys, uniform(keys, sequence_len(keys), 2));
    all_entry_points(&mut setup);
    let own = setup.own_limiter(Some(7), super::coarse());
    setup.entry_point("tollgate, coarse clock", &own, EntryPoint::Check);
    setup.rivals();
    setup.coarse_rivals();
    let bare = [
        Bare::DENSE_COUNT,
        Bare::DENSE_COUNT_PIN,
        Bare::DENSE_COUNT_PIN_CLOCK,
        Bare::DENSE_WINDOW,
        Bare::DENSE_WINDOW_PIN,
        Bare::DENSE_WINDOW_PIN_CLOCK,
        Bare::DENSE_COUNT_BATCHES,
        Bare::DENSE_WINDOW_BATCHES,
        Bare::COUNT,
        Bare::COUNT_PIN,
        Bare::WINDOW,
        Bare::WINDOW_PIN,
        Bare::WINDOW_PIN_CLOCK,
        Bare::COUNT_BATCHES,
    ];
    setup.contenders.extend(bare.map(|bare| bare.contender(&setup)));
    let coarse = Reference::Fastest(Side::CoarseRival);
    Scenario {
        name: "uniform",
        title: format!("{}, uniform", many(keys)),
        contenders: setup.contenders,
        targets: vec![
            Target::time("many_keys_uniform_one_call", "tollgate", 0.4)
                .lower_bound(&[Bare::DENSE_WINDOW_PIN_CLOCK.name, Bare::WINDOW_PIN_CLOCK.name]),
            Target::time("many_keys_uniform_session", "tollgate, session", 0.15)
                .lower_bound(&[Bare::DENSE_COUNT.name, Bare::COUNT.name]),
            Target::time("many_keys_uniform_check_at", "tollgate, check_at", 0.15)
                .lower_bound(&[Bare::DENSE_COUNT_PIN.name, Bare::COUNT_PIN.name]),
            Target::time("many_keys_uniform_check_many_32", "tollgate, check_many", 0.08)
                .lower_bound(&[Bare::COUNT_BATCHES.name, Bare::DENSE_COUNT_BATCHES.name]),
            Target::time("many_keys_uniform_coarse_clock", "tollgate, coarse clock", 0.35)
                .against(coarse)
                .lower_bound(&[Bare::DENSE_WINDOW_PIN.name, Bare::WINDOW_PIN.name]),
            Target::time("many_keys_uniform_check_at_vs_coarse_clock", "tollgate, check_at", 0.35)
                .against(coarse)
                .lower_bound(&[Bare::DENSE_WINDOW_PIN.name, Bare::WINDOW_PIN.name]),
            Target::time("many_keys_uniform_session_vs_coarse_clock", "tollgate, session", 0.35)
                .against(coarse)
                .lower_bound(&[Bare::DENSE_WINDOW.name, Bare::WINDOW.name]),
        ],
    }
}

pub(super) fn zipf_million<K: KeyKind>(size: Size) -> Scenario {
    let keys = size.million;
    let mut setup = setup::<K>(keys, zipf(keys, sequence_len(keys), 3));
    all_entry_points(&mut setup);
    setup.rivals();
    let bare = [
        Bare::DENSE_COUNT,
        Bare::DENSE_COUNT_PIN_CLOCK,
        Bare::DENSE_WINDOW_PIN_CLOCK,
        Bare::WINDOW_PIN_CLOCK,
    ];
    setup.contenders.extend(bare.map(|bare| bare.contender(&setup)));
    Scenario {
        name: "zipf",
        title: format!("{}, Zipf 0.99", many(keys)),
        contenders: setup.contenders,
        targets: vec![
            Target::time("many_keys_zipf_one_call", "tollgate", 0.4)
                .lower_bound(&[Bare::DENSE_WINDOW_PIN_CLOCK.name, Bare::WINDOW_PIN_CLOCK.name]),
        ],
    }
}

pub(super) fn ten_million<K: KeyKind>(size: Size) -> Scenario {
    let keys = size.ten_million;
    let mut setup = setup::<K>(keys, uniform(keys, sequence_len(keys), 4));
    all_entry_points(&mut setup);
    setup.fastest_rivals();
    let bare = [
        Bare::DENSE_COUNT_PIN_CLOCK,
        Bare::DENSE_WINDOW_PIN_CLOCK,
        Bare::DENSE_COUNT_BATCHES,
        Bare::DENSE_WINDOW_BATCHES,
        Bare::WINDOW_PIN_CLOCK,
        Bare::COUNT_BATCHES,
    ];
    setup.contenders.extend(bare.map(|bare| bare.contender(&setup)));
    Scenario {
        name: "large",
        title: format!("{}, uniform", many(keys)),
        contenders: setup.contenders,
        targets: vec![
            Target::time("most_keys_uniform_one_call", "tollgate", 0.35)
                .lower_bound(&[Bare::DENSE_WINDOW_PIN_CLOCK.name, Bare::WINDOW_PIN_CLOCK.name]),
            Target::time("most_keys_uniform_check_many_32", "tollgate, check_many", 0.08)
                .lower_bound(&[Bare::COUNT_BATCHES.name, Bare::DENSE_COUNT_BATCHES.name]),
        ],
    }
}
