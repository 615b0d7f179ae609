//! Calls at random, aimed at where things change: the edges of windows and periods, limits just
//! met, clocks that are late, tables that grow and shrink.

use super::reference::{Kind, Line};
use super::scene::{Call, Config, Cost, END, HOUR, Scene, Shape, Transition};
use super::stories::MANY;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use tollgate::{MAX_LIMIT, Overflow};

const DAY: u64 = 24 * HOUR;
const WINDOWS: [u64; 6] = [1_000_000, 10_000_000, 1_000_000_007, 60_000_000_000, DAY, 400 * DAY];
/// No clock goes back further: the monotonic one would show less than nothing.
const BEGINNING: u64 = 30 * HOUR;
/// A table with so much room is never full.
pub const ROOMY: usize = 10_000;
/// Up to so many keys one call looks at all when it wants room.
pub const SMALL: usize = 190;
/// Keys that are asked for one by one.
pub const REGULARS: u64 = 4;
/// The first of those that come in crowds.
pub const STRANGERS: u64 = 1_000;

fn shape(limit: u64, more: u64, kind: Kind, buckets: Option<u32>) -> Shape {
    let greatest = limit.saturating_mul(more).min(MAX_LIMIT);
    let (max_keys, overflow) = (ROOMY, Overflow::Deny);
    Shape { limit, greatest, kind, buckets, max_keys, overflow, unit: 1 }
}

fn sliding() -> impl Strategy<Value = Kind> {
    select(WINDOWS.to_vec()).prop_map(Kind::Sliding)
}

fn shapes() -> impl Strategy<Value = Vec<Shape>> {
    let small = (1u64..=8, 1u64..4, sliding())
        .prop_map(|(limit, more, kind)| shape(limit, more, kind, None));
    let exact = (1u64..=127, 1u64..4, sliding()).prop_map(|(limit, more, kind)| {
        let shape = shape(limit, more, kind, None);
        Shape { greatest: shape.greatest.min(127), ..shape }
    });
    let fixed = (1u64..=50, 1u64..5, select(vec![HOUR, DAY]))
        .prop_map(|(limit, more, length)| shape(limit, more, Kind::Fixed(length), None));
    let large = select(vec![8u64, 100, 1_000, 100_000, 1 << 32, MAX_LIMIT / 2, MAX_LIMIT]);
    let bucketed = (large, 1u64..3, sliding(), select(vec![7u32, 7, 15, 31, 63, 127]))
        .prop_map(|(limit, more, kind, buckets)| shape(limit, more, kind, Some(buckets)));
    prop::collection::vec(prop_oneof![4 => small, 2 => exact, 2 => fixed, 3 => bucketed], 1..4)
}

/// How many keys a policy has room for, and what happens to more.
fn bounds() -> impl Strategy<Value = (usize, bool)> {
    let keys = prop_oneof![
        3 => Just(ROOMY), 1 => 2usize..6, 1 => 6usize..40, 1 => 100usize..190, 1 => 300usize..1_500
    ];
    (keys, any::<bool>())
}

pub fn config() -> impl Strategy<Value = Config> {
    let bounds = prop::collection::vec(bounds(), 3);
    let make = (shapes(), bounds, any::<[bool; 3]>());
    let start = select(vec![2 * DAY, 472_222 * HOUR + 1, 20_000 * DAY - 500_000]);
    // Whole units of every policy's time, and no whole hours.
    let behind = (0u64..10).prop_map(|steps| steps * 10_000_000_000_000);
    (make, start, behind, 2usize..=4, any::<u64>()).prop_map(
        |((mut shapes, bounds, [lenient, probing, calm]), start, behind, threads, seed)| {
            for (shape, (max_keys, evicts)) in shapes.iter_mut().zip(bounds) {
                let allowance = shape.limit.div_ceil(2);
                shape.max_keys = max_keys;
                shape.overflow = match (lenient, evicts) {
                    (true, _) => Overflow::Allow,
                    (false, true) => Overflow::EvictLightest { allowance },
                    (false, false) => Overflow::Deny,
                };
            }
            Config { shapes, start, behind, threads, seed, probing, calm, wrong: None }
        },
    )
}

