//! Target: any calls of a limiter with any configuration.
//!
//! The checks: nothing panics or overflows. An invalid configuration is an error of `build`, and
//! never of a later call. No key exceeds its limit. Every answer is as documented.

mod config;
mod oracle;
mod plan;
mod request;
mod reservation;
mod tested_limiter;

use crate::Reached;
use arbitrary::{Arbitrary, Unstructured};
use config::{Interval, Setting};
use plan::{Action, Amounts, CallPath, ClockMove, Operation, Plan, PlannedCharge, PolicyRef, Step};
use request::{Answer, Peeked, Request};
use reservation::{Close, TrackedReservation};
use tested_limiter::{Entry, TestedLimiter};
use tollgate::{
    Charge, ConfigError, Decision, MAX_CHARGES, MAX_RESERVED, ManualClock, Now, PolicyId,
    PolicyStatus, Reservation, Session,
};

/// The cases that the corpus must reach.
pub const CASES: [&str; 18] = [
    "allowed",
    "already closed",
    "closed",
    "denied",
    "evicted",
    "extended",
    "forced",
    "foreign",
    "impossible",
    "invalid",
    "migrated",
    "no limiter",
    "refunded",
    "reset",
    "table full",
    "uncounted",
    "wrong amounts",
    "wrong limit",
];

/// The maximum number of new keys from floods in one run.
const MAX_FLOODED: usize = 2_000;
/// The maximum number of tracked reservations.
const MAX_RESERVATIONS: usize = 64;
/// The maximum number of held sessions.
const MAX_SESSIONS: usize = 4;

/// Runs the plan in `data`, and checks every answer.
///
/// # Panics
/// If a property does not hold.
pub fn run(data: &[u8]) -> Reached {
    let Ok(plan) = Plan::arbitrary_take_rest(Unstructured::new(data)) else {
        return Reached::new();
    };
    let settings = config::settings(&plan.config);
    let clocks = [ManualClock::new(), ManualClock::new()];
    let start = config::reading(plan.start);
    clocks.iter().for_each(|clock| clock.set(start));
    let limiters = clocks.each_ref().map(|clock| config::build(&plan.config, &settings, clock));
    let [Some(first), Some(second)] = &limiters else { return Reached::from(["no limiter"]) };
    let [first_clock, second_clock] = clocks;
    let limiters = [
        TestedLimiter::new(first, first_clock, &settings),
        TestedLimiter::new(second, second_clock, &settings),
    ];
    let mut harness = Harness {
        settings: &settings,
        limiters,
        now: start,
        reservations: Vec::new(),
        sessions: Vec::new(),
        flooded: 0,
        reached: Reached::new(),
    };
    plan.steps.iter().for_each(|step| harness.step(step));
    harness.finish()
}

/// Two limiters with one configuration, and the reservations and sessions of their callers.
struct Harness<'l> {
    settings: &'l [Setting],
    limiters: [TestedLimiter<'l>; 2],
    now: Now,
    reservations: Vec<TrackedReservation>,
    sessions: Vec<Session<'l>>,
    flooded: usize,
    reached: Reached,
}

impl<'l> Harness<'l> {
    fn step(&mut self, Step { path, action }: &Step) {
        let (path, now) = (*path, self.now);
        let called = usize::from(path.second);
        let foreign: Vec<PolicyId> = self.limiters[1 - called].ids.clone();
        let tested = &mut self.limiters[called];
        tested.record_call(now);
        match action {
            Action::MoveClocks(clock_move) => self.now = self.moved_clocks(*clock_move),
            Action::Request { operation, charges, repeated } => {
                let count = charges.len() + repeated.0.map_or(0, |more| usize::from(more % 40));
                let charges: Vec<PlannedCharge> =
                    charges.iter().cycle().take(count).copied().collect();
                self.request(path, *operation, &charges, &foreign);
            }
            Action::Extend { which, amounts } => self.extend(path, *which, amounts),
            Action::Settle { which, amounts } => {
                let Some(index) = self.index(*which) else { return };
                let actual = amounts_for(amounts, &self.reservations[index]);
                self.close(path, index, Close::Settle(&actual));
            }
            Action::Cancel { which } => {
                if let Some(index) = self.index(*which) {
                    self.close(path, index, Close::Cancel);
                }
            }
            Action::DropReservation { which } => {
                self.index(*which).map(|index| self.reservations.swap_remove(index));
            }
            Action::Refund(planned) => self.refund(called, planned, &foreign),
            Action::Reset(planned) => self.reset(called, planned, &foreign),
            Action::SetLimit { policy, limit } => {
                self.set_limit(called, *policy, limit.0, &foreign)
            }
            Action::Flood { policy, keys, cost } => self.flood(called, *policy, *keys, *cost),
            Action::Maintain { slots } => {
                tested.clock.set(now);
                tested.limiter.maintain(usize::from(*slots));
            }
            Action::Stats => tested.check_stats(),
            Action::HoldSession { opens: true } if self.sessions.len() < MAX_SESSIONS => {
                self.sessions.push(tested.limiter.session_at(now));
            }
            Action::HoldSession { .. } => self.sessions.clear(),
        }
    }

