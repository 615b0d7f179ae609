//! Guarantee A under churn: threads over keys that come and go, in a table that grows, shrinks and
//! replaces its arrays all the time. A separate oracle checks that no key is over its limit, that
//! no request is denied without a cause, and that no move loses a charge.
//!
//! Requests use each entry point for requests of one charge. Each entry point must decide its
//! share.
//!
//! - Still clock: all charges of a phase have one time, so the admitted and the remaining cost of
//!   each key are known exactly. A charge that is lost or doubled after a failed CAS shows. All
//!   threads charge a hot key throughout a phase, and are [interrupted](load::interrupts) within
//!   calls. The same holds for tables that grow from their first array.
//! - Running clock: a charge is recorded between the caller's own reading and the clock's reading
//!   after the call. The charges that surely lie in a window must be within the limit. The charges
//!   that may lie there must explain a denial.

mod load;

use load::interrupts::Interrupts;
use load::rule::Rule;
use load::{StartLine, by_size, mix};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{OnceLock, RwLock};
use std::time::Instant;
use tollgate::{Decision, Limiter, ManualClock, Now, PolicyId, PolicyStatus, Verdict};

const THREADS: u64 = 4;
/// The most requests of a batch: more than are prefetched together.
const BATCH: u64 = 40;
/// The first hot key. All threads charge the hot key of a phase throughout it, one unit per
/// request.
const HOT: u64 = 1 << 50;

/// The entry point of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    CheckAt,
    SessionCheck,
    CheckMany,
    CheckWithStatus,
}

impl Entry {
    const ALL: [Entry; 4] =
        [Entry::CheckAt, Entry::SessionCheck, Entry::CheckMany, Entry::CheckWithStatus];

    fn random(random: u64) -> Self {
        Self::ALL[(random >> 56) as usize % Self::ALL.len()]
    }
}

/// How many requests were admitted and denied by each entry point.
#[derive(Clone, Copy, Default)]
struct Counts([(u64, u64); Entry::ALL.len()]);

impl Counts {
    fn count(&mut self, entry: Entry, is_admitted: bool) {
        let (admitted, denied) = &mut self.0[entry as usize];
        *if is_admitted { admitted } else { denied } += 1;
    }

    fn with(mut self, other: Counts) -> Self {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum = (sum.0 + more.0, sum.1 + more.1);
        }
        self
    }

    fn sum(&self) -> (u64, u64) {
        self.0.iter().fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1))
    }
}

/// The keys of the next batch of a thread.
struct Batch {
    keys: Vec<u64>,
    len: u64,
}

impl Batch {
    fn new() -> Self {
        Batch { keys: Vec::new(), len: 1 }
    }

    /// Adds a request. Returns whether the batch is full.
    fn add(&mut self, key: u64) -> bool {
        self.keys.push(key);
        self.keys.len() as u64 >= self.len
    }
}

/// A run, shared by its threads.
struct Run {
    rule: Rule,
    limiter: Limiter,
    id: PolicyId,
    barrier: StartLine,
    interrupts: Interrupts,
    /// The first violated property. A panic would block the other threads at the barrier.
    violation: OnceLock<String>,
}

impl Run {
    fn new(rule: Rule) -> Self {
        let builder = Limiter::builder().policy(rule.policy.clone()).max_keys(100_000);
        let limiter = builder.clock(ManualClock::new()).seed([1, 2, 3, 4]).build().unwrap();
        let id = limiter.policy(rule.policy.name()).unwrap();
        let resolution = limiter.resolution(id).unwrap().as_nanos() as u64;
        assert_eq!(rule.step % resolution, 0, "readings are recorded without truncation");
        let (barrier, violation) = (StartLine::new(THREADS), OnceLock::new());
        Run { rule, limiter, id, barrier, interrupts: Interrupts::default(), violation }
    }

