//! The limiter beside its ledger: each call is made, and its answer is checked against the
//! invariants.

use super::ledger::{Item, Ledger, Tally};
use super::load::mix;
use super::oracle::faulty_limiter::{Fault, FaultyLimiter, FaultySession};
use super::setup::{BUDGET, POLICIES, Setup, Span};
use tollgate::{Charge, Decision, Now, PolicyId, PolicyStatus, Reservation, Stats, Verdict};

/// A limiter, its ledger, and a digest of all answers.
#[derive(Debug)]
pub struct CheckedLimiter<'l> {
    limiter: &'l FaultyLimiter,
    ids: Vec<PolicyId>,
    pub ledger: Ledger,
    pub digest: u64,
    /// Budgets spent in full at the last nanosecond of their day.
    pub midnights: u64,
    /// Arrays made after the first of each table.
    pub migrations: u64,
}

/// A streaming request with an open reservation.
#[derive(Debug)]
pub struct Stream {
    reservation: Reservation,
    items: Vec<StreamItem>,
}

/// The charges of one item of a stream.
#[derive(Debug)]
struct StreamItem {
    rule: usize,
    key: u64,
    charged: u64,
    /// The ledger's numbers of its charges, oldest first.
    charges: Vec<u64>,
    /// The cost of the last charge.
    last: u64,
}

impl Stream {
    pub fn charged(&self) -> Vec<u64> {
        self.items.iter().map(|item| item.charged).collect()
    }
}

/// A denial, and the time from which a retry must be admitted.
#[derive(Clone, Debug)]
pub struct Denial {
    pub due: Now,
    pub wait: u64,
    pub version: u64,
}

pub fn later(now: Now, by: u64) -> Now {
    Now::new(now.monotonic_ns + by, now.unix_ns + by)
}

impl<'l> CheckedLimiter<'l> {
    pub fn new(setup: &Setup, limiter: &'l FaultyLimiter, start: Now) -> Self {
        let names: Vec<_> =
            limiter.limiter.policies().map(|policy| policy.name().to_owned()).collect();
        let ids = names.iter().map(|name| limiter.limiter.policy(name).unwrap()).collect();
        let (ledger, digest) = (Ledger::new(setup.rules, start), mix(setup.seed));
        CheckedLimiter { limiter, ids, ledger, digest, midnights: 0, migrations: 0 }
    }