    /// The index of the tracked reservation that `which` selects; `None` if there is none.
    fn index(&self, which: u8) -> Option<usize> {
        usize::from(which).checked_rem(self.reservations.len())
    }

    /// The readings after a move of the clocks.
    fn moved_clocks(&self, clock_move: ClockMove) -> Now {
        const HOUR_NS: u64 = 3_600_000_000_000;
        let Now { monotonic_ns, unix_ns } = self.now;
        let ahead = |ns: u64| Now::new(monotonic_ns.saturating_add(ns), unix_ns.saturating_add(ns));
        match clock_move {
            ClockMove::Millis(ms) => ahead(u64::from(ms) * 1_000_000),
            ClockMove::Ahead(ns) => ahead(ns.0),
            ClockMove::Back(ns) => {
                Now::new(monotonic_ns.saturating_sub(ns.0), unix_ns.saturating_sub(ns.0))
            }
            ClockMove::Windows { policy, quarters, more_ns } => {
                let setting = &self.settings[usize::from(policy) % self.settings.len()];
                let length_ns = match setting.interval {
                    Interval::Window(window) => window.as_nanos() as u64,
                    Interval::Calendar { period, .. } => period.longest().as_nanos() as u64,
                };
                let Now { monotonic_ns, unix_ns } =
                    ahead((length_ns / 4).saturating_mul(quarters.into()));
                let more = |ns: u64| ns.saturating_add_signed(more_ns.into());
                Now::new(more(monotonic_ns), more(unix_ns))
            }
            ClockMove::Hours(hours) => ahead(u64::from(hours) * HOUR_NS),
            ClockMove::To(reading) => config::reading(reading),
        }
    }

    fn request(
        &mut self,
        path: CallPath,
        operation: Operation,
        planned: &[PlannedCharge],
        foreign: &[PolicyId],
    ) {
        let (tested, now) = (&mut self.limiters[usize::from(path.second)], self.now);
        let charges: Vec<Charge<'static>> =
            planned.iter().map(|planned| charge(tested, planned, foreign)).collect();
        let entries: Option<Vec<Entry>> =
            planned.iter().map(|planned| entry(tested, planned)).collect();
        let reserves = matches!(operation, Operation::Reserve | Operation::ReserveWithStatus);
        let max_charges = if reserves { MAX_RESERVED } else { MAX_CHARGES };
        let entries = entries.filter(|entries| entries.len() <= max_charges);
        let request = Request { now, charges: &charges, entries: entries.as_deref() };
        // As long as the request, or one longer: both are allowed.
        let mut statuses = vec![PolicyStatus::default(); planned.len() + planned.len() % 2];
        let (peeked, decision, reservation) =
            call(tested, path, operation, &request, &mut statuses);
        let has_status = matches!(
            operation,
            Operation::CheckWithStatus | Operation::PeekWithStatus | Operation::ReserveWithStatus
        );
        let answer = Answer { decision, statuses: has_status.then_some(&statuses) };
        match operation {
            Operation::ForceCharge => tested.check_forced(&request, &decision, &mut self.reached),
            Operation::Peek | Operation::PeekWithStatus => {
                assert_eq!(peeked.decision, decision);
                if let Some(entries) = request.entries {
                    tested.check_possible(entries, &decision);
                    tested.check_statuses(entries, &answer);
                }
            }
            _ => tested.check_decision(&request, &peeked, &answer, &mut self.reached),
        }
        if let (Some(reservation), Some(entries)) = (reservation, entries)
            && self.reservations.len() < MAX_RESERVATIONS
        {
            let tracked = track(reservation, path.second, entries, (tested, now));
            tracked.check();
            self.reservations.push(tracked);
        }
    }

