//! The cost of exact windows compared with windows of seven buckets, for one key in constant use.

use super::Size;
use crate::contender::Expected;
use crate::entry_points::EntryPoint;
use crate::key_sequence::KeySequence;
use crate::keys::KeyKind;
use crate::peer::Setting;
use crate::scenario::{Reference, Scenario, Setup, Target};
use std::time::Duration;
use tollgate::Clock;

const MINUTE: Duration = Duration::from_secs(60);

/// A setup with three quarters of `limit` requests a minute. On average, one request expires for each
/// new one.
fn setup<K: KeyKind>(limit: u32) -> (Setup<K>, EntryPoint) {
    let setting = Setting { limit, window: MINUTE, max_keys: 4096 };
    let step = MINUTE / limit * 4 / 3;
    let entry = EntryPoint::CheckAt { step_ns: step.as_nanos() as u64 };
    (
        Setup::new(
            setting,
            vec![K::of(1)],
            KeySequence::new(vec![K::of(1); 1024]),
            Expected::Admitted,
        ),
        entry,
    )
}

pub(super) fn windows<K: KeyKind>(_: Size) -> Scenario {
    let (mut twenty, entry) = setup::<K>(20);
    let own = twenty.own_limiter(Some(7), Clock::precise());
    twenty.entry_point("tollgate, 20 in 7 words", &own, entry);
    let own = twenty.own_limiter(None, Clock::precise());
    twenty.entry_point("tollgate, exact 20", &own, entry);
    let (mut hundred, entry) = setup::<K>(100);
    let own = hundred.own_limiter(Some(7), Clock::precise());
    hundred.entry_point("tollgate, 100 in 7 words", &own, entry);
    let own = hundred.own_limiter(None, Clock::precise());
    hundred.entry_point("tollgate, exact 100", &own, entry);
    let mut contenders = twenty.contenders;
    contenders.extend(hundred.contenders);
    let seven = Reference::Named("tollgate, 20 in 7 words");
    let title = format!("{} at three quarters of its limit, check_at", K::many(1));
    let row = |how, own, most| {
        Target::time(format!("{title}, {how}, vs 7 words"), own, most).against(seven)
    };
    let targets = vec![
        row("exact 20", "tollgate, exact 20", 1.3),
        row("exact 100", "tollgate, exact 100", 3.0),
    ];
    Scenario { name: "exact", title, contenders, targets }
}
