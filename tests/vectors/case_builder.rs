//! A builder of test cases that adds the oracle's answer to each call.

use super::format::*;
use super::oracle;
use oracle::{Answer, Item, Kind, Oracle, OracleReservation, Rule, combine};

pub const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;

/// The case so far, and an oracle of its policies.
pub struct CaseBuilder {
    pub case: Case,
    pub oracle: Oracle,
    /// The greatest limit of each policy.
    greatest: Vec<u64>,
    reserved: Vec<OracleReservation>,
    /// The nanoseconds by which the wall clock is behind the oracle's time: the policies' offset.
    pub wall_clock_lag: i64,
    pub now: u64,
}

impl CaseBuilder {
    pub fn new(name: &str, limiter: Setup) -> Self {
        let rule = |policy: &Policy| {
            let kind = match policy.period {
                None => Kind::Sliding(policy.window_ns.expect("a window or a period")),
                Some(Period::Hour) => Kind::Fixed(HOUR),
                Some(Period::Day) => Kind::Fixed(24 * HOUR),
                Some(Period::Month) => panic!("the oracle has no calendar"),
            };
            Rule { limit: policy.limit, kind }
        };
        let mut oracle = Oracle::new(limiter.policies.iter().map(rule).collect());
        oracle.dry_runs = limiter.policies.iter().map(|policy| policy.dry_run).collect();
        let greatest = |policy: &Policy| policy.max_limit.unwrap_or(policy.limit);
        let greatest = limiter.policies.iter().map(greatest).collect();
        let case = Case { name: name.into(), limiter, error: None, calls: Vec::new() };
        CaseBuilder { case, oracle, greatest, reserved: Vec::new(), wall_clock_lag: 0, now: 0 }
    }

