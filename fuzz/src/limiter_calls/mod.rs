//! Any configuration, and any calls of what it makes: nothing panics and nothing wraps, errors come
//! when the limiter is built, no key is over its limit, and every answer is what the documentation
//! says.

mod account;
mod config;
mod kept;
mod plan;
mod request;
mod side;

use crate::Reached;
use arbitrary::{Arbitrary, Unstructured};
use config::{Setting, Stretch};
use kept::{Close, Kept};
use plan::{Act, Amounts, By, Line, Plan, Step, Turn, Verb, Whose};
use request::{Answer, Asked, Looked};
use side::{Entry, Side};
use tollgate::{
    Charge, ConfigError, Decision, MAX_CHARGES, MAX_RESERVED, ManualClock, Now, PolicyId,
    PolicyStatus, Reservation, Session,
};

pub const WANTED: [&str; 18] = [
    "allowed",
    "closed already",
    "closed in time",
    "denied",
    "evicted",
    "extended",
    "forced",
    "foreign",
    "impossible",
    "invalid",
    "migrated",
    "no limiter",
    "refunded",
    "reset",
    "table full",
    "uncounted",
    "wrong amounts",
    "wrong limit",
];

/// Calls that a flood makes, and reservations and sessions that are kept, in one run.
const MOST_FLOODED: usize = 2_000;
const MOST_KEPT: usize = 64;
const MOST_HELD: usize = 4;

/// # Panics
/// If a law does not hold.
pub fn run(data: &[u8]) -> Reached {
    let Ok(plan) = Plan::arbitrary_take_rest(Unstructured::new(data)) else {
        return Reached::new();
    };
    let settings = config::settings(&plan.config);
    let clocks = [ManualClock::new(), ManualClock::new()];
    let start = config::reading(plan.start);
    clocks.iter().for_each(|clock| clock.set(start));
    let limiters = clocks.each_ref().map(|clock| config::build(&plan.config, &settings, clock));
    let [Some(one), Some(other)] = &limiters else { return Reached::from(["no limiter"]) };
    let [clock, others_clock] = clocks;
    let sides = [Side::new(one, clock, &settings), Side::new(other, others_clock, &settings)];
    let mut scene = Scene {
        settings: &settings,
        sides,
        now: start,
        kept: Vec::new(),
        held: Vec::new(),
        flooded: 0,
        reached: Reached::new(),
    };
    plan.steps.iter().for_each(|step| scene.step(step));
    scene.finish()
}

/// Two limiters of one configuration, and what is in their callers' hands.
struct Scene<'l> {
    settings: &'l [Setting],
    sides: [Side<'l>; 2],
    now: Now,
    kept: Vec<Kept>,
    held: Vec<Session<'l>>,
    flooded: usize,
    reached: Reached,
}

impl<'l> Scene<'l> {
    fn step(&mut self, Step { by, act }: &Step) {
        let (by, now) = (*by, self.now);
        let place = usize::from(by.other);
        let others: Vec<PolicyId> = self.sides[1 - place].ids.clone();
        let side = &mut self.sides[place];
        side.note(now);
        match act {
            Act::Turn(turn) => self.now = self.turned(*turn),
            Act::Request { verb, lines, repeated } => {
                let count =
                    repeated.0.map_or(lines.len(), |more| lines.len() + usize::from(more % 40));
                let lines: Vec<Line> = lines.iter().cycle().take(count).copied().collect();
                self.request(by, *verb, &lines, &others);
            }
            Act::Extend { which, amounts } => self.extend(by, *which, amounts),
            Act::Settle { which, amounts } => {
                let Some(index) = self.index(*which) else { return };
                let actual = layered(amounts, &self.kept[index]);
                self.close(by, index, Close::Settle(&actual));
            }
            Act::Cancel { which } => {
                if let Some(index) = self.index(*which) {
                    self.close(by, index, Close::Cancel);
                }
            }
            Act::Forget { which } => {
                self.index(*which).map(|index| self.kept.swap_remove(index));
            }
            Act::Refund(line) => self.refund(place, line, &others),
            Act::Reset(line) => self.reset(place, line, &others),
            Act::SetLimit { policy, limit } => self.set_limit(place, *policy, limit.0, &others),
            Act::Flood { policy, keys, cost } => self.flood(place, *policy, *keys, *cost),
            Act::Maintain { slots } => {
                side.clock.set(now);
                side.limiter.maintain(usize::from(*slots));
            }
            Act::Stats => side.check_stats(),
            Act::Hold { on: true } if self.held.len() < MOST_HELD => {
                self.held.push(side.limiter.session_at(now));
            }
            Act::Hold { .. } => self.held.clear(),
        }
    }