/// A number below this, for `pick` to take a share of a range with.
const SHARE: u64 = 1 << 16;

fn part(whole: u64, share: u64) -> u64 {
    ((u128::from(whole) * u128::from(share)) / u128::from(SHARE)) as u64
}

/// A cost: mostly a small part of the limit, now and then nothing, all, or too much.
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

/// One of them is asked for most often, so that its ring fills.
fn regular() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0), 2 => 0..REGULARS]
}

fn line(scene: &Scene) -> BoxedStrategy<Line> {
    let lines = scene.config.shapes.iter().enumerate().map(|(rule, shape)| {
        let own = (0..=shape.greatest.saturating_add(2)).prop_map(Some);
        let own = prop_oneof![6 => Just(None), 1 => own];
        (Just(rule), regular(), cost(shape.limit), own).boxed()
    });
    Union::new(lines).boxed()
}

fn lines(scene: &Scene) -> BoxedStrategy<Vec<Line>> {
    prop_oneof![
        2 => prop::collection::vec(line(scene), 1),
        3 => prop::collection::vec(line(scene), 1..4),
    ]
    .boxed()
}

/// The instants worth going to.
fn instant(scene: &Scene, thread: usize) -> BoxedStrategy<u64> {
    let now = scene.clocks[thread];
    let kinds = scene.config.shapes.iter().map(|shape| {
        let (length, unit) = (shape.kind.length(), shape.unit);
        let on = (0..SHARE).prop_map(move |share| now + part(length / 8, share));
        let little = (0..5u64).prop_map(move |units| now + units * unit);
        let back = (0..SHARE).prop_map(move |share| now.saturating_sub(part(2 * length, share)));
        let rest = (1..4u64, 0..3u64).prop_map(move |(lengths, by)| now + lengths * length + by);
        let turns = prop_oneof![5 => on, 2 => little, 2 => back, 1 => rest];
        let crawl = (1..=SHARE).prop_map(move |share| now + part(length / 32, share));
        let calm = if scene.config.calm { 60 } else { 1 };
        prop_oneof![6 => turns, 5 => edge(scene, shape), calm => crawl].boxed()
    });
    let another = select(scene.clocks.clone());
    prop_oneof![8 => Union::new(kinds), 1 => another]
        .prop_map(|at| at.clamp(BEGINNING, END))
        .boxed()
}

/// Around the instant at which what was charged before expires: a unit, or a nanosecond.
fn edge(scene: &Scene, shape: &Shape) -> BoxedStrategy<u64> {
    let (unit, kind) = (shape.unit, shape.kind);
    let around = (-1i64..=2, -1i64..=1);
    (select(scene.marks.clone()), around)
        .prop_map(move |(mark, (units, little))| {
            let mark = if let Kind::Sliding(_) = kind { mark - mark % unit } else { mark };
            kind.expiry(mark).saturating_add_signed(units * unit as i64 + little)
        })
        .boxed()
}

/// So far ahead that an array's time ends: three quarters of its field, or more.
fn far(scene: &Scene) -> BoxedStrategy<u64> {
    let newest = scene.clocks.iter().copied().max().unwrap_or_default();
    let fields: Vec<(u64, u64)> = scene
        .config
        .shapes
        .iter()
        .filter_map(|shape| Some((shape.field()?, shape.kind.length())))
        .collect();
    if fields.is_empty() {
        return Just(newest).boxed();
    }
    (select(fields), 1..8u64, -1i64..=1, -2i64..=2)
        .prop_map(move |((field, window), quarters, windows, little)| {
            let on = (field / 4).saturating_mul(quarters);
            let by = windows.saturating_mul(window as i64) + little;
            newest.saturating_add(on).saturating_add_signed(by).clamp(BEGINNING, END)
        })
        .boxed()
}

