//! Keys that are in the nearest caches: what instructions and shared lines cost.

use criterion::{Criterion, criterion_group, criterion_main};
use std::sync::Arc;
use std::time::Duration;
use tollgate::{Clock, Period, Policy};
use tollgate_peers::{Answers, Contender, Layered, Own, Setting, Side, Tour, Way, Work, each};

const MINUTE: Duration = Duration::from_secs(60);
/// So wide that all requests are admitted.
const OPEN: Setting =
    Setting { limit: 20_000_000, window: Duration::from_millis(20), max_keys: 4096 };
/// Used up at once, and for longer than anything takes here.
const SHUT: Setting = Setting { limit: 20, window: Duration::from_secs(86_400), max_keys: 4096 };

fn one_key() -> Tour<String> {
    Tour::new(vec![String::from("0123456789abcdef"); 1024])
}

/// Measures these threads together: wall time per decision of all of them.
fn measure(c: &mut Criterion, name: &str, answers: Answers, threads: Vec<Work>) {
    let mut contender = Contender::new(name, Side::Own, answers, threads);
    c.bench_function(name, |bencher| {
        bencher.iter_custom(|decisions| {
            let (ns, _) = contender.slice(decisions as usize);
            Duration::from_nanos((ns * decisions as f64) as u64)
        });
    });
}

fn hot(c: &mut Criterion) {
    let own = Arc::new(Own::new(&OPEN, Some(7)));
    let coarse = Clock::coarse(Duration::from_millis(1)).expect("a thread can be started");
    let coarse = Arc::new(Own::with_clock(&OPEN, Some(7), coarse));
    let ways = [
        ("hot/one-shot", &own, Way::OneShot),
        ("hot/session", &own, Way::Session),
        ("hot/own now", &own, Way::OWN_NOW),
        ("hot/batch", &own, Way::Batch),
        ("hot/coarse clock", &coarse, Way::OneShot),
    ];
    for (name, own, way) in ways {
        measure(c, name, Answers::Admitted, vec![own.work(way, one_key())]);
    }
}

fn denied(c: &mut Criterion) {
    for (name, words) in [("denied/7 words", Some(7)), ("denied/exact 20", None)] {
        let own = Arc::new(Own::new(&SHUT, words));
        while own.check(&String::from("0123456789abcdef")) {}
        let work = || own.work(Way::OneShot, one_key());
        measure(c, name, Answers::Denied, vec![work()]);
        measure(c, &format!("{name}, 2 threads"), Answers::Denied, vec![work(), work()]);
    }
}

/// At three quarters of the limit, so that each request takes the place of one that expires.
fn exact(c: &mut Criterion) {
    for limit in [20, 100] {
        let own = Arc::new(Own::new(&Setting { limit, window: MINUTE, max_keys: 4096 }, None));
        let way = Way::OwnNow { step_ns: (MINUTE / limit * 4 / 3).as_nanos() as u64 };
        let name = format!("exact/{limit}");
        measure(c, &name, Answers::Admitted, vec![own.work(way, one_key())]);
    }
}

/// Calendar policies read the wall clock as well, unless the caller has.
fn calendar(c: &mut Criterion) {
    let policy = Policy::calendar("budget", 1 << 39, Period::Day);
    let own = Arc::new(Own::with_policy(policy, 4096, Clock::precise()));
    for (name, way) in [("calendar/one-shot", Way::OneShot), ("calendar/own now", Way::OWN_NOW)] {
        measure(c, name, Answers::Admitted, vec![own.work(way, one_key())]);
    }
}

fn layers(c: &mut Criterion) {
    let layered = Arc::new(Layered::new(4096));
    let one = each(layered.clone(), one_key(), Layered::one_call::<String>);
    measure(c, "layers/one call", Answers::Admitted, vec![one]);
    let three = each(layered, one_key(), Layered::three_calls::<String>);
    measure(c, "layers/three calls", Answers::Admitted, vec![three]);
}

fn threads(c: &mut Criterion) {
    let own = Arc::new(Own::new(&OPEN, Some(7)));
    let work = |tour| own.work(Way::OneShot, tour);
    let shared = vec![work(one_key()), work(one_key())];
    measure(c, "threads/2, one key", Answers::Admitted, shared);

    let keys = tollgate_peers::shuffled::<String>(2000, 1);
    let tours: Vec<_> = keys.chunks(1000).map(|keys| Tour::new(keys.to_vec())).collect();
    let alone = vec![work(tours[0].clone())];
    measure(c, "threads/1, 1000 keys", Answers::Admitted, alone);
    let disjoint = tours.into_iter().map(work).collect();
    measure(c, "threads/2, 1000 keys each", Answers::Admitted, disjoint);
}

criterion_group!(near, hot, denied, exact, calendar, layers, threads);
criterion_main!(near);
