//! Guarantee A under contention: threads on a few keys and on the real clocks, the precise and the
//! coarse one; a billion decisions at full size. Separate [laws](laws) check the logged calls: no
//! key is over its limit, and each denial has a full window.
//!
//! Requests use each public entry point: `check`, `check_at`, `check_many` and `check_with_status`
//! of a limiter or a session. Each entry point must decide its share.
//!
//! The laws use the caller's own clock readings before and after each call. Readings of two cores
//! are compared only up to a stated [skew](laws::SKEW).
//!
//! They also check the limiter's answers. An admitted charge is the newest of its key, so
//! `reset_after` is the wait until it expires, and `now + reset_after - window` is its recorded
//! time, truncated to the policy's resolution. These laws compare no clock readings of two cores:
//!
//! - A charge is recorded no earlier than the reading at which it was decided (truncated to the
//!   resolution), and no later than the latest reading of any thread.
//! - In recorded times, no key is over its limit, and each denial has a cause.
//!
//! Denials of requests over several policies need no cause: a request that is rolled back may hold
//! a charge meanwhile.
//!
//! Threads start each round at a barrier, and are [interrupted](load::interrupts) within calls. The
//! laws are checked between rounds. Events that cannot share a window with later calls are then
//! dropped.

mod laws;
#[path = "../load/mod.rs"]
mod load;
mod log;

