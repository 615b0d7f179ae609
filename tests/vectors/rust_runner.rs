//! Runs a case on the Rust limiter.

use super::format::*;
use std::net::IpAddr;
use std::slice;
use std::time::Duration;
use tollgate::{ConfigError, Limiter, ManualClock, Now, PolicyId, Reservation, ReservationError};

/// A limiter, and all reservations made so far.
pub struct Runner {
    limiter: Limiter,
    ids: Vec<PolicyId>,
    reservations: Vec<Option<Reservation>>,
}

/// The lines that a program prints for a case.
pub fn run(case: &Case) -> Vec<String> {
    let mut runner = match Runner::new(&case.limiter) {
        Ok(runner) => runner,
        Err(why) => return vec![build_error(&case.limiter, &why).to_string()],
    };
    let calls = case.calls.iter().map(|call| {
        let now = Now::new(call.monotonic_ns, call.unix_ns);
        runner.call(now, &call.operation).to_string()
    });
    let calls: Vec<_> = calls.collect();
    std::iter::once("0".to_owned()).chain(calls).collect()
}

impl Runner {
    pub fn new(setup: &Setup) -> Result<Self, ConfigError> {
        let mut builder = Limiter::builder().clock(ManualClock::new());
        for policy in &setup.policies {
            builder = builder.policy(policy_of(policy));
        }
        if let Some(keys) = setup.max_keys {
            builder = builder.max_keys(keys as usize);
        }
        if let Some(overflow) = setup.overflow {
            builder = builder.overflow(overflow_of(overflow));
        }
        let limiter = builder.build()?;
        let id = |policy: &Policy| limiter.policy(&policy.name).expect("just added");
        let ids = setup.policies.iter().map(id).collect();
        Ok(Runner { limiter, ids, reservations: Vec::new() })
    }

