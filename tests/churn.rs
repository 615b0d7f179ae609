//! Threads over keys that come and go, in a table that grows, shrinks and is renewed all the time:
//! nothing is admitted that a slow and separate account would not admit, nothing is denied without
//! a cause, and no charge is lost on its way from array to array.
//!
//! Two ways of accounting. While the clock *stands*, all charges of a phase lie at one instant, so
//! what is admitted to each key, and what is left, is known to the unit. While it *runs*, a charge
//! is recorded at a time from the caller's own reading to the clock's when the call returned: what
//! surely lies in a window must be within the limit, and what may lie there must explain a denial.

mod stress;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Barrier, OnceLock, RwLock};
use std::time::Instant;
use stress::rule::Rule;
use stress::{by_size, mix};
use tollgate::{Limiter, ManualClock, Now, PolicyId, Verdict};

const THREADS: u64 = 4;
/// What one run is about, seen by all its threads.
struct Run {
    rule: Rule,
    limiter: Limiter,
    id: PolicyId,
    barrier: Barrier,
    /// The first broken law. No thread may panic while the others wait for it at the barrier.
    broken: OnceLock<String>,
}

impl Run {
    fn new(rule: Rule) -> Self {
        let builder = Limiter::builder().policy(rule.policy.clone()).max_keys(100_000);
        let limiter = builder.clock(ManualClock::new()).seed([1, 2, 3, 4]).build().unwrap();
        let id = limiter.policy(rule.policy.name()).unwrap();
        let resolution = limiter.resolution(id).unwrap().as_nanos() as u64;
        assert_eq!(rule.step % resolution, 0, "times are recorded as they are given");
        Run { rule, limiter, id, barrier: Barrier::new(THREADS as usize), broken: OnceLock::new() }
    }

    fn law(&self, holds: bool, told: impl FnOnce() -> String) {
        if !holds {
            let _ = self.broken.set(told());
        }
    }

    fn is_admitted(&self, key: u64, now: u64) -> bool {
        let session = self.limiter.session_at(Now::from_unix_nanos(now));
        let verdict = session.check(&[self.id.charge(key, self.rule.cost(key))]).verdict;
        let known = matches!(verdict, Verdict::Allowed | Verdict::Denied);
        self.law(known, || format!("{verdict:?} for {key} at {now}"));
        verdict == Verdict::Allowed
    }

    fn used(&self, key: u64, now: u64) -> u64 {
        let session = self.limiter.session_at(Now::from_unix_nanos(now));
        self.rule.limit - session.peek(&[self.id.charge(key, 0)]).remaining
    }

    /// Runs the threads; each returns how many requests it has seen admitted and denied. Holds the
    /// table to its own figures, and to so many requests for each new array at the most.
    fn threads(&self, per_array: u64, worker: impl Fn(u64) -> (u64, u64) + Sync) -> u64 {
        let start = Instant::now();
        let (admitted, denied) = std::thread::scope(|scope| {
            let worker = &worker;
            let threads: Vec<_> =
                (0..THREADS).map(|thread| scope.spawn(move || worker(thread))).collect();
            let sums = threads.into_iter().map(|thread| thread.join().unwrap());
            sums.fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1))
        });
        assert_eq!(self.broken.get(), None);
        let stats = self.limiter.stats(self.id).unwrap();
        println!(
            "{:>14}: {admitted} admitted, {denied} denied, {} arrays, {:.1} s",
            self.rule.policy.name(),
            stats.migrations,
            start.elapsed().as_secs_f64()
        );
        assert_eq!((stats.admitted, stats.denied), (admitted, denied));
        assert_eq!((stats.refused, stats.untracked, stats.evictions), (0, 0, 0));
        assert!(admitted.min(denied) > (admitted + denied) / 20, "one verdict is hardly seen");
        assert!(stats.migrations > (admitted + denied) / per_array, "too few arrays");
        admitted + denied
    }
}

/// A stretch of a standing clock: which keys are asked for, and when.
#[derive(Clone)]
struct Phase {
    number: u64,
    keys: std::ops::Range<u64>,
    now: u64,
}

/// As many phases as count at a time.
const PHASES: u64 = 4;
const MOST_KEYS: u64 = 2_048;
/// More keys than any four phases have.
const LEDGER: u64 = 4 * MOST_KEYS;

impl Phase {
    /// New keys come at the end of the range, and it goes on by a quarter; each four phases it
    /// has another length.
    fn all(rule: &Rule, number: u64) -> Vec<Self> {
        // The first of four phases has expired when the next four begin, and not before.
        let gap = rule.window / PHASES + if rule.is_calendar() { 0 } else { rule.step };
        let mut end = 2 * MOST_KEYS;
        let phase = |number| {
            let len = MOST_KEYS >> (mix(number / PHASES) % 7);
            end += len / 4;
            Phase { number, keys: end - len..end, now: 100 * rule.window + number * gap }
        };
        (0..number).map(phase).collect()
    }

