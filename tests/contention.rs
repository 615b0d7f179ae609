//! Threads that fight for a few keys on real clocks, the precise and the coarse one: a billion
//! decisions at full size. What was recorded is checked again by an account that knows nothing of
//! rings: never over, and no denial without a full window.
//!
//! `reset_after` of an admitted charge is the wait until its own unit expires, since it is the
//! newest of its key. So `now + reset_after - window` is the time that it was recorded at, to the
//! unit. No law compares the clock readings of two cores:
//!
//! - A charge is recorded no earlier than its own session's reading (cut to the unit) and no later
//!   than the latest reading that any thread had taken. Without this a limiter could admit what it
//!   likes and say that it was at other times.
//! - In recorded times it is [never over](account::Law::never_over).
//! - Each denial [has a cause](account::Law::denied_with_a_cause). Layers are not held to this: one
//!   may look charged for an instant by a request that is undone.
//!
//! Threads start each round at a barrier. Between rounds the account is taken and forgets what can
//! no longer share a window: a key's recorded times never step back, so that is all that lies a
//! window (and a span, for denials) before its newest one.

#[path = "contention/account.rs"]
mod account;
mod stress;

use account::{Charge, Denial, Events, Law};
use std::sync::{Barrier, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};
use stress::rule::Rule;
use stress::{MICRO, by_size, mix};
use tollgate::{Clock, Layer, Limiter, PolicyId, Verdict};

const THREADS: u64 = 4;
const KEYS: u64 = 4;
/// Decisions of a thread between two accounts.
const ROUND: u64 = 20_000;

/// Threads must meet, so one run has the processor to itself.
static ALONE: Mutex<()> = Mutex::new(());

/// What one thread has seen in a round.
struct Log {
    /// By layer and key.
    events: Vec<Events>,
    /// The latest reading of its sessions, and the latest time that a charge was recorded at.
    latest_now: u64,
    latest_at: u64,
    asked: u64,
    admitted: u64,
    fault: Option<String>,
}

/// A limiter under contention, and the laws of its layers.
struct Run {
    name: String,
    limiter: Limiter,
    ids: Vec<PolicyId>,
    laws: Vec<Law>,
    /// The resolution of each layer.
    units: Vec<u64>,
    barrier: Barrier,
    logs: Vec<RwLock<Log>>,
    /// What is done to the logs before the account is taken.
    tamper: fn(&mut Log),
    /// The first broken law. No thread may panic while the others wait for it at the barrier.
    broken: OnceLock<String>,
}

impl Run {
    fn new(name: &str, rules: &[Rule], clock: Clock, tamper: fn(&mut Log)) -> Self {
        let builder =
            rules.iter().fold(Limiter::builder(), |b, rule| b.policy(rule.policy.clone()));
        let limiter = builder.clock(clock).max_keys(64).build().unwrap();
        let ids: Vec<_> =
            rules.iter().map(|rule| limiter.policy(rule.policy.name()).unwrap()).collect();
        let unit = |id: &PolicyId| limiter.resolution(*id).unwrap().as_nanos() as u64;
        let units: Vec<_> = ids.iter().map(unit).collect();
        let law = |(rule, unit): (&Rule, &u64)| {
            assert_eq!(rule.window % unit, 0, "a window of whole units");
            let window = rule.window + if *unit > 1 { *unit } else { 0 };
            Law { limit: rule.limit, window, slack: rule.slack }
        };
        let laws = rules.iter().zip(&units).map(law).collect();
        let (barrier, places) = (Barrier::new(THREADS as usize), rules.len() as u64 * KEYS);
        let logs = (0..THREADS).map(|_| RwLock::new(Log::new(places))).collect();
        let (name, broken) = (name.to_owned(), OnceLock::new());
        Run { name, limiter, ids, laws, units, barrier, logs, tamper, broken }
    }

