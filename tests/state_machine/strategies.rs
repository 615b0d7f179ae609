//! Random calls at the critical points: edges of windows and periods, limits just met, late clocks,
//! and tables that grow and shrink.

use super::call_sequences::SHRINKABLE_KEYS;
use super::model::{Call, Config, Cost, END, HOUR, Model, PolicyConfig, Transition};
use super::oracle::{Item, Kind};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use tollgate::{MAX_LIMIT, Overflow};

const DAY: u64 = 24 * HOUR;
const WINDOWS: [u64; 6] = [1_000_000, 10_000_000, 1_000_000_007, 60_000_000_000, DAY, 400 * DAY];
/// The earliest reading of any clock. Earlier, the monotonic clock would be negative.
const BEGINNING: u64 = 30 * HOUR;
/// A table with this `max_keys` is never full.
pub const NEVER_FULL: usize = 10_000;
/// Up to this number of keys, one call scans the whole table for room.
pub const FULLY_SCANNED: usize = 190;
/// The number of keys that are charged one by one.
pub const SINGLE_KEYS: u64 = 4;
/// The first key charged in bulk.
pub const FIRST_BULK_KEY: u64 = 1_000;

fn policy(limit: u64, factor: u64, kind: Kind, buckets: Option<u32>) -> PolicyConfig {
    let greatest = limit.saturating_mul(factor).min(MAX_LIMIT);
    let (max_keys, overflow) = (NEVER_FULL, Overflow::Deny);
    PolicyConfig { limit, greatest, kind, buckets, max_keys, overflow, unit: 1, dry_run: false }
}

fn sliding() -> impl Strategy<Value = Kind> {
    select(WINDOWS.to_vec()).prop_map(Kind::Sliding)
}

fn policies() -> impl Strategy<Value = Vec<PolicyConfig>> {
    let small = (1u64..=8, 1u64..4, sliding())
        .prop_map(|(limit, factor, kind)| policy(limit, factor, kind, None));
    let exact = (1u64..=127, 1u64..4, sliding()).prop_map(|(limit, factor, kind)| {
        let policy = policy(limit, factor, kind, None);
        PolicyConfig { greatest: policy.greatest.min(127), ..policy }
    });
    let fixed = (1u64..=50, 1u64..5, select(vec![HOUR, DAY]))
        .prop_map(|(limit, factor, length)| policy(limit, factor, Kind::Fixed(length), None));
    let large = select(vec![8u64, 100, 1_000, 100_000, 1 << 32, MAX_LIMIT / 2, MAX_LIMIT]);
    let bucketed = (large, 1u64..3, sliding(), select(vec![7u32, 7, 15, 23, 31, 47, 63, 95, 127]))
        .prop_map(|(limit, factor, kind, buckets)| policy(limit, factor, kind, Some(buckets)));
    prop::collection::vec(prop_oneof![4 => small, 2 => exact, 2 => fixed, 3 => bucketed], 1..4)
}

/// A policy's `max_keys`, whether it evicts, and whether it is a dry run.
fn bounds() -> impl Strategy<Value = (usize, bool, bool)> {
    let keys = prop_oneof![
        3 => Just(NEVER_FULL), 1 => 2usize..6, 1 => 6usize..40, 1 => 100usize..190, 1 => 300usize..1_500
    ];
    (keys, any::<bool>(), prop::bool::weighted(0.25))
}

pub fn config() -> impl Strategy<Value = Config> {
    let bounds = prop::collection::vec(bounds(), 3);
    let setup = (policies(), bounds, any::<[bool; 3]>());
    let start = select(vec![2 * DAY, 472_222 * HOUR + 1, 20_000 * DAY - 500_000]);
    // A multiple of every policy's unit that is no multiple of an hour.
    let monotonic_lag = (0u64..10).prop_map(|steps| steps << 43);
    (setup, start, monotonic_lag, 2usize..=4, any::<u64>()).prop_map(
        |(
            (mut policies, bounds, [allows_overflow, peeks_after_calls, small_steps]),
            start,
            monotonic_lag,
            threads,
            seed,
        )| {
            for (policy, (max_keys, evicts, dry_run)) in policies.iter_mut().zip(bounds) {
                policy.dry_run = dry_run;
                let allowance = policy.limit.div_ceil(2);
                policy.max_keys = max_keys;
                policy.overflow = match (allows_overflow, evicts) {
                    (true, _) => Overflow::Allow,
                    (false, true) => Overflow::EvictLightest { allowance },
                    (false, false) => Overflow::Deny,
                };
            }
            Config {
                policies,
                start,
                monotonic_lag,
                threads,
                seed,
                peeks_after_calls,
                small_steps,
                planted: None,
            }
        },
    )
}

