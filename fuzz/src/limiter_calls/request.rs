//! Requests, and the checks of their answers.

use super::tested_limiter::{Entry, TestedLimiter};
use crate::{Reached, http_checks};
use tollgate::http::Item;
use tollgate::{Charge, Decision, Now, PolicyStatus, Session, Verdict};

/// The first time that is too close to the end of the clocks for exact waits.
const LATE_NS: u64 = 1 << 63;

/// A request.
pub struct Request<'a> {
    pub now: Now,
    pub charges: &'a [Charge<'static>],
    /// One entry for each charge; `None` if the request is invalid.
    pub entries: Option<&'a [Entry]>,
}

/// The answer to a request. Some operations give no statuses.
pub struct Answer<'a> {
    pub decision: Decision,
    pub statuses: Option<&'a [PolicyStatus]>,
}

/// The result of a peek before a request.
pub struct Peeked {
    pub decision: Decision,
    /// For each charge, the remaining units of its policy without the request.
    remaining: Vec<u64>,
}

impl Peeked {
    pub fn new(session: &Session<'_>, charges: &[Charge<'_>]) -> Self {
        let mut statuses = vec![PolicyStatus::default(); charges.len()];
        let decision = session.peek_with_status(charges, &mut statuses);
        Peeked { decision, remaining: statuses.iter().map(|status| status.remaining).collect() }
    }
}

impl Request<'_> {
    /// For each entry, its cost plus the costs of earlier entries with the same key.
    fn sums(entries: &[Entry]) -> impl Iterator<Item = (&Entry, u64)> {
        entries.iter().enumerate().map(|(index, entry)| {
            let same = entries[..index]
                .iter()
                .filter(|other| (other.policy, other.key) == (entry.policy, entry.key));
            (entry, same.fold(entry.cost, |sum, other| sum.saturating_add(other.cost)))
        })
    }

    fn peek(&self, tested: &TestedLimiter<'_>, now: Now) -> Decision {
        tested.limiter.session_at(now).peek(self.charges)
    }
}