fn clocks(scene: &Scene, thread: usize) -> BoxedStrategy<Call> {
    prop_oneof![
        12 => instant(scene, thread).prop_map(Call::Clock),
        5 => instant(scene, thread).prop_map(Call::Clocks),
        1 => far(scene).prop_map(Call::Clocks),
        1 => far(scene).prop_map(Call::Clock),
    ]
    .boxed()
}

/// Calls that need a reservation.
fn paid(scene: &Scene) -> BoxedStrategy<Call> {
    let which =
        move |newest: usize| prop_oneof![3 => newest.saturating_sub(3)..newest, 1 => 0..newest];
    let most = scene.config.shapes.iter().map(|shape| shape.limit).max().unwrap_or(1);
    let amount = || cost(most / 2 + 1);
    let paid = move || {
        prop_oneof![
            4 => (0..=100u64).prop_map(Cost::Less),
            2 => Just(Cost::Equal),
            2 => cost(most / 2 + 1).prop_map(Cost::More),
        ]
    };
    let newest = scene.reserved;
    prop_oneof![
        4 => (which(newest), [amount(), amount(), amount()])
            .prop_map(|(which, more)| Call::Extend(which, more)),
        4 => (which(newest), [paid(), paid(), paid()])
            .prop_map(|(which, costs)| Call::Settle(which, costs)),
        1 => which(newest).prop_map(Call::Cancel),
        1 => which(newest).prop_map(Call::Misuse),
    ]
    .boxed()
}

/// Calls about one rule.
fn ruled(scene: &Scene) -> BoxedStrategy<Call> {
    let calls = scene.config.shapes.iter().enumerate().map(|(rule, shape)| {
        let count = prop_oneof![6 => 1..20u64, 2 => 20..250u64, 1 => 250..1_500u64];
        let first = (0..4u64).prop_map(|block| STRANGERS + block * 400);
        let few = cost(shape.limit / 4 + 1);
        let again = cost(shape.limit / 2 + 1);
        let squeeze = if shape.max_keys <= SMALL { 3 } else { 1 };
        prop_oneof![
            8 => (regular(), cost(shape.limit))
                .prop_map(move |(key, cost)| Call::Refund(rule, key, cost)),
            1 => regular().prop_map(move |key| Call::Reset(rule, key)),
            1 => (regular(), 2..24u64).prop_map(move |(key, times)| Call::Flap(rule, key, times)),
            2 => (1..=shape.greatest).prop_map(move |limit| Call::SetLimit(rule, limit)),
            1 => Just(Call::SetLimit(rule, shape.limit)),
            squeeze => (regular(), again, 1..4usize).prop_map(move |(key, cost, rounds)| {
                Call::Squeeze(rule, key, cost, rounds)
            }),
            1 => Just(Call::Turnover(rule)),
            1 => Just(if shape.max_keys < MANY { Call::Audit } else { Call::Exodus(rule) }),
            1 => (first, count, few)
                .prop_map(move |(first, count, cost)| Call::Crowd(rule, first, count, cost)),
        ]
        .boxed()
    });
    Union::new(calls).boxed()
}

pub fn transition(scene: &Scene) -> BoxedStrategy<Transition> {
    let thread = 0..scene.config.threads;
    let scene = scene.clone();
    thread
        .prop_flat_map(move |thread| {
            let paid = if scene.reserved > 0 { paid(&scene) } else { Just(Call::Audit).boxed() };
            let call = prop_oneof![
                28 => lines(&scene).prop_map(Call::Check),
                4 => lines(&scene).prop_map(Call::Peek),
                2 => lines(&scene).prop_map(Call::Charge),
                10 => lines(&scene).prop_map(Call::Reserve),
                u32::from(scene.reserved > 0) * 15 + 1 => paid,
                12 => ruled(&scene),
                2 => (0..400usize).prop_map(Call::Maintain),
                1 => Just(Call::Audit),
                20 => clocks(&scene, thread),
            ];
            call.prop_map(move |call| Transition { thread, call })
        })
        .boxed()
}
