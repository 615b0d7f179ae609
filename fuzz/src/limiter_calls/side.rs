//! A limiter and what is known about it from outside.

use super::account::{Account, Measure, Span};
use super::config::Setting;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tollgate::{Charge, Key, Limiter, ManualClock, Now, Overflow, PolicyId};

/// One of the two limiters.
pub struct Side<'l> {
    pub limiter: &'l Limiter,
    pub clock: ManualClock,
    pub ids: Vec<PolicyId>,
    pub known: Vec<Known<'l>>,
}

/// What is known about one policy.
pub struct Known<'l> {
    pub setting: &'l Setting,
    pub account: Account,
    pub limit: u64,
    /// Charges that were let pass.
    pub passed: u64,
    /// No time before this is used.
    floor: u64,
    /// The latest time that a call was made at.
    latest: u64,
}

/// One line of a request to a policy of this limiter.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub policy: usize,
    pub key: u32,
    pub cost: u64,
    /// A limit of its own.
    pub limit: Option<u64>,
}

impl<'l> Side<'l> {
    pub fn new(limiter: &'l Limiter, clock: ManualClock, settings: &'l [Setting]) -> Self {
        let id = |setting: &Setting| limiter.policy(&setting.name).expect("a policy of that name");
        let ids: Vec<PolicyId> = settings.iter().map(id).collect();
        assert!(
            limiter.policies().map(|policy| policy.name()).eq(settings.iter().map(|s| &s.name))
        );
        let known = settings.iter().zip(&ids).map(|(setting, id)| {
            let resolution = limiter.resolution(*id).expect("a resolution");
            let measure = Measure::new(setting, resolution);
            let start = measure.at(clock.now());
            let is_window = matches!(measure, Measure::Window { .. });
            let floor = if is_window { start } else { 0 };
            let account = Account::new(measure);
            Known { setting, account, limit: setting.limit, passed: 0, floor, latest: start }
        });
        Side { limiter, known: known.collect(), clock, ids }
    }

    /// A call is made at this time.
    pub fn note(&mut self, now: Now) {
        for known in &mut self.known {
            known.latest = known.latest.max(known.account.measure().at(now));
        }
    }

    /// When a request of this key at `now` is decided.
    pub fn span(&self, entry: &Entry, now: Now) -> Span {
        let known = &self.known[entry.policy];
        let now = known.account.measure().at(now).max(known.floor);
        // Asked only where it makes a difference: it looks at many slots.
        let id = self.ids[entry.policy];
        let stats = (known.latest > now).then(|| self.limiter.stats(id).expect("an own policy"));
        let moved = stats.is_some_and(|stats| stats.migrations > 0);
        let latest = moved.then_some(known.latest);
        known.account.span(entry.key, now, latest)
    }

    pub fn charge(&self, entry: &Entry) -> Charge<'static> {
        let charge = self.ids[entry.policy].charge(key(entry.key), entry.cost);
        match entry.limit {
            Some(limit) => charge.limit(limit),
            None => charge,
        }
    }

    /// The limit that applies to a line.
    pub fn limit(&self, entry: &Entry) -> u64 {
        let known = &self.known[entry.policy];
        entry.limit.map_or(known.limit, |limit| limit.min(known.setting.greatest))
    }

    pub fn lets_overflow(&self, entry: &Entry) -> bool {
        self.known[entry.policy].setting.overflow == Overflow::Allow
    }

    /// The policy's books.
    pub fn account(&mut self, entry: &Entry) -> &mut Account {
        &mut self.known[entry.policy].account
    }

    /// A charge was made, or let through uncounted.
    pub fn passed(&mut self, entry: &Entry) {
        self.known[entry.policy].passed += 1;
    }

    /// Panics unless the limiter's own count of what it let pass is right.
    pub fn check_stats(&self) {
        for (known, id) in self.known.iter().zip(&self.ids) {
            let stats = self.limiter.stats(*id).expect("a policy of this limiter");
            assert_eq!(stats.policy, *id);
            assert_eq!(stats.admitted + stats.untracked, known.passed, "{stats:?}");
            let evicts = known.setting.allowance() > 0;
            assert!(evicts || stats.evictions == 0 && stats.forgiven == 0, "{stats:?}");
            assert!(known.setting.overflow == Overflow::Allow || stats.untracked == 0, "{stats:?}");
        }
    }
}

/// The key of a number; different ones for different numbers.
pub fn key(number: u32) -> Key<'static> {
    const TEXTS: [&str; 8] = ["", "a", "alice", "é", "\0", "\r\n", "1", "\u{10ffff}"];
    let host = number as u8;
    match number {
        0..8 => TEXTS[number as usize].into(),
        8 => Key::SHARED,
        9..16 => IpAddr::from(Ipv4Addr::new(192, 0, 2, host)).into(),
        16..24 => IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, host.into(), 0, 0, 0, 1)).into(),
        _ => u64::from(number).into(),
    }
}
