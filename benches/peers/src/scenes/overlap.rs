//! How much a decision may do before the processor no longer begins with the next one while a line
//! comes from memory: a bare table with one exchange a decision, and the same with so many
//! instructions more.

use super::{Size, bare, cold, many, visits};
use crate::keys::KeyKind;
use crate::scene::Scene;
use crate::tour::uniform;
use crate::ways::Way;
use tollgate::Clock;

/// Beside a session of this project's, and the fastest rival.
pub(super) fn bare_tables<K: KeyKind>(size: Size) -> Scene {
    let keys = size.million;
    let mut stage = cold::stage::<K>(keys, uniform(keys, visits(keys), 2));
    let own = stage.own(Some(7), Clock::precise());
    stage.way("tollgate, session", &own, Way::Session);
    stage.peer::<crate::peers::Governor<K>>();
    let with_steps = [
        bare::with_steps::<K, 4>(&stage),
        bare::with_steps::<K, 8>(&stage),
        bare::with_steps::<K, 16>(&stage),
        bare::with_steps::<K, 32>(&stage),
        bare::with_steps::<K, 48>(&stage),
    ];
    stage.contenders.extend([bare::Bare::ALONE.contender(&stage)]);
    stage.contenders.extend(with_steps);
    let title = format!("{}, beside a bare table and so many instructions", many(keys));
    Scene { name: "overlap", title, contenders: stage.contenders, aims: Vec::new() }
}
