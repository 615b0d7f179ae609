//! What exact windows cost beside seven buckets, on a key that is used all the time.

use super::Size;
use crate::contender::Answers;
use crate::keys::KeyKind;
use crate::peer::Setting;
use crate::scene::{Aim, Beside, Scene, Stage};
use crate::tour::Tour;
use crate::ways::Way;
use std::time::Duration;
use tollgate::Clock;

const MINUTE: Duration = Duration::from_secs(60);

/// Three quarters of a limit of `limit` a minute: each request takes the place of one that expires.
fn stage<K: KeyKind>(limit: u32) -> (Stage<K>, Way) {
    let setting = Setting { limit, window: MINUTE, max_keys: 4096 };
    let step = MINUTE / limit * 4 / 3;
    let way = Way::OwnNow { step_ns: step.as_nanos() as u64 };
    (Stage::new(setting, vec![K::of(1)], Tour::new(vec![K::of(1); 1024]), Answers::Admitted), way)
}

pub(super) fn windows<K: KeyKind>(_: Size) -> Scene {
    let (mut twenty, way) = stage::<K>(20);
    let own = twenty.own(Some(7), Clock::precise());
    twenty.way("tollgate, 20 in 7 words", &own, way);
    let own = twenty.own(None, Clock::precise());
    twenty.way("tollgate, exact 20", &own, way);
    let (mut hundred, way) = stage::<K>(100);
    let own = hundred.own(Some(7), Clock::precise());
    hundred.way("tollgate, 100 in 7 words", &own, way);
    let own = hundred.own(None, Clock::precise());
    hundred.way("tollgate, exact 100", &own, way);
    let mut contenders = twenty.contenders;
    contenders.extend(hundred.contenders);
    let seven = Beside::Sum(&["tollgate, 20 in 7 words"]);
    Scene {
        name: "exact",
        title: "one key at three quarters of its limit, own now".into(),
        contenders,
        aims: vec![
            Aim::time("exact 20/min beside 7 words", "tollgate, exact 20", 1.3).beside(seven),
            Aim::time("exact 100/min beside 7 words", "tollgate, exact 100", 3.0).beside(seven),
        ],
    }
}