    /// How often a thread asks for a key: every fourth key belongs to one thread.
    fn asks(&self, thread: u64, key: u64) -> u64 {
        if !self.keys.contains(&key) {
            return 0;
        }
        if key % 4 == 3 {
            return 2 * u64::from(key / 4 % THREADS == thread);
        }
        mix(key << 32 ^ self.number << 2 ^ thread) % 4 * 2 / 3
    }

    /// Whether charges of that phase still count in this one.
    fn counts(&self, number: u64, rule: &Rule) -> bool {
        let same = if rule.is_calendar() { self.number % PHASES } else { PHASES - 1 };
        self.number - number <= same
    }
}

/// The clock stands still in each phase. Each key is admitted as often as it has asked or as it has
/// room, to the unit, and what it has left is the limit less what was admitted and still counts.
#[test]
fn while_the_clock_stands_every_unit_is_accounted_for() {
    let phases = by_size(100, 5_200);
    let total: u64 = Rule::all().into_iter().map(|rule| standing(rule, phases)).sum();
    println!("standing clock: {total} decisions");
}

fn standing(rule: Rule, phases: u64) -> u64 {
    let run = Run::new(rule);
    let rule = &run.rule;
    let phases = Phase::all(rule, phases);
    let column = |len: u64| -> Vec<AtomicU64> { (0..len).map(|_| AtomicU64::new(0)).collect() };
    // What each thread saw admitted in this phase, by key.
    let seen: Vec<_> = (0..THREADS).map(|_| column(MOST_KEYS)).collect();
    // What was admitted to each key in each of the last phases, with the number of that phase.
    let ledger: Vec<_> = (0..PHASES).map(|_| column(LEDGER)).collect();
    run.threads(10_000, |thread| {
        let (mut admitted, mut denied) = (0, 0);
        for phase in &phases {
            let mine = &seen[thread as usize];
            mine.iter().for_each(|count| count.store(0, Relaxed));
            // Each thread in an order of its own; the second time around only for some.
            let len = phase.keys.end - phase.keys.start;
            let (odd, start) = (mix(phase.number ^ thread << 40) | 1, mix(phase.number << 8));
            for turn in 0..2 * len {
                let place = turn.wrapping_mul(odd).wrapping_add(start) % len;
                let key = phase.keys.start + place;
                if turn / len < phase.asks(thread, key) {
                    let yes = u64::from(run.is_admitted(key, phase.now));
                    let count = &mine[place as usize];
                    count.store(count.load(Relaxed) + yes, Relaxed);
                    (admitted, denied) = (admitted + yes, denied + 1 - yes);
                }
            }
            run.barrier.wait();
            // All keys that were asked for in the last phases, and some before them.
            for key in phase.keys.end - 2 * MOST_KEYS..phase.keys.end {
                if key % THREADS == thread {
                    let sum = |column: &Vec<AtomicU64>| {
                        let place = key.checked_sub(phase.keys.start)?;
                        Some(column[place as usize].load(Relaxed))
                    };
                    let now = seen.iter().filter_map(sum).sum();
                    account(&run, &ledger, phase, key, now);
                }
            }
            run.barrier.wait();
            if run.broken.get().is_some() {
                break;
            }
        }
        (admitted, denied)
    })
}

/// Holds a key to the account, to which this phase has admitted so many requests.
fn account(run: &Run, ledger: &[Vec<AtomicU64>], phase: &Phase, key: u64, now: u64) {
    let rule = &run.rule;
    let asks = (0..THREADS).map(|thread| phase.asks(thread, key)).sum::<u64>();
    let entry = |number: u64| &ledger[(number % PHASES) as usize][(key % LEDGER) as usize];
    let past = (phase.number.saturating_sub(PHASES - 1)..phase.number)
        .filter(|number| phase.counts(*number, rule))
        .map(|number| entry(number).load(Relaxed))
        .map(|entry| (entry >> 16, entry & 0xFFFF))
        .filter(|(number, _)| phase.counts(*number, rule))
        .map(|(_, admitted)| admitted)
        .sum::<u64>();
    entry(phase.number).store(phase.number << 16 | now, Relaxed);
    let (cost, number) = (rule.cost(key), phase.number);
    let expected = asks.min(rule.limit / cost - past);
    run.law(now == expected, || {
        format!("key {key}, phase {number}: {now} of {asks} admitted after {past}, not {expected}")
    });
    let used = run.used(key, phase.now);
    run.law(used == (past + now) * cost, || {
        format!("key {key}, phase {number}: {used} used after {past} and {now} of {cost}")
    });
}

