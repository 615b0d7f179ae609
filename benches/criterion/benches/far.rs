//! Many keys: what memory costs. They are inserted in another random order than they are visited.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::cell::LazyCell;
use std::env;
use std::sync::Arc;
use std::time::Duration;
use tollgate_peers::{Answers, Contender, Own, Setting, Side, Tour, Way, shuffled, uniform, zipf};

const WAYS: [(&str, Way); 4] = [
    ("one-shot", Way::OneShot),
    ("session", Way::Session),
    ("own now", Way::OWN_NOW),
    ("batch", Way::Batch),
];

/// Makes the keys to be visited: how many there are, how many visits, and a seed.
type Visits = fn(usize, usize, u64) -> Vec<String>;

const ORDERS: [(&str, Visits); 2] = [("uniform", uniform), ("zipf", zipf)];

/// Fewer in criterion's test mode, which asks whether benches run, and not how fast.
fn sizes() -> [(&'static str, usize); 3] {
    let only_tested = env::args().any(|argument| argument == "--test");
    let million = if only_tested { 10_000 } else { 1_000_000 };
    [("1k", 1000), ("1M", million), ("10M", million * 10)]
}

/// So wide that all requests are admitted, and all keys stay live.
fn setting(keys: usize) -> Setting {
    Setting { limit: 200_000_000, window: Duration::from_secs(1200), max_keys: keys * 8 / 5 }
}

fn filled(keys: usize) -> Arc<Own> {
    let own = Own::new(&setting(keys), Some(7));
    for key in shuffled::<String>(keys, 1) {
        own.check(&key);
    }
    own.settle();
    Arc::new(own)
}

/// What is not asked for on the command line is not made either.
fn known_keys(c: &mut Criterion) {
    for (size, keys) in sizes() {
        let own = LazyCell::new(|| filled(keys));
        for (order, visits) in ORDERS {
            let tour = LazyCell::new(|| Tour::new(visits(keys, (keys * 4).min(1 << 23), 2)));
            for (way, how) in WAYS {
                let name = format!("{size} {order}/{way}");
                c.bench_function(&name, |bencher| {
                    let work = own.work(how, tour.clone());
                    let mut contender =
                        Contender::new(&name, Side::Own, Answers::Admitted, vec![work]);
                    bencher.iter_custom(|decisions| {
                        let (ns, _) = contender.slice(decisions as usize);
                        Duration::from_nanos((ns * decisions as f64) as u64)
                    });
                });
            }
        }
    }
}

/// A thousand new keys into an empty limiter: it grows some times, a few keys each.
fn new_keys(c: &mut Criterion) {
    let keys = shuffled::<String>(1000, 1);
    c.bench_function("new/1000 keys", |bencher| {
        bencher.iter_batched(
            || Own::new(&setting(1_000_000), Some(7)),
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
