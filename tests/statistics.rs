//! The statistics equal a log of what each call returned: of charges and units for each policy, and of
//! requests and open reservations for the limiter.

mod load;

use load::mix;
use std::ops::AddAssign;
use std::time::Duration;
use tollgate::{
    Charge, Decision, Limiter, MAX_CHARGES, MAX_RESERVED, ManualClock, Now, Overflow, Period,
    Policy, PolicyId, PolicyStatus, RequestStats, Session, Stats, Verdict,
};

const MINUTE: Duration = Duration::from_secs(60);
const NOW: Now = Now::from_unix_nanos(1_700_000_000_000_000_000);
const POLICIES: usize = 6;
/// The index of the first policy whose table may be full.
const FIRST_SMALL: usize = 4;
const DRY: usize = 3;

fn limiter() -> (Limiter, [PolicyId; POLICIES]) {
    let clock = ManualClock::new();
    clock.set(NOW);
    let mut builder = Limiter::builder().clock(clock);
    let policies = [
        Policy::sliding("user", 50, MINUTE),
        Policy::sliding("tokens", 100_000, MINUTE),
        Policy::calendar("day", 4_000, Period::Day),
        Policy::sliding("dry", 20, MINUTE).dry_run(true),
        Policy::calendar("small", 1_000, Period::Day).max_keys(4),
        Policy::sliding("open", 30, MINUTE).max_keys(4).overflow(Overflow::Allow),
    ];
    let ids = policies.map(|policy| builder.add(policy));
    (builder.build().unwrap(), ids)
}

/// The expected statistics of one policy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Charges {
    admitted: u64,
    denied: u64,
    impossible: u64,
    dry_run_denied: u64,
    refused: u64,
    untracked: u64,
    admitted_units: u64,
    refunded_units: u64,
}

impl From<Stats> for Charges {
    fn from(stats: Stats) -> Self {
        Charges {
            admitted: stats.admitted,
            denied: stats.denied,
            impossible: stats.impossible,
            dry_run_denied: stats.dry_run_denied,
            refused: stats.refused,
            untracked: stats.untracked,
            admitted_units: stats.admitted_units,
            refunded_units: stats.refunded_units,
        }
    }
}

/// The expected statistics of the limiter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Requests {
    allowed: u64,
    denied: u64,
    impossible: u64,
    table_full: u64,
    invalid: u64,
    open_reservations: u64,
}

impl From<RequestStats> for Requests {
    fn from(stats: RequestStats) -> Self {
        Requests {
            allowed: stats.allowed,
            denied: stats.denied,
            impossible: stats.impossible,
            table_full: stats.table_full,
            invalid: stats.invalid,
            open_reservations: stats.open_reservations,
        }
    }
}

/// A log of the calls of one thread.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Log {
    policies: [Charges; POLICIES],
    requests: Requests,
}

impl AddAssign for Log {
    fn add_assign(&mut self, other: Log) {
        for (sum, more) in self.policies.iter_mut().zip(other.policies) {
            sum.admitted += more.admitted;
            sum.denied += more.denied;
            sum.impossible += more.impossible;
            sum.dry_run_denied += more.dry_run_denied;
            sum.refused += more.refused;
            sum.untracked += more.untracked;
            sum.admitted_units += more.admitted_units;
            sum.refunded_units += more.refunded_units;
        }
        let (sum, more) = (&mut self.requests, other.requests);
        sum.allowed += more.allowed;
        sum.denied += more.denied;
        sum.impossible += more.impossible;
        sum.table_full += more.table_full;
        sum.invalid += more.invalid;
        sum.open_reservations += more.open_reservations;
    }
}

impl Log {
    /// Reads the statistics of a limiter.
    fn of(limiter: &Limiter, ids: &[PolicyId; POLICIES]) -> Self {
        Log {
            policies: ids.map(|id| limiter.stats(id).unwrap().into()),
            requests: limiter.request_stats().into(),
        }
    }

