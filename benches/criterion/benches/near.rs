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
/// A limit that denies all requests but the first 20: its window is longer than the benchmark.
const DENY_ALL: Setting =
    Setting { limit: 20, window: Duration::from_secs(86_400), max_keys: 4096 };

fn one_key() -> KeySequence<String> {
    KeySequence::new(vec![String::from("0123456789abcdef"); 1024])
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

fn hot(c: &mut Criterion) {
    let own = Arc::new(OwnLimiter::new(&ADMIT_ALL, Some(7)));
    let coarse = Clock::coarse(Duration::from_millis(1)).expect("a thread can be started");
    let coarse = Arc::new(OwnLimiter::with_clock(&ADMIT_ALL, Some(7), coarse));
    let entries = [
        ("hot/check", &own, EntryPoint::Check),
        ("hot/session", &own, EntryPoint::Session),
        ("hot/check_at", &own, EntryPoint::CHECK_AT),
        ("hot/check_many", &own, EntryPoint::CheckMany),
        ("hot/coarse clock", &coarse, EntryPoint::Check),
    ];
    for (name, own, entry) in entries {
        measure(c, name, Expected::Admitted, vec![own.work(entry, one_key())]);
    }
}

fn denied(c: &mut Criterion) {
    for (name, words) in [("denied/7 words", Some(7)), ("denied/exact 20", None)] {
        let own = Arc::new(OwnLimiter::new(&DENY_ALL, words));
        while own.check(&String::from("0123456789abcdef")) {}
        let work = || own.work(EntryPoint::Check, one_key());
        measure(c, name, Expected::Denied, vec![work()]);
        measure(c, &format!("{name}, 2 threads"), Expected::Denied, vec![work(), work()]);
    }
}

/// Keeps the usage at three quarters of the limit: one request expires for each new one.
fn exact(c: &mut Criterion) {
    for limit in [20, 100] {
        let own =
            Arc::new(OwnLimiter::new(&Setting { limit, window: MINUTE, max_keys: 4096 }, None));
        let entry = EntryPoint::CheckAt { step_ns: (MINUTE / limit * 4 / 3).as_nanos() as u64 };
        let name = format!("exact/{limit}");
        measure(c, &name, Expected::Admitted, vec![own.work(entry, one_key())]);
    }
}

/// Calendar policies also read the wall clock, unless the caller supplies the time.
fn calendar(c: &mut Criterion) {
    let policy = Policy::calendar("budget", 1 << 39, Period::Day);
    let own = Arc::new(OwnLimiter::with_policy(policy, 4096, Clock::precise()));
    for (name, entry) in
        [("calendar/check", EntryPoint::Check), ("calendar/check_at", EntryPoint::CHECK_AT)]
    {
        measure(c, name, Expected::Admitted, vec![own.work(entry, one_key())]);
    }
}

fn layers(c: &mut Criterion) {
    let layered = Arc::new(Layered::new(4096));
    let one = each(layered.clone(), one_key(), Layered::one_call::<String>);
    measure(c, "layers/one call", Expected::Admitted, vec![one]);
    let three = each(layered, one_key(), Layered::three_calls::<String>);
    measure(c, "layers/three calls", Expected::Admitted, vec![three]);
}

fn threads(c: &mut Criterion) {
    let own = Arc::new(OwnLimiter::new(&ADMIT_ALL, Some(7)));
    let work = |sequence| own.work(EntryPoint::Check, sequence);
    let shared = vec![work(one_key()), work(one_key())];
    measure(c, "threads/2, one key", Expected::Admitted, shared);

    let keys = tollgate_peers::shuffled::<String>(2000, 1);
    let sequences: Vec<_> = keys.chunks(1000).map(|keys| KeySequence::new(keys.to_vec())).collect();
    let alone = vec![work(sequences[0].clone())];
    measure(c, "threads/1, 1000 keys", Expected::Admitted, alone);
    let disjoint = sequences.into_iter().map(work).collect();
    measure(c, "threads/2, 1000 keys each", Expected::Admitted, disjoint);
}

criterion_group!(near, hot, denied, exact, calendar, layers, threads);
criterion_main!(near);