use laws::{By, Charge, Events, Interval, Law, SKEW};
use load::interrupts::Interrupts;
use load::rule::Rule;
use load::{MICRO, by_size, mix};
use log::{Entry, Log};
use std::sync::{Barrier, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tollgate::{Clock, Decision, Limiter, Now, PolicyId, PolicyStatus};

const THREADS: u64 = 4;
const KEYS: u64 = 4;
/// Decisions of a thread in a round.
const ROUND: u64 = 20_000;
/// The most requests of a batch.
const BATCH: usize = 6;

/// Threads must contend, so one run has the processor to itself.
static ALONE: Mutex<()> = Mutex::new(());

/// A limiter under contention, and the laws of its policies.
struct Run {
    name: String,
    limiter: Limiter,
    ids: Vec<PolicyId>,
    laws: Vec<Law>,
    barrier: Barrier,
    interrupts: Interrupts,
    logs: Vec<RwLock<Log>>,
    /// Changes the logs before the laws are checked, to plant a fault.
    tamper: fn(&mut Log),
    /// The first violated law. A panic would block the other threads at the barrier.
    violation: OnceLock<String>,
}

impl Run {
    fn new(name: &str, rules: &[Rule], clock: Clock, by: By, tamper: fn(&mut Log)) -> Self {
        let builder =
            rules.iter().fold(Limiter::builder(), |b, rule| b.policy(rule.policy.clone()));
        let limiter = builder.clock(clock).max_keys(64).build().unwrap();
        let ids: Vec<_> =
            rules.iter().map(|rule| limiter.policy(rule.policy.name()).unwrap()).collect();
        let law = |(rule, id): (&Rule, &PolicyId)| {
            let unit = limiter.resolution(*id).unwrap().as_nanos() as u64;
            assert_eq!(rule.window % unit, 0, "a window of whole units");
            Law { by, limit: rule.limit, window: rule.window, unit, slack: rule.slack }
        };
        let laws = rules.iter().zip(&ids).map(law).collect();
        let (barrier, counters) = (Barrier::new(THREADS as usize), rules.len() as u64 * KEYS);
        let logs = (0..THREADS).map(|_| RwLock::new(Log::new(counters))).collect();
        let (name, violation) = (name.to_owned(), OnceLock::new());
        let interrupts = Interrupts::default();
        Run { name, limiter, ids, laws, barrier, interrupts, logs, tamper, violation }
    }

    /// Makes `decisions` decisions in all. Returns the first violated law.
    fn decide(&self, decisions: u64) -> Result<(), String> {
        let (start, before) = (Instant::now(), failed_cas());
        let rounds = decisions / THREADS / ROUND;
        let total = self.interrupts.during(|| {
            std::thread::scope(|scope| {
                let worker = |thread| scope.spawn(move || self.work(thread, rounds));
                let threads: Vec<_> = (0..THREADS).map(worker).collect();
                let totals = threads.into_iter().map(|thread| thread.join().unwrap());
                totals.fold(Log::new(0), |total, log| total.with(&log))
            })
        });
        let failed = failed_cas().zip(before).map(|(after, before)| after - before);
        let failed = failed.map_or("not counted".into(), |failed| failed.to_string());
        let (decided, admitted) = (total.decided(), total.admitted());
        println!(
            "{:>18}: {decided} decisions, {admitted} admitted, {failed} failed CAS, {:.1} s",
            self.name,
            start.elapsed().as_secs_f64()
        );
        if let Some(violation) = self.violation.get() {
            return Err(violation.clone());
        }
        assert_eq!(decided, decisions);
        assert!(admitted.min(decided - admitted) > decided / 5_000, "one verdict is too rare");
        for entry in Entry::all(self.laws.len()) {
            let (decided_by, admitted_by) = total.per_entry[*entry as usize];
            println!("{:>18}  {entry:?}: {decided_by} decisions, {admitted_by} admitted", "");
            assert!(decided_by > decided / 20, "{entry:?} is called too rarely");
            assert!(admitted_by > admitted / 50, "{entry:?} admits too few");
        }
        for id in &self.ids {
            let stats = self.limiter.stats(*id).unwrap();
            assert_eq!(stats.admitted, admitted);
            // A denied request counts once for each policy that had no room.
            let once = if self.ids.len() == 1 { stats.denied..=stats.denied } else { 0..=u64::MAX };
            assert!(once.contains(&(decided - admitted)) && stats.denied <= decided - admitted);
            // No migration, so each failed CAS was one of a charge.
            assert_eq!(stats.migrations, 0);
        }
        let denied = |id: &PolicyId| self.limiter.stats(*id).unwrap().denied;
        assert!(self.ids.iter().map(denied).sum::<u64>() >= decided - admitted);
        Ok(())
    }

    /// Runs the part of one thread. Returns a log with its decisions by entry point.
    fn work(&self, thread: u64, rounds: u64) -> Log {
        let _interrupted = self.interrupts.enter();
        let mut kept: Vec<Events> = self.counters().map(|_| Events::default()).collect();
        let mut total = Log::new(0);
        for round in 0..rounds {
            self.barrier.wait();
            if self.violation.get().is_some() {
                break;
            }
            let mut log = self.logs[thread as usize].write().unwrap();
            log.clear();
            self.call(thread, round, &mut log);
            total = total.with(&log);
            (self.tamper)(&mut log);
            drop(log);
            self.barrier.wait();
            if let Err(violation) = self.check_laws(thread, &mut kept) {
                let _ = self.violation.set(format!("round {round}: {violation}"));
            }
        }
        total
    }

    /// The indices of all counters: policy by policy, and key by key.
    fn counters(&self) -> std::ops::Range<u64> {
        0..self.laws.len() as u64 * KEYS
    }

    /// Makes the calls of a round. In every other round, all threads charge one key. Two rounds of
    /// four omit the entry point that does not return the limiter's `now`, so that all charges have
    /// a recorded time.
    fn call(&self, thread: u64, round: u64, log: &mut Log) {
        let is_single = self.laws.len() == 1;
        let all = Entry::all(self.laws.len());
        let entries = if round % 4 < 2 { &all[1..] } else { all };
        let (mut turn, mut left) = (0, ROUND);
        while left > 0 {
            let random = mix(round << 32 | turn << 2 | thread);
            turn += 1;
            let key_of = |random: u64| {
                if round.is_multiple_of(2) { round / 2 % KEYS } else { random % KEYS }
            };
            let entry = entries[(random >> 32) as usize % entries.len()];
            let key = key_of(random);
            left -= if entry == Entry::CheckMany {
                let len = (1 + (random >> 48) as usize % BATCH).min(left as usize);
                let keys: [u64; BATCH] = std::array::from_fn(|index| key_of(random >> index));
                self.call_many(&keys[..len], log)
            } else if is_single {
                self.call_single(entry, key, log)
            } else {
                self.call_both(entry, key, log)
            };
        }
    }

    /// Decides a batch of requests of one charge each at one instant.
    fn call_many(&self, keys: &[u64], log: &mut Log) -> u64 {
        let mut charges = [self.ids[0].charge(0, 0); BATCH];
        for (charge, key) in charges.iter_mut().zip(keys) {
            *charge = self.ids[0].charge(*key, cost(*key));
        }
        let mut decisions = [Decision::default(); BATCH];
        let decisions = &mut decisions[..keys.len()];
        let before = self.limiter.now();
        let session = self.limiter.session();
        let allowed = session.check_many(&charges[..keys.len()], decisions);
        let (now, call) = (session.now(), self.since(before));
        for (key, decision) in keys.iter().zip(&*decisions) {
            self.log_decision(Entry::CheckMany, *key, call, Some(now), decision, log);
        }
        if allowed != decisions.iter().filter(|decision| decision.is_allowed()).count() {
            log.fault(format!("{allowed} allowed of {decisions:?}"));
        }
        keys.len() as u64
    }

    /// Decides one request of one charge.
    fn call_single(&self, entry: Entry, key: u64, log: &mut Log) -> u64 {
        let charge = [self.ids[0].charge(key, cost(key))];
        let before = self.limiter.now();
        let (decision, now) = match entry {
            Entry::Check => (self.limiter.check(&charge), None),
            Entry::CheckAt => (self.limiter.check_at(before, &charge), Some(before)),
            Entry::SessionCheck => {
                let session = self.limiter.session();
                (session.check(&charge), Some(session.now()))
            }
            _ => {
                let mut statuses = [PolicyStatus::default()];
                let session = self.limiter.session();
                let decision = session.check_with_status(&charge, &mut statuses);
                if statuses[0].reset_after_ns != decision.reset_after_ns
                    || statuses[0].retry_after_ns != decision.retry_after_ns
                {
                    log.fault(format!("{decision:?}, but {:?}", statuses[0]));
                }
                (decision, Some(session.now()))
            }
        };
        let call = self.since(before);
        self.log_decision(entry, key, call, now, &decision, log);
        1
    }

    /// Logs the decision of a request of one charge.
    fn log_decision(
        &self,
        entry: Entry,
        key: u64,
        call: Interval,
        now: Option<Now>,
        decision: &Decision,
        log: &mut Log,
    ) {
        let now = now.map(|now| now.monotonic_ns);
        log.called(entry, decision.verdict, call, now);
        if decision.is_allowed() {
            let reset_after = Some(decision.reset_after_ns);
            log.charged(&self.laws[0], key, call, cost(key), now, reset_after);
        } else {
            let fits_at = now.zip(decision.retry_after_ns).map(|(now, wait)| now + wait);
            log.denied(key, call, cost(key), fits_at);
        }
    }

    /// Decides one request of two charges. All requests share the key of the second policy.
    fn call_both(&self, entry: Entry, key: u64, log: &mut Log) -> u64 {
        let cost = cost(key);
        let charges = [self.ids[0].charge(key, cost), self.ids[1].charge(0, cost)];
        let mut statuses = [PolicyStatus::default(); 2];
        let before = self.limiter.now();
        let (decision, now) = match entry {
            Entry::Check => (self.limiter.check(&charges), None),
            Entry::CheckAt => {
                (self.limiter.check_at_with_status(before, &charges, &mut statuses), Some(before))
            }
            _ => {
                let session = self.limiter.session();
                (session.check_with_status(&charges, &mut statuses), Some(session.now()))
            }
        };
        let call = self.since(before);
        let now = now.map(|now| now.monotonic_ns);
        log.called(entry, decision.verdict, call, now);
        if decision.is_allowed() {
            for (index, key) in [key, KEYS].into_iter().enumerate() {
                let reset_after = now.map(|_| statuses[index].reset_after_ns);
                log.charged(&self.laws[index], key, call, cost, now, reset_after);
            }
        }
        1
    }

    /// The interval of a call that has just returned.
    fn since(&self, before: Now) -> Interval {
        Interval { before: before.monotonic_ns, after: self.limiter.now().monotonic_ns }
    }

    /// Checks the laws on this thread's share of the keys.
    fn check_laws(&self, thread: u64, kept: &mut [Events]) -> Result<(), String> {
        let logs: Vec<_> = self.logs.iter().map(|log| log.read().unwrap()).collect();
        let latest_now = logs.iter().map(|log| log.latest_now).max().unwrap_or_default();
        let latest_reading = logs.iter().map(|log| log.latest_reading).max().unwrap_or_default();
        for log in &logs {
            log.fault.clone().map_or(Ok(()), Err)?;
            if log.latest_at > latest_now {
                return Err(format!("recorded at {}, ahead of {latest_now}", log.latest_at));
            }
        }
        for counter in self.counters().filter(|counter| counter % THREADS == thread) {
            let events = &mut kept[counter as usize];
            for log in &logs {
                let new = &log.events[counter as usize];
                events.charges.extend(&new.charges);
                events.denials.extend(&new.denials);
            }
            let (policy, key) = (counter / KEYS, counter % KEYS);
            let checked = self.laws[policy as usize].check(events, latest_reading);
            checked.map_err(|violation| format!("policy {policy}, key {key}: {violation}"))?;
        }
        Ok(())
    }
}

fn cost(key: u64) -> u64 {
    1 + key % 2
}

/// Returns how many CAS have failed in this process; `None` in a build that does not count them.
fn failed_cas() -> Option<u64> {
    #[cfg(debug_assertions)]
    return Some(tollgate::failed_exchanges());
    #[cfg(not(debug_assertions))]
    None
}

fn exact() -> Vec<Rule> {
    vec![Rule::sliding("exact", 60, 1, None)]
}

fn bucketed(limit: u64) -> Vec<Rule> {
    vec![Rule::sliding("bucketed", limit, 2, Some(15))]
}

/// A limit of a bucketed policy that is reached even where decisions are slow, as under a sanitizer.
/// Below the limit, a planted charge too many is no violation.
const ALWAYS_REACHED: u64 = 300;

/// Each policy denies some requests that the other has room for, so that charges are rolled back.
fn two_policies() -> Vec<Rule> {
    vec![Rule::sliding("user", 60, 1, None), Rule::sliding("site", 800, 5, Some(15))]
}

/// Two policies with so much room that many requests race for it.
fn two_wide_policies() -> Vec<Rule> {
    vec![Rule::sliding("user", 1_500, 1, Some(15)), Rule::sliding("site", 4_000, 2, Some(31))]
}

fn untouched(_: &mut Log) {}

/// Runs all kinds of requests on one clock: half of all decisions at full size.
fn all_kinds(name: &str, clock: impl Fn() -> Clock) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (start, failed_before) = (Instant::now(), failed_cas());
    let million = 1_000_000;
    let kinds = [
        ("exact", exact(), by_size(2 * million, 150 * million)),
        ("bucketed", bucketed(3_000), by_size(4 * million, 250 * million)),
        ("two policies", two_policies(), by_size(2 * million, 80 * million)),
        ("two wide policies", two_wide_policies(), by_size(1_200_000, 20 * million)),
    ];
    for (kind, rules, decisions) in kinds {
        let run = Run::new(&format!("{name}, {kind}"), &rules, clock(), By::Both, untouched);
        assert_eq!(run.decide(decisions), Ok(()), "{name}, {kind}");
    }
    println!("{name}: {:.1} s", start.elapsed().as_secs_f64());
    let is_counted = failed_before.is_some();
    assert!(!is_counted || failed_cas() > failed_before, "no CAS has failed");
}