    fn index(&self, which: u8) -> Option<usize> {
        usize::from(which).checked_rem(self.kept.len())
    }

    fn turned(&self, turn: Turn) -> Now {
        const HOUR_NS: u64 = 3_600_000_000_000;
        let Now { monotonic_ns, unix_ns } = self.now;
        let ahead = |ns: u64| Now::new(monotonic_ns.saturating_add(ns), unix_ns.saturating_add(ns));
        match turn {
            Turn::Millis(ms) => ahead(u64::from(ms) * 1_000_000),
            Turn::Ahead(ns) => ahead(ns.0),
            Turn::Back(ns) => {
                Now::new(monotonic_ns.saturating_sub(ns.0), unix_ns.saturating_sub(ns.0))
            }
            Turn::Windows { policy, quarters, more_ns } => {
                let setting = &self.settings[usize::from(policy) % self.settings.len()];
                let length_ns = match setting.stretch {
                    Stretch::Window(window) => window.as_nanos() as u64,
                    Stretch::Calendar { period, .. } => period.longest().as_nanos() as u64,
                };
                let Now { monotonic_ns, unix_ns } =
                    ahead((length_ns / 4).saturating_mul(quarters.into()));
                let more = |ns: u64| ns.saturating_add_signed(more_ns.into());
                Now::new(more(monotonic_ns), more(unix_ns))
            }
            Turn::Hours(hours) => ahead(u64::from(hours) * HOUR_NS),
            Turn::To(reading) => config::reading(reading),
        }
    }

    fn request(&mut self, by: By, verb: Verb, lines: &[Line], others: &[PolicyId]) {
        let (side, now) = (&mut self.sides[usize::from(by.other)], self.now);
        let charges: Vec<Charge<'static>> =
            lines.iter().map(|line| charge(side, line, others)).collect();
        let entries: Option<Vec<Entry>> = lines.iter().map(|line| entry(side, line)).collect();
        let reserves = matches!(verb, Verb::Reserve | Verb::ReserveWithStatus);
        let most = if reserves { MAX_RESERVED } else { MAX_CHARGES };
        let entries = entries.filter(|entries| entries.len() <= most);
        let asked = Asked { now, charges: &charges, entries: entries.as_deref() };
        // Longer and shorter than the request in turn, as callers may have it.
        let mut layers = vec![PolicyStatus::default(); lines.len() + lines.len() % 2];
        let (looked, decision, reservation) = call(side, by, verb, &asked, &mut layers);
        let shown =
            matches!(verb, Verb::CheckWithStatus | Verb::PeekWithStatus | Verb::ReserveWithStatus);
        let answer = Answer { decision, layers: shown.then_some(&layers) };
        match verb {
            Verb::Charge => side.judge_forced(&asked, &decision, &mut self.reached),
            Verb::Peek | Verb::PeekWithStatus => {
                assert_eq!(looked.decision, decision);
                if let Some(entries) = asked.entries {
                    side.check_possible(entries, &decision);
                    side.check_with_status(entries, &answer);
                }
            }
            _ => side.judge(&asked, &looked, &answer, &mut self.reached),
        }
        if let (Some(reservation), Some(entries)) = (reservation, entries)
            && self.kept.len() < MOST_KEPT
        {
            let kept = keep(reservation, by.other, entries, (side, now));
            kept.check();
            self.kept.push(kept);
        }
    }