    /// Records a violated property.
    fn require(&self, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            let _ = self.violation.set(message());
        }
    }

    fn cost(&self, key: u64) -> u64 {
        if key < HOT { self.rule.cost(key) } else { 1 }
    }

    /// Decides one request by an entry point for single requests.
    fn is_admitted(&self, entry: Entry, key: u64, now: u64) -> bool {
        let (charge, at) = ([self.id.charge(key, self.cost(key))], Now::from_unix_nanos(now));
        let decision = match entry {
            Entry::CheckAt => self.limiter.check_at(at, &charge),
            Entry::CheckWithStatus => {
                let mut status = [PolicyStatus::default()];
                let decision = self.limiter.check_at_with_status(at, &charge, &mut status);
                let agrees = status[0].remaining == decision.remaining;
                self.require(agrees, || format!("{decision:?}, but {:?}", status[0]));
                decision
            }
            _ => self.limiter.session_at(at).check(&charge),
        };
        self.verdict(key, now, &decision)
    }

    /// Decides and empties a batch. Calls `record` with each key and whether it was admitted.
    fn decide_batch(&self, batch: &mut Batch, now: u64, mut record: impl FnMut(u64, bool)) {
        let charge = |key: &u64| self.id.charge(*key, self.cost(*key));
        let charges: Vec<_> = batch.keys.iter().map(charge).collect();
        let mut decisions = vec![Decision::default(); charges.len()];
        let session = self.limiter.session_at(Now::from_unix_nanos(now));
        let allowed = session.check_many(&charges, &mut decisions);
        let mut counted = 0;
        for (key, decision) in batch.keys.drain(..).zip(&decisions) {
            let is_admitted = self.verdict(key, now, decision);
            counted += usize::from(is_admitted);
            record(key, is_admitted);
        }
        self.require(allowed == counted, || format!("{allowed} allowed, not {counted}"));
        batch.len = 1 + mix(now ^ batch.len) % BATCH;
    }

    /// Checks the form of a decision. Returns whether it admits.
    fn verdict(&self, key: u64, now: u64, decision: &Decision) -> bool {
        let known = matches!(decision.verdict, Verdict::Allowed | Verdict::Denied);
        self.require(known && decision.limit == self.rule.limit, || {
            format!("{decision:?} for {key} at {now}")
        });
        decision.is_allowed()
    }

    fn used(&self, key: u64, now: u64) -> u64 {
        let session = self.limiter.session_at(Now::from_unix_nanos(now));
        self.rule.limit - session.peek(&[self.id.charge(key, 0)]).remaining
    }

    /// Runs the threads; each returns its counts of admitted and denied requests. Checks the
    /// statistics, the share of each entry point, and that the table made a new array at least once
    /// per `per_array` requests. Returns the number of requests.
    fn threads(&self, per_array: u64, worker: impl Fn(u64) -> Counts + Sync) -> u64 {
        let start = Instant::now();
        let counts = std::thread::scope(|scope| {
            let worker = &worker;
            let threads: Vec<_> =
                (0..THREADS).map(|thread| scope.spawn(move || worker(thread))).collect();
            let sums = threads.into_iter().map(|thread| thread.join().unwrap());
            sums.fold(Counts::default(), Counts::with)
        });
        assert_eq!(self.violation.get(), None);
        let (admitted, denied) = counts.sum();
        let stats = self.limiter.stats(self.id).unwrap();
        println!(
            "{:>14}: {admitted} admitted, {denied} denied, {} arrays, {:.1} s",
            self.rule.policy.name(),
            stats.migrations,
            start.elapsed().as_secs_f64()
        );
        for entry in Entry::ALL {
            let (admitted_by, denied_by) = counts.0[entry as usize];
            println!("{:>14}  {entry:?}: {admitted_by} admitted, {denied_by} denied", "");
            assert!(admitted_by > admitted / 10, "{entry:?} admits too few");
            assert!(denied_by > denied / 10, "{entry:?} denies too few");
        }
        assert_eq!((stats.admitted, stats.denied), (admitted, denied));
        assert_eq!((stats.refused, stats.untracked, stats.evictions), (0, 0, 0));
        assert!(admitted.min(denied) > (admitted + denied) / 20, "one verdict is too rare");
        assert!(stats.migrations > (admitted + denied) / per_array, "too few arrays");
        admitted + denied
    }
}

