//! The number of instructions in a decision up to which the cache misses of consecutive decisions
//! overlap: a bare table with one CAS for each decision, and the same with additional instructions.

use super::{Size, bare, cold, many, sequence_len};
use crate::entry_points::EntryPoint;
use crate::key_sequence::uniform;
use crate::keys::KeyKind;
use crate::scenario::Scenario;
use tollgate::Clock;

/// Bare tables, next to a session of this project and the fastest rival.
pub(super) fn bare_tables<K: KeyKind>(size: Size) -> Scenario {
    let keys = size.million;
    let mut setup = cold::setup::<K>(keys, uniform(keys, sequence_len(keys), 2));
    let own = setup.own_limiter(Some(7), Clock::precise());
    setup.entry_point("tollgate, session", &own, EntryPoint::Session);
    setup.peer::<crate::peers::Governor<K>>();
    let with_steps = [
        bare::with_steps::<K, 4>(&setup),
        bare::with_steps::<K, 8>(&setup),
        bare::with_steps::<K, 16>(&setup),
        bare::with_steps::<K, 32>(&setup),
        bare::with_steps::<K, 48>(&setup),
    ];
    setup.contenders.extend([bare::Bare::COUNT.contender(&setup)]);
    setup.contenders.extend(with_steps);
    let title = format!("{}, bare tables with additional instructions", many(keys));
    Scenario { name: "overlap", title, contenders: setup.contenders, targets: Vec::new() }
}
