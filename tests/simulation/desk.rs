//! What clients ask of the limiter, and the laws that each answer must obey.

use super::account::{Account, Line, Tally};
use super::load::mix;
use super::make::{BUDGET, Make, POLICIES, Span};
use super::reference::gate::{Desk, Fault, Gate};
use tollgate::{Charge, Decision, Now, PolicyId, PolicyStatus, Reservation, Stats, Verdict};

/// The limiter with its account, and a sum over everything that was answered.
#[derive(Debug)]
pub struct Counters<'l> {
    gate: &'l Gate,
    ids: Vec<PolicyId>,
    pub account: Account,
    pub digest: u64,
    /// How many budgets were spent to the last nanosecond.
    pub midnights: u64,
    /// How many arrays were made after the first ones.
    pub migrations: u64,
}

/// A paid request that is being answered.
#[derive(Debug)]
pub struct Stream {
    reservation: Reservation,
    layers: Vec<Paid>,
}

/// What one layer of it was charged.
#[derive(Debug)]
struct Paid {
    rule: usize,
    key: u64,
    charged: u64,
    /// The numbers of its charges, oldest first.
    charges: Vec<u64>,
    /// What the last of them was.
    last: u64,
}

impl Stream {
    pub fn charged(&self) -> Vec<u64> {
        self.layers.iter().map(|paid| paid.charged).collect()
    }
}

/// A denial, and when the client may come again.
#[derive(Clone, Debug)]
pub struct Denial {
    pub due: Now,
    pub wait: u64,
    pub version: u64,
}

pub fn later(now: Now, by: u64) -> Now {
    Now::new(now.monotonic_ns + by, now.unix_ns + by)
}

impl<'l> Counters<'l> {
    pub fn new(make: &Make, gate: &'l Gate, start: Now) -> Self {
        let names: Vec<_> =
            gate.limiter.policies().map(|policy| policy.name().to_owned()).collect();
        let ids = names.iter().map(|name| gate.limiter.policy(name).unwrap()).collect();
        let (account, digest) = (Account::new(make.rules, start), mix(make.seed));
        Counters { gate, ids, account, digest, midnights: 0, migrations: 0 }
    }