    fn request(&mut self, verdict: Verdict) {
        let count = match verdict {
            Verdict::Allowed => &mut self.requests.allowed,
            Verdict::Denied => &mut self.requests.denied,
            Verdict::Impossible => &mut self.requests.impossible,
            Verdict::TableFull => &mut self.requests.table_full,
            _ => &mut self.requests.invalid,
        };
        *count += 1;
    }

    fn admitted(&mut self, policy: usize, units: u64) {
        self.policies[policy].admitted += 1;
        self.policies[policy].admitted_units += units;
    }

    /// Records a decided request whose statuses are known.
    fn decided(&mut self, decision: &Decision, items: &[Item], statuses: &[PolicyStatus]) {
        self.request(decision.verdict);
        if decision.verdict == Verdict::TableFull {
            self.policies[decision.policy.index()].refused += 1;
            return;
        }
        for (item, status) in items.iter().zip(statuses) {
            let counts = &mut self.policies[item.policy];
            match status.violated {
                true if status.dry_run => counts.dry_run_denied += 1,
                true => {
                    counts.denied += 1;
                    counts.impossible += u64::from(status.retry_after_ns.is_none());
                }
                false if !decision.is_allowed() => {}
                false if status.table_full => counts.untracked += 1,
                false => self.admitted(item.policy, item.cost),
            }
        }
    }

    /// Records a decided request of one charge to an enforced policy.
    fn decided_one(&mut self, decision: &Decision, item: Item) {
        self.request(decision.verdict);
        let counts = &mut self.policies[item.policy];
        match decision.verdict {
            Verdict::Allowed if decision.table_full => counts.untracked += 1,
            Verdict::Allowed => self.admitted(item.policy, item.cost),
            Verdict::TableFull => counts.refused += 1,
            verdict => {
                counts.denied += 1;
                counts.impossible += u64::from(verdict == Verdict::Impossible);
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Item {
    policy: usize,
    key: u64,
    cost: u64,
}

/// The calls of one thread, and its log.
struct Caller<'l> {
    session: Session<'l>,
    ids: [PolicyId; POLICIES],
    foreign: PolicyId,
    random: u64,
    /// A key that no other thread uses.
    own_key: u64,
    log: Log,
}

impl Caller<'_> {
    fn below(&mut self, bound: u64) -> u64 {
        self.random = mix(self.random);
        self.random % bound
    }

    /// A charge to one of the first `policies` policies. Most costs have room.
    fn item(&mut self, policies: usize) -> Item {
        let policy = self.below(policies as u64) as usize;
        let key = self.below(if policy < FIRST_SMALL { 3 } else { 9 });
        let cost = match self.below(12) {
            0 => 200_000,
            1 => 0,
            _ => 1 + self.below(3),
        };
        Item { policy, key, cost }
    }

    fn charge(&self, item: Item) -> Charge<'static> {
        self.ids[item.policy].charge(item.key, item.cost)
    }

    fn charges(&self, items: &[Item]) -> Vec<Charge<'static>> {
        items.iter().map(|item| self.charge(*item)).collect()
    }

    fn call(&mut self) {
        match self.below(12) {
            0..=2 => self.check_one(),
            3..=5 => self.check_several(),
            6 => self.check_many(),
            7 => self.force(),
            8 => self.peek_and_refund(),
            9 => self.invalid(),
            10 => self.reserve_one(),
            _ => self.reserve_several(),
        }
    }

    fn check_one(&mut self) {
        let item = self.item(POLICIES);
        if item.policy == DRY {
            let mut status = [PolicyStatus::default()];
            let decision = self.session.check_with_status(&[self.charge(item)], &mut status);
            self.log.decided(&decision, &[item], &status);
        } else {
            let decision = self.session.check(&[self.charge(item)]);
            self.log.decided_one(&decision, item);
        }
    }

