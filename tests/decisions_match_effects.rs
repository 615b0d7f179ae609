//! The decision of each request matches what is charged and what the statistics count, whether or
//! not its keys find a slot.

mod oracle;

use oracle::{cases, compare_shares};
use proptest::prelude::*;
use std::time::Duration;
use tollgate::{
    Charge, Decision, Limiter, ManualClock, Now, Overflow, Period, Policy, PolicyId, PolicyStatus,
    Session, Verdict,
};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_000_000 * SECOND;
const GREATEST: u64 = 1 << 20;

/// Builds a limiter with small tables that fill soon: two refuse new keys, two admit them
/// untracked.
fn limiter() -> (Limiter, Vec<PolicyId>) {
    let second = Duration::from_secs(1);
    let policies = [
        Policy::sliding("window", 7, second).overflow(Overflow::Deny),
        Policy::sliding("open window", 7, second).overflow(Overflow::Allow),
        Policy::calendar("hour", 20, Period::Hour).overflow(Overflow::Deny),
        Policy::calendar("open hour", 20, Period::Hour).overflow(Overflow::Allow),
    ];
    let builder = Limiter::builder().clock(ManualClock::new()).max_keys(2);
    let policies = policies.map(|policy| policy.max_limit(GREATEST));
    let limiter = policies.into_iter().fold(builder, |builder, policy| builder.policy(policy));
    let limiter = limiter.build().unwrap();
    let ids = limiter.policies().map(|policy| limiter.policy(policy.name()).unwrap()).collect();
    (limiter, ids)
}

/// Policy index, key and cost of a charge.
type Item = (usize, u64, u64);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Check,
    CheckWithStatus,
    Peek,
    ForceCharge,
}

fn request() -> impl Strategy<Value = (u64, Operation, Vec<Item>)> {
    let gap = prop_oneof![6 => Just(0), 2 => 0..SECOND, 1 => SECOND..3_000 * SECOND];
    let operation = prop_oneof![
        3 => Just(Operation::Check),
        3 => Just(Operation::CheckWithStatus),
        1 => Just(Operation::Peek),
        2 => Just(Operation::ForceCharge),
    ];
    let item = (0usize..4, 0u64..4, prop_oneof![6 => 0u64..4, 1 => 5u64..30]);
    (gap, operation, prop::collection::vec(item, 1..5))
}

fn limit(item: &Item) -> u64 {
    if item.0 < 2 { 7 } else { 20 }
}

/// The statistics of a policy: admitted, denied, refused and untracked charges.
fn counts(session: &Session<'_>, id: PolicyId) -> [u64; 4] {
    let stats = session.stats(id).unwrap();
    [stats.admitted, stats.denied, stats.refused, stats.untracked]
}

/// Sums the cost of the items for the same policy and key as the given item.
fn cost_of(items: &[Item], (policy, key, _): &Item) -> u64 {
    let same = items.iter().filter(|item| (item.0, item.1) == (*policy, *key));
    same.map(|item| item.2).sum()
}

/// A request and the session that it runs in.
struct Request<'s> {
    session: &'s Session<'s>,
    ids: &'s [PolicyId],
    operation: Operation,
    items: &'s [Item],
}

impl Operation {
    fn is_check(self) -> bool {
        matches!(self, Operation::Check | Operation::CheckWithStatus)
    }

    fn has_statuses(self) -> bool {
        matches!(self, Operation::CheckWithStatus | Operation::Peek)
    }
}