/// Guarantee A: no key is over its limit under contention on the precise clock.
#[test]
fn never_over_on_the_precise_clock() {
    all_kinds("precise", Clock::precise);
}

/// Guarantee A: no key is over its limit under contention on the coarse clock.
#[test]
fn never_over_on_the_coarse_clock() {
    all_kinds("coarse", || Clock::coarse(Duration::from_nanos(50 * MICRO)).unwrap());
}

/// Returns the law that a run with a planted fault violates within a few rounds.
fn violated_law(rules: &[Rule], by: By, tamper: fn(&mut Log)) -> String {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let run = Run::new("planted", rules, Clock::precise(), by, tamper);
    run.decide(50 * THREADS * ROUND).expect_err("a planted fault was not found")
}

/// Checks that a run violates the law `caller` by the caller's clock alone, and the law `answer` by
/// the limiter's answers alone.
fn assert_violates(rules: &[Rule], caller: &str, answer: &str, tamper: fn(&mut Log)) {
    for (by, law) in [(By::Caller, caller), (By::Answer, answer)] {
        let violation = violated_law(rules, by, tamper);
        assert!(violation.contains(law), "{by:?}: {violation}");
    }
}

/// Returns the charges of the key that the thread charged most in this round.
fn charges(log: &mut Log) -> &mut Vec<Charge> {
    let most = log.events.iter_mut().map(|events| &mut events.charges).max_by_key(|c| c.len());
    most.expect("four keys")
}