    fn extend(&mut self, path: CallPath, which: u8, amounts: &Amounts) {
        let Some(index) = self.index(which) else { return };
        let tracked = &mut self.reservations[index];
        let more = amounts_for(amounts, tracked);
        let tested = &mut self.limiters[usize::from(path.second)];
        tracked.extend((tested, path.second), self.now, &more, &mut self.reached);
    }

    fn close(&mut self, path: CallPath, index: usize, close: Close<'_>) {
        let tested = &mut self.limiters[usize::from(path.second)];
        self.reservations[index].close((tested, path.second), self.now, close, &mut self.reached);
    }

    fn refund(&mut self, called: usize, planned: &PlannedCharge, foreign: &[PolicyId]) {
        let tested = &mut self.limiters[called];
        let refund = tested.limiter.session_at(self.now).refund(&charge(tested, planned, foreign));
        let Some(entry) = entry(tested, planned) else {
            assert!(refund.is_err(), "{refund:?} of a policy of another limiter");
            return;
        };
        let amount = refund.expect("a policy of this limiter");
        assert!(amount <= planned.cost.0);
        if amount > 0 {
            tested.oracle(&entry).refund(entry.key, amount);
            self.reached.insert("refunded");
        }
    }

    fn reset(&mut self, called: usize, planned: &PlannedCharge, foreign: &[PolicyId]) {
        let tested = &mut self.limiters[called];
        let entry = entry(tested, planned);
        let session = tested.limiter.session_at(self.now);
        let policy = id(tested, planned.policy, foreign);
        let outcome = session.reset_key(policy, tested_limiter::key(planned.key.0));
        assert_eq!(outcome.is_ok(), entry.is_some());
        drop(session);
        if let Some(entry) = entry {
            tested.oracle(&entry).reset(entry.key);
            let free = PlannedCharge { cost: plan::Number(0), ..*planned };
            let peek = tested.limiter.session_at(self.now).peek(&[charge(tested, &free, foreign)]);
            assert_eq!(peek.remaining, peek.limit, "a key has usage after a reset");
            self.reached.insert("reset");
        }
    }

    fn set_limit(&mut self, called: usize, policy: PolicyRef, limit: u64, foreign: &[PolicyId]) {
        let tested = &mut self.limiters[called];
        let id = id(tested, policy, foreign);
        let outcome = tested.limiter.set_limit(id, limit);
        let PolicyRef::Own(own) = policy else {
            assert_eq!(outcome, Err(ConfigError::UnknownPolicy { value: id.index() }));
            assert!(tested.limiter.limit(id).is_err() && tested.limiter.stats(id).is_err());
            return;
        };
        let own = usize::from(own) % tested.ids.len();
        let policy = &mut tested.policies[own];
        let max_limit = policy.setting.max_limit;
        if limit <= max_limit {
            assert_eq!(outcome, Ok(()));
            policy.limit = limit;
        } else {
            let policy = policy.setting.name.clone();
            let error = ConfigError::LimitAboveMax { policy, value: limit, max_limit };
            assert_eq!(outcome, Err(error));
            self.reached.insert("wrong limit");
        }
        assert_eq!(tested.limiter.limit(id), Ok(policy.limit));
    }

    /// Charges a number of new keys, one after the other.
    fn flood(&mut self, called: usize, policy: u8, keys: u8, cost: u8) {
        let tested = &mut self.limiters[called];
        let policy = usize::from(policy) % tested.ids.len();
        for _ in 0..usize::from(keys).min(MAX_FLOODED - self.flooded) {
            self.flooded += 1;
            let key = 256 + self.flooded as u32;
            let entries = [Entry { policy, key, cost: cost.into(), limit: None }];
            let charges = [tested.charge(&entries[0])];
            let request = Request { now: self.now, charges: &charges, entries: Some(&entries) };
            let session = tested.limiter.session_at(self.now);
            let peeked = Peeked::new(&session, &charges);
            let decision = session.check(&charges);
            drop(session);
            let answer = Answer { decision, statuses: None };
            tested.check_decision(&request, &peeked, &answer, &mut self.reached);
        }
    }