    pub fn at(&mut self, now: Now) -> FaultySession<'l> {
        self.ledger.observe_time(now);
        self.limiter.at(now)
    }

    fn charges(&self, items: &[Item]) -> Vec<Charge<'static>> {
        items.iter().map(|(rule, key, cost)| self.ids[*rule].charge(*key, *cost)).collect()
    }

    fn digest_number(&mut self, number: u64) {
        self.digest = mix(self.digest ^ number);
    }

    fn digest_decision(&mut self, decision: &Decision) {
        let wait = decision.retry_after_ns.unwrap_or(u64::MAX);
        let reported = [decision.verdict as u64, decision.limit, decision.remaining, wait];
        reported.into_iter().for_each(|number| self.digest_number(number));
        self.digest_number(decision.policy.index() as u64);
        self.digest_number(decision.reset_after_ns);
    }

    /// The status of each item's key, read without charging.
    fn statuses(&self, session: &FaultySession<'_>, items: &[Item]) -> Vec<PolicyStatus> {
        let nothing: Vec<Item> = items.iter().map(|(rule, key, _)| (*rule, *key, 0)).collect();
        let mut statuses = vec![PolicyStatus::default(); items.len()];
        let _ = session.inner().peek_with_status(&self.charges(&nothing), &mut statuses);
        statuses
    }

    /// Checks and charges a request. Returns the denial if a retry can succeed.
    pub fn check(
        &mut self,
        session: &FaultySession<'_>,
        items: &[Item],
    ) -> (Decision, Option<Denial>) {
        let before = self.statuses(session, items);
        let mut statuses = vec![PolicyStatus::default(); items.len()];
        let decision = session.check(&self.charges(items), &mut statuses);
        self.digest_decision(&decision);
        if decision.is_allowed() {
            self.record_admitted(session, items, &statuses);
            return (decision, None);
        }
        (decision, self.not_allowed(session, items, &decision, &statuses, &before))
    }

    /// Records an admitted request. Returns the numbers of its charges.
    fn record_admitted(
        &mut self,
        session: &FaultySession<'_>,
        items: &[Item],
        statuses: &[PolicyStatus],
    ) -> Vec<u64> {
        let now = session.inner().now();
        let admit = |(item, status): (&Item, &PolicyStatus)| {
            assert!(!status.violated);
            self.ledger.tallies[item.0].admitted += 1;
            self.ledger.admit(*item, now, status)
        };
        items.iter().zip(statuses).map(admit).collect()
    }

    /// Checks a denial or refusal: it has a cause, charges nothing, and reports when to retry.
    fn not_allowed(
        &mut self,
        session: &FaultySession<'_>,
        items: &[Item],
        decision: &Decision,
        statuses: &[PolicyStatus],
        before: &[PolicyStatus],
    ) -> Option<Denial> {
        let now = session.inner().now();
        let after = self.statuses(session, items);
        let left = |statuses: &[PolicyStatus]| {
            statuses.iter().map(|status| status.remaining).collect::<Vec<_>>()
        };
        assert_eq!(left(before), left(&after), "not allowed, but charged: {items:?}");
        let rule = decision.policy.index();
        if decision.verdict == Verdict::TableFull {
            let index = items.iter().position(|item| item.0 == rule).unwrap();
            let (least, _) = self.ledger.bounds(rule, items[index].1, now);
            assert_eq!(least, 0, "a known key was refused");
            self.ledger.tallies[rule].refused += 1;
            // The earlier items were charged and rolled back, which may advance a bucket's time.
            items[..index].iter().for_each(|item| self.ledger.record_rollback(item.0, item.1));
            return None;
        }
        for (item, status) in items.iter().zip(statuses) {
            self.ledger.assert_left(*item, now, status.remaining);
            assert_eq!(status.violated, status.remaining < item.2, "{item:?}: {status:?}");
            self.ledger.tallies[item.0].denied += u64::from(status.violated);
        }
        let first = statuses.iter().find(|status| status.violated).map(|status| status.policy);
        assert_eq!(first, Some(decision.policy), "{items:?}");
        let Some(wait) = decision.retry_after_ns else {
            let never = |item: &Item| item.2 > self.ledger.rules[item.0].limit;
            assert!(items.iter().any(never) && decision.verdict == Verdict::Impossible);
            return None;
        };
        let early = self.limiter.at(later(now, wait - 1));
        let early = early.inner().peek(&self.charges(items));
        assert!(!early.is_allowed(), "room before retry_after for {items:?}");
        Some(Denial { due: later(now, wait), wait, version: self.ledger.version(items) })
    }

    /// Retries a denied request at its due time. It must be admitted if no call touched its keys
    /// since.
    pub fn retry(&mut self, session: &FaultySession<'_>, items: &[Item], denial: &Denial) {
        let untouched = self.ledger.version(items) == denial.version;
        let (decision, _) = self.check(session, items);
        if untouched && decision.verdict != Verdict::TableFull {
            assert!(decision.is_allowed(), "no room at retry_after for {items:?}");
        }
    }

    pub fn reserve(&mut self, session: &FaultySession<'_>, items: &[Item]) -> Option<Stream> {
        let before = self.statuses(session, items);
        let mut statuses = vec![PolicyStatus::default(); items.len()];
        let reservation = match session.reserve(&self.charges(items), &mut statuses) {
            Ok(reservation) => reservation,
            Err(decision) => {
                self.digest_decision(&decision);
                self.not_allowed(session, items, &decision, &statuses, &before);
                return None;
            }
        };
        self.digest_decision(&reservation.decision());
        let numbers = self.record_admitted(session, items, &statuses);
        let item = |((rule, key, cost), number): (&Item, u64)| StreamItem {
            rule: *rule,
            key: *key,
            charged: *cost,
            charges: vec![number],
            last: *cost,
        };
        Some(Stream { reservation, items: items.iter().zip(numbers).map(item).collect() })
    }

    /// Extends a reservation. Returns false if the stream must stop.
    pub fn extend(
        &mut self,
        session: &FaultySession<'_>,
        stream: &mut Stream,
        more: &[u64],
    ) -> bool {
        let item = |(item, more): (&StreamItem, &u64)| (item.rule, item.key, *more);
        let items: Vec<Item> = stream.items.iter().zip(more).map(item).collect();
        let before = self.statuses(session, &items);
        let charges = self.charges(&items);
        let decision = session.extend(&mut stream.reservation, &charges, more).unwrap();
        self.digest_decision(&decision);
        let after = self.statuses(session, &items);
        if !decision.is_allowed() {
            let left = |statuses: &[PolicyStatus]| {
                statuses.iter().map(|status| status.remaining).collect::<Vec<_>>()
            };
            assert_eq!(left(&before), left(&after), "not allowed, but charged");
            if decision.verdict == Verdict::TableFull {
                self.ledger.tallies[decision.policy.index()].refused += 1;
                return false;
            }
            let violated = items
                .iter()
                .zip(&before)
                .filter(|(item, status)| status.remaining < item.2 || status.violated);
            violated.for_each(|(item, _)| self.ledger.tallies[item.0].denied += 1);
            return false;
        }
        for (index, item) in items.iter().enumerate() {
            self.ledger.tallies[item.0].admitted += 1;
            if item.2 > 0 {
                let number = self.ledger.admit(*item, session.inner().now(), &after[index]);
                stream.items[index].add(number, item.2);
            }
            assert_eq!(stream.reservation.charged(index), Some(stream.items[index].charged));
        }
        true
    }

    /// Settles a stream with the actual cost, or cancels it if the cost is 0.
    pub fn settle(&mut self, session: &FaultySession<'_>, mut stream: Stream, actual: &[u64]) {
        let decision = if actual.iter().all(|actual| *actual == 0) {
            session.inner().cancel(&mut stream.reservation)
        } else {
            session.settle(&mut stream.reservation, actual)
        };
        let decision = decision.unwrap();
        self.digest_decision(&decision);
        for (index, stream_item) in stream.items.iter_mut().enumerate() {
            let now = session.inner().now();
            let item = (
                stream_item.rule,
                stream_item.key,
                actual[index].saturating_sub(stream_item.charged),
            );
            self.give_back(stream_item, stream_item.charged.saturating_sub(actual[index]));
            let reported = self.statuses(session, &[item])[0];
            if stream.reservation.charged(index) != Some(actual[index]) {
                assert_eq!(decision.verdict, Verdict::TableFull);
                self.ledger.tallies[stream_item.rule].refused += 1;
            } else if item.2 > 0 {
                self.ledger.tallies[stream_item.rule].admitted += 1;
                self.ledger.record(item, now, &reported);
            }
            self.ledger.assert_left(item, now, reported.remaining);
        }
        assert!(!stream.reservation.is_open());
        assert!(session.inner().cancel(&mut stream.reservation).is_err(), "settled twice");
    }

    /// Records what `settle` refunds. A budget refunds only charges of the key's newest day: all of
    /// them, or at most the last extension.
    fn give_back(&mut self, item: &StreamItem, rest: u64) {
        let counter = (item.rule, item.key);
        let Span::Days(_) = self.ledger.rules[item.rule].span else {
            return self.ledger.give_back(counter, &item.charges, rest);
        };
        let (first, last) = (item.charges[0], item.charges[item.charges.len() - 1]);
        let is_in_newest_day = |number| self.ledger.is_in_newest_day(item.rule, item.key, number);
        if is_in_newest_day(first) {
            self.ledger.give_back(counter, &item.charges, rest);
        } else if is_in_newest_day(last) {
            self.ledger.give_back(counter, &[last], rest.min(item.last));
        }
    }

    /// Checks a request and refunds it at once.
    pub fn refund(&mut self, session: &FaultySession<'_>, items: &[Item]) {
        let mut statuses = vec![PolicyStatus::default(); items.len()];
        let charges = self.charges(items);
        let decision = session.check(&charges, &mut statuses);
        self.digest_decision(&decision);
        if !decision.is_allowed() {
            let before = self.statuses(session, items);
            self.not_allowed(session, items, &decision, &statuses, &before);
            return;
        }
        let numbers = self.record_admitted(session, items, &statuses);
        for ((item, charge), number) in items.iter().zip(&charges).zip(numbers) {
            assert_eq!(session.inner().refund(charge), Ok(item.2));
            self.ledger.give_back((item.0, item.1), &[number], item.2);
            let left = self.statuses(session, &[*item])[0].remaining;
            self.ledger.assert_left(*item, session.inner().now(), left);
        }
    }

    pub fn reset(&mut self, session: &FaultySession<'_>, rule: usize, key: u64) {
        session.reset_key(self.ids[rule], key);
        self.ledger.reset(rule, key);
        let left = self.statuses(session, &[(rule, key, 0)])[0].remaining;
        assert_eq!(left, self.ledger.rules[rule].limit, "a key that was reset has used something");
    }

    pub fn set_limit(&mut self, rule: usize, limit: u64) {
        self.limiter.limiter.set_limit(self.ids[rule], limit).unwrap();
        self.ledger.set_limit(rule, limit);
    }

    /// Spends a budget in full at the last nanosecond of its day, and again at the first of the
    /// next.
    pub fn midnight(&mut self, key: u64, last: Now) {
        let session = self.at(last);
        let left = self.statuses(&session, &[(BUDGET, key, 0)])[0].remaining;
        if left > 0 && !self.check(&session, &[(BUDGET, key, left)]).0.is_allowed() {
            return;
        }
        if self.statuses(&session, &[(BUDGET, key, 0)])[0].reset_after_ns != 1 {
            // Another thread's clock has already passed midnight for this key.
            return self.ledger.assert_other_clock_is_ahead(BUDGET, last);
        }
        let (decision, denial) = self.check(&session, &[(BUDGET, key, 1)]);
        assert_eq!(decision.verdict, Verdict::Denied, "more than the budget");
        assert_eq!(denial.map(|denial| denial.wait), Some(1), "midnight is a nanosecond away");
        let session = self.at(later(last, 1));
        let limit = self.ledger.rules[BUDGET].limit;
        let (decision, _) = self.check(&session, &[(BUDGET, key, limit)]);
        assert!(decision.is_allowed(), "a new day's budget is not whole");
        self.midnights += 1;
    }

    /// Checks the end of the run: nothing is used after everything expired, and the statistics
    /// agree.
    pub fn end(&mut self, now: Now) {
        let session = self.at(now);
        for rule in 0..POLICIES {
            for key in self.ledger.keys(rule) {
                let status = self.statuses(&session, &[(rule, key, 0)])[0];
                assert_eq!(
                    status.remaining, status.limit,
                    "key {key} of {rule} is left with a charge"
                );
            }
            let stats = session.inner().stats(self.ids[rule]).unwrap();
            let Stats { admitted, denied, refused, migrations, .. } = stats;
            let reported = Tally { admitted, denied, refused };
            assert_eq!(reported, self.ledger.tallies[rule], "{stats:?}");
            [admitted, denied, refused, migrations]
                .into_iter()
                .for_each(|number| self.digest_number(number));
            self.migrations += migrations;
        }
    }
}

impl StreamItem {
    fn add(&mut self, number: u64, cost: u64) {
        self.charges.push(number);
        (self.charged, self.last) = (self.charged + cost, cost);
    }
}

/// The limiter of a setup, with an optional planted fault.
pub fn faulty_limiter(setup: &Setup, fault: Option<Fault>) -> FaultyLimiter {
    FaultyLimiter::new(setup.limiter(), fault)
}