/// The laws detect a charge that is logged twice.
#[test]
fn laws_detect_an_extra_charge() {
    for rules in [exact(), bucketed(ALWAYS_REACHED), two_policies()] {
        assert_violates(&rules, ": surely over: ", ": over: ", |log| {
            let charges = charges(log);
            if let Some(charge) = charges.get(charges.len() / 2).copied() {
                charges.insert(charges.len() / 2, charge);
            }
        });
    }
}

/// The laws detect a charge that is missing in the log.
#[test]
fn laws_detect_a_missing_charge() {
    assert_violates(&exact(), ": no possible cause: ", ": no cause: ", |log| {
        let charges = charges(log);
        if !charges.is_empty() {
            charges.remove(charges.len() / 2);
        }
    });
}

/// The laws detect a limiter that admits one unit more than its limit.
#[test]
fn laws_detect_one_unit_over_the_limit() {
    for mut rules in [exact(), bucketed(ALWAYS_REACHED), two_policies()] {
        rules[0].limit -= 1;
        assert_violates(&rules, ": surely over: ", ": over: ", untouched);
    }
}

/// The laws detect a limiter that admits one unit less than its limit.
#[test]
fn laws_detect_one_unit_under_the_limit() {
    let mut rules = exact();
    rules[0].limit += 1;
    assert_violates(&rules, ": no possible cause: ", ": no cause: ", untouched);
}

/// The laws detect answers that are all late by half a window, and so consistent with each other.
#[test]
fn laws_detect_answers_shifted_in_time() {
    fn shifted(log: &mut Log) {
        for events in &mut log.events {
            let denied = events.denials.iter_mut().filter_map(|denial| denial.fits_at.as_mut());
            let charged = events.charges.iter_mut().filter_map(|charge| charge.at.as_mut());
            denied.chain(charged).for_each(|time| *time += 500 * MICRO);
        }
    }
    for rules in [exact(), bucketed(ALWAYS_REACHED)] {
        let violation = violated_law(&rules, By::Caller, shifted);
        assert!(violation.contains(": recorded at "), "{violation}");
    }
}

/// The laws detect an answer that a charge was recorded two skews before its call.
#[test]
fn laws_detect_a_charge_recorded_before_its_call() {
    for rules in [exact(), bucketed(ALWAYS_REACHED), two_policies()] {
        let violation = violated_law(&rules, By::Both, |log| {
            for charge in charges(log) {
                charge.at = charge.at.map(|at| at.min(charge.call.before - 2 * SKEW));
            }
        });
        assert!(violation.contains(": recorded at "), "{violation}");
    }
}