impl Request<'_> {
    fn used(&self, item: &Item) -> u64 {
        let nothing = self.ids[item.0].charge(item.1, 0).limit(GREATEST);
        GREATEST - self.session.peek(&[nothing]).remaining
    }

    /// Returns whether the item fits together with those before it.
    fn has_room(&self, index: usize) -> bool {
        let item = self.items[index];
        self.used(&item) + cost_of(&self.items[..=index], &item) <= limit(&item)
    }

    fn cost(&self, item: &Item) -> u64 {
        cost_of(self.items, item)
    }

    fn execute(&self) -> (Decision, [PolicyStatus; 4]) {
        let charge = |(policy, key, cost): &Item| self.ids[*policy].charge(*key, *cost);
        let charges: Vec<Charge<'static>> = self.items.iter().map(charge).collect();
        let mut statuses = [PolicyStatus::default(); 4];
        let decision = match self.operation {
            Operation::Check => self.session.check(&charges),
            Operation::CheckWithStatus => self.session.check_with_status(&charges, &mut statuses),
            Operation::Peek => self.session.peek_with_status(&charges, &mut statuses),
            Operation::ForceCharge => self.session.force_charge(&charges),
        };
        (decision, statuses)
    }

    /// Executes the request, and compares the decision with the usage and the statistics before and
    /// after it.
    fn assert_matches_effects(&self) {
        let room: Vec<bool> = (0..self.items.len()).map(|index| self.has_room(index)).collect();
        let used: Vec<u64> = self.items.iter().map(|item| self.used(item)).collect();
        let mut due: Vec<[u64; 4]> = self.ids.iter().map(|id| counts(self.session, *id)).collect();
        let (decision, statuses) = self.execute();
        let allowed = self.operation == Operation::ForceCharge || room.iter().all(|has| *has);
        if decision.verdict == Verdict::TableFull {
            assert!(allowed && self.operation != Operation::Peek);
            self.assert_refused(&decision, &used);
            due[decision.policy.index()][2] += 1;
        } else {
            assert_eq!(decision.verdict, self.verdict(allowed, &room));
            assert_eq!(decision.retry_after_ns.is_some(), decision.verdict == Verdict::Denied);
            let mut untracked = false;
            let mut left = Vec::new();
            for (index, item) in self.items.iter().enumerate() {
                let (status, after) = (&statuses[index], self.used(item));
                if self.operation.has_statuses() {
                    assert_eq!(status.violated, !room[index]);
                }
                if self.operation == Operation::Peek || !allowed {
                    assert!(after == used[index] && !status.table_full, "charged, but not allowed");
                    due[item.0][1] += u64::from(self.operation.is_check() && !room[index]);
                    continue;
                }
                // An untracked charge leaves no usage, and its status says so.
                let due_after = used[index] + self.cost(item);
                let passed = item.2 > 0 && after == 0;
                assert!(after == due_after || after == 0 && used[index] == 0);
                assert!(!passed || item.0 % 2 == 1);
                assert!(!self.operation.has_statuses() || status.table_full == passed);
                due[item.0][if passed { 3 } else { 0 }] += 1;
                untracked |= passed;
                left.push((limit(item).saturating_sub(after), self.ids[item.0]));
                assert!(!self.operation.has_statuses() || status.remaining == left[index].0);
            }
            // An admission reports the policy with the least share left; the first of several.
            let share = |((left, _), item): &(_, &Item)| (*left, limit(item));
            let least = left.iter().copied().zip(self.items);
            if let Some((least, _)) =
                least.min_by(|one, other| compare_shares(share(one), share(other)))
            {
                assert_eq!((decision.remaining, decision.policy), least);
            }
            assert_eq!(decision.table_full, untracked);
        }
        let counted: Vec<[u64; 4]> = self.ids.iter().map(|id| counts(self.session, *id)).collect();
        assert_eq!(counted, due, "{decision:?}");
    }

    /// The expected verdict of a request that is not refused.
    fn verdict(&self, allowed: bool, room: &[bool]) -> Verdict {
        let is_impossible = |index: usize| {
            let item = self.items[index];
            !room[index] && cost_of(&self.items[..=index], &item) > limit(&item)
        };
        match allowed {
            true => Verdict::Allowed,
            false if (0..room.len()).any(is_impossible) => Verdict::Impossible,
            false => Verdict::Denied,
        }
    }

    /// Checks that a refusal names a policy that refuses new keys and has a new key here, and that
    /// nothing is charged.
    fn assert_refused(&self, decision: &Decision, used: &[u64]) {
        let refused = decision.policy.index();
        assert!(refused.is_multiple_of(2) && decision.table_full);
        assert_eq!((decision.limit, decision.remaining), (0, 0));
        let mut new = self.items.iter().zip(used).filter(|(item, used)| item.2 > 0 && **used == 0);
        assert!(new.any(|(item, _)| item.0 == refused));
        assert!(self.items.iter().zip(used).all(|(item, used)| self.used(item) == *used));
    }
}

proptest! {
    #![proptest_config(cases(600))]

    /// Guarantee C: an admitted request is charged under all its policies, any other under none.
    /// The decision, the statuses and the statistics agree with that.
    #[test]
    fn decisions_match_charges_and_statistics(requests in prop::collection::vec(request(), 1..60)) {
        let (limiter, ids) = limiter();
        let mut now = START;
        for (gap, operation, items) in requests {
            now += gap;
            let session = &limiter.session_at(Now::from_unix_nanos(now));
            Request { session, ids: &ids, operation, items: &items }.assert_matches_effects();
        }
    }
}