/// One request while the clock runs, and two readings around it.
#[derive(Clone, Copy)]
struct Event {
    key: u64,
    start: u64,
    end: u64,
    admitted: bool,
}

/// The key of a turn: of a few that all threads ask for, of a thread's own, or of a crowd whose
/// size changes with the season. All of them drift.
fn key_of(turn: u64, thread: u64, random: u64) -> u64 {
    let crowd = 64 << (mix(turn >> 14) % 7);
    match random % 8 {
        0 | 1 => turn / 64 + (random >> 8) % 8,
        2 | 3 => (thread + 1) << 40 | (turn / 128 + (random >> 8) % 4),
        _ => 9 << 40 | (turn / 2 + (random >> 8) % crowd),
    }
}

/// The clock runs: no window that surely holds its charges holds more than the limit, no denial is
/// without charges that may count, and whenever all threads wait each key has used no less than
/// what surely counts and no more than what may.
#[test]
fn while_the_clock_runs_never_over_and_nothing_lost() {
    let turns = by_size(240_000, 12_000_000) / THREADS;
    let total: u64 = Rule::all().into_iter().map(|rule| running(rule, turns)).sum();
    println!("running clock: {total} decisions");
}

fn running(rule: Rule, turns: u64) -> u64 {
    const STRETCH: u64 = 4_000;
    let run = Run::new(rule);
    let rule = &run.rule;
    let clock = AtomicU64::new(100 * rule.window);
    let logs: Vec<RwLock<Vec<Event>>> = (0..THREADS).map(|_| RwLock::default()).collect();
    run.threads(5_000, |thread| {
        // What may still count, of the keys that this thread does the account of.
        let mut kept: HashMap<u64, Vec<Event>> = HashMap::new();
        let (mut admitted, mut denied) = (0, 0);
        for stretch in 0..turns / STRETCH {
            let mut log = logs[thread as usize].write().unwrap();
            log.clear();
            for turn in stretch * STRETCH..(stretch + 1) * STRETCH {
                let start = clock.fetch_add(rule.step, Relaxed);
                let key = key_of(start / rule.step, thread, mix(turn << 2 | thread));
                let yes = run.is_admitted(key, start);
                log.push(Event { key, start, end: clock.load(Relaxed), admitted: yes });
                (admitted, denied) = (admitted + u64::from(yes), denied + u64::from(!yes));
            }
            drop(log);
            run.barrier.wait();
            let now = clock.load(Relaxed);
            for log in &logs {
                let log = log.read().unwrap();
                for event in log.iter().filter(|event| event.key % THREADS == thread) {
                    kept.entry(event.key).or_default().push(*event);
                }
            }
            kept.retain(|key, events| {
                hold_to_laws(&run, *key, events, now);
                events.retain(|event| event.admitted && rule.perhaps_counts(event.end, now));
                !events.is_empty()
            });
            run.barrier.wait();
            if run.broken.get().is_some() {
                break;
            }
        }
        (admitted, denied)
    })
}

fn hold_to_laws(run: &Run, key: u64, events: &mut [Event], now: u64) {
    let (rule, cost) = (&run.rule, run.rule.cost(key));
    let sum = |charges: usize| charges as u64 * cost;
    events.sort_unstable_by_key(|event| event.start);
    let charges = || events.iter().filter(|event| event.admitted);
    for (place, first) in charges().enumerate() {
        let inside = charges()
            .skip(place)
            .take_while(|charge| rule.surely_counts(first.start, charge.start))
            .filter(|charge| rule.surely_counts(first.start, charge.end));
        let inside = sum(inside.count());
        run.law(inside <= rule.limit, || format!("{inside} for {key} from {} on", first.start));
    }
    for denial in events.iter().filter(|event| !event.admitted) {
        let causes = charges()
            .take_while(|charge| charge.start <= denial.end)
            .filter(|charge| rule.perhaps_counts(charge.end, denial.start));
        let used = sum(causes.count());
        run.law(used + cost > rule.limit, || {
            format!("{key} denied at {} when it had used {used}", denial.start)
        });
    }
    let surely = sum(charges().filter(|charge| rule.surely_counts(charge.start, now)).count());
    let perhaps = sum(charges().filter(|charge| rule.perhaps_counts(charge.end, now)).count());
    let used = run.used(key, now);
    run.law((surely..=perhaps).contains(&used), || {
        format!("{key} has used {used} at {now}, not {surely} to {perhaps}")
    });
}
