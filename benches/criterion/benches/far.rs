//! Many keys: the cost of memory. Keys are inserted in random order. Known keys are then drawn at random.

use criterion::{BatchSize, Criterion, SamplingMode, criterion_group, criterion_main};
use std::cell::LazyCell;
use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tollgate_peers::{
    Contender, EntryPoint, Expected, KeySequence, OwnLimiter, Setting, Side, shuffled, uniform,
    zipf,
};

const ENTRY_POINTS: [(&str, EntryPoint); 4] = [
    ("check", EntryPoint::Check),
    ("session", EntryPoint::Session),
    ("check_at", EntryPoint::CHECK_AT),
    ("check_many", EntryPoint::CheckMany),
];

/// Creates a key sequence from the number of keys, its length and a seed.
type NewSequence = fn(usize, usize, u64) -> Vec<String>;

const ORDERS: [(&str, NewSequence); 2] = [("uniform", uniform), ("zipf", zipf)];

/// A million keys; fewer in criterion's test mode, which only checks that the benchmarks run.
fn million() -> usize {
    let test_mode = env::args().any(|argument| argument == "--test");
    if test_mode { 10_000 } else { 1_000_000 }
}

/// A limit that admits all requests, with a window in which all keys stay live.
fn setting(keys: usize) -> Setting {
    Setting { limit: 200_000_000, window: Duration::from_secs(1200), max_keys: keys * 8 / 5 }
}

/// A limiter with live keys. If it is `maintained`, `Limiter::maintain` has been called until it was
/// done; otherwise the limiter is as the inserts leave it.
fn filled(keys: usize, maintained: bool) -> Arc<OwnLimiter> {
    let own = OwnLimiter::new(&setting(keys), Some(7));
    for key in shuffled::<String>(keys, 1) {
        own.check(&key);
    }
    if maintained {
        own.maintain();
    }
    Arc::new(own)
}

/// Decisions about known keys. Limiters and sequences are created lazily: only for the benchmarks that
/// run.
fn known_keys(c: &mut Criterion) {
    let (million, ten_million) = (million(), million() * 10);
    let sizes = [
        ("1M text keys", million, false),
        ("1M text keys maintained", million, true),
        ("10M text keys maintained", ten_million, true),
    ];
    for (size, keys, maintained) in sizes {
        let own = LazyCell::new(|| filled(keys, maintained));
        for (order, new_sequence) in ORDERS {
            let sequence =
                LazyCell::new(|| KeySequence::new(new_sequence(keys, (keys * 4).min(1 << 23), 2)));
            for (name, entry) in ENTRY_POINTS {
                let name = format!("{size} {order}/{name}");
                c.bench_function(&name, |bencher| {
                    let work = own.work(entry, sequence.clone());
                    let mut contender =
                        Contender::new(&name, Side::Own, Expected::Admitted, vec![work]);
                    bencher.iter_custom(|decisions| {
                        let (ns, _) = contender.measure_slice(decisions as usize);
                        Duration::from_nanos((ns * decisions as f64) as u64)
                    });
                });
            }
        }
    }
}

/// A thousand new keys into an empty limiter, including its growth. The time is that of all inserts.
fn new_keys(c: &mut Criterion) {
    let keys = shuffled::<String>(1000, 1);
    c.bench_function("new/1000 text keys", |bencher| {
        bencher.iter_batched(
            || OwnLimiter::new(&setting(1_000_000), Some(7)),
            |own| {
                assert!(keys.iter().all(|key| own.check(key)));
                own
            },
            BatchSize::SmallInput,
        );
    });
}

/// A million new keys into an empty limiter. The time is that of one insert.
fn a_million_new_keys(c: &mut Criterion) {
    let keys = LazyCell::new(|| shuffled::<String>(million(), 1));
    let mut group = c.benchmark_group("new");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.bench_function("1M text keys", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut took = Duration::ZERO;
            for _ in 0..rounds {
                let own = OwnLimiter::new(&setting(keys.len()), Some(7));
                let start = Instant::now();
                assert!(keys.iter().all(|key| own.check(key)));
                took += start.elapsed();
            }
            took / keys.len() as u32
        });
    });
    group.finish();
}

criterion_group!(far, known_keys, new_keys, a_million_new_keys);
criterion_main!(far);