/// A request without charges is allowed without a limit. A request with a foreign policy is
/// invalid.
#[test]
fn empty_and_invalid_requests_report_no_policy_state() {
    let (limiter, ids) = limiter();
    let session = limiter.session_at(Now::from_unix_nanos(START));
    for decision in [session.check(&[]), session.peek(&[]), session.force_charge(&[])] {
        assert_eq!(decision.verdict, Verdict::Allowed);
        assert_eq!((decision.limit, decision.remaining), (u64::MAX, u64::MAX));
        assert_eq!((decision.retry_after(), decision.reset_after()), (None, Duration::ZERO));
    }
    let foreign = self::limiter().1[0];
    let invalid = session.check(&[ids[0].charge("k", 1), foreign.charge("k", 1)]);
    assert_eq!((invalid.verdict, invalid.policy), (Verdict::Invalid, foreign));
    assert_eq!((invalid.limit, invalid.remaining, invalid.table_full), (0, 0, false));
}

/// A charge of cost 0, or of an impossible cost, takes no slot.
#[test]
fn charges_of_nothing_take_no_slot() {
    let (limiter, ids) = limiter();
    let session = limiter.session_at(Now::from_unix_nanos(START));
    for id in ids {
        for key in 0..100_u64 {
            assert!(session.check(&[id.charge(key, 0)]).is_allowed());
            assert!(session.check(&[id.charge(key, 0), id.charge(key, 0)]).is_allowed());
            assert!(session.force_charge(&[id.charge(key, 0)]).is_allowed());
            assert!(!session.check(&[id.charge(key, 21)]).is_allowed());
        }
        assert_eq!(session.stats(id).unwrap().used_slots, 0);
        for key in 100..102_u64 {
            let decision = session.check(&[id.charge(key, 1)]);
            assert!(decision.is_allowed() && !decision.table_full);
        }
    }
}

/// A key in debt is denied even a cost of 0. A forced charge is never denied.
#[test]
fn forced_charges_are_never_denied() {
    let (limiter, ids) = limiter();
    let session = limiter.session_at(Now::from_unix_nanos(START));
    for id in ids {
        assert!(session.force_charge(&[id.charge("k", 30)]).is_allowed());
        assert!(!session.check(&[id.charge("k", 0)]).is_allowed());
        assert!(session.force_charge(&[id.charge("k", 0)]).is_allowed());
        assert!(session.force_charge(&[id.charge("k", 1), id.charge("k", 0)]).is_allowed());
    }
}

/// If the newest charge was given back, a denial is decided on the slow path. It has a wait like any
/// other, and a cost above the limit has none.
#[test]
fn denial_after_the_newest_charge_was_given_back_has_a_wait() {
    let (limiter, ids) = limiter();
    let at = |now| limiter.session_at(Now::from_unix_nanos(now));
    let later = START + SECOND / 2;
    for id in [ids[0], ids[1]] {
        assert!(at(START).check(&[id.charge("k", 6)]).is_allowed());
        let mut reservation = at(later).reserve(&[id.charge("k", 1)]).unwrap();
        assert!(at(later).cancel(&mut reservation).unwrap().is_allowed());
        let decision = at(later).check(&[id.charge("k", 2)]);
        assert_eq!((decision.verdict, decision.remaining), (Verdict::Denied, 1));
        let fits_at = later + decision.retry_after_ns.unwrap();
        let has_room = |now| at(now).peek(&[id.charge("k", 2)]).is_allowed();
        assert!(has_room(fits_at) && !has_room(fits_at - 1));
        assert_eq!(decision.retry_after_ns, Some(decision.reset_after_ns));
        let decision = at(later).check(&[id.charge("k", 8)]);
        assert_eq!((decision.verdict, decision.retry_after_ns), (Verdict::Impossible, None));
    }
}

/// The usage of a key is zero exactly `reset_after` later, and not earlier.
#[test]
fn reset_after_is_exact() {
    let (limiter, ids) = limiter();
    for id in ids {
        let at = |now: u64| limiter.session_at(Now::from_unix_nanos(now));
        let used =
            |now: u64| GREATEST - at(now).peek(&[id.charge("k", 0).limit(GREATEST)]).remaining;
        assert_eq!(at(START).peek(&[id.charge("k", 1)]).reset_after(), Duration::ZERO);
        for (now, cost) in [(START, 2), (START + SECOND / 3, 3), (START + SECOND / 2, 20)] {
            let mut statuses = [PolicyStatus::default()];
            let decision = at(now).check_with_status(&[id.charge("k", cost)], &mut statuses);
            assert_eq!(decision.is_allowed(), cost < 7);
            assert_eq!(statuses[0].reset_after(), decision.reset_after());
            let reset = now + decision.reset_after_ns;
            assert!(
                used(reset) == 0 && used(reset - 1) > 0,
                "reset_after {:?}",
                decision.reset_after()
            );
        }
    }
}