    fn extend(&mut self, by: By, which: u8, amounts: &Amounts) {
        let Some(index) = self.index(which) else { return };
        let kept = &mut self.kept[index];
        let more = layered(amounts, kept);
        let side = &mut self.sides[usize::from(by.other)];
        kept.extend((side, by.other), self.now, &more, &mut self.reached);
    }

    fn close(&mut self, by: By, index: usize, close: Close<'_>) {
        let side = &mut self.sides[usize::from(by.other)];
        self.kept[index].close((side, by.other), self.now, close, &mut self.reached);
    }

    fn refund(&mut self, place: usize, line: &Line, others: &[PolicyId]) {
        let side = &mut self.sides[place];
        let given = side.limiter.session_at(self.now).refund(&charge(side, line, others));
        let Some(entry) = entry(side, line) else {
            assert!(given.is_err(), "{given:?} for a policy of another limiter");
            return;
        };
        match given.expect("a policy of this limiter") {
            0 => {}
            given => {
                assert!(given <= line.cost.0);
                side.account(&entry).refund(entry.key, given);
                self.reached.insert("refunded");
            }
        }
    }

    fn reset(&mut self, place: usize, line: &Line, others: &[PolicyId]) {
        let side = &mut self.sides[place];
        let session = side.limiter.session_at(self.now);
        let reset = session.reset_key(id(side, line.policy, others), side::key(line.key.0));
        drop(session);
        let entry = entry(side, line);
        assert_eq!(reset.is_ok(), entry.is_some());
        if let Some(entry) = entry {
            side.account(&entry).reset(entry.key);
            let left = side.limiter.session_at(self.now).peek(&[charge(
                side,
                &Line { cost: plan::Number(0), ..*line },
                others,
            )]);
            assert_eq!(left.remaining, left.limit, "a key that was reset has used something");
            self.reached.insert("reset");
        }
    }

    fn set_limit(&mut self, place: usize, policy: Whose, limit: u64, others: &[PolicyId]) {
        let side = &mut self.sides[place];
        let id = id(side, policy, others);
        let outcome = side.limiter.set_limit(id, limit);
        let Whose::Own(own) = policy else {
            assert_eq!(outcome, Err(ConfigError::UnknownPolicy { value: id.index() }));
            assert!(side.limiter.limit(id).is_err() && side.limiter.stats(id).is_err());
            return;
        };
        let own = usize::from(own) % side.ids.len();
        let known = &mut side.known[own];
        if (1..=known.setting.greatest).contains(&limit) {
            assert_eq!(outcome, Ok(()));
            known.limit = limit;
        } else {
            let error = outcome.expect_err("a limit out of range");
            assert!(matches!(error, ConfigError::Limit { .. } | ConfigError::MaxLimit { .. }));
            self.reached.insert("wrong limit");
        }
        assert_eq!(side.limiter.limit(id), Ok(known.limit));
    }

    /// So many keys that were never used before, one after the other.
    fn flood(&mut self, place: usize, policy: u8, keys: u8, cost: u8) {
        let side = &mut self.sides[place];
        let policy = usize::from(policy) % side.ids.len();
        for _ in 0..usize::from(keys).min(MOST_FLOODED - self.flooded) {
            self.flooded += 1;
            let key = 256 + self.flooded as u32;
            let entries = [Entry { policy, key, cost: cost.into(), limit: None }];
            let charges = [side.charge(&entries[0])];
            let asked = Asked { now: self.now, charges: &charges, entries: Some(&entries) };
            let session = side.limiter.session_at(self.now);
            let looked = Looked::new(&session, &charges);
            let decision = session.check(&charges);
            drop(session);
            let answer = Answer { decision, layers: None };
            side.judge(&asked, &looked, &answer, &mut self.reached);
        }
    }