    fn check_several(&mut self) {
        let count = 2 + self.below(5);
        let items: Vec<Item> = (0..count).map(|_| self.item(POLICIES)).collect();
        let mut statuses = vec![PolicyStatus::default(); items.len()];
        let decision = self.session.check_with_status(&self.charges(&items), &mut statuses);
        self.log.decided(&decision, &items, &statuses);
        // Without statuses, the same counts if every charge has room: these are of the thread's own key.
        let items = [1, 2].map(|policy| Item { policy, key: self.own_key, cost: 1 });
        let decision = self.session.check(&self.charges(&items));
        let statuses = [PolicyStatus::default(); 2];
        if decision.is_allowed() {
            self.log.decided(&decision, &items, &statuses);
        } else {
            assert_eq!((decision.verdict, decision.policy), (Verdict::Denied, self.ids[2]));
            self.log.request(decision.verdict);
            self.log.policies[2].denied += 1;
        }
    }

    fn check_many(&mut self) {
        let enforced = |item: &Item| item.policy != DRY;
        let items: Vec<Item> = (0..40).map(|_| self.item(POLICIES)).filter(enforced).collect();
        let mut charges = self.charges(&items);
        charges.push(self.foreign.charge(1_u64, 1));
        let mut decisions = vec![Decision::default(); charges.len()];
        self.session.check_many(&charges, &mut decisions);
        for (item, decision) in items.iter().zip(&decisions) {
            self.log.decided_one(decision, *item);
        }
        self.log.request(decisions[items.len()].verdict);
    }

    fn force(&mut self) {
        let count = 1 + self.below(3);
        let small = |item: Item| Item { cost: item.cost.min(3), ..item };
        let items: Vec<Item> = (0..count).map(|_| small(self.item(FIRST_SMALL))).collect();
        let decision = self.session.force_charge(&self.charges(&items));
        assert!(decision.is_allowed());
        self.log.decided(&decision, &items, &[PolicyStatus::default(); 3]);
    }

    fn peek_and_refund(&mut self) {
        let items = [self.item(POLICIES), self.item(POLICIES)];
        let _ = self.session.peek(&self.charges(&items));
        let _ = self.session.peek(&[self.foreign.charge(1_u64, 1)]);
        let policy = self.below(FIRST_SMALL as u64) as usize;
        let charge = self.ids[policy].charge(self.own_key, 2);
        self.log.policies[policy].refunded_units += self.session.refund(&charge).unwrap();
        assert!(self.session.refund(&self.foreign.charge(1_u64, 1)).is_err());
    }

    fn invalid(&mut self) {
        let (one, foreign) = (self.ids[0].charge(1_u64, 0), self.foreign.charge(1_u64, 1));
        let decisions = [
            self.session.check(&[foreign]),
            self.session.check(&[one, foreign]),
            self.session.force_charge(&[foreign]),
            self.session.check(&[one; MAX_CHARGES + 1]),
            self.session.reserve(&[one, foreign]).unwrap_err(),
            self.session.reserve(&[one; MAX_RESERVED + 1]).unwrap_err(),
            self.session.check(&[]),
            self.session.force_charge(&[]),
        ];
        for decision in decisions {
            self.log.request(decision.verdict);
        }
    }

    /// Reserves, extends and closes a reservation of one charge to the thread's own key.
    fn reserve_one(&mut self) {
        let item = Item { policy: 1, key: self.own_key, cost: 10 };
        let mut reservation = match self.session.reserve(&[self.charge(item)]) {
            Ok(reservation) => reservation,
            Err(decision) => return self.log.decided_one(&decision, item),
        };
        self.log.decided_one(&reservation.decision(), item);
        let more = Item { cost: [0, 7, 300_000][self.below(3) as usize], ..item };
        let decision = self.session.extend(&mut reservation, &[more.cost]).unwrap();
        self.log.decided_one(&decision, more);
        assert!(self.session.extend(&mut reservation, &[1, 2]).is_err());
        let actual = self.below(30);
        let charged = reservation.charged(0).unwrap();
        assert!(self.session.settle(&mut reservation, &[actual]).unwrap().is_allowed());
        if actual > charged {
            self.log.admitted(1, actual - charged);
        } else {
            self.log.policies[1].refunded_units += charged - actual;
        }
        assert!(self.session.cancel(&mut reservation).is_err());
    }

