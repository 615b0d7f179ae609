//! What is told is what is done and what is counted, of each request, whether its keys have a place
//! in the tables or not.

mod oracle;

use oracle::cases;
use proptest::prelude::*;
use std::time::Duration;
use tollgate::{
    Charge, Decision, Limiter, ManualClock, Now, Overflow, Period, Policy, PolicyId, PolicyStatus,
    Session, Verdict,
};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_000_000 * SECOND;
const GREATEST: u64 = 1 << 20;

/// Small tables that are soon full: two of them refuse further keys, two let them pass uncounted.
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

/// Policy, key, cost.
type Line = (usize, u64, u64);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verb {
    Check,
    Peek,
    Charge,
}

fn request() -> impl Strategy<Value = (u64, Verb, Vec<Line>)> {
    let gap = prop_oneof![6 => Just(0), 2 => 0..SECOND, 1 => SECOND..3_000 * SECOND];
    let verb = prop_oneof![5 => Just(Verb::Check), 1 => Just(Verb::Peek), 2 => Just(Verb::Charge)];
    let line = (0usize..4, 0u64..4, prop_oneof![6 => 0u64..4, 1 => 5u64..30]);
    (gap, verb, prop::collection::vec(line, 1..5))
}

fn limit(line: &Line) -> u64 {
    if line.0 < 2 { 7 } else { 20 }
}

/// Admitted, denied, refused and untracked charges of a policy.
fn counts(session: &Session<'_>, id: PolicyId) -> [u64; 4] {
    let stats = session.stats(id).unwrap();
    [stats.admitted, stats.denied, stats.refused, stats.untracked]
}

/// What lines cost the counter of one of them.
fn cost_of(lines: &[Line], (policy, key, _): &Line) -> u64 {
    let same = lines.iter().filter(|line| (line.0, line.1) == (*policy, *key));
    same.map(|line| line.2).sum()
}

/// One request with all that is known before it.
struct Request<'s> {
    session: &'s Session<'s>,
    ids: &'s [PolicyId],
    verb: Verb,
    lines: &'s [Line],
}