    fn finish(mut self) -> Reached {
        self.held.clear();
        self.kept.iter().for_each(Kept::check);
        for side in &self.sides {
            side.check_stats();
            for id in &side.ids {
                let stats = side.limiter.stats(*id).expect("a policy of this limiter");
                let more = [("migrated", stats.migrations), ("evicted", stats.evictions)];
                self.reached.extend(more.into_iter().filter(|(_, n)| *n > 0).map(|(name, _)| name));
            }
        }
        self.reached
    }
}

/// Calls the verb, after a peek; through the session or through the limiter and its own clock.
fn call(
    side: &Side<'_>,
    by: By,
    verb: Verb,
    asked: &Asked<'_>,
    layers: &mut [PolicyStatus],
) -> (Looked, Decision, Option<Reservation>) {
    let (limiter, charges) = (side.limiter, asked.charges);
    side.clock.set(asked.now);
    let session = limiter.session_at(asked.now);
    let looked = Looked::new(&session, charges);
    macro_rules! by_either {
        ($verb:ident($($argument:expr),*)) => {
            if by.own_clock { limiter.$verb($($argument),*) } else { session.$verb($($argument),*) }
        };
    }
    let reserved = match verb {
        Verb::Check => Err(by_either!(check(charges))),
        Verb::CheckWithStatus => Err(by_either!(check_with_status(charges, layers))),
        Verb::Peek => Err(by_either!(peek(charges))),
        Verb::PeekWithStatus => Err(by_either!(peek_with_status(charges, layers))),
        Verb::Charge => Err(by_either!(force_charge(charges))),
        Verb::Reserve => by_either!(reserve(charges)),
        Verb::ReserveWithStatus => by_either!(reserve_with_status(charges, layers)),
    };
    match reserved {
        Ok(reservation) => (looked, reservation.decision(), Some(reservation)),
        Err(decision) => (looked, decision, None),
    }
}

fn keep(
    reservation: Reservation,
    other: bool,
    entries: Vec<Entry>,
    (side, now): (&Side<'_>, Now),
) -> Kept {
    // What a policy let through uncounted is not charged, and only the reservation knows which.
    let full = reservation.decision().table_full;
    let charged = entries.iter().enumerate().map(|(layer, entry)| {
        let uncounted = full && side.lets_overflow(entry);
        if uncounted { reservation.charged(layer).expect("a layer") } else { entry.cost }
    });
    let charged = charged.collect();
    let last = entries.iter().map(|entry| side.span(entry, now)).collect();
    Kept { reservation, other, entries, charged, last, open: true }
}

/// The line's policy, of whichever limiter.
fn id(side: &Side<'_>, policy: Whose, others: &[PolicyId]) -> PolicyId {
    match policy {
        Whose::Own(place) => side.ids[usize::from(place) % side.ids.len()],
        Whose::Others(place) => others[usize::from(place) % others.len()],
        Whose::Nobodys => PolicyId::default(),
    }
}

fn charge(side: &Side<'_>, line: &Line, others: &[PolicyId]) -> Charge<'static> {
    let charge = id(side, line.policy, others).charge(side::key(line.key.0), line.cost.0);
    match line.limit.0 {
        Some(limit) => charge.limit(limit.0),
        None => charge,
    }
}

/// The line as one of this limiter's policies, if it is that.
fn entry(side: &Side<'_>, line: &Line) -> Option<Entry> {
    let Whose::Own(place) = line.policy else { return None };
    let policy = usize::from(place) % side.ids.len();
    let limit = line.limit.0.map(|limit| limit.0);
    Some(Entry { policy, key: line.key.0, cost: line.cost.0, limit })
}

/// One amount for each layer, unless the plan has it otherwise.
fn layered(amounts: &Amounts, kept: &Kept) -> Vec<u64> {
    let mut amounts_given: Vec<u64> = amounts.amounts.iter().map(|amount| amount.0).collect();
    if amounts.as_they_are.0.is_none() {
        amounts_given.resize(kept.entries.len(), 1);
    }
    amounts_given
}