/// A phase of a still clock: its keys and its time.
#[derive(Clone)]
struct Phase {
    number: u64,
    keys: std::ops::Range<u64>,
    now: u64,
}

/// The number of successive phases whose charges count at the same time.
const PHASES: u64 = 4;
const MOST_KEYS: u64 = 2_048;
/// More keys than any four phases have.
const LEDGER: u64 = 4 * MOST_KEYS;

impl Phase {
    /// Returns the phases. The range of keys advances by a quarter of its length in each phase, and
    /// changes its length every four phases.
    fn all(rule: &Rule, number: u64) -> Vec<Self> {
        // In a window, a phase has expired when the fourth phase after it begins. In a calendar period,
        // four phases expire together.
        let gap = rule.window / PHASES + if rule.is_calendar() { 0 } else { rule.step };
        let mut end = 2 * MOST_KEYS;
        let phase = |number| {
            let len = MOST_KEYS >> (mix(number / PHASES) % 7);
            end += len / 4;
            Phase { number, keys: end - len..end, now: 100 * rule.window + number * gap }
        };
        (0..number).map(phase).collect()
    }

    /// How many requests a thread sends for a key. Every fourth key belongs to one thread.
    fn requests(&self, thread: u64, key: u64) -> u64 {
        if !self.keys.contains(&key) {
            return 0;
        }
        if key % 4 == 3 {
            return 2 * u64::from(key / 4 % THREADS == thread);
        }
        mix(key << 32 ^ self.number << 2 ^ thread) % 4 * 2 / 3
    }

    /// Returns whether charges of the phase `number` still count in this one.
    fn counts(&self, number: u64, rule: &Rule) -> bool {
        let same = if rule.is_calendar() { self.number % PHASES } else { PHASES - 1 };
        self.number - number <= same
    }
}

/// Guarantee A: the clock is still in each phase. For each key exactly the requests that fit are
/// admitted, and the remaining cost is the limit less the admitted charges that still count.
#[test]
fn usage_is_exact_on_a_still_clock() {
    let phases = by_size(100, 5_200);
    let total: u64 = Rule::all().into_iter().map(|rule| run_on_still_clock(rule, phases)).sum();
    println!("still clock: {total} decisions");
}