impl Request<'_> {
    fn used(&self, line: &Line) -> u64 {
        let ask = self.ids[line.0].charge(line.1, 0).limit(GREATEST);
        GREATEST - self.session.peek(&[ask]).remaining
    }

    /// Whether the line has room behind those before it.
    fn has_room(&self, place: usize) -> bool {
        let line = self.lines[place];
        self.used(&line) + cost_of(&self.lines[..=place], &line) <= limit(&line)
    }

    fn cost(&self, line: &Line) -> u64 {
        cost_of(self.lines, line)
    }

    fn ask(&self) -> (Decision, [PolicyStatus; 4]) {
        let charge = |(policy, key, cost): &Line| self.ids[*policy].charge(*key, *cost);
        let charges: Vec<Charge<'static>> = self.lines.iter().map(charge).collect();
        let mut layers = [PolicyStatus::default(); 4];
        let decision = match self.verb {
            Verb::Check => self.session.check_with_status(&charges, &mut layers),
            Verb::Peek => self.session.peek_with_status(&charges, &mut layers),
            Verb::Charge => self.session.force_charge(&charges),
        };
        (decision, layers)
    }

    /// Asks, and holds the answer against what was there before and is there afterwards.
    fn assert_told(&self) {
        let places = 0..self.lines.len();
        let room: Vec<bool> = places.map(|place| self.has_room(place)).collect();
        let used: Vec<u64> = self.lines.iter().map(|line| self.used(line)).collect();
        let mut due: Vec<[u64; 4]> = self.ids.iter().map(|id| counts(self.session, *id)).collect();
        let (decision, layers) = self.ask();
        let allowed = self.verb == Verb::Charge || room.iter().all(|has| *has);
        if decision.verdict == Verdict::TableFull {
            assert!(allowed && self.verb != Verb::Peek);
            self.assert_refused(&decision, &used);
            due[decision.policy.index()][2] += 1;
        } else {
            assert_eq!(decision.verdict == Verdict::Allowed, allowed);
            let mut untracked = false;
            let mut left = Vec::new();
            for (place, line) in self.lines.iter().enumerate() {
                let (layer, after) = (&layers[place], self.used(line));
                if self.verb != Verb::Charge {
                    assert_eq!(layer.violated, !room[place]);
                }
                if self.verb == Verb::Peek || !allowed {
                    assert!(after == used[place] && !layer.table_full, "charged, but not allowed");
                    due[line.0][1] += u64::from(self.verb == Verb::Check && !room[place]);
                    continue;
                }
                // Where it is let pass uncounted it leaves nothing behind, and that is told.
                let due_after = used[place] + self.cost(line);
                let passed = line.2 > 0 && after == 0;
                assert!(after == due_after || after == 0 && used[place] == 0);
                assert!(!passed || line.0 % 2 == 1);
                assert!(self.verb == Verb::Charge || layer.table_full == passed);
                due[line.0][if passed { 3 } else { 0 }] += 1;
                untracked |= passed;
                left.push((limit(line).saturating_sub(after), self.ids[line.0]));
                assert!(self.verb == Verb::Charge || layer.remaining == left[place].0);
            }
            // Of what is allowed the first is told that has the least left.
            if let Some(least) = left.iter().min_by_key(|(left, _)| left) {
                assert_eq!((decision.remaining, decision.policy), *least);
            }
            assert_eq!(decision.table_full, untracked);
        }
        let counted: Vec<[u64; 4]> = self.ids.iter().map(|id| counts(self.session, *id)).collect();
        assert_eq!(counted, due, "{decision:?}");
    }

    /// A refusal names a policy that refuses new keys and has one here; nothing is charged.
    fn assert_refused(&self, decision: &Decision, used: &[u64]) {
        let refused = decision.policy.index();
        assert!(refused.is_multiple_of(2) && decision.table_full);
        assert_eq!((decision.limit, decision.remaining), (0, 0));
        let mut new = self.lines.iter().zip(used).filter(|(line, used)| line.2 > 0 && **used == 0);
        assert!(new.any(|(line, _)| line.0 == refused));
        assert!(self.lines.iter().zip(used).all(|(line, used)| self.used(line) == *used));
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn what_is_told_is_done_and_counted(requests in prop::collection::vec(request(), 1..60)) {
        let (limiter, ids) = limiter();
        let mut now = START;
        for (gap, verb, lines) in requests {
            now += gap;
            let session = &limiter.session_at(Now::from_unix_nanos(now));
            Request { session, ids: &ids, verb, lines: &lines }.assert_told();
        }
    }
}

/// Nothing limits a request without charges, and nothing is left where there is no policy to tell.
#[test]
fn what_no_policy_limits() {
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

/// A charge of nothing takes no place from those that have something to charge.
#[test]
fn nothing_takes_no_place() {
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

/// A debt forbids even a question for nothing; but a forced charge is never denied.
#[test]
fn a_forced_charge_is_never_denied() {
    let (limiter, ids) = limiter();
    let session = limiter.session_at(Now::from_unix_nanos(START));
    for id in ids {
        assert!(session.force_charge(&[id.charge("k", 30)]).is_allowed());
        assert!(!session.check(&[id.charge("k", 0)]).is_allowed());
        assert!(session.force_charge(&[id.charge("k", 0)]).is_allowed());
        assert!(session.force_charge(&[id.charge("k", 1), id.charge("k", 0)]).is_allowed());
    }
}

/// All is free again when it is told, and not before.
#[test]
fn the_reset_is_when_it_is_told() {
    let (limiter, ids) = limiter();
    for id in ids {
        let at = |now: u64| limiter.session_at(Now::from_unix_nanos(now));
        let used =
            |now: u64| GREATEST - at(now).peek(&[id.charge("k", 0).limit(GREATEST)]).remaining;
        assert_eq!(at(START).peek(&[id.charge("k", 1)]).reset_after(), Duration::ZERO);
        for (now, cost) in [(START, 2), (START + SECOND / 3, 3), (START + SECOND / 2, 20)] {
            let mut layers = [PolicyStatus::default()];
            let decision = at(now).check_with_status(&[id.charge("k", cost)], &mut layers);
            assert_eq!(decision.is_allowed(), cost < 7);
            assert_eq!(layers[0].reset_after(), decision.reset_after());
            let reset = now + decision.reset_after_ns;
            assert!(used(reset) == 0 && used(reset - 1) > 0, "told {:?}", decision.reset_after());
        }
    }
}