impl TestedLimiter<'_> {
    /// Checks the answer to a check or a reservation. `peeked` is the result of a peek before it.
    pub fn check_decision(
        &mut self,
        request: &Request<'_>,
        peeked: &Peeked,
        answer: &Answer<'_>,
        reached: &mut Reached,
    ) {
        let (decision, before) = (&answer.decision, &peeked.decision);
        assert_eq!(decision.retry_after().is_some(), decision.verdict == Verdict::Denied);
        let Some(entries) = request.entries else {
            assert_eq!(decision.verdict, Verdict::Invalid);
            reached.insert("invalid");
            return;
        };
        self.check_possible(entries, decision);
        self.check_statuses(entries, answer);
        entries.iter().for_each(|entry| {
            if (1..=self.limit(entry)).contains(&entry.cost) {
                self.oracle(entry).add_key(entry.key);
            }
        });
        if !decision.is_allowed() {
            self.check_uncharged(request, entries, peeked);
        }
        match decision.verdict {
            Verdict::Allowed => {
                assert_eq!(before.verdict, Verdict::Allowed);
                self.admit(request.now, entries, answer, reached);
                reached.insert("allowed");
            }
            Verdict::Denied => {
                assert_eq!(before, decision);
                self.check_reason(request.now, entries, decision);
                self.check_wait(request, decision.retry_after_ns.expect("a wait"));
                reached.insert("denied");
            }
            Verdict::Impossible => {
                assert_eq!(before, decision);
                reached.insert("impossible");
            }
            Verdict::TableFull => {
                assert_eq!(before.verdict, Verdict::Allowed);
                self.check_full(decision.policy.index());
                entries
                    .iter()
                    .for_each(|entry| self.oracle(entry).charge_uncertain(entry.key, entry.cost));
                reached.insert("table full");
            }
            _ => panic!("{decision:?} of a valid request"),
        }
    }

    /// Checks that the verdict is `Impossible` exactly if the cost of a key is over its limit.
    pub fn check_possible(&self, entries: &[Entry], decision: &Decision) {
        let impossible = Request::sums(entries).any(|(entry, sum)| sum > self.limit(entry));
        assert_eq!(decision.verdict == Verdict::Impossible, impossible, "{decision:?}");
        if !entries.is_empty() && decision.verdict != Verdict::TableFull {
            assert!(decision.remaining <= decision.limit, "{decision:?}");
        }
    }

    /// Checks the statuses against the decision, and their HTTP fields.
    pub fn check_statuses(&self, entries: &[Entry], answer: &Answer<'_>) {
        let (Some(statuses), decision) = (answer.statuses, &answer.decision) else { return };
        if decision.verdict == Verdict::TableFull {
            return;
        }
        assert!(statuses.len() >= entries.len());
        let statuses = &statuses[..entries.len()];
        for (status, entry) in statuses.iter().zip(entries) {
            assert_eq!(status.policy, self.ids[entry.policy]);
            assert_eq!(status.limit, self.limit(entry));
            assert!(
                status.remaining <= status.limit
                    && (status.violated || status.retry_after().is_none())
            );
        }
        let violated = statuses.iter().find(|status| status.violated);
        assert_eq!(violated.is_none(), decision.is_allowed());
        if let Some(first) = violated {
            assert_eq!((first.policy, first.limit), (decision.policy, decision.limit));
        }
        // The first item with the least share left; a limit of 0 leaves none.
        let least = statuses.iter().reduce(|least, status| {
            let product =
                |of: &PolicyStatus, limit: u64| u128::from(of.remaining) * u128::from(limit.max(1));
            let is_less = product(status, least.limit) < product(least, status.limit);
            if is_less { status } else { least }
        });
        if let Some(least) = least.filter(|_| decision.is_allowed()) {
            assert_eq!((least.policy, least.remaining), (decision.policy, decision.remaining));
        }
        if decision.verdict == Verdict::Denied {
            assert_eq!(
                statuses.iter().filter_map(|status| status.retry_after()).max(),
                decision.retry_after()
            );
        }
        let items: Vec<Item<'_>> = self.limiter.http_items(statuses).collect();
        assert_eq!(items.len(), statuses.len());
        http_checks::check(&items, None);
    }

    /// Checks that a request that is not allowed has charged nothing.
    fn check_uncharged(&self, request: &Request<'_>, entries: &[Entry], peeked: &Peeked) {
        let now = Peeked::new(&self.limiter.session_at(request.now), request.charges);
        for (entry, (before, after)) in
            entries.iter().zip(peeked.remaining.iter().zip(&now.remaining))
        {
            assert!(after >= before, "{entry:?} was charged although denied");
        }
    }

    /// Records an admitted request in the oracle, and checks that it is within every limit.
    fn admit(&mut self, now: Now, entries: &[Entry], answer: &Answer<'_>, reached: &mut Reached) {
        if answer.decision.table_full {
            let overflows = |entry: &&Entry| self.allows_overflow(entry);
            let any = entries.iter().filter(overflows).any(|entry| self.may_be_full(entry.policy));
            assert!(any, "table_full although no table is full: {entries:?}");
        }
        for (index, entry) in entries.iter().enumerate() {
            self.record_allowed(entry);
            let full = answer.decision.table_full && self.allows_overflow(entry);
            let uncounted = answer.statuses.map_or(full, |statuses| statuses[index].table_full);
            if uncounted {
                self.oracle(entry).charge_uncertain(entry.key, entry.cost);
                reached.insert("uncounted");
                continue;
            }
            let span = self.span(entry, now);
            let usage = self.oracle(entry).min_usage(entry.key, span);
            let bound = self.limit(entry) + self.policies[entry.policy].setting.allowance();
            let sum = usage.saturating_add(entry.cost);
            assert!(sum <= bound, "over the limit: {usage} plus {entry:?} of {bound}");
            self.oracle(entry).charge(entry.key, entry.cost, span);
        }
    }

    /// Checks that an exact policy denies only if it has no room according to the oracle.
    fn check_reason(&mut self, now: Now, entries: &[Entry], decision: &Decision) {
        let policy = decision.policy.index();
        if !self.policies[policy].setting.is_exact() || now.monotonic_ns.max(now.unix_ns) >= LATE_NS
        {
            return;
        }
        let has_no_room = Request::sums(entries).filter(|(entry, _)| entry.policy == policy).any(
            |(entry, sum)| {
                let usage =
                    self.policies[policy].oracle.max_usage(entry.key, self.span(entry, now));
                usage.is_none_or(|usage| usage.saturating_add(sum) > self.limit(entry))
            },
        );
        assert!(has_no_room, "denied although there is room: {decision:?} of {entries:?}");
    }

    /// Checks that the request is allowed after the wait, and denied one nanosecond earlier.
    fn check_wait(&self, request: &Request<'_>, wait_ns: u64) {
        let later = |ns: u64| {
            let Now { monotonic_ns, unix_ns } = request.now;
            Some(Now::new(monotonic_ns.checked_add(ns)?, unix_ns.checked_add(ns)?))
        };
        let Some(due) = later(wait_ns).filter(|due| due.monotonic_ns.max(due.unix_ns) < LATE_NS)
        else {
            return;
        };
        assert!(wait_ns > 0, "denied with a wait of 0");
        let at_due = request.peek(self, due);
        assert!(at_due.is_allowed(), "after {wait_ns}: {at_due:?}");
        let early = later(wait_ns - 1).map(|early| request.peek(self, early).verdict);
        assert_eq!(early, Some(Verdict::Denied), "before {wait_ns}");
    }

    /// Returns whether the table can be full: more keys were used than it has room for.
    fn may_be_full(&self, policy: usize) -> bool {
        let policy = &self.policies[policy];
        policy.oracle.key_count() > policy.setting.max_keys
    }

    /// Panics if the table of the policy cannot be full.
    pub fn check_full(&self, policy: usize) {
        let keys = self.policies[policy].oracle.key_count();
        assert!(self.may_be_full(policy), "table full after {keys} keys");
    }

    /// Checks the answer to a forced charge, and records it in the oracle.
    pub fn check_forced(
        &mut self,
        request: &Request<'_>,
        decision: &Decision,
        reached: &mut Reached,
    ) {
        let Some(entries) = request.entries else {
            assert_eq!(decision.verdict, Verdict::Invalid);
            return;
        };
        let costs = || entries.iter().filter(|entry| entry.cost > 0);
        costs().for_each(|entry| self.oracle(entry).add_key(entry.key));
        if decision.verdict == Verdict::TableFull {
            self.check_full(decision.policy.index());
            costs().for_each(|entry| self.oracle(entry).charge_uncertain(entry.key, entry.cost));
            return;
        }
        assert_eq!(decision.verdict, Verdict::Allowed);
        entries.iter().for_each(|entry| self.record_allowed(entry));
        for entry in costs() {
            let span = self.span(entry, request.now);
            if decision.table_full && self.allows_overflow(entry) {
                self.oracle(entry).charge_uncertain(entry.key, entry.cost);
            } else {
                self.oracle(entry).force_charge(entry.key, entry.cost, span);
            }
        }
        reached.insert("forced");
    }
}