    pub fn call(&mut self, now: Now, operation: &Operation) -> Expect {
        let session = self.limiter.session_at(now);
        match operation {
            Operation::Check(charges) => {
                self.expect(self.with(charges, |charges| session.check(charges)), &[])
            }
            Operation::Peek(charges) => {
                self.expect(self.with(charges, |charges| session.peek(charges)), &[])
            }
            Operation::Charge(charges) => {
                self.expect(self.with(charges, |charges| session.force_charge(charges)), &[])
            }
            Operation::CheckWithStatus(charges) => {
                let mut statuses = vec![tollgate::PolicyStatus::default(); charges.len()];
                let decided =
                    self.with(charges, |charges| session.check_with_status(charges, &mut statuses));
                self.expect(decided, &statuses)
            }
            Operation::PeekWithStatus(charges) => {
                let mut statuses = vec![tollgate::PolicyStatus::default(); charges.len()];
                let decided =
                    self.with(charges, |charges| session.peek_with_status(charges, &mut statuses));
                self.expect(decided, &statuses)
            }
            Operation::CheckMany(charges) => {
                let mut decisions = vec![tollgate::Decision::default(); charges.len()];
                self.with(charges, |charges| session.check_many(charges, &mut decisions));
                let expect = |decision| self.decision(decision, &[]).expect("a good request");
                Expect::Decisions(decisions.into_iter().map(expect).collect())
            }
            Operation::Refund(charge) => {
                let refund = |charges: &[tollgate::Charge<'_>]| session.refund(&charges[0]);
                Expect::Units(self.with(slice::from_ref(charge), refund).unwrap())
            }
            Operation::ResetKey(charge) => {
                let parts = parts_of(charge);
                session.reset_key(self.id(charge), key_of(&charge.key, &parts)).unwrap();
                Expect::Status(status::ALLOWED)
            }
            Operation::SetLimit(policy, limit) => {
                let set = self.limiter.set_limit(self.ids[*policy], *limit);
                Expect::Status(set.map_or_else(|why| status_of(&why), |()| status::ALLOWED))
            }
            Operation::Reserve(..)
            | Operation::Extend(..)
            | Operation::Settle(..)
            | Operation::Cancel(_) => {
                drop(session);
                self.reservation(now, operation)
            }
        }
    }

    fn reservation(&mut self, now: Now, operation: &Operation) -> Expect {
        if let Operation::Reserve(number, charges) = operation {
            let mut statuses = vec![tollgate::PolicyStatus::default(); charges.len()];
            let session = self.limiter.session_at(now);
            let reserve = |charges: &[tollgate::Charge<'_>]| {
                session.reserve_with_status(charges, &mut statuses)
            };
            let made = self.with(charges, reserve);
            let decision = made.as_ref().map_or_else(|denied| *denied, Reservation::decision);
            drop(session);
            self.reservations.resize_with(self.reservations.len().max(number + 1), || None);
            self.reservations[*number] = made.ok();
            return self.expect(decision, &statuses);
        }
        let (Operation::Extend(number, _)
        | Operation::Settle(number, _)
        | Operation::Cancel(number)) = operation
        else {
            unreachable!("{operation:?} has no reservation");
        };
        let held = self.reservations[*number].as_mut().expect("a reservation that was made");
        let session = self.limiter.session_at(now);
        let decided = match operation {
            Operation::Extend(_, more) => session.extend(held, more),
            Operation::Settle(_, actual) => session.settle(held, actual),
            _ => session.cancel(held),
        };
        match decided {
            Ok(decision) => self.expect(decision, &[]),
            Err(ReservationError::Closed) => Expect::Status(status::CLOSED),
            Err(ReservationError::Amounts { .. }) => Expect::Status(status::AMOUNTS),
            Err(other) => panic!("{other:?} is not in the vectors"),
        }
    }

    fn expect(&self, decision: tollgate::Decision, statuses: &[tollgate::PolicyStatus]) -> Expect {
        self.decision(decision, statuses).map_or(Expect::Status(status::POLICY), Expect::Decision)
    }

    /// A decision in the format of the vectors; none for an invalid request.
    fn decision(
        &self,
        decision: tollgate::Decision,
        statuses: &[tollgate::PolicyStatus],
    ) -> Option<Decision> {
        use tollgate::Verdict::*;
        let status = match decision.verdict {
            Allowed => status::ALLOWED,
            Denied => status::DENIED,
            Impossible => status::IMPOSSIBLE,
            TableFull => status::TABLE_FULL,
            Invalid => return None,
            verdict => panic!("{verdict:?} has no number in the vectors"),
        };
        let deciding = PolicyStatus {
            policy: decision.policy.index(),
            limit: decision.limit,
            remaining: decision.remaining,
            retry_after_ns: decision.retry_after_ns,
            reset_after_ns: decision.reset_after_ns,
            violated: false,
            table_full: decision.table_full,
            dry_run: false,
        };
        let item_status = |item_status: &tollgate::PolicyStatus| PolicyStatus {
            policy: item_status.policy.index(),
            limit: item_status.limit,
            remaining: item_status.remaining,
            retry_after_ns: item_status.retry_after_ns,
            reset_after_ns: item_status.reset_after_ns,
            violated: item_status.violated,
            table_full: item_status.table_full,
            dry_run: item_status.dry_run,
        };
        Some(Decision { status, deciding, layers: statuses.iter().map(item_status).collect() })
    }

    fn id(&self, charge: &Charge) -> PolicyId {
        self.ids.get(charge.policy).copied().unwrap_or(PolicyId::from_bits(0))
    }

    /// Passes the charges to an operation.
    fn with<T>(
        &self,
        charges: &[Charge],
        operation: impl FnOnce(&[tollgate::Charge<'_>]) -> T,
    ) -> T {
        let parts: Vec<_> = charges.iter().map(parts_of).collect();
        let mut made = Vec::new();
        for (charge, parts) in charges.iter().zip(&parts) {
            let converted = self.id(charge).charge(key_of(&charge.key, parts), charge.cost);
            made.push(charge.limit.map_or(converted, |limit| converted.limit(limit)));
        }
        operation(&made)
    }
}

/// The parts of a charge's key. Empty if the key has none.
fn parts_of(charge: &Charge) -> Vec<tollgate::Key<'_>> {
    match &charge.key {
        Key::Parts(parts) => parts.iter().map(|part| key_of(part, &[])).collect(),
        _ => Vec::new(),
    }
}

/// A key. `parts` are its parts.
fn key_of<'k>(key: &'k Key, parts: &'k [tollgate::Key<'k>]) -> tollgate::Key<'k> {
    match key {
        Key::Text(text) => text.into(),
        Key::Number(number) => (*number).into(),
        Key::Ip(bytes) => address_of(bytes).into(),
        Key::Network(bytes, v4, v6) => tollgate::Key::network(address_of(bytes), *v4, *v6),
        Key::Parts(_) => tollgate::Key::parts(parts),
        Key::Shared => tollgate::Key::SHARED,
    }
}

