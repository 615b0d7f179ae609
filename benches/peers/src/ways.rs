//! The ways in which this project's limiter can be asked.

use crate::contender::Work;
use crate::keys::KeyKind;
use crate::peer::{Peer, Setting};
use crate::tour::Tour;
use std::sync::Arc;
use tollgate::{Clock, Decision, Key, Limiter, Policy, PolicyId};

/// Requests that one session, or one call of `check_many`, decides.
pub const BATCH: usize = 32;

/// From one decision at an own time to the next, about as long as one takes.
pub(crate) const STEP_NS: u64 = 10;

/// A limiter with one policy.
#[derive(Debug)]
pub struct Own {
    limiter: Limiter,
    policy: PolicyId,
}

/// How it is asked.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// `check`, which reads the clock and pins the epoch.
    OneShot,
    /// A session for each 32 requests.
    Session,
    /// The caller has read the clock; each reading is so much later than the one before.
    OwnNow {
        /// In nanoseconds.
        step_ns: u64,
    },
    /// `check_many` for each 32 requests.
    Batch,
}

impl Way {
    /// Readings that move on about as time does, for limiters that are asked in other ways as well.
    pub const OWN_NOW: Way = Way::OwnNow { step_ns: STEP_NS };
}

impl Own {
    /// With so many words a key; as many as the limit wants if not told.
    pub fn new(setting: &Setting, words: Option<u32>) -> Self {
        Self::with_clock(setting, words, Clock::precise())
    }

    /// With another clock than the precise one.
    pub fn with_clock(setting: &Setting, words: Option<u32>, clock: Clock) -> Self {
        let mut policy = Policy::sliding("user", setting.limit.into(), setting.window);
        if let Some(words) = words {
            policy = policy.buckets(words);
        }
        Self::with_policy(policy, setting.max_keys, clock)
    }

    /// With any policy.
    ///
    /// # Panics
    /// If the policy is not valid.
    pub fn with_policy(policy: Policy, max_keys: usize, clock: Clock) -> Self {
        let name = policy.name().to_owned();
        let limiter = Limiter::builder().policy(policy).max_keys(max_keys).clock(clock).build();
        let limiter = limiter.expect("a valid policy");
        let policy = limiter.policy(&name).expect("added above");
        Own { limiter, policy }
    }

    /// One request now.
    #[inline]
    pub fn check<K: KeyKind>(&self, key: &K) -> bool {
        self.limiter.check(&[self.policy.charge(key.borrowed(), 1)]).is_allowed()
    }

    /// Moves what is on the move, and gives back what is left behind, as a host does in idle
    /// moments.
    pub fn settle(&self) {
        settle(&self.limiter);
    }

    /// One thread's work: the tour, asked for in this way.
    pub fn work<K: KeyKind>(self: &Arc<Self>, way: Way, tour: Tour<K>) -> Work {
        match way {
            Way::OneShot => each(self.clone(), tour, Own::check::<K>),
            Way::Session => self.clone().sessions(tour),
            Way::OwnNow { step_ns } => self.clone().own_now(tour, step_ns),
            Way::Batch => self.clone().batches(tour),
        }
    }

    fn sessions<K: KeyKind>(self: Arc<Self>, mut tour: Tour<K>) -> Work {
        Box::new(move |count| {
            let mut admitted = 0;
            tour.visit(count, |keys| {
                for turn in keys.chunks(BATCH) {
                    let session = self.limiter.session();
                    for key in turn {
                        let decision = session.check(&[self.policy.charge(key.borrowed(), 1)]);
                        admitted += usize::from(decision.is_allowed());
                    }
                }
            });
            admitted
        })
    }

    fn own_now<K: KeyKind>(self: Arc<Self>, mut tour: Tour<K>, step_ns: u64) -> Work {
        let mut now = self.limiter.now();
        Box::new(move |count| {
            now.monotonic_ns = now.monotonic_ns.max(self.limiter.now().monotonic_ns);
            let mut admitted = 0;
            tour.visit(count, |keys| {
                for key in keys {
                    now.monotonic_ns += step_ns;
                    let charge = self.policy.charge(key.borrowed(), 1);
                    let decision = self.limiter.check_at(now, &[charge]);
                    admitted += usize::from(decision.is_allowed());
                }
            });
            admitted
        })
    }

    fn batches<K: KeyKind>(self: Arc<Self>, mut tour: Tour<K>) -> Work {
        Box::new(move |count| {
            let mut decisions = [Decision::default(); BATCH];
            let mut admitted = 0;
            tour.visit(count, |keys| {
                let mut charges = [self.policy.charge(Key::SHARED, 1); BATCH];
                for batch in keys.chunks(BATCH) {
                    for (charge, key) in charges.iter_mut().zip(batch) {
                        *charge = self.policy.charge(key.borrowed(), 1);
                    }
                    admitted += self.limiter.check_many(&charges[..batch.len()], &mut decisions);
                }
            });
            admitted
        })
    }
}

/// Calls after which even a gigabyte that was left behind is back at the system.
const GIVEN_BACK: usize = 256;

pub(crate) fn settle(limiter: &Limiter) {
    while !limiter.maintain(1 << 16) {}
    for _ in 0..GIVEN_BACK {
        limiter.maintain(1 << 16);
    }
}

/// One thread's work: the tour, each request by itself.
pub fn one_by_one<K: KeyKind, P: Peer<K>>(peer: Arc<P>, tour: Tour<K>) -> Work {
    each(peer, tour, P::check)
}

/// One thread's work: the tour, each key by this call.
pub fn each<L: Send + Sync + 'static, K: KeyKind>(
    limiter: Arc<L>,
    mut tour: Tour<K>,
    check: impl Fn(&L, &K) -> bool + Send + 'static,
) -> Work {
    Box::new(move |count| {
        let mut admitted = 0;
        tour.visit(count, |keys| {
            for key in keys {
                admitted += usize::from(check(&limiter, key));
            }
        });
        admitted
    })
}