    fn finish(mut self) -> Reached {
        self.sessions.clear();
        self.reservations.iter().for_each(TrackedReservation::check);
        for tested in &self.limiters {
            tested.check_stats();
            for id in &tested.ids {
                let stats = tested.limiter.stats(*id).expect("a policy of this limiter");
                let more = [("migrated", stats.migrations), ("evicted", stats.evictions)];
                self.reached.extend(more.into_iter().filter(|(_, n)| *n > 0).map(|(name, _)| name));
            }
        }
        self.reached
    }
}

/// Peeks, and then calls the operation of a session, or of the limiter with its own clock.
fn call(
    tested: &TestedLimiter<'_>,
    path: CallPath,
    operation: Operation,
    request: &Request<'_>,
    statuses: &mut [PolicyStatus],
) -> (Peeked, Decision, Option<Reservation>) {
    let (limiter, charges) = (tested.limiter, request.charges);
    tested.clock.set(request.now);
    let session = limiter.session_at(request.now);
    let peeked = Peeked::new(&session, charges);
    macro_rules! call {
        ($method:ident($($argument:expr),*)) => {
            if path.own_clock {
                limiter.$method($($argument),*)
            } else {
                session.$method($($argument),*)
            }
        };
    }
    let outcome = match operation {
        Operation::Check => Err(call!(check(charges))),
        Operation::CheckWithStatus => Err(call!(check_with_status(charges, statuses))),
        Operation::Peek => Err(call!(peek(charges))),
        Operation::PeekWithStatus => Err(call!(peek_with_status(charges, statuses))),
        Operation::ForceCharge => Err(call!(force_charge(charges))),
        Operation::Reserve => call!(reserve(charges)),
        Operation::ReserveWithStatus => call!(reserve_with_status(charges, statuses)),
    };
    match outcome {
        Ok(reservation) => (peeked, reservation.decision(), Some(reservation)),
        Err(decision) => (peeked, decision, None),
    }
}

/// Creates the expected state of a new reservation.
fn track(
    reservation: Reservation,
    second: bool,
    entries: Vec<Entry>,
    (tested, now): (&TestedLimiter<'_>, Now),
) -> TrackedReservation {
    // If a charge may have passed uncounted, only the reservation knows the charged amount.
    let full = reservation.decision().table_full;
    let charged = entries.iter().enumerate().map(|(index, entry)| {
        let uncounted = full && tested.allows_overflow(entry);
        if uncounted {
            reservation.charged(index).expect("a charge of the reservation")
        } else {
            entry.cost
        }
    });
    let charged = charged.collect();
    let last = entries.iter().map(|entry| tested.span(entry, now)).collect();
    TrackedReservation { reservation, second, entries, charged, last, open: true }
}

/// The id that a plan refers to.
fn id(tested: &TestedLimiter<'_>, policy: PolicyRef, foreign: &[PolicyId]) -> PolicyId {
    match policy {
        PolicyRef::Own(index) => tested.ids[usize::from(index) % tested.ids.len()],
        PolicyRef::Foreign(index) => foreign[usize::from(index) % foreign.len()],
        PolicyRef::Default => PolicyId::default(),
    }
}

fn charge(
    tested: &TestedLimiter<'_>,
    planned: &PlannedCharge,
    foreign: &[PolicyId],
) -> Charge<'static> {
    let policy = id(tested, planned.policy, foreign);
    let charge = policy.charge(tested_limiter::key(planned.key.0), planned.cost.0);
    match planned.limit.0 {
        Some(limit) => charge.limit(limit.0),
        None => charge,
    }
}

/// The entry of a planned charge, if its policy belongs to this limiter.
fn entry(tested: &TestedLimiter<'_>, planned: &PlannedCharge) -> Option<Entry> {
    let PolicyRef::Own(index) = planned.policy else { return None };
    let policy = usize::from(index) % tested.ids.len();
    let limit = planned.limit.0.map(|limit| limit.0);
    Some(Entry { policy, key: planned.key.0, cost: planned.cost.0, limit })
}

/// One amount for each charge of the reservation, unless the plan keeps a wrong number of them.
fn amounts_for(planned: &Amounts, tracked: &TrackedReservation) -> Vec<u64> {
    let mut amounts: Vec<u64> = planned.amounts.iter().map(|amount| amount.0).collect();
    if planned.keep_count.0.is_none() {
        amounts.resize(tracked.entries.len(), 1);
    }
    amounts
}
