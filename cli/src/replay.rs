//! Decides every request of a recording, in time order.
//!
//! If any policy has an estimate, each request reserves the estimate (its cost under a policy without
//! one), and settles with its cost when it ends. Before a request is decided, all requests that have
//! ended by its time are settled, each at its own end. Each decision therefore depends on the same usage
//! as in a server, and all calls are in time order.

use crate::recording::{Binding, Recording, RowKey, Stamp};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};
use tollgate::{
    Charge, ConfigError, Decision, Key, Limiter, MAX_CHARGES, MAX_RESERVED, ManualClock, Now,
    PolicyId, PolicyStatus, Reservation, ReservationError, Verdict,
};
use tollgate_policy_file::{PolicyFile, PolicySpec};

/// The number of requests decided between two readings of the clock.
const BATCH: usize = 4096;

/// The outcome of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The request.
    pub stamp: Stamp,
    /// The denial; `None` if the request was admitted.
    pub denial: Option<Denial>,
    /// The dry runs that would have denied the request, if no policy before them denied it.
    pub would_deny: PolicySet,
}

/// A set of policies, by their indices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicySet(u32);

// Each policy has a bit.
const _: () = assert!(MAX_CHARGES <= u32::BITS as usize);

impl PolicySet {
    fn insert(&mut self, policy: usize) {
        self.0 |= 1 << policy;
    }

    /// Returns whether the policy is in the set.
    pub fn contains(self, policy: usize) -> bool {
        self.0 & 1 << policy != 0
    }

    /// The first policy of the set.
    pub fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as usize)
    }
}

/// The policy that denied a request, and the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The index of the first policy without room.
    pub policy: usize,
    /// The wait after which a retry has room; `None` if no wait helps.
    pub retry_after: Option<Duration>,
}

/// The speed of the decisions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speed {
    /// The number of requests.
    pub requests: u64,
    /// The time to decide them, without the time to process the outcomes.
    pub elapsed: Duration,
}

impl Speed {
    /// The number of decisions per second.
    pub fn per_second(self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// The reason why a replay ended early. `E` is the error of the observer.
#[derive(Debug)]
pub enum ReplayError<E> {
    /// The limiter could not be built with room for all keys of the log.
    Config(ConfigError),
    /// The limiter did not decide, although it has room for all keys of the log.
    Undecided(Verdict),
    /// The limiter could not settle a reservation.
    Unsettled(ReservationError),
    /// The observer failed.
    Observer(E),
}

/// An unexpected result of the limiter.
enum LimiterError {
    Undecided(Verdict),
    Unsettled(ReservationError),
}

impl<E> From<LimiterError> for ReplayError<E> {
    fn from(error: LimiterError) -> Self {
        match error {
            LimiterError::Undecided(verdict) => ReplayError::Undecided(verdict),
            LimiterError::Unsettled(error) => ReplayError::Unsettled(error),
        }
    }
}

impl<E: fmt::Display> fmt::Display for ReplayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Config(error) => error.fmt(f),
            ReplayError::Undecided(verdict) => {
                write!(f, "the limiter could not decide a request: {verdict:?}")
            }
            ReplayError::Unsettled(error) => write!(f, "a request could not be settled: {error}"),
            ReplayError::Observer(error) => error.fmt(f),
        }
    }
}

/// Decides every request under all policies of the file, and passes each outcome to `observe`, in time order.
pub fn run<E>(
    recording: &Recording,
    file: &PolicyFile,
    mut observe: impl FnMut(&Outcome) -> Result<(), E>,
) -> Result<Speed, ReplayError<E>> {
    let mut decider = Decider::new(recording, file).map_err(ReplayError::Config)?;
    let mut charges = Vec::with_capacity(file.specs.len());
    let mut outcomes = Vec::with_capacity(BATCH);
    let mut speed = Speed::default();
    for batch in recording.stamps().chunks(BATCH) {
        outcomes.clear();
        let start = Instant::now();
        for stamp in batch {
            outcomes.push(decider.decide(*stamp, &mut charges)?);
        }
        speed.elapsed += start.elapsed();
        speed.requests += batch.len() as u64;
        outcomes.iter().try_for_each(&mut observe).map_err(ReplayError::Observer)?;
    }
    let start = Instant::now();
    decider.settle_until(u64::MAX)?;
    speed.elapsed += start.elapsed();
    Ok(speed)
}

/// The limiter, and the recording that is replayed on it.
struct Decider<'r> {
    limiter: Limiter,
    recording: &'r Recording,
    policies: Vec<(PolicyId, Binding)>,
    /// Whether any policy is a dry run.
    has_dry_run: bool,
    /// The open reservations, by end time and then by row.
    open: BTreeMap<(u64, u32), Reservation>,
}