    /// Reserves several charges. One time in four the reservation is dropped without being closed.
    fn reserve_several(&mut self) {
        let items: Vec<Item> = (0..4)
            .map(|policy| Item { policy, key: self.own_key, cost: 1 + self.below(3) })
            .collect();
        let mut statuses = [PolicyStatus::default(); 4];
        let reserved = self.session.reserve_with_status(&self.charges(&items), &mut statuses);
        let decision = reserved.as_ref().map_or_else(|denied| *denied, |made| made.decision());
        self.log.decided(&decision, &items, &statuses);
        let Ok(mut reservation) = reserved else { return };
        if self.below(4) == 0 {
            self.log.requests.open_reservations += 1;
            return;
        }
        for (index, item) in items.iter().enumerate() {
            self.log.policies[item.policy].refunded_units += reservation.charged(index).unwrap();
        }
        assert!(self.session.cancel(&mut reservation).unwrap().is_allowed());
    }
}

/// Runs `calls` calls with this seed, and returns their log.
fn run(limiter: &Limiter, ids: [PolicyId; POLICIES], thread: u64, calls: u64) -> Log {
    let foreign = self::limiter().1[0];
    let session = limiter.session_at(NOW);
    let log = Log::default();
    let random = mix(thread + 1);
    let mut caller = Caller { session, ids, foreign, random, own_key: 100 + thread, log };
    (0..calls).for_each(|_| caller.call());
    caller.log
}

/// On one thread, the statistics are exact after each call.
#[test]
fn statistics_of_one_thread_are_exact_after_each_call() {
    let (limiter, ids) = limiter();
    let foreign = self::limiter().1[0];
    let session = limiter.session_at(NOW);
    let log = Log::default();
    let mut caller = Caller { session, ids, foreign, random: 7, own_key: 100, log };
    for _ in 0..2_000 {
        caller.call();
        assert_eq!(Log::of(&limiter, &ids), caller.log);
    }
}

/// On four threads, they are exact once the threads are joined.
#[test]
fn statistics_of_joined_threads_equal_their_logs() {
    const THREADS: u64 = 4;
    let (limiter, ids) = limiter();
    let mut sum = Log::default();
    std::thread::scope(|scope| {
        let run = |thread| run(&limiter, ids, thread, 10_000);
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || run(thread))).collect();
        threads.into_iter().for_each(|thread| sum += thread.join().unwrap());
    });
    assert_eq!(Log::of(&limiter, &ids), sum);
    // Each count has occurred.
    let [user, tokens, day, dry, small, open] = sum.policies;
    let counted = [
        [user.denied, user.impossible, tokens.impossible, day.denied],
        [dry.dry_run_denied, dry.admitted, small.refused, open.untracked],
        [user.refunded_units, tokens.refunded_units, day.admitted_units, dry.admitted_units],
        [
            sum.requests.denied,
            sum.requests.impossible,
            sum.requests.table_full,
            sum.requests.invalid,
        ],
    ];
    assert!(counted.as_flattened().iter().all(|count| *count > 100), "{sum:?}");
    assert!(sum.requests.open_reservations > 10, "{sum:?}");
}

/// A reset is no refund, and neither is the rollback of a refused request.
#[test]
fn resets_and_rollbacks_are_no_refunds() {
    let (limiter, ids) = limiter();
    let session = limiter.session_at(NOW);
    for key in 0..4_u64 {
        assert!(session.check(&[ids[4].charge(key, 1)]).is_allowed());
    }
    let refused = session.check(&[ids[0].charge(1_u64, 5), ids[4].charge(9_u64, 1)]);
    assert_eq!(refused.verdict, Verdict::TableFull);
    session.reset_key(ids[4], 1_u64).unwrap();
    let stats = ids.map(|id| limiter.stats(id).unwrap());
    assert!(stats.iter().all(|stats| stats.refunded_units == 0));
    assert_eq!((stats[0].admitted, stats[0].admitted_units, stats[4].admitted_units), (0, 0, 4));
    let requests = session.request_stats();
    assert_eq!((requests.allowed, requests.table_full, requests.denied), (4, 1, 0));
}