fn run_on_still_clock(rule: Rule, phases: u64) -> u64 {
    let run = Run::new(rule);
    let rule = &run.rule;
    let phases = Phase::all(rule, phases);
    let column = |len: u64| -> Vec<AtomicU64> { (0..len).map(|_| AtomicU64::new(0)).collect() };
    // The requests admitted to each thread in this phase, by key, and those for the hot key.
    let admitted: Vec<_> = (0..THREADS).map(|_| column(MOST_KEYS)).collect();
    let hot_admitted = column(THREADS);
    // The requests admitted to each key in each of the last phases, with the number of that phase.
    let ledger: Vec<_> = (0..PHASES).map(|_| column(LEDGER)).collect();
    let work = |thread: u64| {
        let _interrupted = run.interrupts.enter();
        let (mut counts, mut batch) = (Counts::default(), Batch::new());
        for phase in &phases {
            let (mine, mine_hot) = (&admitted[thread as usize], &hot_admitted[thread as usize]);
            mine.iter().chain([mine_hot]).for_each(|count| count.store(0, Relaxed));
            let mut record = |entry, key, is_admitted| {
                let index = key - if key < HOT { phase.keys.start } else { HOT };
                let count = if key < HOT { &mine[index as usize] } else { mine_hot };
                count.store(count.load(Relaxed) + u64::from(is_admitted), Relaxed);
                counts.count(entry, is_admitted);
            };
            let mut decide = |key: u64, random: u64| {
                let entry = Entry::random(random);
                if entry != Entry::CheckMany {
                    record(entry, key, run.is_admitted(entry, key, phase.now));
                } else if batch.add(key) {
                    run.decide_batch(&mut batch, phase.now, |key, yes| record(entry, key, yes));
                }
            };
            // Each thread has its own order of keys, and repeats only some of them. In between it
            // charges the hot key, in contention with the others.
            let len = phase.keys.end - phase.keys.start;
            let (odd, start) = (mix(phase.number ^ thread << 40) | 1, mix(phase.number << 8));
            let mut hot_sent = 0;
            for turn in 0..2 * len {
                let index = turn.wrapping_mul(odd).wrapping_add(start) % len;
                let key = phase.keys.start + index;
                if turn / len < phase.requests(thread, key) {
                    decide(key, mix(odd ^ turn));
                }
                while hot_sent < hot_requests(rule) * (turn + 1) / (2 * len) {
                    decide(HOT + phase.number, mix(odd ^ hot_sent << 20));
                    hot_sent += 1;
                }
            }
            if !batch.keys.is_empty() {
                let entry = Entry::CheckMany;
                run.decide_batch(&mut batch, phase.now, |key, yes| record(entry, key, yes));
            }
            run.barrier.wait();
            // All keys that were charged in the last phases, and some older ones.
            for key in phase.keys.end - 2 * MOST_KEYS..phase.keys.end {
                if key % THREADS == thread {
                    let sum = |column: &Vec<AtomicU64>| {
                        let index = key.checked_sub(phase.keys.start)?;
                        Some(column[index as usize].load(Relaxed))
                    };
                    let count = admitted.iter().filter_map(sum).sum();
                    check_key(&run, &ledger, phase, key, count);
                }
            }
            if phase.number % THREADS == thread {
                check_hot_key(
                    &run,
                    phase,
                    hot_admitted.iter().map(|count| count.load(Relaxed)).sum(),
                );
            }
            run.barrier.wait();
            if run.violation.get().is_some() {
                break;
            }
        }
        counts
    };
    run.interrupts.during(|| run.threads(10_000, work))
}

/// The requests of each thread for the hot key of a phase. All threads together send a tenth more than
/// the limit.
fn hot_requests(rule: &Rule) -> u64 {
    rule.limit * 11 / 10 / THREADS
}

/// Checks the phase's hot key, a new key, given its admitted requests.
fn check_hot_key(run: &Run, phase: &Phase, admitted: u64) {
    let (number, limit) = (phase.number, run.rule.limit);
    let expected = limit.min(hot_requests(&run.rule) * THREADS);
    let used = run.used(HOT + number, phase.now);
    run.require(admitted == expected && used == admitted, || {
        format!("hot key of phase {number}: {admitted} admitted and {used} used, not {expected}")
    });
}

/// Checks a key against the ledger, given its requests admitted in this phase, and adds these to the
/// ledger.
fn check_key(run: &Run, ledger: &[Vec<AtomicU64>], phase: &Phase, key: u64, admitted: u64) {
    let rule = &run.rule;
    let requests = (0..THREADS).map(|thread| phase.requests(thread, key)).sum::<u64>();
    let entry = |number: u64| &ledger[(number % PHASES) as usize][(key % LEDGER) as usize];
    let past = (phase.number.saturating_sub(PHASES - 1)..phase.number)
        .filter(|number| phase.counts(*number, rule))
        .map(|number| entry(number).load(Relaxed))
        .map(|entry| (entry >> 16, entry & 0xFFFF))
        .filter(|(number, _)| phase.counts(*number, rule))
        .map(|(_, admitted)| admitted)
        .sum::<u64>();
    entry(phase.number).store(phase.number << 16 | admitted, Relaxed);
    let (cost, number) = (rule.cost(key), phase.number);
    let expected = requests.min(rule.limit / cost - past);
    run.require(admitted == expected, || {
        format!(
            "key {key}, phase {number}: {admitted} of {requests} admitted after {past}, not {expected}"
        )
    });
    let used = run.used(key, phase.now);
    run.require(used == (past + admitted) * cost, || {
        format!("key {key}, phase {number}: {used} used after {past} and {admitted} of {cost}")
    });
}

/// The number of keys of a growing table.
const GROWING: u64 = 1_000;