impl<'r> Decider<'r> {
    fn new(recording: &'r Recording, file: &PolicyFile) -> Result<Self, ConfigError> {
        let bindings = recording.bindings();
        // Start the clock at the first request: the limiter ignores times before its start.
        let clock = ManualClock::new();
        clock
            .set(Now::from_unix_nanos(recording.stamps().first().map_or(0, |stamp| stamp.unix_ns)));
        let mut builder = file.settings.apply(Limiter::builder().clock(clock));
        for (spec, binding) in file.specs.iter().zip(bindings) {
            let keys = max_keys(file, spec, recording.key_count(*binding));
            builder = builder.policy(spec.policy().max_keys(keys));
        }
        let limiter = builder.build()?;
        let ids = file.specs.iter().filter_map(|spec| limiter.policy(&spec.name));
        let policies = ids.zip(bindings.iter().copied()).collect();
        let has_dry_run = file.specs.iter().any(|spec| spec.dry_run);
        Ok(Decider { limiter, recording, policies, has_dry_run, open: BTreeMap::new() })
    }

    fn decide(
        &mut self,
        stamp: Stamp,
        charges: &mut Vec<Charge<'static>>,
    ) -> Result<Outcome, LimiterError> {
        self.settle_until(stamp.unix_ns)?;
        charges.clear();
        charges.extend(self.policies.iter().filter_map(|(policy, binding)| {
            let key = limiter_key(self.recording.key(stamp.row, *binding)?);
            let estimate = self.recording.estimate(stamp.row, *binding);
            let cost = || self.recording.cost(stamp.row, *binding);
            Some(policy.charge(key, estimate.unwrap_or_else(cost)))
        }));
        let mut outcome = Outcome { stamp, denial: None, would_deny: PolicySet::default() };
        // Without a key for any policy, there is nothing to decide.
        if charges.is_empty() {
            return Ok(outcome);
        }
        let mut statuses = [PolicyStatus::default(); MAX_CHARGES];
        // Without a dry run, the decision says all.
        let statuses = &mut statuses[..if self.has_dry_run { charges.len() } else { 0 }];
        let decision = self.charge(stamp, charges, statuses);
        let policy = decision.policy.index();
        outcome.denial = match decision.verdict {
            Verdict::Allowed => None,
            Verdict::Denied => Some(Denial { policy, retry_after: decision.retry_after() }),
            // `TableFull`: `max_keys` or `max_bytes` leaves no room for the key. No wait is known.
            Verdict::Impossible | Verdict::TableFull => Some(Denial { policy, retry_after: None }),
            other => return Err(LimiterError::Undecided(other)),
        };
        let violated = statuses.iter().filter(|status| status.dry_run && status.violated);
        for dry_run in violated.map(|status| status.policy.index()) {
            if outcome.denial.is_none_or(|denial| dry_run < denial.policy) {
                outcome.would_deny.insert(dry_run);
            }
        }
        Ok(outcome)
    }

    /// Checks the charges of a request, or reserves them if any policy has an estimate. Writes the status
    /// of each charge, or none if there is no room for them.
    fn charge(
        &mut self,
        stamp: Stamp,
        charges: &[Charge<'static>],
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        let session = self.limiter.session_at(Now::from_unix_nanos(stamp.unix_ns));
        if !self.recording.is_reserved() {
            return session.check_with_status(charges, statuses);
        }
        match session.reserve_with_status(charges, statuses) {
            Ok(reservation) => {
                let decision = reservation.decision();
                self.open.insert((self.recording.end_ns(stamp), stamp.row), reservation);
                decision
            }
            Err(decision) => decision,
        }
    }

    /// Settles all requests that ended by this time, each at its end.
    fn settle_until(&mut self, unix_ns: u64) -> Result<(), LimiterError> {
        while let Some(first) = self.open.first_entry().filter(|first| first.key().0 <= unix_ns) {
            let ((end_ns, row), mut reservation) = first.remove_entry();
            let recording = self.recording;
            let bindings = self.policies.iter().map(|(_, binding)| *binding);
            let charged = bindings.filter(|binding| recording.key(row, *binding).is_some());
            let (mut costs, mut len) = ([0; MAX_RESERVED], 0);
            for (cost, binding) in costs.iter_mut().zip(charged) {
                *cost = recording.cost(row, binding);
                len += 1;
            }
            let session = self.limiter.session_at(Now::from_unix_nanos(end_ns));
            let settled =
                session.settle(&mut reservation, &costs[..len]).map_err(LimiterError::Unsettled)?;
            // A key may have no room for what it costs beyond the estimate.
            if !matches!(settled.verdict, Verdict::Allowed | Verdict::TableFull) {
                return Err(LimiterError::Undecided(settled.verdict));
            }
        }
        Ok(())
    }
}

/// The most keys of a policy's table: room for every key of the log, unless the file bounds it.
fn max_keys(file: &PolicyFile, spec: &PolicySpec, in_log: usize) -> usize {
    let bound = spec.max_keys.or(file.settings.max_keys).unwrap_or(u64::MAX);
    usize::try_from(bound).unwrap_or(usize::MAX).min(in_log.max(1))
}

/// The key of the limiter for a key of the recording.
fn limiter_key(key: RowKey) -> Key<'static> {
    match key {
        RowKey::Shared => Key::SHARED,
        // An index fits in 32 bits, so that no two keys of a recording are equal.
        RowKey::InColumn { column, index } => Key::from((column as u64) << 32 | index as u64),
    }
}
