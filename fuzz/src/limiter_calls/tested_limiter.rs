//! A limiter under test, with an oracle for each of its policies.

use super::config::Setting;
use super::oracle::{PolicyOracle, PolicyTime, Span};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;
use tollgate::{Charge, Key, Limiter, ManualClock, Now, Overflow, PolicyId};

/// One of the two limiters built from the same plan.
pub struct TestedLimiter<'l> {
    pub limiter: &'l Limiter,
    pub clock: ManualClock,
    pub ids: Vec<PolicyId>,
    pub policies: Vec<TestedPolicy<'l>>,
}

/// One policy under test.
pub struct TestedPolicy<'l> {
    pub setting: &'l Setting,
    pub oracle: PolicyOracle,
    pub limit: u64,
    /// The number of allowed charges, including those that passed uncounted at a full table.
    pub allowed: u64,
    /// A request at an earlier clock reading is decided at this time: the cutoff of the first array,
    /// which is 0 for a calendar policy.
    first_cutoff: u64,
    /// The latest time of any call.
    latest: u64,
}

/// A charge under one of this limiter's own policies, by index.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub policy: usize,
    pub key: u32,
    pub cost: u64,
    /// The limit of this charge, if it overrides the limit of the policy.
    pub limit: Option<u64>,
}

impl<'l> TestedLimiter<'l> {
    pub fn new(limiter: &'l Limiter, clock: ManualClock, settings: &'l [Setting]) -> Self {
        let id = |setting: &Setting| limiter.policy(&setting.name).expect("a policy of that name");
        let ids: Vec<PolicyId> = settings.iter().map(id).collect();
        assert!(
            limiter.policies().map(|policy| policy.name()).eq(settings.iter().map(|s| &s.name))
        );
        let policies = settings.iter().zip(&ids).map(|(setting, id)| {
            let resolution = limiter.resolution(*id).expect("a resolution");
            let time = PolicyTime::new(setting, resolution);
            let start = time.at(clock.now());
            let is_window = matches!(time, PolicyTime::Window { .. });
            let first_cutoff = if is_window { start } else { 0 };
            let oracle = PolicyOracle::new(time);
            TestedPolicy {
                setting,
                oracle,
                limit: setting.limit,
                allowed: 0,
                first_cutoff,
                latest: start,
            }
        });
        TestedLimiter { limiter, policies: policies.collect(), clock, ids }
    }

    /// Records the time of a call.
    pub fn record_call(&mut self, now: Now) {
        for policy in &mut self.policies {
            policy.latest = policy.latest.max(policy.oracle.time().at(now));
        }
    }

    /// The possible times of a decision on this key at `now`.
    pub fn span(&self, entry: &Entry, now: Now) -> Span {
        let policy = &self.policies[entry.policy];
        let now = policy.oracle.time().at(now).max(policy.first_cutoff);
        // Reading the statistics scans many slots, so read them only if needed.
        let id = self.ids[entry.policy];
        let stats = (policy.latest > now)
            .then(|| self.limiter.stats(id).expect("a policy of this limiter"));
        let migrated = stats.is_some_and(|stats| stats.migrations > 0);
        let latest = migrated.then_some(policy.latest);
        policy.oracle.span(entry.key, now, latest)
    }

    pub fn charge(&self, entry: &Entry) -> Charge<'static> {
        let charge = self.ids[entry.policy].charge(key(entry.key), entry.cost);
        match entry.limit {
            Some(limit) => charge.limit(limit),
            None => charge,
        }
    }

    /// The limit that applies to a charge.
    pub fn limit(&self, entry: &Entry) -> u64 {
        let policy = &self.policies[entry.policy];
        entry.limit.map_or(policy.limit, |limit| limit.min(policy.setting.max_limit))
    }

    pub fn allows_overflow(&self, entry: &Entry) -> bool {
        self.policies[entry.policy].setting.overflow == Overflow::Allow
    }

    /// The oracle of the policy of a charge.
    pub fn oracle(&mut self, entry: &Entry) -> &mut PolicyOracle {
        &mut self.policies[entry.policy].oracle
    }

    /// Records an allowed charge, even one that passed uncounted at a full table.
    pub fn record_allowed(&mut self, entry: &Entry) {
        self.policies[entry.policy].allowed += 1;
    }

    /// Panics unless the limiter's statistics match the allowed charges.
    pub fn check_stats(&self) {
        for (policy, id) in self.policies.iter().zip(&self.ids) {
            let stats = self.limiter.stats(*id).expect("a policy of this limiter");
            assert_eq!(stats.policy, *id);
            assert_eq!(stats.admitted + stats.untracked, policy.allowed, "{stats:?}");
            let evicts = policy.setting.allowance() > 0;
            assert!(evicts || stats.evictions == 0 && stats.forgiven == 0, "{stats:?}");
            assert!(
                policy.setting.overflow == Overflow::Allow || stats.untracked == 0,
                "{stats:?}"
            );
        }
    }
}

/// The parts of keys that have some: one text, cut at each place.
static PARTS: LazyLock<[[Key<'static>; 2]; 8]> = LazyLock::new(|| {
    std::array::from_fn(|index| <[&str; 2]>::from("boundary".split_at(index)).map(Key::from))
});

/// The key with this number. Different numbers give different keys.
pub fn key(number: u32) -> Key<'static> {
    const TEXTS: [&str; 8] = ["", "a", "alice", "é", "\0", "\r\n", "1", "\u{10ffff}"];
    let host = number as u8;
    match number {
        0..8 => TEXTS[number as usize].into(),
        8 => Key::SHARED,
        9..16 => IpAddr::from(Ipv4Addr::new(192, 0, 2, host)).into(),
        16..24 => IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, host.into(), 0, 0, 0, 1)).into(),
        24..32 => Key::network(IpAddr::from(Ipv4Addr::new(192, 0, host, 2)), 24, 64),
        32..40 => Key::parts(&PARTS[number as usize - 32]),
        _ => u64::from(number).into(),
    }
}
