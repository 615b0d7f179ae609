//! The limiter and the books beside it: each call is made, judged, and written down.

use super::books::Books;
use super::reference::gate::{Desk, Gate};
use super::reference::{Line, Part, Reserved, Stand, answer, conclude, stand};
use super::scene::{Call, Config, Cost, Scene, Transition, Wrong};
use super::table::Tables;
use std::cell::Cell;
use std::collections::BTreeMap;
use tollgate::{Charge, Decision, PolicyId, PolicyStatus, Reservation, ReservationError, Verdict};

/// The most layers of a request.
const LAYERS: usize = 3;

/// A reservation, and the textbook's.
#[derive(Debug)]
pub(super) struct Held {
    reservation: Reservation,
    book: Reserved,
}

#[derive(Debug)]
pub struct World {
    pub(super) config: Config,
    pub(super) gate: Gate,
    pub(super) ids: Vec<PolicyId>,
    pub(super) books: Books,
    pub(super) tables: Tables,
    pub(super) held: Vec<Option<Held>>,
}

thread_local! {
    /// How often what has happened, over all cases of this thread.
    pub static SEEN: Cell<Seen> = const { Cell::new(Seen::NOTHING) };
}

/// What a run must have met, or it has shown nothing.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub admitted: u64,
    pub denied: u64,
    pub refused: u64,
    pub uncounted: u64,
    pub evicted: u64,
    pub migrations: u64,
    pub shrunk: u64,
    pub settled: u64,
    /// Extensions without room.
    pub stopped: u64,
    /// Calls by a thread whose clock was behind another's.
    pub late: u64,
    /// Charges for which a ring may have merged two times.
    pub merged: u64,
}

impl Seen {
    const NOTHING: Seen = Seen {
        admitted: 0,
        denied: 0,
        refused: 0,
        uncounted: 0,
        evicted: 0,
        migrations: 0,
        shrunk: 0,
        settled: 0,
        stopped: 0,
        late: 0,
        merged: 0,
    };
}

/// Counts something that was met.
pub fn saw(what: impl FnOnce(&mut Seen)) {
    let mut seen = SEEN.get();
    what(&mut seen);
    SEEN.set(seen);
}

impl World {
    pub fn new(scene: &Scene) -> Self {
        let config = scene.config.clone();
        let fault = match config.wrong {
            Some(Wrong::Limiter(fault)) => Some(fault),
            _ => None,
        };
        let gate = Gate::new(config.limiter(), fault);
        let ids = (0..config.shapes.len())
            .map(|place| gate.limiter.policy(&format!("p{place}")).unwrap())
            .collect();
        let (books, tables) = (Books::new(&config), Tables::new(&config));
        World { config, gate, ids, books, tables, held: Vec::new() }
    }