/// Guarantee A: tables grow from their first array, while all threads charge new keys, a few hot
/// keys and earlier keys. The clock is still, so the admitted requests of each key are known
/// exactly, and a charge that a move loses shows.
#[test]
fn usage_is_exact_while_tables_grow() {
    let start = Instant::now();
    // A few tables at a time, since all of them live until their threads end.
    let tables = || (0..10).flat_map(|_| Rule::all()).map(Run::new).collect();
    let arrays: u64 = (0..by_size(8, 80)).map(|_| grow_tables(tables())).sum();
    println!("growing tables: {arrays} arrays, {:.1} s", start.elapsed().as_secs_f64());
}

/// Lets these tables grow, one after another. Returns how many arrays they replaced.
fn grow_tables(runs: Vec<Run>) -> u64 {
    let column = || -> Vec<AtomicU64> { (0..GROWING).map(|_| AtomicU64::new(0)).collect() };
    let (sent, admitted) = (column(), column());
    let Run { barrier, interrupts, .. } = &runs[0];
    let work = |thread| {
        let _interrupted = interrupts.enter();
        runs.iter().for_each(|run| grow(run, thread, barrier, &sent, &admitted));
    };
    interrupts.during(|| {
        std::thread::scope(|scope| {
            let work = &work;
            (0..THREADS).for_each(|thread| drop(scope.spawn(move || work(thread))));
        });
    });
    runs.iter().for_each(|run| assert_eq!(run.violation.get(), None));
    let arrays = |run: &Run| run.limiter.stats(run.id).unwrap().migrations;
    let (tables, arrays) = (runs.len() as u64, runs.iter().map(arrays).sum());
    assert!(arrays > 3 * tables, "too few arrays");
    arrays
}

/// Runs the part of one thread in the growth of one table.
fn grow(run: &Run, thread: u64, barrier: &StartLine, sent: &[AtomicU64], admitted: &[AtomicU64]) {
    let now = 100 * run.rule.window;
    let record = |key: u64, is_admitted| {
        sent[(key - HOT) as usize].fetch_add(1, Relaxed);
        admitted[(key - HOT) as usize].fetch_add(u64::from(is_admitted), Relaxed);
    };
    let mut batch = Batch::new();
    barrier.wait();
    for turn in 0..GROWING {
        let random = mix(turn << 2 | thread);
        let most = if random.is_multiple_of(2) { turn } else { turn.min(7) };
        for key in [turn, (random >> 8) % (most + 1)].map(|key| HOT + key) {
            let entry = Entry::random(mix(random ^ key));
            if entry != Entry::CheckMany {
                record(key, run.is_admitted(entry, key, now));
            } else if batch.add(key) {
                run.decide_batch(&mut batch, now, record);
            }
        }
    }
    run.decide_batch(&mut batch, now, record);
    barrier.wait();
    for key in (0..GROWING).filter(|key| key % THREADS == thread) {
        let [sent, admitted] = [sent, admitted].map(|all| all[key as usize].swap(0, Relaxed));
        let (expected, used) = (run.rule.limit.min(sent), run.used(HOT + key, now));
        run.require(admitted == expected && used == expected, || {
            format!("key {key}: {admitted} of {sent} admitted and {used} used, not {expected}")
        });
    }
}

/// A request on a running clock, with the readings before and after it.
#[derive(Clone, Copy)]
struct Event {
    key: u64,
    start: u64,
    end: u64,
    admitted: bool,
}

/// Picks the key of a turn: one of a few shared keys, one of the thread's own, or one of a crowd
/// whose size changes over time. All of them drift.
fn key_of(turn: u64, thread: u64, random: u64) -> u64 {
    let crowd = 64 << (mix(turn >> 14) % 7);
    match random % 8 {
        0 | 1 => turn / 64 + (random >> 8) % 8,
        2 | 3 => (thread + 1) << 40 | (turn / 128 + (random >> 8) % 4),
        _ => 9 << 40 | (turn / 2 + (random >> 8) % crowd),
    }
}

