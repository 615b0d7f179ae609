//! The `governor` crate with ahash in place of its default hasher, on two clocks.

use crate::keys::KeyKind;
use crate::peer::{Guarantees, Peer, Setting};
use ::governor::clock::{Clock, QuantaClock, QuantaUpkeepClock};
use ::governor::middleware::NoOpMiddleware;
use ::governor::state::keyed::DashMapStateStore;
use ::governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::time::Duration;

type Store<K> = DashMapStateStore<K, ahash::RandomState>;
type Limiter<K, C> = RateLimiter<K, Store<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

const GUARANTEES: Guarantees = Guarantees {
    per_key: true,
    counting: "GCRA: a burst of the limit, then one request per window / limit",
    max_per_window: "about twice the limit: a burst, and the refill during the window",
    memory: "not bounded: grows until the host calls retain_recent, which walks all keys",
    locks: "the read-write lock of a shard, also while that shard's map grows",
};

/// GCRA (a token bucket stored as one time) in a `DashMap` with ahash and the default clock. The map has
/// four shards per core, rounded up to a power of two. A shard that grows moves all its keys at once.
#[derive(Debug)]
pub struct Governor<K: KeyKind = u64>(Limiter<K, QuantaClock>);

/// [`Governor`] with a clock that a background thread refreshes every millisecond. A process can have
/// only one such thread at a time.
#[derive(Debug)]
pub struct GovernorUpkeep<K: KeyKind = u64>(Limiter<K, QuantaUpkeepClock>);

fn quota(setting: &Setting) -> Quota {
    let limit = NonZeroU32::new(setting.limit).expect("a limit above zero");
    Quota::with_period(setting.window / setting.limit)
        .expect("a window of some length")
        .allow_burst(limit)
}

fn store<K: KeyKind>() -> Store<K> {
    Store::with_hasher(ahash::RandomState::new())
}

impl<K: KeyKind> Peer<K> for Governor<K> {
    const NAME: &'static str = "governor";
    const GUARANTEES: Guarantees = GUARANTEES;

    fn new(setting: &Setting) -> Self {
        Governor(RateLimiter::new(quota(setting), store(), QuantaClock::default()))
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        self.0.check_key(key).is_ok()
    }

    fn maintain(&self) {
        self.0.shrink_to_fit();
    }
}

impl<K: KeyKind> Peer<K> for GovernorUpkeep<K> {
    const NAME: &'static str = "governor-upkeep";
    const GUARANTEES: Guarantees = GUARANTEES;

    fn new(setting: &Setting) -> Self {
        let clock = QuantaUpkeepClock::from_interval(Duration::from_millis(1));
        let clock = clock.expect("the only upkeep thread of this process");
        GovernorUpkeep(RateLimiter::new(quota(setting), store(), clock))
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        self.0.check_key(key).is_ok()
    }

    fn maintain(&self) {
        self.0.shrink_to_fit();
    }
}