    pub fn at(&mut self, now: Now) -> Desk<'l> {
        self.account.see(now);
        self.gate.at(now)
    }

    fn charges(&self, lines: &[Line]) -> Vec<Charge<'static>> {
        lines.iter().map(|(rule, key, cost)| self.ids[*rule].charge(*key, *cost)).collect()
    }

    fn note(&mut self, number: u64) {
        self.digest = mix(self.digest ^ number);
    }

    fn note_decision(&mut self, decision: &Decision) {
        let wait = decision.retry_after_ns.unwrap_or(u64::MAX);
        let told = [decision.verdict as u64, decision.limit, decision.remaining, wait];
        told.into_iter().for_each(|number| self.note(number));
        self.note(decision.policy.index() as u64);
        self.note(decision.reset_after_ns);
    }

    /// What is left in each layer, without asking for anything.
    fn look(&self, desk: &Desk<'_>, lines: &[Line]) -> Vec<PolicyStatus> {
        let nothing: Vec<Line> = lines.iter().map(|(rule, key, _)| (*rule, *key, 0)).collect();
        let mut layers = vec![PolicyStatus::default(); lines.len()];
        let _ = desk.session().peek_with_status(&self.charges(&nothing), &mut layers);
        layers
    }

    /// A request that is charged at once. A denial, if a wait helps.
    pub fn check(&mut self, desk: &Desk<'_>, lines: &[Line]) -> (Decision, Option<Denial>) {
        let before = self.look(desk, lines);
        let mut layers = vec![PolicyStatus::default(); lines.len()];
        let decision = desk.check(&self.charges(lines), &mut layers);
        self.note_decision(&decision);
        if decision.is_allowed() {
            self.admitted(desk, lines, &layers);
            return (decision, None);
        }
        (decision, self.refused(desk, lines, &decision, &layers, &before))
    }

    /// Writes down what was admitted; returns the numbers of the charges.
    fn admitted(&mut self, desk: &Desk<'_>, lines: &[Line], layers: &[PolicyStatus]) -> Vec<u64> {
        let now = desk.session().now();
        let admit = |(line, layer): (&Line, &PolicyStatus)| {
            assert!(!layer.violated);
            self.account.tallies[line.0].admitted += 1;
            self.account.admit(*line, now, layer)
        };
        lines.iter().zip(layers).map(admit).collect()
    }

    /// A refusal has a cause, charges nothing, and tells when to come again.
    fn refused(
        &mut self,
        desk: &Desk<'_>,
        lines: &[Line],
        decision: &Decision,
        layers: &[PolicyStatus],
        before: &[PolicyStatus],
    ) -> Option<Denial> {
        let now = desk.session().now();
        let after = self.look(desk, lines);
        let left = |layers: &[PolicyStatus]| {
            layers.iter().map(|layer| layer.remaining).collect::<Vec<_>>()
        };
        assert_eq!(left(before), left(&after), "refused, and charged to {lines:?}");
        let rule = decision.policy.index();
        if decision.verdict == Verdict::TableFull {
            let place = lines.iter().position(|line| line.0 == rule).unwrap();
            let (least, _) = self.account.bounds(rule, lines[place].1, now);
            assert_eq!(least, 0, "a known key found no place");
            self.account.tallies[rule].refused += 1;
            // Those before were charged for an instant: a bucket's time may have gone on.
            lines[..place].iter().for_each(|line| self.account.touch(line.0, line.1));
            return None;
        }
        for (line, layer) in lines.iter().zip(layers) {
            self.account.assert_left(*line, now, layer.remaining);
            assert_eq!(layer.violated, layer.remaining < line.2, "{line:?}: {layer:?}");
            self.account.tallies[line.0].denied += u64::from(layer.violated);
        }
        let first = layers.iter().find(|layer| layer.violated).map(|layer| layer.policy);
        assert_eq!(first, Some(decision.policy), "{lines:?}");
        let Some(wait) = decision.retry_after_ns else {
            let never = |line: &Line| line.2 > self.account.rules[line.0].limit;
            assert!(lines.iter().any(never) && decision.verdict == Verdict::Impossible);
            return None;
        };
        let early = self.gate.at(later(now, wait - 1));
        let early = early.session().peek(&self.charges(lines));
        assert!(!early.is_allowed(), "room before retry_after for {lines:?}");
        Some(Denial { due: later(now, wait), wait, version: self.account.version(lines) })
    }

    /// A client who comes again when it was told to. If nobody has touched its keys there is room.
    pub fn retry(&mut self, desk: &Desk<'_>, lines: &[Line], denial: &Denial) {
        let untouched = self.account.version(lines) == denial.version;
        let (decision, _) = self.check(desk, lines);
        if untouched && decision.verdict != Verdict::TableFull {
            assert!(decision.is_allowed(), "no room at retry_after for {lines:?}");
        }
    }

    pub fn reserve(&mut self, desk: &Desk<'_>, lines: &[Line]) -> Option<Stream> {
        let before = self.look(desk, lines);
        let mut layers = vec![PolicyStatus::default(); lines.len()];
        let reservation = match desk.reserve(&self.charges(lines), &mut layers) {
            Ok(reservation) => reservation,
            Err(decision) => {
                self.note_decision(&decision);
                self.refused(desk, lines, &decision, &layers, &before);
                return None;
            }
        };
        self.note_decision(&reservation.decision());
        let numbers = self.admitted(desk, lines, &layers);
        let paid = |((rule, key, cost), number): (&Line, u64)| Paid {
            rule: *rule,
            key: *key,
            charged: *cost,
            charges: vec![number],
            last: *cost,
        };
        Some(Stream { reservation, layers: lines.iter().zip(numbers).map(paid).collect() })
    }

    /// So much more for each layer; false is 'stop now'.
    pub fn extend(&mut self, desk: &Desk<'_>, stream: &mut Stream, more: &[u64]) -> bool {
        let line = |(paid, more): (&Paid, &u64)| (paid.rule, paid.key, *more);
        let lines: Vec<Line> = stream.layers.iter().zip(more).map(line).collect();
        let before = self.look(desk, &lines);
        let charges = self.charges(&lines);
        let decision = desk.extend(&mut stream.reservation, &charges, more).unwrap();
        self.note_decision(&decision);
        let after = self.look(desk, &lines);
        if !decision.is_allowed() {
            let left = |layers: &[PolicyStatus]| {
                layers.iter().map(|layer| layer.remaining).collect::<Vec<_>>()
            };
            assert_eq!(left(&before), left(&after), "stopped, and charged");
            if decision.verdict == Verdict::TableFull {
                self.account.tallies[decision.policy.index()].refused += 1;
                return false;
            }
            let violated = lines
                .iter()
                .zip(&before)
                .filter(|(line, layer)| layer.remaining < line.2 || layer.violated);
            violated.for_each(|(line, _)| self.account.tallies[line.0].denied += 1);
            return false;
        }
        for (place, line) in lines.iter().enumerate() {
            self.account.tallies[line.0].admitted += 1;
            if line.2 > 0 {
                let number = self.account.admit(*line, desk.session().now(), &after[place]);
                stream.layers[place].add(number, line.2);
            }
            assert_eq!(stream.reservation.charged(place), Some(stream.layers[place].charged));
        }
        true
    }

    /// The end of a stream: what it has cost is charged, as far as it has not passed.
    pub fn settle(&mut self, desk: &Desk<'_>, mut stream: Stream, actual: &[u64]) {
        let decision = if actual.iter().all(|actual| *actual == 0) {
            desk.session().cancel(&mut stream.reservation)
        } else {
            desk.settle(&mut stream.reservation, actual)
        };
        let decision = decision.unwrap();
        self.note_decision(&decision);
        for (place, paid) in stream.layers.iter_mut().enumerate() {
            let now = desk.session().now();
            let line = (paid.rule, paid.key, actual[place].saturating_sub(paid.charged));
            self.take_back(paid, paid.charged.saturating_sub(actual[place]));
            let told = self.look(desk, &[line])[0];
            if stream.reservation.charged(place) != Some(actual[place]) {
                assert_eq!(decision.verdict, Verdict::TableFull);
                self.account.tallies[paid.rule].refused += 1;
            } else if line.2 > 0 {
                self.account.tallies[paid.rule].admitted += 1;
                self.account.write(line, now, &told);
            }
            self.account.assert_left(line, now, told.remaining);
        }
        assert!(!stream.reservation.is_open());
        assert!(desk.session().cancel(&mut stream.reservation).is_err(), "settled twice");
    }

    /// Gives back of a layer; of a budget's only what is of the present day: all of it, or no more
    /// than the last extension.
    fn take_back(&mut self, paid: &Paid, rest: u64) {
        let counter = (paid.rule, paid.key);
        let Span::Days(_) = self.account.rules[paid.rule].span else {
            return self.account.take_back(counter, &paid.charges, rest);
        };
        let (first, last) = (paid.charges[0], paid.charges[paid.charges.len() - 1]);
        let is_of_today = |number| self.account.is_of_today(paid.rule, paid.key, number);
        if is_of_today(first) {
            self.account.take_back(counter, &paid.charges, rest);
        } else if is_of_today(last) {
            self.account.take_back(counter, &[last], rest.min(paid.last));
        }
    }

    /// A request that has failed elsewhere gets its cost back while it surely counts.
    pub fn refund(&mut self, desk: &Desk<'_>, lines: &[Line]) {
        let mut layers = vec![PolicyStatus::default(); lines.len()];
        let charges = self.charges(lines);
        let decision = desk.check(&charges, &mut layers);
        self.note_decision(&decision);
        if !decision.is_allowed() {
            let before = self.look(desk, lines);
            self.refused(desk, lines, &decision, &layers, &before);
            return;
        }
        let numbers = self.admitted(desk, lines, &layers);
        for ((line, charge), number) in lines.iter().zip(&charges).zip(numbers) {
            assert_eq!(desk.session().refund(charge), Ok(line.2));
            self.account.take_back((line.0, line.1), &[number], line.2);
            let left = self.look(desk, &[*line])[0].remaining;
            self.account.assert_left(*line, desk.session().now(), left);
        }
    }

    pub fn reset(&mut self, desk: &Desk<'_>, rule: usize, key: u64) {
        desk.reset_key(self.ids[rule], key);
        self.account.reset(rule, key);
        let left = self.look(desk, &[(rule, key, 0)])[0].remaining;
        assert_eq!(left, self.account.rules[rule].limit, "a key that was reset has used something");
    }

    pub fn set_limit(&mut self, rule: usize, limit: u64) {
        self.gate.limiter.set_limit(self.ids[rule], limit).unwrap();
        self.account.set_limit(rule, limit);
    }

    /// The last nanosecond of a key's budget and the first of the next: spent to the unit, and
    /// whole.
    pub fn midnight(&mut self, key: u64, last: Now) {
        let desk = self.at(last);
        let left = self.look(&desk, &[(BUDGET, key, 0)])[0].remaining;
        if left > 0 && !self.check(&desk, &[(BUDGET, key, left)]).0.is_allowed() {
            return;
        }
        if self.look(&desk, &[(BUDGET, key, 0)])[0].reset_after_ns != 1 {
            // To some thread's clock it is tomorrow, and its day has come.
            return self.account.assert_past(BUDGET, last);
        }
        let (decision, denial) = self.check(&desk, &[(BUDGET, key, 1)]);
        assert_eq!(decision.verdict, Verdict::Denied, "more than the budget");
        assert_eq!(denial.map(|denial| denial.wait), Some(1), "midnight is a nanosecond away");
        let desk = self.at(later(last, 1));
        let limit = self.account.rules[BUDGET].limit;
        let (decision, _) = self.check(&desk, &[(BUDGET, key, limit)]);
        assert!(decision.is_allowed(), "a new day's budget is not whole");
        self.midnights += 1;
    }

    /// When everything has passed nothing is used, and everything was counted.
    pub fn end(&mut self, now: Now) {
        let desk = self.at(now);
        for rule in 0..POLICIES {
            for key in self.account.keys(rule) {
                let layer = self.look(&desk, &[(rule, key, 0)])[0];
                assert_eq!(
                    layer.remaining, layer.limit,
                    "key {key} of {rule} is left with a charge"
                );
            }
            let stats = desk.session().stats(self.ids[rule]).unwrap();
            let Stats { admitted, denied, refused, migrations, .. } = stats;
            let told = Tally { admitted, denied, refused };
            assert_eq!(told, self.account.tallies[rule], "{stats:?}");
            [admitted, denied, refused, migrations]
                .into_iter()
                .for_each(|number| self.note(number));
            self.migrations += migrations;
        }
    }
}

impl Paid {
    fn add(&mut self, number: u64, cost: u64) {
        self.charges.push(number);
        (self.charged, self.last) = (self.charged + cost, cost);
    }
}

/// A limiter of this make, with a fault or none.
pub fn gate(make: &Make, fault: Option<Fault>) -> Gate {
    Gate::new(make.limiter(), fault)
}
