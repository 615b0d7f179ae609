//! The sequential specification of a sliding window.
//!
//! The contract leaves the time of a decision open. It may be any reading from the call's own `now`
//! to the latest one that any thread had taken when the call returned, but not before the key's
//! newest charge. The search tries all of them.
//!
//! A call loads the words of a key one by one. If another call adds units meanwhile, the call loads
//! them again. It may miss give-backs of other calls: the answer may still count units that were
//! given back after the call's invocation.

use super::linearizability::Specification;
use super::log::{Log, LogEntry, WindowShape};
use super::open_reservations::OpenReservations;
use super::step::{Charge, Event, Reported, Span, Step};

/// Units that were given back, but that a concurrent call may still count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct GivenBack {
    time: u64,
    units: u64,
    /// They were given back before this instant.
    by: u64,
}

/// The state of one key between two steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) log: Log,
    /// The time of the newest charge.
    newest: u64,
    /// The earliest time of a decision, after a reset.
    earliest: u64,
    /// The times of the words that were opened within the last window.
    word_times: Vec<u64>,
    pub(super) reservations: OpenReservations,
    given_back: Vec<GivenBack>,
    /// Receipts of charges up to this time give back nothing: the key was reset later.
    void_until: u64,
    /// The resets that have begun and have not cleared the head.
    resets_begun: usize,
}

impl State {
    /// Returns whether the key was reset after a charge made at `time`.
    pub(super) fn is_void(&self, time: u64) -> bool {
        time <= self.void_until
    }

    /// Returns whether receipts may give back nothing, because a reset has begun.
    pub(super) fn is_being_reset(&self) -> bool {
        self.resets_begun > 0
    }

    /// The states after a reset has cleared the head. If a concurrent charge has sealed the head, the next
    /// charge opens the next cell, and else it comes at least one tick later. A key without usage may be
    /// absent.
    fn reset_head(&self, WindowShape { length, cell, .. }: WindowShape) -> Vec<State> {
        let absent = State { resets_begun: self.resets_begun - 1, ..self.clone() };
        let cleared = State { void_until: self.newest, ..absent.clone() };
        let earliest = (self.newest / cell + 1) * cell;
        let sealed = State { earliest, ..cleared.clone() };
        let open = State { newest: self.newest + 1, ..cleared };
        let is_used = self.log.used(length, self.newest) > 0;
        if is_used { vec![open, sealed] } else { vec![open, sealed, absent] }
    }
}

/// The specification of a sliding window.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) shape: WindowShape,
    /// Every value of the clock.
    readings: Vec<u64>,
    /// The invocations and responses of the calls that report numbers.
    reporting_calls: Vec<(u64, u64)>,
}

impl Window {
    pub(super) fn new(shape: WindowShape, readings: Vec<u64>, events: &[Event]) -> Self {
        let reporting = events.iter().filter(|event| event.step.reported().is_some());
        let reporting_calls = reporting.map(|event| (event.called, event.returned)).collect();
        Window { shape, readings, reporting_calls }
    }

    /// The times in `span` at which a call may be decided.
    ///
    /// A charge after a sealed bucket is decided at the next cell or later. If the word that it must
    /// open is still live, it is decided at that word's expiry or later.
    pub(super) fn decision_times(&self, state: &State, span: Span) -> Vec<u64> {
        let WindowShape { length, cell, .. } = self.shape;
        let expiries = state.log.entries().iter().map(|entry| entry.time + length);
        let earliest = span.now.max(state.newest).max(state.earliest);
        let mut decision_times: Vec<_> = [earliest, (state.newest / cell + 1) * cell]
            .into_iter()
            .chain(expiries)
            .chain(self.readings.iter().copied())
            // The time of a reset key may be later than all readings.
            .filter(|at| {
                (earliest..=span.latest.max(state.newest).max(state.earliest)).contains(at)
            })
            .collect();
        decision_times.sort_unstable();
        decision_times.dedup();
        decision_times
    }

    /// The logs that a call invoked at `called` may observe.
    fn possible_logs(state: &State, called: u64) -> Vec<Log> {
        let mut possible_logs = vec![state.log.clone()];
        for given_back in state.given_back.iter().filter(|given_back| given_back.by > called) {
            for index in 0..possible_logs.len() {
                let mut log = possible_logs[index].clone();
                log.add(LogEntry { time: given_back.time, number: 0, units: given_back.units });
                if !possible_logs.contains(&log) {
                    possible_logs.push(log);
                }
            }
        }
        possible_logs
    }