    /// Lets the threads ask so often in all, and tells the first law that was broken.
    fn decide(&self, decisions: u64) -> Result<(), String> {
        let (start, before) = (Instant::now(), failed_exchanges());
        let rounds = decisions / THREADS / ROUND;
        let (asked, admitted) = std::thread::scope(|scope| {
            let worker = |thread| scope.spawn(move || self.work(thread, rounds));
            let threads: Vec<_> = (0..THREADS).map(worker).collect();
            let sums = threads.into_iter().map(|thread| thread.join().unwrap());
            sums.fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1))
        });
        let failed = failed_exchanges().zip(before).map(|(after, before)| after - before);
        let told = failed.map_or("not counted".into(), |failed| failed.to_string());
        let (name, seconds) = (&self.name, start.elapsed().as_secs_f64());
        println!(
            "{name:>18}: {asked} decisions, {admitted} admitted, failed exchanges {told}, {seconds:.1} s"
        );
        if let Some(broken) = self.broken.get() {
            return Err(broken.clone());
        }
        assert_eq!(asked, decisions);
        assert!(admitted.min(asked - admitted) > asked / 5_000, "one verdict is hardly seen");
        for id in &self.ids {
            let stats = self.limiter.stats(*id).unwrap();
            assert_eq!(stats.admitted, admitted);
            // So what failed were exchanges of charges.
            assert_eq!(stats.migrations, 0);
        }
        Ok(())
    }

    /// One thread's part: how often it asked, and was admitted.
    fn work(&self, thread: u64, rounds: u64) -> (u64, u64) {
        let mut kept: Vec<Events> = self.keys().map(|_| Events::default()).collect();
        let (mut asked, mut admitted) = (0, 0);
        for round in 0..rounds {
            self.barrier.wait();
            if self.broken.get().is_some() {
                break;
            }
            let mut log = self.logs[thread as usize].write().unwrap();
            log.clear();
            self.ask(thread, round, &mut log);
            (asked, admitted) = (asked + log.asked, admitted + log.admitted);
            (self.tamper)(&mut log);
            drop(log);
            self.barrier.wait();
            if let Err(broken) = self.account(thread, &mut kept) {
                let _ = self.broken.set(format!("round {round}: {broken}"));
            }
        }
        (asked, admitted)
    }

    fn keys(&self) -> std::ops::Range<u64> {
        0..self.laws.len() as u64 * KEYS
    }

    /// Every other round all threads ask for one key.
    fn ask(&self, thread: u64, round: u64, log: &mut Log) {
        let layers = self.laws.len();
        for turn in 0..ROUND {
            let random = mix(round << 32 | turn << 2 | thread);
            let key = if round.is_multiple_of(2) { round / 2 } else { random } % KEYS;
            let cost = 1 + key % 2;
            // A second layer is everybody's.
            let charges = [self.ids[0].charge(key, cost), self.ids[layers - 1].charge(0, cost)];
            let mut told = [Layer::default(); 2];
            let session = self.limiter.session();
            let verdict = session.check_layers(&charges[..layers], &mut told).verdict;
            let now = session.now().monotonic_ns;
            log.asked += 1;
            log.latest_now = log.latest_now.max(now);
            match verdict {
                Verdict::Allowed => {
                    log.admitted += 1;
                    for (layer, told) in told[..layers].iter().enumerate() {
                        let key = if layer == 0 { key } else { layer as u64 * KEYS };
                        let at = now + told.reset_after_ns - self.laws[layer].window;
                        log.charged(key, Charge { at, cost }, now - now % self.units[layer]);
                    }
                }
                Verdict::Denied if layers == 1 => {
                    let fits_at = now + told[0].retry_after_ns.unwrap_or(0);
                    log.denied(key, Denial { fits_at, cost });
                }
                Verdict::Denied => {}
                other => log.fault = Some(format!("{other:?}")),
            }
        }
    }

    /// The account of this thread's share of the keys.
    fn account(&self, thread: u64, kept: &mut [Events]) -> Result<(), String> {
        let logs: Vec<_> = self.logs.iter().map(|log| log.read().unwrap()).collect();
        let latest = logs.iter().map(|log| log.latest_now).max().unwrap_or_default();
        for log in &logs {
            log.fault.clone().map_or(Ok(()), Err)?;
            if log.latest_at > latest {
                return Err(format!("recorded at {}, ahead of {latest}", log.latest_at));
            }
        }
        for place in self.keys().filter(|key| key % THREADS == thread) {
            let events = &mut kept[place as usize];
            for log in &logs {
                let new = &log.events[place as usize];
                events.charges.extend(&new.charges);
                events.denials.extend(&new.denials);
            }
            let (layer, key) = (place / KEYS, place % KEYS);
            let checked = self.laws[layer as usize].check(events);
            checked.map_err(|broken| format!("layer {layer}, key {key}: {broken}"))?;
        }
        Ok(())
    }
}

impl Log {
    fn new(places: u64) -> Self {
        let events = (0..places).map(|_| Events::default()).collect();
        Log { events, latest_now: 0, latest_at: 0, asked: 0, admitted: 0, fault: None }
    }

