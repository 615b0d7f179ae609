//! Keys in the L1 and L2 caches: the cost of instructions and of shared cache lines.

use criterion::{Criterion, criterion_group, criterion_main};
use std::sync::Arc;
use std::time::Duration;
use tollgate::{Clock, Period, Policy};
use tollgate_peers::{
    Contender, EntryPoint, Expected, KeySequence, Layered, OwnLimiter, Setting, Side, Work, each,
};

const MINUTE: Duration = Duration::from_secs(60);
/// A limit that admits all requests.
const ADMIT_ALL: Setting =
    Setting { limit: 20_000_000, window: Duration::from_millis(20), max_keys: 4096 };
/// A limit that denies all requests of a key but the first 20: its window is longer than the benchmark.
const DENY_ALL: Setting =
    Setting { limit: 20, window: Duration::from_secs(86_400), max_keys: 4096 };

/// Numbers of hot keys, and their names.
const HOT: [(usize, &str); 2] = [(1, "1 text key"), (1000, "1000 text keys")];

/// Texts of 16 letters in a cyclic sequence.
fn hot_keys(keys: usize) -> KeySequence<String> {
    let all = tollgate_peers::shuffled::<String>(keys, 1);
    KeySequence::new(all.iter().cycle().take(keys.max(1024)).cloned().collect::<Vec<_>>())
}

fn one_key() -> KeySequence<String> {
    hot_keys(1)
}

/// Measures wall time per decision of all threads together.
fn measure(c: &mut Criterion, name: &str, expected: Expected, threads: Vec<Work>) {
    let mut contender = Contender::new(name, Side::Own, expected, threads);
    c.bench_function(name, |bencher| {
        bencher.iter_custom(|decisions| {
            let (ns, _) = contender.measure_slice(decisions as usize);
            Duration::from_nanos((ns * decisions as f64) as u64)
        });
    });
}

/// A limiter in which each hot key has been checked 20 times, or up to the limit if that is lower.
fn filled(setting: &Setting, words: Option<u32>, clock: Clock, keys: usize) -> Arc<OwnLimiter> {
    let own = Arc::new(OwnLimiter::with_clock(setting, words, clock));
    for _ in 0..setting.limit.min(DENY_ALL.limit) {
        hot_keys(keys).for_each_chunk(keys, |keys| {
            for key in keys {
                own.check(key);
            }
        });
    }
    own
}

fn coarse() -> Clock {
    Clock::coarse(Duration::from_millis(1)).expect("a thread can be started")
}

/// Measures all entry points, for one key and for a thousand.
fn entry_points(c: &mut Criterion, group: &str, setting: &Setting, expected: Expected) {
    for (keys, named) in HOT {
        let own = filled(setting, Some(7), Clock::precise(), keys);
        let coarse = filled(setting, Some(7), coarse(), keys);
        let entries = [
            ("check", &own, EntryPoint::Check),
            ("session", &own, EntryPoint::Session),
            ("check_at", &own, EntryPoint::CHECK_AT),
            ("check_many", &own, EntryPoint::CheckMany),
            ("coarse clock", &coarse, EntryPoint::Check),
        ];
        for (name, own, entry) in entries {
            let name = format!("{group}/{named}/{name}");
            measure(c, &name, expected, vec![own.work(entry, hot_keys(keys))]);
        }
    }
}

fn hot(c: &mut Criterion) {
    entry_points(c, "hot", &ADMIT_ALL, Expected::Admitted);
}

fn denied(c: &mut Criterion) {
    entry_points(c, "denied", &DENY_ALL, Expected::Denied);
    for (keys, named) in HOT {
        let own = filled(&DENY_ALL, None, Clock::precise(), keys);
        let work = own.work(EntryPoint::Check, hot_keys(keys));
        measure(c, &format!("denied/{named}/exact 20"), Expected::Denied, vec![work]);
    }
    for (name, words) in [("7 words", Some(7)), ("exact 20", None)] {
        let own = filled(&DENY_ALL, words, Clock::precise(), 1);
        let work = || own.work(EntryPoint::Check, one_key());
        let name = format!("denied/1 text key/{name}, 2 threads");
        measure(c, &name, Expected::Denied, vec![work(), work()]);
    }
}

/// Exact windows. The usage stays at three quarters of the limit: one request expires for each new one.
fn exact(c: &mut Criterion) {
    for limit in [20, 100] {
        let own =
            Arc::new(OwnLimiter::new(&Setting { limit, window: MINUTE, max_keys: 4096 }, None));
        let entry = EntryPoint::CheckAt { step_ns: (MINUTE / limit * 4 / 3).as_nanos() as u64 };
        let name = format!("exact/1 text key/{limit}");
        measure(c, &name, Expected::Admitted, vec![own.work(entry, one_key())]);
    }
}

/// A calendar policy. It also reads the wall clock, unless the caller supplies the time.
fn calendar(c: &mut Criterion) {
    let policy = Policy::calendar("budget", 1 << 39, Period::Day);
    let own = Arc::new(OwnLimiter::with_policy(policy, 4096, Clock::precise()));
    for (name, entry) in [("check", EntryPoint::Check), ("check_at", EntryPoint::CHECK_AT)] {
        let name = format!("calendar/1 text key/{name}");
        measure(c, &name, Expected::Admitted, vec![own.work(entry, one_key())]);
    }
}

fn layers(c: &mut Criterion) {
    let layered = Arc::new(Layered::new(4096));
    for (keys, named) in HOT {
        let one = each(layered.clone(), hot_keys(keys), Layered::one_call::<String>);
        measure(c, &format!("layers/{named}/one call"), Expected::Admitted, vec![one]);
        let three = each(layered.clone(), hot_keys(keys), Layered::three_calls::<String>);
        measure(c, &format!("layers/{named}/three calls"), Expected::Admitted, vec![three]);
    }
}

fn threads(c: &mut Criterion) {
    let own = Arc::new(OwnLimiter::new(&ADMIT_ALL, Some(7)));
    let work = |sequence| own.work(EntryPoint::Check, sequence);
    let shared = vec![work(one_key()), work(one_key())];
    measure(c, "threads/2, 1 text key", Expected::Admitted, shared);

    let keys = tollgate_peers::shuffled::<String>(2000, 1);
    let sequences: Vec<_> = keys.chunks(1000).map(|keys| KeySequence::new(keys.to_vec())).collect();
    let alone = vec![work(sequences[0].clone())];
    measure(c, "threads/1, 1000 text keys", Expected::Admitted, alone);
    let disjoint = sequences.into_iter().map(work).collect();
    measure(c, "threads/2, 1000 text keys each", Expected::Admitted, disjoint);
}

criterion_group!(near, hot, denied, exact, calendar, layers, threads);
criterion_main!(near);