/// The denominator of a random share of a range.
const SHARE: u64 = 1 << 16;

fn part(whole: u64, share: u64) -> u64 {
    ((u128::from(whole) * u128::from(share)) / u128::from(SHARE)) as u64
}

/// A cost: mostly a small part of the limit, sometimes 0, the limit, or more.
fn cost(limit: u64) -> BoxedStrategy<u64> {
    let up_to = move |most: u64| (0..=SHARE).prop_map(move |share| part(most, share));
    prop_oneof![
        6 => up_to(limit / 4).prop_map(|cost| cost.max(1)),
        2 => Just(1),
        2 => up_to(limit),
        1 => Just(limit),
        1 => Just(0),
        1 => up_to(limit / 4).prop_map(move |cost| limit + cost),
    ]
    .boxed()
}

/// One key is charged most often, so that its ring fills.
fn single_key() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0), 2 => 0..SINGLE_KEYS]
}

fn item(model: &Model) -> BoxedStrategy<Item> {
    let items = model.config.policies.iter().enumerate().map(|(rule, policy)| {
        let own_limit = (0..=policy.greatest.saturating_add(2)).prop_map(Some);
        let limit = prop_oneof![6 => Just(None), 1 => own_limit];
        (Just(rule), single_key(), cost(policy.limit), limit).boxed()
    });
    Union::new(items).boxed()
}

fn items(model: &Model) -> BoxedStrategy<Vec<Item>> {
    prop_oneof![
        2 => prop::collection::vec(item(model), 1),
        3 => prop::collection::vec(item(model), 1..4),
    ]
    .boxed()
}

/// A reading near a window's edge, or a small or large step.
fn instant(model: &Model, thread: usize) -> BoxedStrategy<u64> {
    let now = model.clocks[thread];
    let kinds = model.config.policies.iter().map(|policy| {
        let (length, unit) = (policy.kind.length(), policy.unit);
        let forward = (0..SHARE).prop_map(move |share| now + part(length / 8, share));
        let few_units = (0..5u64).prop_map(move |units| now + units * unit);
        let back = (0..SHARE).prop_map(move |share| now.saturating_sub(part(2 * length, share)));
        let whole_lengths =
            (1..4u64, 0..3u64).prop_map(move |(lengths, by)| now + lengths * length + by);
        let steps = prop_oneof![5 => forward, 2 => few_units, 2 => back, 1 => whole_lengths];
        let small_step = (1..=SHARE).prop_map(move |share| now + part(length / 32, share));
        let weight = if model.config.small_steps { 60 } else { 1 };
        prop_oneof![6 => steps, 5 => edge(model, policy), weight => small_step].boxed()
    });
    let another = select(model.clocks.clone());
    prop_oneof![8 => Union::new(kinds), 1 => another]
        .prop_map(|at| at.clamp(BEGINNING, END))
        .boxed()
}

/// A reading within a few units of the expiry of an earlier charge.
fn edge(model: &Model, policy: &PolicyConfig) -> BoxedStrategy<u64> {
    let (unit, kind) = (policy.unit, policy.recorded_kind());
    let around = (-1i64..=2, -1i64..=1);
    (select(model.call_times.clone()), around)
        .prop_map(move |(call_time, (units, nanos))| {
            let call_time =
                if let Kind::Sliding(_) = kind { call_time - call_time % unit } else { call_time };
            kind.expiry(call_time).saturating_add_signed(units * unit as i64 + nanos)
        })
        .boxed()
}

/// A reading so far ahead that an array's time ends: multiples of a quarter of its time field.
fn far(model: &Model) -> BoxedStrategy<u64> {
    let newest = model.clocks.iter().copied().max().unwrap_or_default();
    let fields: Vec<(u64, u64)> = model
        .config
        .policies
        .iter()
        .filter_map(|policy| Some((policy.field()?, policy.kind.length())))
        .collect();
    if fields.is_empty() {
        return Just(newest).boxed();
    }
    (select(fields), 1..8u64, -1i64..=1, -2i64..=2)
        .prop_map(move |((field, window), quarters, windows, nanos)| {
            let ahead = (field / 4).saturating_mul(quarters);
            let by = windows.saturating_mul(window as i64) + nanos;
            newest.saturating_add(ahead).saturating_add_signed(by).clamp(BEGINNING, END)
        })
        .boxed()
}