    fn clear(&mut self) {
        for events in &mut self.events {
            events.charges.clear();
            events.denials.clear();
        }
        (self.asked, self.admitted) = (0, 0);
    }

    fn charged(&mut self, place: u64, charge: Charge, earliest: u64) {
        if charge.at < earliest {
            self.fault = Some(format!("recorded at {}, before {earliest}", charge.at));
        }
        self.latest_at = self.latest_at.max(charge.at);
        self.events[place as usize].charges.push(charge);
    }

    /// Most denials in a row wait for the same charge.
    fn denied(&mut self, place: u64, denial: Denial) {
        let denials = &mut self.events[place as usize].denials;
        if denials.last() != Some(&denial) {
            denials.push(denial);
        }
    }
}

/// How many exchanges have failed in this process; `None` in a build that does not count them.
fn failed_exchanges() -> Option<u64> {
    #[cfg(debug_assertions)]
    return Some(tollgate::failed_exchanges());
    #[cfg(not(debug_assertions))]
    None
}

fn exact() -> Vec<Rule> {
    vec![Rule::sliding("exact", 60, 1, None)]
}

fn bucketed() -> Vec<Rule> {
    vec![Rule::sliding("bucketed", 3_000, 2, Some(15))]
}

/// Each of them denies now and then what the other has room for, so that charges are undone.
fn layered() -> Vec<Rule> {
    vec![Rule::sliding("user", 60, 1, None), Rule::sliding("site", 800, 5, Some(15))]
}

fn untouched(_: &mut Log) {}

/// All kinds of requests on one clock; half of the decisions of this test.
fn all_kinds(name: &str, clock: impl Fn() -> Clock) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (start, failed_before) = (Instant::now(), failed_exchanges());
    let million = 1_000_000;
    let kinds = [
        ("exact", exact(), by_size(2 * million, 150 * million)),
        ("bucketed", bucketed(), by_size(4 * million, 250 * million)),
        ("layered", layered(), by_size(2 * million, 100 * million)),
    ];
    for (kind, rules, decisions) in kinds {
        let run = Run::new(&format!("{name}, {kind}"), &rules, clock(), untouched);
        assert_eq!(run.decide(decisions), Ok(()), "{name}, {kind}");
    }
    println!("{name}: {:.1} s", start.elapsed().as_secs_f64());
    let is_counted = failed_before.is_some();
    assert!(!is_counted || failed_exchanges() > failed_before, "the threads have not met");
}

#[test]
fn never_over_on_the_precise_clock() {
    all_kinds("precise", Clock::precise);
}

#[test]
fn never_over_on_the_coarse_clock() {
    all_kinds("coarse", || Clock::coarse(Duration::from_nanos(50 * MICRO)).unwrap());
}

/// The law that a run breaks in a few rounds, with the logs tampered with.
fn broken_law(rules: &[Rule], tamper: fn(&mut Log)) -> String {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let run = Run::new("planted", rules, Clock::precise(), tamper);
    run.decide(50 * THREADS * ROUND).expect_err("a planted fault was not found")
}

/// Charges of a thread to the key of this round, if they are many.
fn charges(log: &mut Log) -> &mut Vec<Charge> {
    let most = log.events.iter_mut().map(|events| &mut events.charges).max_by_key(|c| c.len());
    most.expect("four keys")
}

#[test]
fn the_account_finds_one_record_too_many() {
    for rules in [exact(), bucketed(), layered()] {
        let broken = broken_law(&rules, |log| {
            let charges = charges(log);
            if let Some(charge) = charges.get(charges.len() / 2).copied() {
                charges.insert(charges.len() / 2, charge);
            }
        });
        assert!(broken.contains("over: "), "{broken}");
    }
}

#[test]
fn the_account_finds_a_record_that_is_missing() {
    let broken = broken_law(&exact(), |log| {
        let charges = charges(log);
        if !charges.is_empty() {
            charges.remove(charges.len() / 2);
        }
    });
    assert!(broken.contains("no cause: "), "{broken}");
}

#[test]
fn the_account_finds_a_limiter_that_gives_one_unit_more() {
    for mut rules in [exact(), bucketed(), layered()] {
        rules[0].limit -= 1;
        let broken = broken_law(&rules, untouched);
        assert!(broken.contains("over: "), "{broken}");
    }
}

#[test]
fn the_account_finds_a_limiter_that_gives_one_unit_less() {
    let mut rules = exact();
    rules[0].limit += 1;
    let broken = broken_law(&rules, untouched);
    assert!(broken.contains("no cause: "), "{broken}");
}
