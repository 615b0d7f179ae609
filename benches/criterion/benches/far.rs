//! Many keys: the cost of memory. Keys are inserted in one random order and used in another.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::cell::LazyCell;
use std::env;
use std::sync::Arc;
use std::time::Duration;
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

/// Numbers of keys; fewer in criterion's test mode, which only checks that the benchmarks run.
fn sizes() -> [(&'static str, usize); 3] {
    let test_mode = env::args().any(|argument| argument == "--test");
    let million = if test_mode { 10_000 } else { 1_000_000 };
    [("1k", 1000), ("1M", million), ("10M", million * 10)]
}

/// A limit that admits all requests, with a window in which all keys stay live.
fn setting(keys: usize) -> Setting {
    Setting { limit: 200_000_000, window: Duration::from_secs(1200), max_keys: keys * 8 / 5 }
}

fn filled(keys: usize) -> Arc<OwnLimiter> {
    let own = OwnLimiter::new(&setting(keys), Some(7));
    for key in shuffled::<String>(keys, 1) {
        own.check(&key);
    }
    own.compact();
    Arc::new(own)
}

/// Limiters and sequences are created lazily: only for the benchmarks that run.
fn known_keys(c: &mut Criterion) {
    for (size, keys) in sizes() {
        let own = LazyCell::new(|| filled(keys));
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

/// A thousand new keys into an empty limiter, including its growth.
fn new_keys(c: &mut Criterion) {
    let keys = shuffled::<String>(1000, 1);
    c.bench_function("new/1000 keys", |bencher| {
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

criterion_group!(far, known_keys, new_keys);
criterion_main!(far);