    /// Returns whether a possible log satisfies `agrees` at a possible time.
    fn observes(
        &self,
        state: &State,
        span: Span,
        called: u64,
        agrees: impl Fn(&Log, u64) -> bool,
    ) -> bool {
        let possible_logs = Window::possible_logs(state, called);
        let decision_times = self.decision_times(state, span);
        decision_times.into_iter().any(|at| possible_logs.iter().any(|log| agrees(log, at)))
    }

    /// Returns whether the answer reports the usage of `log` at `at`.
    fn matches(&self, log: &Log, at: u64, now: u64, reported: &Reported) -> bool {
        let length = self.shape.length;
        reported.remaining == reported.limit.saturating_sub(log.used(length, at))
            && reported.clear_at == log.clear_at(length, at, now)
    }

    fn has_room(&self, log: &Log, at: u64, cost: u64, limit: u64) -> bool {
        log.used(self.shape.length, at) + cost <= limit
    }

    /// The times at which a charge may have been recorded. A new charge is the newest of its key, so
    /// the reported `clear_at` determines its time.
    fn charge_times(&self, state: &State, charge: &Charge, tentative: bool) -> Vec<u64> {
        let Some(reported) = charge.reported.filter(|_| !tentative) else {
            return self.decision_times(state, charge.span);
        };
        let earliest = charge.span.now.max(state.newest).max(state.earliest);
        let at = reported.clear_at.checked_sub(self.shape.length);
        let latest = charge.span.latest.max(state.newest).max(state.earliest);
        at.filter(|at| (earliest..=latest).contains(at)).into_iter().collect()
    }

    /// Returns whether the recorded answer is possible for a charge at `at`. A tentative charge may
    /// report the usage before the charge or after it.
    fn admits(&self, log: &Log, at: u64, charge: &Charge, tentative: bool) -> bool {
        let length = self.shape.length;
        if charge.limit.is_some_and(|limit| !self.has_room(log, at, charge.cost, limit)) {
            return false;
        }
        let Some(reported) = charge.reported else { return true };
        let used = log.used(length, at) + charge.cost;
        let rolled_back = if tentative { charge.cost } else { 0 };
        (used - rolled_back..=used).any(|used| {
            let clear_at = if used > 0 { at + length } else { charge.span.now };
            reported.remaining == reported.limit.saturating_sub(used)
                && reported.clear_at == clear_at
        })
    }

    /// The states after a charge.
    fn charge(&self, state: &State, charge: &Charge, called: u64, tentative: bool) -> Vec<State> {
        let possible_logs = Window::possible_logs(state, called);
        let charge_times = self.charge_times(state, charge, tentative).into_iter();
        charge_times
            .filter(|at| possible_logs.iter().any(|log| self.admits(log, *at, charge, tentative)))
            .flat_map(|at| self.charge_at(state, at, charge))
            .collect()
    }

    /// The states after a charge at `at`.
    ///
    /// The charge merges with the newest charges if they are in the same cell. If they are in an
    /// earlier cell, it may merge with them only if all words are in use. That happens after refunds
    /// and excess charges.
    fn charge_at(&self, state: &State, at: u64, charge: &Charge) -> Vec<State> {
        let WindowShape { length, cell, words } = self.shape;
        let mut after = state.clone();
        after.log.expire(length, at);
        after.word_times.retain(|time| at - time < length);
        let is_same_cell = at / cell == state.newest / cell;
        let may_merge = after.word_times.len() >= words;
        if is_same_cell {
            after.word_times.pop();
        }
        after.word_times.push(at);
        if let Some(reservation) = charge.reservation {
            after.reservations.charge(reservation, at, charge.cost);
        }
        after.newest = at;
        let mut merged = after.clone();
        merged.log.merge(state.newest, at);
        let entry = LogEntry { time: at, number: charge.number, units: charge.cost };
        after.log.add(entry);
        merged.log.add(entry);
        match (is_same_cell, may_merge) {
            (true, _) => vec![merged],
            (_, true) => vec![after, merged],
            _ => vec![after],
        }
    }

    /// Records units that were given back, if a concurrent call may still count them.
    pub(super) fn record_given_back(
        &self,
        state: &mut State,
        time: u64,
        units: u64,
        event: &Event,
    ) {
        let is_concurrent =
            |(called, returned): &(u64, u64)| *called < event.returned && event.called < *returned;
        if units > 0 && self.reporting_calls.iter().any(is_concurrent) {
            state.given_back.push(GivenBack { time, units, by: event.returned });
        }
    }

