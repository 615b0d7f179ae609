//! The entry points of this project's limiter.

use crate::contender::Work;
use crate::key_sequence::KeySequence;
use crate::keys::KeyKind;
use crate::peer::{Peer, Setting};
use std::sync::Arc;
use tollgate::{Clock, Decision, Key, Limiter, Policy, PolicyId};

/// The maximum number of requests in one session, or in one call of `check_many`.
pub const BATCH: usize = 32;

/// The step of [`EntryPoint::CHECK_AT`]: about the duration of a decision.
const STEP_NS: u64 = 10;

/// A limiter of this project with one policy.
#[derive(Debug)]
pub struct OwnLimiter {
    limiter: Limiter,
    policy: PolicyId,
}

/// A way to decide requests.
#[derive(Clone, Copy, Debug)]
pub enum EntryPoint {
    /// `check`: reads the clock and pins the epoch for each request.
    Check,
    /// `session`: one session for [`BATCH`] requests.
    Session,
    /// `check_at`: the caller supplies the time, which advances by a step for each request.
    CheckAt {
        /// The step, in nanoseconds.
        step_ns: u64,
    },
    /// `check_many`: one call for [`BATCH`] requests.
    CheckMany,
}

impl EntryPoint {
    /// `check_at` with a time that advances about as fast as real time, for limiters that are used
    /// through other entry points as well.
    pub const CHECK_AT: EntryPoint = EntryPoint::CheckAt { step_ns: STEP_NS };
}

impl OwnLimiter {
    /// Creates a limiter on the precise clock. Each key has `words` words; `None` is the default for the
    /// limit.
    pub fn new(setting: &Setting, words: Option<u32>) -> Self {
        Self::with_clock(setting, words, Clock::precise())
    }

    /// Creates a limiter like [`new`](Self::new), on this clock.
    pub fn with_clock(setting: &Setting, words: Option<u32>, clock: Clock) -> Self {
        let mut policy = Policy::sliding("user", setting.limit.into(), setting.window);
        if let Some(words) = words {
            policy = policy.buckets(words);
        }
        Self::with_policy(policy, setting.max_keys, clock)
    }

    /// Creates a limiter with any policy.
    ///
    /// # Panics
    /// If the policy is not valid.
    pub fn with_policy(policy: Policy, max_keys: usize, clock: Clock) -> Self {
        let name = policy.name().to_owned();
        let limiter = Limiter::builder().policy(policy).max_keys(max_keys).clock(clock).build();
        let limiter = limiter.expect("a valid policy");
        let policy = limiter.policy(&name).expect("added above");
        OwnLimiter { limiter, policy }
    }

    /// Decides one request at the current time.
    #[inline]
    pub fn check<K: KeyKind>(&self, key: &K) -> bool {
        self.limiter.check(&[self.policy.charge(key.borrowed(), 1)]).is_allowed()
    }

    /// Calls `Limiter::maintain` until it is done, and until unused memory is returned to the system, as a
    /// host may do when it is idle.
    pub fn maintain(&self) {
        maintain(&self.limiter);
    }

    /// One thread's workload: decides a request for each key of the sequence, through an entry point.
    pub fn work<K: KeyKind>(self: &Arc<Self>, entry: EntryPoint, sequence: KeySequence<K>) -> Work {
        match entry {
            EntryPoint::Check => each(self.clone(), sequence, OwnLimiter::check::<K>),
            EntryPoint::Session => self.clone().sessions(sequence),
            EntryPoint::CheckAt { step_ns } => self.clone().check_at(sequence, step_ns),
            EntryPoint::CheckMany => self.clone().batches(sequence),
        }
    }

    fn sessions<K: KeyKind>(self: Arc<Self>, mut sequence: KeySequence<K>) -> Work {
        Box::new(move |count| {
            let mut admitted = 0;
            sequence.for_each_chunk(count, |keys| {
                for batch in keys.chunks(BATCH) {
                    let session = self.limiter.session();
                    for key in batch {
                        let decision = session.check(&[self.policy.charge(key.borrowed(), 1)]);
                        admitted += usize::from(decision.is_allowed());
                    }
                }
            });
            admitted
        })
    }

    fn check_at<K: KeyKind>(self: Arc<Self>, mut sequence: KeySequence<K>, step_ns: u64) -> Work {
        let mut now = self.limiter.now();
        Box::new(move |count| {
            now.monotonic_ns = now.monotonic_ns.max(self.limiter.now().monotonic_ns);
            let mut admitted = 0;
            sequence.for_each_chunk(count, |keys| {
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

    fn batches<K: KeyKind>(self: Arc<Self>, mut sequence: KeySequence<K>) -> Work {
        Box::new(move |count| {
            let mut decisions = [Decision::default(); BATCH];
            let mut admitted = 0;
            sequence.for_each_chunk(count, |keys| {
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

/// A number of calls of `Limiter::maintain` that suffices to free a gigabyte of retired arrays.
const RELEASE_CALLS: usize = 256;

/// Calls `Limiter::maintain` until it is done, and then [`RELEASE_CALLS`] more times.
pub(crate) fn maintain(limiter: &Limiter) {
    while !limiter.maintain(1 << 16) {}
    for _ in 0..RELEASE_CALLS {
        limiter.maintain(1 << 16);
    }
}

/// One thread's workload: calls [`Peer::check`] for each key of the sequence.
pub fn one_by_one<K: KeyKind, P: Peer<K>>(peer: Arc<P>, sequence: KeySequence<K>) -> Work {
    each(peer, sequence, P::check)
}

/// One thread's workload: calls `check` for each key of the sequence.
pub fn each<L: Send + Sync + 'static, K: KeyKind>(
    limiter: Arc<L>,
    mut sequence: KeySequence<K>,
    check: impl Fn(&L, &K) -> bool + Send + 'static,
) -> Work {
    Box::new(move |count| {
        let mut admitted = 0;
        sequence.for_each_chunk(count, |keys| {
            for key in keys {
                admitted += usize::from(check(&limiter, key));
            }
        });
        admitted
    })
}
