//! Requests, and what must hold of their answers.

use super::side::{Entry, Side};
use crate::{Reached, fields};
use tollgate::http::Item;
use tollgate::{Charge, Decision, Now, PolicyStatus, Session, Verdict};

/// Times beyond this are too near the end of all clocks for a wait to be told exactly.
const LATE_NS: u64 = 1 << 63;

/// A request, as it was made.
pub struct Asked<'a> {
    pub now: Now,
    pub charges: &'a [Charge<'static>],
    /// The lines, one for each charge; none if the request is invalid.
    pub entries: Option<&'a [Entry]>,
}

/// An answer, as far as the verb gives one.
pub struct Answer<'a> {
    pub decision: Decision,
    pub layers: Option<&'a [PolicyStatus]>,
}

/// What a peek says of a request.
pub struct Looked {
    pub decision: Decision,
    /// What each line's policy has left, without the request.
    left: Vec<u64>,
}

impl Looked {
    pub fn new(session: &Session<'_>, charges: &[Charge<'_>]) -> Self {
        let mut layers = vec![PolicyStatus::default(); charges.len()];
        let decision = session.peek_with_status(charges, &mut layers);
        Looked { decision, left: layers.iter().map(|layer| layer.remaining).collect() }
    }
}

impl Asked<'_> {
    /// What each line costs together with those before it to the same key.
    fn sums(entries: &[Entry]) -> impl Iterator<Item = (&Entry, u64)> {
        entries.iter().enumerate().map(|(place, entry)| {
            let same = entries[..place]
                .iter()
                .filter(|other| (other.policy, other.key) == (entry.policy, entry.key));
            (entry, same.fold(entry.cost, |sum, other| sum.saturating_add(other.cost)))
        })
    }

    fn peek(&self, side: &Side<'_>, now: Now) -> Decision {
        side.limiter.session_at(now).peek(self.charges)
    }
}