/// Guarantee A: on a running clock, the charges that surely lie in one window are within the limit,
/// and those that may count explain each denial. Every few thousand turns, the usage of each key is at
/// least what surely counts and at most what may count.
#[test]
fn never_over_and_nothing_lost_on_a_running_clock() {
    let turns = by_size(240_000, 12_000_000) / THREADS;
    let total: u64 = Rule::all().into_iter().map(|rule| run_on_running_clock(rule, turns)).sum();
    println!("running clock: {total} decisions");
}

fn run_on_running_clock(rule: Rule, turns: u64) -> u64 {
    /// Turns of each thread between two checks of the properties.
    const STRETCH: u64 = 4_000;
    let late = 4 * rule.window;
    let run = Run::new(rule);
    let rule = &run.rule;
    let clock = AtomicU64::new(100 * rule.window);
    let logs: Vec<RwLock<Vec<Event>>> = (0..THREADS).map(|_| RwLock::default()).collect();
    run.threads(5_000, |thread| {
        // The events that may still count, of the keys that this thread checks.
        let mut kept: HashMap<u64, Vec<Event>> = HashMap::new();
        let (mut counts, mut batch) = (Counts::default(), Batch::new());
        for stretch in 0..turns / STRETCH {
            let mut log = logs[thread as usize].write().unwrap();
            log.clear();
            for turn in stretch * STRETCH..(stretch + 1) * STRETCH {
                let reading = clock.fetch_add(rule.step, Relaxed);
                let random = mix(turn << 2 | thread);
                let (key, entry) =
                    (key_of(reading / rule.step, thread, random), Entry::random(random));
                // Some requests are late, as those of a stalled thread.
                let steps = (random >> 40) % (late / rule.step);
                let start =
                    reading - if (random >> 32).is_multiple_of(32) { steps } else { 0 } * rule.step;
                let mut record = |key, admitted| {
                    log.push(Event { key, start, end: clock.load(Relaxed), admitted });
                    counts.count(entry, admitted);
                };
                if entry != Entry::CheckMany {
                    record(key, run.is_admitted(entry, key, start));
                } else if batch.add(key) {
                    run.decide_batch(&mut batch, start, record);
                }
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
                check_properties(&run, *key, events, now);
                events.retain(|event| event.admitted && rule.may_count(event.end, now - late));
                !events.is_empty()
            });
            run.barrier.wait();
            if run.violation.get().is_some() {
                break;
            }
        }
        counts
    })
}

/// Checks the properties of one key: no window has more than the limit, each denial has a
/// cause, and the usage is right. `events` are those that may still matter at `now`.
fn check_properties(run: &Run, key: u64, events: &mut [Event], now: u64) {
    let (rule, cost) = (&run.rule, run.rule.cost(key));
    let sum = |charges: usize| charges as u64 * cost;
    events.sort_unstable_by_key(|event| event.start);
    let charges = || events.iter().filter(|event| event.admitted);
    for (index, first) in charges().enumerate() {
        let inside = charges()
            .skip(index)
            .take_while(|charge| rule.surely_counts(first.start, charge.start))
            .filter(|charge| rule.surely_counts(first.start, charge.end));
        let inside = sum(inside.count());
        run.require(inside <= rule.limit, || format!("{inside} for {key} from {} on", first.start));
    }
    for denial in events.iter().filter(|event| !event.admitted) {
        let causes = charges()
            .take_while(|charge| charge.start <= denial.end)
            .filter(|charge| rule.may_count(charge.end, denial.start));
        let used = sum(causes.count());
        run.require(used + cost > rule.limit, || {
            format!("{key} denied at {} though only {used} may count", denial.start)
        });
    }
    let surely = sum(charges().filter(|charge| rule.surely_counts(charge.start, now)).count());
    let perhaps = sum(charges().filter(|charge| rule.may_count(charge.end, now)).count());
    let used = run.used(key, now);
    run.require((surely..=perhaps).contains(&used), || {
        format!("{key} has used {used} at {now}, not {surely} to {perhaps}")
    });
}
