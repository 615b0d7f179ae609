//! Guarantees A and C with real threads on few keys: never over the limit, no charge lost, all or
//! nothing.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;
use tollgate::{Limiter, ManualClock, Now, Period, Policy, PolicyId, Verdict};

const THREADS: usize = 4;
const MILLI: u64 = 1_000_000;

fn limiter(policies: &[Policy]) -> (Limiter, Vec<PolicyId>) {
    let builder = Limiter::builder().clock(ManualClock::new()).max_keys(64);
    let builder = policies.iter().cloned().fold(builder, |builder, policy| builder.policy(policy));
    let limiter = builder.build().unwrap();
    let ids = policies.iter().map(|policy| limiter.policy(policy.name()).unwrap()).collect();
    (limiter, ids)
}

/// Guarantee A: in each round all threads send more requests at one instant than the limit allows.
/// Exactly the limit is admitted. Rounds are more than a window apart.
#[test]
fn each_round_admits_exactly_the_limit() {
    let shapes = [(7, 1), (20, 1), (100, 1), (1_000, 3), (1 << 32, 1 << 20)];
    for (limit, cost) in shapes {
        let (limiter, ids) = limiter(&[Policy::sliding("p", limit, Duration::from_millis(1))]);
        let resolution = limiter.resolution(ids[0]).unwrap().as_nanos() as u64;
        let barrier = Barrier::new(THREADS);
        let admitted: Vec<AtomicU64> = (0..300).map(|_| AtomicU64::new(0)).collect();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for (round, sum) in admitted.iter().enumerate() {
                        barrier.wait();
                        let now = 10 * MILLI + round as u64 * (MILLI + 2 * resolution);
                        for _ in 0..limit / cost + 10 {
                            let session = limiter.session_at(Now::from_unix_nanos(now));
                            let decision = session.check(&[ids[0].charge("k", cost)]);
                            if decision.is_allowed() {
                                sum.fetch_add(cost, Relaxed);
                            } else if decision.verdict == Verdict::Denied && limit > 1_000 {
                                break;
                            }
                        }
                    }
                });
            }
        });
        for (round, sum) in admitted.iter().enumerate() {
            assert_eq!(sum.load(Relaxed), limit / cost * cost, "round {round}, limit {limit}");
        }
    }
}

/// Guarantee A: each thread advances a shared clock. Each admission is logged with a reading before
/// and after it. The charges that surely lie in one window are within the limit.
#[test]
fn never_over_while_the_clock_runs() {
    let (limit, window) = (50, MILLI);
    for limit in [limit, 40 * limit] {
        let (limiter, ids) = limiter(&[Policy::sliding("p", limit, Duration::from_nanos(window))]);
        let clock = AtomicU64::new(10 * MILLI);
        let mut admitted: Vec<(u64, u64)> = std::thread::scope(|scope| {
            let worker = || {
                let mut log = Vec::new();
                for turn in 0..150_000_u64 {
                    let now = clock.fetch_add(1 + turn % 64, Relaxed);
                    let session = limiter.session_at(Now::from_unix_nanos(now));
                    if session.check(&[ids[0].charge("k", 1)]).is_allowed() {
                        log.push((now, clock.load(Relaxed)));
                    }
                }
                log
            };
            let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
        });
        assert!(admitted.len() as u64 > 10 * limit, "{}", admitted.len());
        // A charge is recorded between its own `now` and the clock's reading after the call.
        admitted.sort_unstable();
        for (index, (start, _)) in admitted.iter().enumerate() {
            let inside = admitted[index..]
                .iter()
                .take_while(|(now, _)| now - start < window)
                .filter(|(_, end)| end - start < window);
            assert!(inside.count() as u64 <= limit, "over-admitted after {start}");
        }
    }
}