impl Side<'_> {
    /// Checks the answer to a request that charges if it has room; `looked` is what a peek said.
    pub fn judge(
        &mut self,
        asked: &Asked<'_>,
        looked: &Looked,
        answer: &Answer<'_>,
        reached: &mut Reached,
    ) {
        let (decision, before) = (&answer.decision, &looked.decision);
        assert_eq!(decision.retry_after().is_some(), decision.verdict == Verdict::Denied);
        let Some(entries) = asked.entries else {
            assert_eq!(decision.verdict, Verdict::Invalid);
            reached.insert("invalid");
            return;
        };
        self.check_possible(entries, decision);
        self.check_with_status(entries, answer);
        entries.iter().for_each(|entry| {
            if (1..=self.limit(entry)).contains(&entry.cost) {
                self.account(entry).know(entry.key);
            }
        });
        if !decision.is_allowed() {
            self.check_uncharged(asked, entries, looked);
        }
        match decision.verdict {
            Verdict::Allowed => {
                assert_eq!(before.verdict, Verdict::Allowed);
                self.admit(asked.now, entries, answer, reached);
                reached.insert("allowed");
            }
            Verdict::Denied => {
                assert_eq!(before, decision);
                self.check_reason(asked.now, entries, decision);
                self.check_wait(asked, decision.retry_after_ns.expect("a wait"));
                reached.insert("denied");
            }
            Verdict::Impossible => {
                assert_eq!(before, decision);
                reached.insert("impossible");
            }
            Verdict::TableFull => {
                assert_eq!(before.verdict, Verdict::Allowed);
                self.check_full(decision.policy.index());
                entries.iter().for_each(|entry| self.account(entry).doubt(entry.key, entry.cost));
                reached.insert("table full");
            }
            Verdict::Invalid => panic!("{decision:?} of a valid request"),
            _ => panic!("{decision:?} has an unknown verdict"),
        }
    }

    /// What is only looked at is never impossible without reason, nor possible in spite of one.
    pub fn check_possible(&self, entries: &[Entry], decision: &Decision) {
        let impossible = Asked::sums(entries).any(|(entry, sum)| sum > self.limit(entry));
        assert_eq!(decision.verdict == Verdict::Impossible, impossible, "{decision:?}");
        if !entries.is_empty() && decision.verdict != Verdict::TableFull {
            assert!(decision.remaining <= decision.limit, "{decision:?}");
        }
    }

    pub fn check_with_status(&self, entries: &[Entry], answer: &Answer<'_>) {
        let (Some(layers), decision) = (answer.layers, &answer.decision) else { return };
        if decision.verdict == Verdict::TableFull {
            return;
        }
        assert!(layers.len() >= entries.len());
        let layers = &layers[..entries.len()];
        for (layer, entry) in layers.iter().zip(entries) {
            assert_eq!(layer.policy, self.ids[entry.policy]);
            assert_eq!(layer.limit, self.limit(entry));
            assert!(
                layer.remaining <= layer.limit && (layer.violated || layer.retry_after().is_none())
            );
        }
        let violated = layers.iter().find(|layer| layer.violated);
        assert_eq!(violated.is_none(), decision.is_allowed());
        if let Some(first) = violated {
            assert_eq!((first.policy, first.limit), (decision.policy, decision.limit));
        }
        if decision.verdict == Verdict::Denied {
            assert_eq!(
                layers.iter().filter_map(|layer| layer.retry_after()).max(),
                decision.retry_after()
            );
        }
        let items: Vec<Item<'_>> = self.limiter.http_items(layers).collect();
        assert_eq!(items.len(), layers.len());
        fields::check(&items, None);
    }

    /// What was refused has cost nothing.
    fn check_uncharged(&self, asked: &Asked<'_>, entries: &[Entry], looked: &Looked) {
        let now = Looked::new(&self.limiter.session_at(asked.now), asked.charges);
        for (entry, (before, left)) in entries.iter().zip(looked.left.iter().zip(&now.left)) {
            assert!(left >= before, "{entry:?} was charged though refused");
        }
    }

    /// Enters what was admitted, which must not be over.
    fn admit(&mut self, now: Now, entries: &[Entry], answer: &Answer<'_>, reached: &mut Reached) {
        if answer.decision.table_full {
            let overflows = |entry: &&Entry| self.lets_overflow(entry);
            let any = entries.iter().filter(overflows).any(|entry| self.may_be_full(entry.policy));
            assert!(any, "a full table where there is none: {entries:?}");
        }
        for (place, entry) in entries.iter().enumerate() {
            self.passed(entry);
            let full = answer.decision.table_full && self.lets_overflow(entry);
            let uncounted = answer.layers.map_or(full, |layers| layers[place].table_full);
            if uncounted {
                self.account(entry).doubt(entry.key, entry.cost);
                reached.insert("uncounted");
                continue;
            }
            let span = self.span(entry, now);
            let spent = self.account(entry).at_least(entry.key, span);
            let most = self.limit(entry) + self.known[entry.policy].setting.allowance();
            let sum = spent.saturating_add(entry.cost);
            assert!(sum <= most, "over: {spent} and {entry:?} of {most}");
            self.account(entry).charge(entry.key, entry.cost, span);
        }
    }

    /// An exact policy that refuses has no room: its log says so as well.
    fn check_reason(&mut self, now: Now, entries: &[Entry], decision: &Decision) {
        let policy = decision.policy.index();
        if !self.known[policy].setting.is_exact() || now.monotonic_ns.max(now.unix_ns) >= LATE_NS {
            return;
        }
        let lacks =
            Asked::sums(entries).filter(|(entry, _)| entry.policy == policy).any(|(entry, sum)| {
                let spent = self.known[policy].account.at_most(entry.key, self.span(entry, now));
                spent.is_none_or(|spent| spent.saturating_add(sum) > self.limit(entry))
            });
        assert!(lacks, "refused without reason: {decision:?} of {entries:?}");
    }

    /// Refused one nanosecond before the wait is over, and allowed then.
    fn check_wait(&self, asked: &Asked<'_>, wait_ns: u64) {
        let later = |ns: u64| {
            let Now { monotonic_ns, unix_ns } = asked.now;
            Some(Now::new(monotonic_ns.checked_add(ns)?, unix_ns.checked_add(ns)?))
        };
        let Some(due) = later(wait_ns).filter(|due| due.monotonic_ns.max(due.unix_ns) < LATE_NS)
        else {
            return;
        };
        assert!(wait_ns > 0, "refused, and told to come back at once");
        let at_due = asked.peek(self, due);
        assert!(at_due.is_allowed(), "after {wait_ns}: {at_due:?}");
        let early = later(wait_ns - 1).map(|early| asked.peek(self, early).verdict);
        assert_eq!(early, Some(Verdict::Denied), "before {wait_ns}");
    }

    /// A table is full only where there were more keys than it is to have.
    fn may_be_full(&self, policy: usize) -> bool {
        self.known[policy].account.known() > self.known[policy].setting.max_keys
    }

    pub fn check_full(&self, policy: usize) {
        let known = &self.known[policy];
        assert!(self.may_be_full(policy), "full with {} keys", known.account.known());
    }

    /// Checks the answer to a charge that is made whatever the usage is, and enters it.
    pub fn judge_forced(&mut self, asked: &Asked<'_>, decision: &Decision, reached: &mut Reached) {
        let Some(entries) = asked.entries else {
            assert_eq!(decision.verdict, Verdict::Invalid);
            return;
        };
        let costs = || entries.iter().filter(|entry| entry.cost > 0);
        costs().for_each(|entry| self.account(entry).know(entry.key));
        if decision.verdict == Verdict::TableFull {
            self.check_full(decision.policy.index());
            costs().for_each(|entry| self.account(entry).doubt(entry.key, entry.cost));
            return;
        }
        assert_eq!(decision.verdict, Verdict::Allowed);
        entries.iter().for_each(|entry| self.passed(entry));
        for entry in costs() {
            let span = self.span(entry, asked.now);
            if decision.table_full && self.lets_overflow(entry) {
                self.account(entry).doubt(entry.key, entry.cost);
            } else {
                self.account(entry).force(entry.key, entry.cost, span);
            }
        }
        reached.insert("forced");
    }
}