fn clocks(model: &Model, thread: usize) -> BoxedStrategy<Call> {
    prop_oneof![
        12 => instant(model, thread).prop_map(Call::SetClock),
        5 => instant(model, thread).prop_map(Call::SetAllClocks),
        1 => far(model).prop_map(Call::SetAllClocks),
        1 => far(model).prop_map(Call::SetClock),
    ]
    .boxed()
}

/// A call on a reservation.
fn reservation_call(model: &Model) -> BoxedStrategy<Call> {
    let which =
        move |newest: usize| prop_oneof![3 => newest.saturating_sub(3)..newest, 1 => 0..newest];
    let most = model.config.policies.iter().map(|policy| policy.limit).max().unwrap_or(1);
    let amount = || cost(most / 2 + 1);
    let actual = move || {
        prop_oneof![
            4 => (0..=100u64).prop_map(Cost::Less),
            2 => Just(Cost::Equal),
            2 => cost(most / 2 + 1).prop_map(Cost::More),
        ]
    };
    let newest = model.reserved;
    prop_oneof![
        4 => (which(newest), [amount(), amount(), amount()])
            .prop_map(|(which, more)| Call::Extend(which, more)),
        4 => (which(newest), [actual(), actual(), actual()])
            .prop_map(|(which, costs)| Call::Settle(which, costs)),
        1 => which(newest).prop_map(Call::Cancel),
        1 => which(newest).prop_map(Call::Misuse),
    ]
    .boxed()
}

/// A call on one policy.
fn policy_call(model: &Model) -> BoxedStrategy<Call> {
    let calls = model.config.policies.iter().enumerate().map(|(rule, policy)| {
        let count = prop_oneof![6 => 1..20u64, 2 => 20..250u64, 1 => 250..1_500u64];
        let first = (0..4u64).prop_map(|block| FIRST_BULK_KEY + block * 400);
        let few = cost(policy.limit / 4 + 1);
        let again = cost(policy.limit / 2 + 1);
        let evict_reserved = if policy.max_keys <= FULLY_SCANNED { 3 } else { 1 };
        prop_oneof![
            8 => (single_key(), cost(policy.limit))
                .prop_map(move |(key, cost)| Call::Refund(rule, key, cost)),
            1 => single_key().prop_map(move |key| Call::Reset(rule, key)),
            1 => (single_key(), 2..24u64).prop_map(move |(key, times)| Call::ChargeAndRefund(rule, key, times)),
            2 => (0..=policy.greatest).prop_map(move |limit| Call::SetLimit(rule, limit)),
            1 => Just(Call::SetLimit(rule, policy.limit)),
            evict_reserved => (single_key(), again, 1..4usize).prop_map(move |(key, cost, rounds)| {
                Call::EvictReserved(rule, key, cost, rounds)
            }),
            1 => Just(Call::RefillExpired(rule)),
            1 => Just(if policy.max_keys < SHRINKABLE_KEYS { Call::Audit } else { Call::FillAndIdle(rule) }),
            1 => (first, count, few)
                .prop_map(move |(first, count, cost)| Call::ChargeKeys(rule, first, count, cost)),
        ]
        .boxed()
    });
    Union::new(calls).boxed()
}

pub fn transition(model: &Model) -> BoxedStrategy<Transition> {
    let thread = 0..model.config.threads;
    let model = model.clone();
    thread
        .prop_flat_map(move |thread| {
            let reservation_call = if model.reserved > 0 {
                reservation_call(&model)
            } else {
                Just(Call::Audit).boxed()
            };
            let call = prop_oneof![
                28 => items(&model).prop_map(Call::Check),
                4 => items(&model).prop_map(Call::Peek),
                2 => items(&model).prop_map(Call::Charge),
                10 => items(&model).prop_map(Call::Reserve),
                u32::from(model.reserved > 0) * 15 + 1 => reservation_call,
                12 => policy_call(&model),
                2 => (0..400usize).prop_map(Call::Maintain),
                1 => Just(Call::Audit),
                20 => clocks(&model, thread),
            ];
            call.prop_map(move |call| Transition { thread, call })
        })
        .boxed()
}