    /// The key for a key number of the oracle. Some keys have a second spelling.
    fn key(number: u64, second: bool) -> Key {
        let network = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1];
        let runner = [0, 0, 0, 0, 0, 0, 0, 1 + u8::from(second)];
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1];
        match number {
            0 => Key::Text("alice".into()),
            1 => Key::Number(42),
            2 if second => Key::Ip(mapped.into()),
            2 => Key::Ip(vec![192, 0, 2, 1]),
            3 => Key::Ip([network, runner].concat()),
            4 => Key::Network([network, runner].concat(), 24, 32),
            5 => Key::Shared,
            6 => Key::Text(String::new()),
            7 => Key::Text("42".into()),
            8 => Key::Text(
                "a key of sixty-five bytes is as good as any other: ten times six.".into(),
            ),
            other => Key::Number(other),
        }
    }

    fn charge(&self, item: &Item) -> Charge {
        let (policy, number, cost, limit) = *item;
        let second = self.case.calls.len() % 2 == 1;
        Charge { policy, key: Self::key(number, second), cost, limit }
    }

    pub fn charges(&self, items: &[Item]) -> Vec<Charge> {
        items.iter().map(|item| self.charge(item)).collect()
    }

    /// Cuts item limits to the greatest limit, as the limiter does.
    fn cut(&self, items: &[Item]) -> Vec<Item> {
        let cut =
            |item: &Item| (item.0, item.1, item.2, item.3.map(|l| l.min(self.greatest[item.0])));
        items.iter().map(cut).collect()
    }

    pub fn push(&mut self, operation: Operation, expect: Expect) {
        let unix_ns = self.now.checked_add_signed(-self.wall_clock_lag).expect("a time after 1970");
        self.case.calls.push(Call { monotonic_ns: self.now, unix_ns, operation, expect });
    }

    /// The decision on items with these statuses, with or without a status per item.
    fn decision(
        items: &[Item],
        statuses: &[oracle::ExpectedStatus],
        with_statuses: bool,
    ) -> Decision {
        let of = |(item, status): (&Item, &oracle::ExpectedStatus)| PolicyStatus {
            policy: item.0,
            limit: status.limit,
            remaining: status.remaining,
            retry_after_ns: status.retry_after,
            reset_after_ns: status.reset_after,
            violated: status.violated,
            table_full: false,
            dry_run: status.dry_run,
        };
        let all: Vec<PolicyStatus> = items.iter().zip(statuses).map(of).collect();
        let undecided = |status: &PolicyStatus| PolicyStatus {
            violated: false,
            dry_run: false,
            retry_after_ns: None,
            ..*status
        };
        let first = all.iter().find(|status| status.violated && !status.dry_run).map(undecided);
        let (status, deciding) = match (combine(items, statuses), first) {
            (Answer::Allowed(policy, limit, remaining, reset_after_ns), None) => {
                let deciding =
                    PolicyStatus { policy, limit, remaining, reset_after_ns, ..undecided(&all[0]) };
                (status::ALLOWED, deciding)
            }
            (Answer::Denied(.., wait), Some(first)) => {
                (status::DENIED, PolicyStatus { retry_after_ns: Some(wait), ..first })
            }
            (Answer::Impossible(_), Some(first)) => (status::IMPOSSIBLE, first),
            (answer, first) => panic!("{answer:?} of {first:?}"),
        };
        Decision { status, deciding, layers: if with_statuses { all } else { Vec::new() } }
    }

    /// Charges the items if all have room. Returns the decision.
    fn decide(&mut self, items: &[Item], with_statuses: bool) -> Decision {
        let before = self.oracle.statuses(self.now, items);
        if denies(&before) {
            return Self::decision(items, &before, with_statuses);
        }
        self.oracle.charge_all(self.now, items, &before);
        Self::decision(items, &self.statuses_after(items, &before), with_statuses)
    }

    /// The status of each item after an allowed request, given those before it.
    fn statuses_after(
        &self,
        items: &[Item],
        before: &[oracle::ExpectedStatus],
    ) -> Vec<oracle::ExpectedStatus> {
        let after = self.oracle.statuses_after(self.now, items);
        after.into_iter().zip(before).map(|(status, before)| status.after(before)).collect()
    }

    pub fn check(&mut self, items: &[Item], with_statuses: bool) {
        let decision = self.decide(&self.cut(items), with_statuses);
        let charges = self.charges(items);
        let operation = if with_statuses {
            Operation::CheckWithStatus(charges)
        } else {
            Operation::Check(charges)
        };
        self.push(operation, Expect::Decision(decision));
    }

    pub fn peek(&mut self, items: &[Item], with_statuses: bool) {
        let cut = self.cut(items);
        let decision = Self::decision(&cut, &self.oracle.statuses(self.now, &cut), with_statuses);
        let charges = self.charges(items);
        let operation = if with_statuses {
            Operation::PeekWithStatus(charges)
        } else {
            Operation::Peek(charges)
        };
        self.push(operation, Expect::Decision(decision));
    }

    pub fn check_many(&mut self, items: &[Item]) {
        let cut = self.cut(items);
        let decisions = cut.iter().map(|item| self.decide(&[*item], false)).collect();
        self.push(Operation::CheckMany(self.charges(items)), Expect::Decisions(decisions));
    }

    pub fn force(&mut self, items: &[Item]) {
        let cut = self.cut(items);
        cut.iter().for_each(|item| self.oracle.charge(self.now, item));
        let decision = Self::decision(&cut, &self.oracle.statuses_after(self.now, &cut), false);
        self.push(Operation::Charge(self.charges(items)), Expect::Decision(decision));
    }

    pub fn refund(&mut self, item: &Item) {
        let units = self.oracle.refund(self.now, item.0, item.1, item.2);
        self.push(Operation::Refund(self.charge(item)), Expect::Units(units));
    }

    pub fn reset_key(&mut self, item: &Item) {
        self.oracle.reset(item.0, item.1);
        self.push(Operation::ResetKey(self.charge(item)), Expect::Status(status::ALLOWED));
    }

    pub fn set_limit(&mut self, policy: usize, limit: u64) {
        let status = if limit > self.greatest[policy] {
            status::MAX_LIMIT
        } else {
            self.oracle.set_limit(policy, limit);
            status::ALLOWED
        };
        self.push(Operation::SetLimit(policy, limit), Expect::Status(status));
    }

    /// Reserves. Returns the reservation's number if it was admitted.
    pub fn reserve(&mut self, items: &[Item]) -> Option<usize> {
        let (cut, number) = (self.cut(items), self.reserved.len());
        let mut reserved = OracleReservation::new(&cut);
        let decision = self.decide_items(&mut reserved, &cut, true);
        let allowed = decision.status == status::ALLOWED;
        self.push(Operation::Reserve(number, self.charges(items)), Expect::Decision(decision));
        if allowed {
            self.reserved.push(reserved);
        }
        allowed.then_some(number)
    }

    /// As `decide`, and records the charges of each reserved item.
    fn decide_items(
        &mut self,
        reserved: &mut OracleReservation,
        items: &[Item],
        is_first: bool,
    ) -> Decision {
        let before = self.oracle.statuses(self.now, items);
        if denies(&before) {
            return Self::decision(items, &before, is_first);
        }
        for ((part, item), status) in reserved.items.iter_mut().zip(items).zip(&before) {
            match status.is_passed() {
                true if is_first => part.pass_first(),
                true => part.pass_extension(item.2),
                false => self.oracle.charge_reserved(self.now, part, item.2),
            }
        }
        Self::decision(items, &self.statuses_after(items, &before), is_first)
    }

    /// The error for a closed reservation or a wrong number of amounts.
    fn mistake(&self, number: usize, amounts: usize) -> Option<Expect> {
        let OracleReservation { items, open } = &self.reserved[number];
        match open {
            _ if items.len() != amounts => Some(Expect::Status(status::AMOUNTS)),
            false => Some(Expect::Status(status::CLOSED)),
            true => None,
        }
    }

    pub fn extend(&mut self, number: usize, more: &[u64]) {
        let expect = self.mistake(number, more.len()).unwrap_or_else(|| {
            let mut reserved = self.reserved[number].clone();
            let items = reserved.extension(more);
            let decision = self.decide_items(&mut reserved, &items, false);
            self.reserved[number] = reserved;
            Expect::Decision(decision)
        });
        self.push(Operation::Extend(number, more.into()), expect);
    }

    pub fn settle(&mut self, number: usize, actual: &[u64]) {
        let expect = self.close(number, actual);
        self.push(Operation::Settle(number, actual.into()), expect);
    }

    pub fn cancel(&mut self, number: usize) {
        let nothing = vec![0; self.item_count(number)];
        let expect = self.close(number, &nothing);
        self.push(Operation::Cancel(number), expect);
    }

    fn close(&mut self, number: usize, actual: &[u64]) -> Expect {
        if let Some(mistake) = self.mistake(number, actual.len()) {
            return mistake;
        }
        let mut reserved = self.reserved[number].clone();
        self.oracle.settle(self.now, &mut reserved, actual);
        let items = reserved.request(actual);
        self.reserved[number] = reserved;
        let statuses = self.oracle.statuses_after(self.now, &items);
        Expect::Decision(Self::decision(&items, &statuses, false))
    }

    /// The number of reservations made.
    pub fn reservations(&self) -> usize {
        self.reserved.len()
    }

    /// The number of items of a reservation.
    pub fn item_count(&self, number: usize) -> usize {
        self.reserved[number].items.len()
    }
}

/// Returns whether an enforced policy has no room.
fn denies(statuses: &[oracle::ExpectedStatus]) -> bool {
    statuses.iter().any(|status| status.violated && !status.dry_run)
}