fn address_of(bytes: &[u8]) -> IpAddr {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| v6()).expect("4 or 16 bytes")
}

fn policy_of(policy: &Policy) -> tollgate::Policy {
    let Policy { name, limit, .. } = policy;
    let mut made = match policy.period {
        None => {
            let window = Duration::from_nanos(policy.window_ns.unwrap_or_default());
            tollgate::Policy::sliding(name, *limit, window)
        }
        Some(Period::Hour) => tollgate::Policy::calendar(name, *limit, tollgate::Period::Hour),
        Some(Period::Day) => tollgate::Policy::calendar(name, *limit, tollgate::Period::Day),
        Some(Period::Month) => tollgate::Policy::calendar(name, *limit, tollgate::Period::Month),
    };
    if let Some(offset) = policy.offset_seconds {
        made = made.offset_seconds(offset);
    }
    if let Some(greatest) = policy.max_limit {
        made = made.max_limit(greatest);
    }
    if let Some(keys) = policy.max_keys {
        made = made.max_keys(keys as usize);
    }
    if let Some(buckets) = policy.buckets {
        made = made.buckets(buckets);
    }
    if let Some(overflow) = policy.overflow {
        made = made.overflow(overflow_of(overflow));
    }
    made.dry_run(policy.dry_run)
}

fn overflow_of(overflow: Overflow) -> tollgate::Overflow {
    match overflow {
        Overflow::Deny => tollgate::Overflow::Deny,
        Overflow::Allow => tollgate::Overflow::Allow,
        Overflow::EvictLightest(allowance) => tollgate::Overflow::EvictLightest { allowance },
    }
}

/// The error of a setup, with its text in ASCII.
pub fn build_error(setup: &Setup, why: &ConfigError) -> BuildError {
    // A name that is taken belongs to the second policy of that name.
    let earlier = usize::from(matches!(why, ConfigError::DuplicateName { .. }));
    let is_named = |(_, policy): &(usize, &Policy)| Some(policy.name.as_str()) == why.policy();
    let named = setup.policies.iter().enumerate().filter(is_named).nth(earlier);
    let policy = named.map(|(index, _)| index);
    BuildError { status: status_of(why), policy, message: why.to_string().replace('µ', "u") }
}

/// The C status of a configuration error.
pub fn status_of(error: &ConfigError) -> i32 {
    match error {
        ConfigError::NoPolicy | ConfigError::TooManyPolicies { .. } => status::POLICIES,
        ConfigError::Name { .. } => status::NAME,
        ConfigError::DuplicateName { .. } => status::DUPLICATE_NAME,
        ConfigError::Limit { .. } => status::LIMIT,
        ConfigError::MaxLimit { .. } | ConfigError::LimitAboveMax { .. } => status::MAX_LIMIT,
        ConfigError::Window { .. } => status::WINDOW,
        ConfigError::Buckets { .. } => status::BUCKETS,
        ConfigError::Offset { .. } => status::OFFSET,
        ConfigError::Allowance { .. } => status::ALLOWANCE,
        other => panic!("{other:?} is not in the vectors"),
    }
}