/// Guarantee C: requests over three policies with different limits. An admitted request is charged
/// in each policy, a denied one in none.
#[test]
fn policies_agree_under_contention() {
    let minute = Duration::from_secs(60);
    let (limiter, ids) = limiter(&[
        Policy::sliding("wide", 100_000, minute),
        Policy::sliding("user", 100, minute),
        Policy::calendar("day", 150, Period::Day),
    ]);
    let admitted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS as u64 {
            let (limiter, ids, admitted) = (&limiter, &ids, &admitted);
            scope.spawn(move || {
                for turn in 0..20_000 {
                    let session = limiter.session_at(Now::from_unix_nanos(MILLI));
                    let user = (thread + turn) % 2;
                    let charges =
                        [ids[0].charge("all", 1), ids[1].charge(user, 1), ids[2].charge("all", 1)];
                    admitted.fetch_add(u64::from(session.check(&charges).is_allowed()), Relaxed);
                }
            });
        }
    });
    let session = limiter.session_at(Now::from_unix_nanos(MILLI));
    let used = |id: PolicyId, key: &str| {
        limiter.limit(id).unwrap() - session.peek(&[id.charge(key, 0)]).remaining
    };
    let users: u64 = [0_u64, 1]
        .iter()
        .map(|user| 100 - session.peek(&[ids[1].charge(*user, 0)]).remaining)
        .sum();
    let admitted = admitted.load(Relaxed);
    assert_eq!(admitted, 150, "the day's budget is spent exactly");
    assert_eq!([used(ids[0], "all"), users, used(ids[2], "all")], [admitted; 3]);
}

/// Concurrent refunds and charges: the final usage is exactly what was charged and not refunded.
#[test]
fn refunds_under_contention_are_exact() {
    for limit in [100, 1 << 20] {
        let (limiter, ids) = limiter(&[Policy::sliding("p", limit, Duration::from_secs(60))]);
        let kept = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let session = limiter.session_at(Now::from_unix_nanos(MILLI));
                    for turn in 0..50_000 {
                        if session.check(&[ids[0].charge("k", 3)]).is_allowed() {
                            let given = session.refund(&ids[0].charge("k", 2 + turn % 2)).unwrap();
                            kept.fetch_add(3_u64.wrapping_sub(given), Relaxed);
                        }
                    }
                });
            }
        });
        let session = limiter.session_at(Now::from_unix_nanos(MILLI));
        let used = limit - session.peek(&[ids[0].charge("k", 0)]).remaining;
        assert_eq!(used, kept.load(Relaxed));
    }
}

/// Work that a thread does in a thread-local destructor.
struct AtEnd(RefCell<Option<Box<dyn FnOnce()>>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            work();
        }
    }
}

thread_local!(static AT_END: AtEnd = const { AtEnd(RefCell::new(None)) });

/// The statistics lose no decision that a thread makes in its last destructor, after those of the
/// library, while a newer thread reuses its shard.
#[test]
fn decisions_of_an_ending_thread_are_counted() {
    const TURNS: u64 = 300_000;
    let (limiter, ids) = limiter(&[Policy::sliding("p", 1, Duration::from_secs(1))]);
    let (limiter, id) = (Arc::new(limiter), ids[0]);
    let decide = {
        let limiter = limiter.clone();
        move |turns: u64| {
            let session = limiter.session_at(Now::from_unix_nanos(10 * MILLI));
            (0..turns).for_each(|_| _ = session.check(&[id.charge("k", 1)]));
        }
    };
    let barrier = Arc::new(Barrier::new(2));
    let ending = {
        let (decide, barrier) = (decide.clone(), barrier.clone());
        thread::spawn(move || {
            let first = decide.clone();
            let at_end = move || {
                // The other thread makes its first decision between these two waits.
                barrier.wait();
                barrier.wait();
                decide(TURNS);
            };
            // Initialized before the library's thread-locals, so destroyed after them.
            AT_END.with(|work| work.0.replace(Some(Box::new(at_end))));
            first(1);
        })
    };
    let next = thread::spawn(move || {
        barrier.wait();
        decide(1);
        barrier.wait();
        decide(TURNS);
    });
    // `join` returns after the destructors of the thread.
    ending.join().unwrap();
    next.join().unwrap();
    let stats = limiter.stats(id).unwrap();
    assert_eq!((stats.admitted, stats.denied), (1, 2 * TURNS + 1), "{stats:?}");
}