    /// Updates the records of given-back units after a step that returned at `returned`: all earlier
    /// steps happened by then. Drops the records that no call can observe any more.
    fn prune_given_back(&self, state: &mut State, returned: u64) {
        state
            .given_back
            .iter_mut()
            .for_each(|given_back| given_back.by = given_back.by.min(returned));
        let length = self.shape.length;
        let State { given_back, newest, .. } = state;
        given_back.retain(|given_back| {
            let matters = self.reporting_calls.iter().any(|(called, _)| *called < given_back.by);
            matters && newest.saturating_sub(given_back.time) < length
        });
    }
}

impl Specification for Window {
    type Step = Step;
    type State = State;

    fn initial(&self) -> State {
        State::default()
    }

    fn next_states(&self, state: &State, event: &Event) -> Vec<State> {
        let called = event.called;
        let same = |possible: bool| if possible { vec![state.clone()] } else { vec![] };
        let length = self.shape.length;
        let mut after = match &event.step {
            Step::Charge(charge) => self.charge(state, charge, called, false),
            Step::Tentative(charge) => {
                let observed = charge.reported.is_none_or(|reported| {
                    let room = Step::Room { span: charge.span, cost: charge.cost, reported };
                    let observed = Event { step: room, ..event.clone() };
                    !self.next_states(state, &observed).is_empty()
                });
                [same(observed), self.charge(state, charge, called, true)].concat()
            }
            Step::Room { span, cost, reported } => {
                same(self.observes(state, *span, called, |log, at| {
                    self.has_room(log, at, *cost, reported.limit)
                        && self.matches(log, at, span.now, reported)
                }))
            }
            Step::Denied { span, cost, reported, shared } => {
                same(self.observes(state, *span, called, |log, at| {
                    let fits_at = log.fits_at(length, at, *cost, reported.limit);
                    let longer = *shared
                        && reported
                            .fits_at
                            .is_none_or(|reported| fits_at.is_some_and(|own| reported >= own));
                    !self.has_room(log, at, *cost, reported.limit)
                        && (reported.fits_at == fits_at || longer)
                        && self.matches(log, at, span.now, reported)
                }))
            }
            Step::Observed { span, reported } => {
                same(self.observes(state, *span, called, |log, at| {
                    self.matches(log, at, span.now, reported)
                }))
            }
            Step::TableFull { span } => {
                let latest = span.latest.max(state.newest);
                same(state.log.used(length, latest) == 0)
            }
            Step::GiveBackPart(give_back) => self.give_back(state, give_back, event, false),
            Step::GiveBackEnd(give_back) => self.give_back(state, give_back, event, true),
            Step::Forget { number } => vec![self.forget(state, *number, event)],
            Step::ResetBegins => {
                vec![State { resets_begun: state.resets_begun + 1, ..state.clone() }]
            }
            Step::ResetHead => state.reset_head(self.shape),
            Step::Reset => unreachable!("the reset of a window is split into its parts"),
        };
        after.iter_mut().for_each(|state| self.prune_given_back(state, event.returned));
        after
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::*;
    use super::*;

    const SHAPE: WindowShape = WindowShape { length: LENGTH, cell: 1, words: 7 };

    fn window(events: &[Event]) -> usize {
        linearized(&Window::new(SHAPE, vec![], events), events)
    }

    fn full() -> Vec<Step> {
        vec![charge(1, 20, 2), charge(2, 21, 1), charge(3, 22, 0)]
    }

    fn full_and(step: Step) -> usize {
        window(&sequential([full(), vec![step]].concat()))
    }

    #[test]
    fn correct_answers_are_accepted() {
        assert_eq!(full_and(denied(at(29), 30, 32)), 4);
        assert_eq!(full_and(charge(4, 30, 0)), 4);
        assert_eq!(full_and(room(at(31), 2, 32)), 4);
        assert_eq!(full_and(room(at(32), 3, 32)), 4);
    }

    #[test]
    fn a_charge_over_the_limit_is_rejected() {
        assert_eq!(full_and(charge(4, 29, 0)), 3);
    }

    #[test]
    fn a_denial_with_room_is_rejected() {
        assert_eq!(full_and(denied(at(30), 31, 32)), 3);
        assert_eq!(window(&sequential(vec![charge(1, 20, 2), denied(at(21), 30, 30)])), 1);
    }

    #[test]
    fn wrong_waits_are_rejected() {
        assert_eq!(full_and(denied(at(29), 31, 32)), 3);
        assert_eq!(full_and(denied(at(29), 30, 31)), 3);
    }

    #[test]
    fn a_wait_for_several_keys_is_not_shorter_than_for_one() {
        let shared = |fits_at| Step::Denied {
            span: at(29),
            cost: 1,
            reported: reported(0, fits_at, 32),
            shared: true,
        };
        assert_eq!([Some(30), Some(50), None].map(|fits_at| full_and(shared(fits_at))), [4; 3]);
        assert_eq!(full_and(shared(Some(29))), 3);
    }

    #[test]
    fn a_lost_charge_is_rejected() {
        assert_eq!(window(&sequential(vec![charge(1, 20, 2), room(at(21), 3, 21)])), 1);
        assert_eq!(window(&sequential(vec![charge(1, 20, 2), charge(2, 21, 2)])), 1);
    }

    #[test]
    fn time_does_not_go_back() {
        assert_eq!(window(&sequential(vec![charge(1, 21, 2), charge(2, 20, 1)])), 1);
        // A late peek is answered at the time of the newest charge.
        let late = room(Span { now: 5, latest: 21 }, 2, 31);
        assert_eq!(window(&sequential(vec![charge(1, 21, 2), late])), 2);
    }

    #[test]
    fn a_reading_of_another_thread_may_count_if_taken_in_time() {
        assert_eq!(full_and(room(Span { now: 29, latest: 30 }, 1, 32)), 4);
        assert_eq!(full_and(room(at(29), 1, 32)), 3);
    }

    #[test]
    fn a_forced_charge_needs_no_room_and_counts() {
        assert_eq!(full_and(forced_charge(4, 23, 2, 0)), 4);
        let after =
            |step| window(&sequential([full(), vec![forced_charge(4, 23, 2, 0), step]].concat()));
        // Five units are used, so the three oldest must expire.
        assert_eq!(after(denied(at(23), 32, 33)), 5);
        assert_eq!(after(denied(at(23), 30, 33)), 4);
        assert_eq!(after(charge(5, 31, 0)), 4);
        assert_eq!(after(charge(5, 32, 0)), 5);
    }

    #[test]
    fn an_unreported_charge_is_made_at_some_time() {
        let unreported = |latest| {
            let span = Span { now: 20, latest };
            Step::Charge(Charge { reported: None, span, ..unit_charge(1, 20, 0) })
        };
        let without_readings =
            |latest| window(&sequential(vec![unreported(latest), room(at(23), 2, 33)]));
        let with_reading = |latest| {
            let events = sequential(vec![unreported(latest), room(at(23), 2, 33)]);
            linearized(&Window::new(SHAPE, vec![23], &events), &events)
        };
        assert_eq!((without_readings(20), with_reading(22), with_reading(23)), (1, 1, 2));
    }

    /// A peek may still count units that are given back during its call, but none given back
    /// before.
    #[test]
    fn a_peek_may_miss_concurrent_give_backs() {
        let peek = |called, remaining, clear_at| {
            let mut events = sequential([full(), refund(22, 1, false)].concat());
            // The refund is called at instant 6 and returns at 7. Then a peek observes it.
            events.push(event(8, 9, room(at(22), 1, 32)));
            events.push(event(
                called,
                11,
                Step::Observed { span: at(22), reported: reported(remaining, None, clear_at) },
            ));
            window(&events)
        };
        assert_eq!(peek(6, 0, 32), 6);
        assert_eq!(peek(6, 1, 32), 6);
        assert_eq!(peek(8, 1, 32), 6);
        assert_eq!(peek(8, 0, 32), 5);
        assert_eq!(peek(6, 2, 32), 5);
    }

    #[test]
    fn the_charges_of_a_cell_count_until_the_last_expires() {
        let shape = WindowShape { cell: 5, ..SHAPE };
        let linearized = |last: Step| {
            let events = sequential(vec![charge(1, 20, 2), charge(2, 24, 1), last]);
            linearized(&Window::new(shape, vec![], &events), &events)
        };
        assert_eq!(linearized(room(at(33), 1, 34)), 3);
        assert_eq!(linearized(room(at(33), 2, 34)), 2);
        assert_eq!(linearized(charge(3, 33, 0)), 3);
        assert_eq!(linearized(charge(3, 34, 2)), 3);
    }

    #[test]
    fn a_charge_may_merge_across_cells_only_if_all_words_are_in_use() {
        let merged = |words| {
            let [first, second] = [charge(1, 20, 2), charge(2, 21, 1)];
            let events = sequential(vec![first, second, charge(3, 22, 0), room(at(31), 1, 32)]);
            let shape = WindowShape { words, ..SHAPE };
            linearized(&Window::new(shape, vec![], &events), &events)
        };
        assert_eq!((merged(2), merged(3)), (4, 3));
    }
}
