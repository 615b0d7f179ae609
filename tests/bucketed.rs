//! Guarantees A and B for bucketed policies: never over the limit, an exact `retry_after`, and charges
//! that expire late by less than the span of a bucket.

mod oracle;

use oracle::{assert_never_over, cases};
use proptest::prelude::*;
use std::time::Duration;
use tollgate::{Limiter, MAX_LIMIT, ManualClock, Now, Policy, PolicyId};

const BUCKETS: [u32; 8] = [7, 15, 23, 31, 47, 63, 95, 127];
const WINDOWS_MS: [u64; 6] = [1, 7, 1_000, 61_234, 86_400_000, 400 * 86_400_000];

/// Builds a limiter with one policy, on a manual clock at 0.
fn limiter(limit: u64, window: Duration, buckets: u32) -> (Limiter, PolicyId) {
    let policy = Policy::sliding("p", limit, window).buckets(buckets);
    let limiter = Limiter::builder().policy(policy).clock(ManualClock::new()).build().unwrap();
    let id = limiter.policy("p").unwrap();
    (limiter, id)
}

#[derive(Clone, Debug)]
struct Traffic {
    limit: u64,
    buckets: u32,
    window: Duration,
    /// For each request: the gap before it in 2^20ths of a window, whether its clock steps back,
    /// and its cost in 2^20ths of the limit.
    requests: Vec<(u64, bool, u64)>,
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let gap = prop_oneof![3 => 0u64..1 << 12, 6 => 0u64..1 << 16, 2 => 0u64..1 << 21, 1 => Just(0)];
    let back = prop::bool::weighted(0.1);
    let request = (gap, back, prop_oneof![8 => 0u64..1 << 16, 1 => 0u64..=1 << 20]);
    let limit = (0u32..=40, 0u64..1 << 40).prop_map(|(bits, low)| (low >> (40 - bits)).max(1));
    let shape = (
        limit,
        prop::sample::select(BUCKETS.to_vec()),
        prop::sample::select(WINDOWS_MS.to_vec()).prop_map(Duration::from_millis),
    );
    (shape, prop::collection::vec(request, 1..400)).prop_map(
        |((limit, buckets, window), requests)| Traffic {
            limit: limit.min(MAX_LIMIT),
            buckets,
            window,
            requests,
        },
    )
}

/// The first time from `now` on at which the live ones of these charges cost at most `most`.
fn fits_at(charges: &[(u64, u64)], now: u64, window: u64, most: u64) -> u64 {
    let mut live: Vec<_> = charges.iter().filter(|(time, _)| time + window > now).collect();
    live.sort();
    let mut used: u64 = live.iter().map(|(_, cost)| cost).sum();
    let mut fits_at = now;
    for (time, cost) in live {
        if used <= most {
            break;
        }
        used -= cost;
        fits_at = time + window;
    }
    fits_at
}

/// Returns `part` 2^20ths of `whole`.
fn part(whole: u64, part: u64) -> u64 {
    ((whole as u128 * part as u128) >> 20) as u64
}

proptest! {
    #![proptest_config(cases(1_000))]

    /// Guarantees A and B: no window holds more than the limit. A denied request is admitted exactly
    /// `retry_after` later, and not earlier. A log of the admitted charges would admit it earlier by less
    /// than the span of a bucket.
    #[test]
    fn never_over_the_limit_and_retry_after_is_exact(traffic in traffic(), sooner in 0.0f64..1.0) {
        let (limiter, id) = limiter(traffic.limit, traffic.window, traffic.buckets);
        let window = u64::try_from(traffic.window.as_nanos()).unwrap();
        let resolution = limiter.resolution(id).unwrap().as_nanos() as u64;
        prop_assert!(resolution <= window / 256, "{resolution} of {window}");
        let (mut clock, mut newest) = (window, 0);
        let mut admitted = Vec::new();
        for (gap, back, share) in traffic.requests {
            clock += part(window, gap);
            let now = if back { clock - part(window, gap / 2).min(clock) } else { clock };
            let cost = part(traffic.limit, share).clamp(1, traffic.limit);
            let at = |now: u64| limiter.session_at(Now::from_unix_nanos(now));
            let peeked = at(now).peek(&[id.charge("k", cost)]);
            let decision = at(now).check(&[id.charge("k", cost)]);
            prop_assert_eq!(peeked.verdict, decision.verdict);
            prop_assert_eq!(peeked.retry_after(), decision.retry_after());
            if decision.is_allowed() {
                // A reading earlier than the newest charge is recorded as that charge's time.
                newest = newest.max(now);
                admitted.push((newest, cost));
                prop_assert_eq!(decision.remaining, peeked.remaining - cost);
                let reset = newest.max(now) + decision.reset_after_ns;
                let free = at(reset).peek(&[id.charge("k", 1)]);
                prop_assert_eq!(free.remaining, traffic.limit);
            } else if let Some(wait) = decision.retry_after_ns {
                // A log of the admitted charges would have room at `log_fits_at`. Buckets have room later
                // by less than the span of a bucket, up to rounding.
                let log_fits_at = fits_at(&admitted, now.max(newest), window, traffic.limit - cost);
                let slack = window / u64::from(traffic.buckets - 1) + 4 * resolution;
                prop_assert!(wait > 0 && now + wait >= log_fits_at, "{wait}");
                prop_assert!(now + wait <= log_fits_at + slack, "{wait}, {log_fits_at}, {slack}");
                for early in [(wait as f64 * sooner) as u64, wait - 1] {
                    let early = at(now + early.min(wait - 1)).peek(&[id.charge("k", cost)]);
                    prop_assert!(!early.is_allowed());
                }
                prop_assert!(at(now + wait).peek(&[id.charge("k", cost)]).is_allowed());
            }
        }
        assert_never_over(&admitted, window, traffic.limit);
    }

    /// Guarantee B: a burst at one instant expires one window later, up to the resolution.
    #[test]
    fn a_burst_expires_after_one_window(
        buckets in prop::sample::select(BUCKETS.to_vec()),
        window in prop::sample::select(WINDOWS_MS.to_vec()).prop_map(Duration::from_millis),
        start in 0u64..1 << 40,
    ) {
        let limit = 1_000_000;
        let (limiter, id) = limiter(limit, window, buckets);
        let check = |now: u64, cost: u64| {
            limiter.session_at(Now::from_unix_nanos(now)).check(&[id.charge("k", cost)])
        };
        prop_assert!(check(start, limit).is_allowed());
        let wait = check(start, 1).retry_after().unwrap();
        prop_assert!(wait <= window + 2 * limiter.resolution(id).unwrap());
        prop_assert!(wait + limiter.resolution(id).unwrap() >= window);
    }
}