    pub(super) fn at(&self, now: u64) -> Desk<'_> {
        self.gate.at(self.config.now(now))
    }

    pub fn apply(&mut self, scene: &Scene, Transition { thread, call }: Transition) {
        let now = scene.clocks[thread];
        if scene.clocks.iter().any(|other| *other > now) {
            saw(|seen| seen.late += 1);
        }
        match call {
            Call::Check(lines) => drop(self.check(now, &self.lines(&lines))),
            Call::Peek(lines) => self.peek(now, &self.lines(&lines)),
            Call::Charge(lines) => self.charge(now, &self.lines(&lines)),
            Call::Refund(rule, key, cost) => self.refund(now, rule, key, cost),
            Call::Reserve(lines) => self.reserve(now, &self.lines(&lines)),
            Call::Extend(which, more) => self.extend(now, which, &more),
            Call::Settle(which, costs) => self.settle(now, which, Some(&costs)),
            Call::Cancel(which) => self.settle(now, which, None),
            Call::Misuse(which) => self.misuse(now, which),
            Call::Reset(rule, key) => {
                self.at(now).reset_key(self.ids[rule], key);
                self.books.reset(rule, key);
            }
            Call::SetLimit(rule, limit) => {
                self.gate.limiter.set_limit(self.ids[rule], limit).unwrap();
                assert_eq!(self.gate.limiter.limit(self.ids[rule]), Ok(limit));
                self.books.set_limit(rule, limit);
            }
            Call::Maintain(budget) => drop(self.at(now).session().maintain(budget)),
            Call::Flap(rule, key, times) => self.flap(now, rule, key, times),
            Call::Squeeze(rule, key, cost, rounds) => {
                (0..rounds).for_each(|round| self.squeeze(now, (rule, key, cost, None), round));
            }
            Call::Crowd(rule, first, count, cost) => self.crowd(now, rule, first, count, cost),
            Call::Turnover(rule) => self.turnover(now, rule),
            Call::Exodus(rule) => self.exodus(now, rule),
            Call::Audit => self.audit(now),
            Call::Clock(_) | Call::Clocks(_) => {}
        }
        self.look_at_tables(now);
    }

    /// Limits cut as the limiter cuts them. A table that may be full is asked for one key a
    /// request, so that a refusal tells which.
    fn lines(&self, lines: &[Line]) -> Vec<Line> {
        let line = |&(rule, key, cost, limit): &Line| {
            let first = lines.iter().find(|line| line.0 == rule).map_or(key, |line| line.1);
            let key = if self.tables.may_be_full(rule) { first } else { key };
            let greatest = self.config.shapes[rule].greatest;
            (rule, key, cost, limit.map(|limit: u64| limit.min(greatest)))
        };
        lines.iter().map(line).collect()
    }

    fn charges(&self, lines: &[Line]) -> Vec<Charge<'static>> {
        let charge = |(rule, key, cost, limit): &Line| {
            let charge = self.ids[*rule].charge(*key, *cost);
            limit.map_or(charge, |limit| charge.limit(limit))
        };
        lines.iter().map(charge).collect()
    }

    /// What the limiter says that a key has used. All of it: no debt here goes beyond the greatest
    /// limit.
    pub(super) fn used(&self, now: u64, rule: usize, key: u64) -> u64 {
        let line = (rule, key, 0, Some(self.config.shapes[rule].greatest));
        let decision = self.at(now).session().peek(&self.charges(&[line]));
        decision.limit - decision.remaining
    }

    /// What each key of the lines has used.
    fn uses(&self, now: u64, lines: &[Line]) -> BTreeMap<(usize, u64), u64> {
        let counters = lines.iter().map(|line| (line.0, line.1));
        counters.map(|(rule, key)| ((rule, key), self.used(now, rule, key))).collect()
    }

    /// What each layer of a reservation has used.
    fn uses_of(&self, now: u64, book: &Reserved) -> Uses {
        self.uses(now, &book.lines(&[0; LAYERS]))
    }

    /// Charges that stay within what the limiter tells: a debt beyond the greatest limit cannot be
    /// looked at.
    fn within_sight(&self, now: u64, lines: &[Line]) -> Vec<Line> {
        let mut uses = self.uses(now, lines);
        let within = |&(rule, key, cost, limit): &Line| {
            let used = uses.get_mut(&(rule, key)).unwrap();
            let cost = cost.min(self.config.shapes[rule].greatest.saturating_sub(*used));
            *used += cost;
            (rule, key, cost, limit)
        };
        lines.iter().map(within).collect()
    }

    /// Judges an answer by what it says of each layer.
    fn judge(&self, now: u64, lines: &[Line], decision: &Decision, layers: &[PolicyStatus]) {
        let told: Vec<Stand> = layers.iter().map(stand).collect();
        let allowed = decision.is_allowed();
        let bounds =
            if allowed { self.books.after(now, lines) } else { self.books.before(now, lines) };
        bounds.iter().zip(&told).for_each(|(bounds, told)| bounds.assert_hold(told));
        assert_eq!(answer(decision), conclude(lines, &told), "the decision is not its layers'");
        let policies = layers.iter().map(|layer| layer.policy.index());
        assert!(policies.eq(lines.iter().map(|line| line.0)));
        self.assert_waits(now, lines, decision);
    }

    /// Denied before `retry_after` and allowed at it; something is used before `reset_after` and
    /// nothing at it.
    fn assert_waits(&self, now: u64, lines: &[Line], decision: &Decision) {
        let peek = |at: u64, charges: &[Charge<'_>]| self.at(at).session().peek(charges);
        if let Some(wait) = decision.retry_after_ns {
            let charges = self.charges(lines);
            assert!(!peek(now + wait - 1, &charges).is_allowed(), "room before retry_after");
            assert!(peek(now + wait, &charges).is_allowed(), "no room at retry_after");
        }
        let first = lines.iter().find(|line| line.0 == decision.policy.index());
        let alone = lines.iter().filter(|line| line.0 == decision.policy.index()).count() == 1;
        let (Some(line), true) = (first, alone) else { return };
        let used = |at| self.used(at, line.0, line.1);
        let reset = decision.reset_after_ns;
        assert_eq!(used(now + reset), 0, "something is used at reset_after");
        assert!(reset == 0 || used(now + reset - 1) > 0, "nothing is used before reset_after");
    }

    /// Those of the lines that were counted: a policy that lets new keys pass where its table is
    /// full counts nothing of them.
    fn counted(&self, now: u64, lines: &[Line], decision: &Decision, before: &Uses) -> Vec<Line> {
        let mut after = if decision.table_full { self.uses(now, lines) } else { Uses::new() };
        let counted = |&(rule, key, cost, limit): &Line| {
            let Some(used) = after.get_mut(&(rule, key)).filter(|_| cost > 0) else {
                return (rule, key, cost, limit);
            };
            let counted = (*used - before[&(rule, key)]).min(cost);
            assert!(counted == cost || self.tables.lets_overflow(rule), "{lines:?}");
            *used -= counted;
            saw(|seen| seen.uncounted += u64::from(counted == 0));
            (rule, key, counted, limit)
        };
        lines.iter().map(counted).collect()
    }

    /// What was used before, where that has to be known to see what was charged.
    fn uses_before(&self, now: u64, lines: &[Line]) -> Uses {
        let unsure = |rule| self.tables.lets_overflow(rule) || self.tables.evicts(rule);
        let unsure = lines.iter().any(|line| unsure(line.0));
        if unsure { self.uses(now, lines) } else { Uses::new() }
    }

    /// Writes down a request that was decided, and judges it.
    fn decided(
        &mut self,
        now: u64,
        lines: &[Line],
        decision: &Decision,
        layers: &[PolicyStatus],
        before: &Uses,
    ) {
        match decision.verdict {
            Verdict::Allowed => {
                let room = self.books.before(now, lines).iter().all(|bounds| bounds.has_room());
                assert!(room, "admitted what the log of all admissions denies: {lines:?}");
                let counted = self.counted(now, lines, decision, before);
                counted.iter().for_each(|line| self.books.charge(now, line));
                lines.iter().for_each(|line| self.tables.passed(line.0));
                self.judge(now, lines, decision, layers);
                saw(|seen| seen.admitted += 1);
            }
            Verdict::Denied | Verdict::Impossible => {
                self.judge(now, lines, decision, layers);
                for layer in layers.iter().filter(|layer| layer.violated) {
                    self.tables.denied(layer.policy.index());
                }
                saw(|seen| seen.denied += 1);
            }
            Verdict::TableFull => self.refused(now, lines, decision),
            verdict => panic!("{verdict:?} of a valid request: {lines:?}"),
        }
    }

    pub(super) fn check(&mut self, now: u64, lines: &[Line]) -> Decision {
        let before = self.uses_before(now, lines);
        let mut layers = [PolicyStatus::default(); LAYERS];
        let layers = &mut layers[..lines.len()];
        let decision = self.at(now).check(&self.charges(lines), layers);
        self.decided(now, lines, &decision, layers, &before);
        decision
    }

    fn peek(&self, now: u64, lines: &[Line]) {
        let mut layers = [PolicyStatus::default(); LAYERS];
        let layers = &mut layers[..lines.len()];
        let decision = self.at(now).session().peek_with_status(&self.charges(lines), layers);
        let told: Vec<Stand> = layers.iter().map(stand).collect();
        let bounds = self.books.before(now, lines);
        bounds.iter().zip(&told).for_each(|(bounds, told)| bounds.assert_hold(told));
        assert_eq!(answer(&decision), conclude(lines, &told));
    }

    /// A new key that found no place: nothing is charged, and those before it were undone.
    fn refused(&mut self, now: u64, lines: &[Line], decision: &Decision) {
        let rule = decision.policy.index();
        let place = lines.iter().position(|line| line.0 == rule && line.2 > 0).unwrap();
        let (live, _) = self.books.live(rule, now);
        assert_eq!(self.books.early.used(rule, lines[place].1, now), 0, "a known key is refused");
        self.tables.assert_full(rule, &self.stats(now, rule), live);
        self.assert_no_room(now, rule);
        for line in &lines[..place] {
            self.books.touch(now, line);
        }
        self.tables.refused(now, rule);
        saw(|seen| seen.refused += 1);
    }

    fn charge(&mut self, now: u64, lines: &[Line]) {
        let lines = self.within_sight(now, lines);
        let before = self.uses_before(now, &lines);
        let decision = self.at(now).session().force_charge(&self.charges(&lines));
        if decision.verdict == Verdict::TableFull {
            return self.refused(now, &lines, &decision);
        }
        let counted = self.counted(now, &lines, &decision, &before);
        counted.iter().for_each(|line| self.books.charge(now, line));
        lines.iter().for_each(|line| self.tables.passed(line.0));
        self.assert_charged(now, &lines, &decision);
    }

    /// Judges the answer to what was charged without asking.
    fn assert_charged(&self, now: u64, lines: &[Line], decision: &Decision) {
        assert_eq!(decision.verdict, Verdict::Allowed);
        if self.books.all_sharp(now, lines) {
            assert_eq!(answer(decision), self.books.early.least(now, lines), "{lines:?}");
        }
    }

    pub(super) fn refund(&mut self, now: u64, rule: usize, key: u64, cost: u64) {
        let used = self.used(now, rule, key);
        let given = self.at(now).session().refund(&self.ids[rule].charge(key, cost)).unwrap();
        assert_eq!(given, used.min(cost));
        let due = self.books.refund(now, (rule, key), given);
        assert!(due == given || !self.books.is_sharp(now, (rule, key)), "{due} of {given}");
    }

    pub(super) fn reserve(&mut self, now: u64, lines: &[Line]) {
        let before = self.uses_before(now, lines);
        let mut layers = [PolicyStatus::default(); LAYERS];
        let layers = &mut layers[..lines.len()];
        let reserved = self.at(now).reserve(&self.charges(lines), layers);
        let reservation = match reserved {
            Ok(reservation) => reservation,
            Err(decision) => {
                assert!(!decision.is_allowed());
                self.decided(now, lines, &decision, layers, &before);
                return self.held.push(None);
            }
        };
        // As a check, but that the books remember for what it was charged.
        let room = self.books.before(now, lines).iter().all(|bounds| bounds.has_room());
        assert!(room, "reserved what the log of all admissions denies: {lines:?}");
        let mut book = Reserved::new(lines);
        for (place, part) in book.parts.iter_mut().enumerate() {
            let charged = reservation.charged(place).unwrap();
            let lenient = charged == 0 && self.tables.lets_overflow(part.rule);
            assert!(charged == lines[place].2 || lenient, "{charged} charged of {lines:?}");
            self.books.charge_part(now, part, charged);
            self.tables.passed(part.rule);
        }
        self.judge(now, lines, &reservation.decision(), layers);
        saw(|seen| seen.admitted += 1);
        self.held.push(Some(Held { reservation, book }));
    }

    /// Takes a reservation out, if there is one; the caller puts it back.
    fn take(&mut self, which: usize) -> Option<Held> {
        self.held.get_mut(which)?.take()
    }

    fn extend(&mut self, now: u64, which: usize, more: &[u64]) {
        let Some(mut held) = self.take(which) else { return };
        let more = &more[..held.book.parts.len()];
        let lines = held.book.lines(more);
        let charges = self.charges(&lines);
        let mut layers = [PolicyStatus::default(); LAYERS];
        let layers = &mut layers[..lines.len()];
        let before = self.uses_before(now, &lines);
        let room = self.at(now).session().peek_with_status(&charges, layers).is_allowed();
        let extended = self.at(now).extend(&mut held.reservation, &charges, more);
        match extended {
            Err(error) => {
                assert_eq!((error, held.book.open), (ReservationError::Closed, false));
            }
            Ok(decision) if decision.is_allowed() => {
                let bounds = self.books.before(now, &lines);
                assert!(bounds.iter().all(|bounds| bounds.has_room()), "extended: {lines:?}");
                for (place, part) in held.book.parts.iter_mut().enumerate() {
                    let charged = held.reservation.charged(place).unwrap() - part.charged();
                    let lenient = charged == 0 && self.tables.lets_overflow(part.rule);
                    assert!(charged == more[place] || lenient, "{charged} charged of {lines:?}");
                    self.books.charge_part(now, part, charged);
                    self.tables.passed(part.rule);
                }
                assert!(room, "a look found no room");
                self.assert_charged(now, &lines, &decision);
            }
            Ok(decision) => {
                assert!(held.book.open);
                self.decided(now, &lines, &decision, layers, &before);
                saw(|seen| seen.stopped += 1);
            }
        }
        self.held[which] = Some(held);
    }

    /// What each layer has cost in the end; nothing for a cancellation.
    fn costs(&self, now: u64, held: &Held, costs: Option<&[Cost]>) -> Vec<u64> {
        let Some(costs) = costs else { return vec![0; held.book.parts.len()] };
        let parts = held.book.parts.iter().zip(costs);
        let excess: Vec<Line> = parts
            .clone()
            .map(|(part, cost)| part.line(if let Cost::More(more) = cost { *more } else { 0 }))
            .collect();
        let excess = self.within_sight(now, &excess);
        let cost = |((part, cost), excess): ((&Part, &Cost), &Line)| {
            let charged = u128::from(part.charged());
            let used = match cost {
                Cost::Less(share) => charged * u128::from(*share) / 100,
                Cost::Equal => charged,
                Cost::More(_) => charged + u128::from(excess.2),
            };
            used as u64
        };
        parts.zip(&excess).map(cost).collect()
    }

    pub(super) fn settle(&mut self, now: u64, which: usize, costs: Option<&[Cost]>) {
        let Some(mut held) = self.take(which) else { return };
        let actual = self.costs(now, &held, costs);
        let before = self.uses_of(now, &held.book);
        let desk = self.at(now);
        let settled = match costs {
            Some(_) => desk.settle(&mut held.reservation, &actual),
            None => desk.session().cancel(&mut held.reservation),
        };
        drop(desk);
        assert!(!held.reservation.is_open());
        match settled {
            Err(error) => {
                assert_eq!((error, held.book.open), (ReservationError::Closed, false));
                assert_eq!(self.uses_of(now, &held.book), before, "settled twice");
            }
            Ok(decision) => self.settled(now, &mut held, &actual, &decision, &before),
        }
        self.held[which] = Some(held);
    }

    /// Writes down what was given back and what was charged beyond the estimate, and judges it.
    fn settled(
        &mut self,
        now: u64,
        held: &mut Held,
        actual: &[u64],
        decision: &Decision,
        before: &Uses,
    ) {
        assert!(std::mem::replace(&mut held.book.open, false), "settled twice");
        let lines = held.book.lines(actual);
        let after = self.uses_of(now, &held.book);
        for (place, (part, actual)) in held.book.parts.iter().zip(actual).enumerate() {
            if held.reservation.charged(place) != Some(*actual) {
                assert_eq!(decision.verdict, Verdict::TableFull);
                self.tables.refused(now, part.rule);
            } else if part.excess(*actual) > 0 {
                self.tables.passed(part.rule);
            }
        }
        for (counter, used) in before {
            let mut parts = held.book.of(*counter, actual);
            let excess: u64 = parts.iter().map(|(part, actual)| part.excess(*actual)).sum();
            // A key without a place has nothing to give back, and what is charged may not count.
            let is_new = decision.table_full && *used == 0;
            let mut charged = if is_new { after[counter] } else { excess };
            let given = (used + charged).checked_sub(after[counter]).expect("more is used");
            self.books.gave_back(now, *counter, given);
            for (part, actual) in &mut parts {
                let rest = part.charged().saturating_sub(*actual);
                self.books.give_back(now, part, rest);
                let more = part.excess(*actual).min(charged);
                charged -= more;
                self.books.charge_part(now, part, more);
            }
            let due = self.books.early.used(counter.0, counter.1, now);
            let told = after[counter];
            assert!(told == due || !self.books.is_sharp(now, *counter), "{told} used of {due}");
        }
        if decision.verdict != Verdict::TableFull {
            self.assert_charged(now, &lines, decision);
        }
        saw(|seen| seen.settled += 1);
    }

    /// One amount too many: nothing is touched.
    fn misuse(&mut self, now: u64, which: usize) {
        let Some(mut held) = self.take(which) else { return };
        let expected = held.book.parts.len();
        let amounts = vec![1; expected + 1];
        let error = Some(ReservationError::Amounts { expected, value: expected + 1 });
        let before = self.uses_of(now, &held.book);
        let desk = self.at(now);
        assert_eq!(desk.session().extend(&mut held.reservation, &amounts).err(), error);
        assert_eq!(desk.session().settle(&mut held.reservation, &amounts).err(), error);
        assert_eq!(held.reservation.is_open(), held.book.open);
        drop(desk);
        assert_eq!(self.uses_of(now, &held.book), before);
        self.held[which] = Some(held);
    }
}

type Uses = BTreeMap<(usize, u64), u64>;
