//! Give-backs to a sliding window: the limiter lowers one word at a time, the oldest first.

use super::log::{LogEntry, WindowShape};
use super::open_reservations::OpenReservation;
use super::step::{Event, GiveBack, Source, Step};
use super::window::{State, Window};

impl Window {
    /// The earliest charge time that a give-back at `at` may take units from, and the greatest
    /// number of units. `None` if it may take nothing.
    fn reach(&self, state: &State, reservation: &OpenReservation, at: u64) -> Option<(u64, u64)> {
        let Some(charged) = reservation.charged else { return Some((0, u64::MAX)) };
        let counts = |time: u64| at - time < self.shape.length && !state.is_void(time);
        let last = || counts(charged.last_at).then_some((charged.last_at, charged.last_units));
        if counts(charged.first_at) { Some((charged.first_at, u64::MAX)) } else { last() }
    }

    /// The charges that a give-back at `at` may take units from, oldest first.
    fn reachable<'s>(
        &self,
        state: &'s State,
        at: u64,
        from: u64,
    ) -> impl Iterator<Item = &'s LogEntry> + use<'s> {
        let live = state.log.live(self.shape.length, at);
        live.filter(move |entry| entry.time >= from)
    }

    /// The states after one step of a give-back at `at`: takes as many units as possible from the
    /// oldest reachable time, or waits if it need not have seen any charge.
    fn take_oldest(
        &self,
        state: &State,
        give_back: &GiveBack,
        event: &Event,
        at: u64,
    ) -> Vec<State> {
        let reservation = match state.reservations.get(give_back.reservation) {
            Some(reservation) => reservation,
            None if give_back.source == Source::Reservation => return vec![state.clone()],
            None => OpenReservation::refund(give_back.reservation),
        };
        let rest = reservation.rest.unwrap_or(give_back.amount);
        let mut waits = state.clone();
        waits.reservations.put(reservation.with_rest(rest));
        let early = self.take_merged(state, reservation.with_rest(rest), give_back, event, at);
        let reach = self.reach(state, &reservation, at).filter(|_| rest > 0);
        let Some((from, most)) = reach else { return [vec![waits], early].concat() };
        let Some(oldest) = self.reachable(state, at, from).next() else {
            return [vec![waits], early].concat();
        };
        let mut takes = state.clone();
        let wanted = rest.min(most);
        let taken = takes.log.take(oldest.time, wanted);
        takes.reservations.put(reservation.with_rest(wanted - taken));
        self.record_given_back(&mut takes, oldest.time, taken, event);
        let must_take =
            self.reachable(state, at, from).any(|entry| entry.number <= give_back.completed_before);
        let may_be_void = reservation.charged.is_some() && state.is_being_reset();
        let taken = if must_take && !may_be_void { vec![takes] } else { vec![takes, waits] };
        [taken, early].concat()
    }

    /// The states after taking units of a merged charge that counted at the call's own time and has
    /// expired by `at`. Its bucket still counts because a later charge shares it.
    fn take_merged(
        &self,
        state: &State,
        reservation: OpenReservation,
        give_back: &GiveBack,
        event: &Event,
        at: u64,
    ) -> Vec<State> {
        let WindowShape { length, cell, .. } = self.shape;
        let (Some(charged), Some(rest)) = (reservation.charged, reservation.rest) else {
            return vec![];
        };
        let first_at = charged.first_at;
        let just_expired = at - first_at >= length
            && give_back.span.now.saturating_sub(first_at) < length
            && !state.is_void(first_at);
        let joined = |entry: &&LogEntry| cell > 1 && entry.time / cell == first_at / cell;
        let oldest =
            self.reachable(state, at, first_at).find(joined).filter(|_| just_expired && rest > 0);
        let Some(oldest) = oldest else { return vec![] };
        let mut takes = state.clone();
        let taken = takes.log.take(oldest.time, rest);
        takes.reservations.put(reservation.with_rest(rest - taken));
        self.record_given_back(&mut takes, oldest.time, taken, event);
        vec![takes]
    }

    /// Returns whether a give-back may end in this state. A reservation's give-back must have given
    /// back all its units, or find no more. A refund must have given back exactly its amount and,
    /// if it is short, find no more.
    fn may_end(&self, state: &State, give_back: &GiveBack) -> bool {
        let Some(reservation) = state.reservations.get(give_back.reservation) else { return true };
        let done = reservation.rest.unwrap_or(give_back.amount) == 0;
        let nothing_left = || {
            self.decision_times(state, give_back.span).into_iter().any(|at| {
                let completed_before =
                    |entry: &LogEntry| entry.number <= give_back.completed_before;
                let reach = self.reach(state, &reservation, at);
                reach.is_none_or(|(from, _)| !self.reachable(state, at, from).any(completed_before))
            })
        };
        match give_back.source {
            Source::Reservation => done || state.is_being_reset() || nothing_left(),
            Source::All { short } => done && (!short || nothing_left()),
        }
    }

    /// The states after one more step of a give-back. The `last` step must complete it.
    pub(super) fn give_back(
        &self,
        state: &State,
        give_back: &GiveBack,
        event: &Event,
        last: bool,
    ) -> Vec<State> {
        let mut after: Vec<State> = Vec::new();
        for at in self.decision_times(state, give_back.span) {
            for mut next in self.take_oldest(state, give_back, event, at) {
                if last {
                    if !self.may_end(&next, give_back) {
                        continue;
                    }
                    next.reservations.end(give_back.reservation);
                }
                if !after.contains(&next) {
                    after.push(next);
                }
            }
        }
        after
    }

    /// The state without the charge of this number.
    pub(super) fn forget(&self, state: &State, number: usize, event: &Event) -> State {
        let mut state = state.clone();
        for LogEntry { time, units, .. } in state.log.forget(number) {
            self.record_given_back(&mut state, time, units, event);
        }
        state
    }
}

/// Replaces each reset of a window by its parts, because a reset clears one word at a time, the head
/// first.
///
/// Each charge that may precede the reset gets an event that forgets it. A charge that was
/// completed before the reset is certainly forgotten, a concurrent one may be.
pub(super) fn split_resets(events: Vec<Event>) -> Vec<Event> {
    let number = |event: &Event| match &event.step {
        Step::Charge(charge) | Step::Tentative(charge) => Some((charge.number, event.called)),
        _ => None,
    };
    let charges: Vec<_> = events.iter().filter_map(number).collect();
    let is_reset = |event: &Event| matches!(event.step, Step::Reset);
    let (resets, mut parts): (Vec<_>, Vec<_>) = events.into_iter().partition(is_reset);
    // The new events come last, so that the indexes of all others stay valid.
    for Event { called, returned, .. } in resets {
        let part = |step, after| Event { step, called, returned, after };
        let begins = parts.len();
        parts.push(part(Step::ResetBegins, None));
        parts.push(part(Step::ResetHead, Some(begins)));
        let before = charges.iter().filter(|(_, charged)| *charged < returned);
        parts
            .extend(before.map(|(number, _)| part(Step::Forget { number: *number }, Some(begins))));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::super::samples::*;
    use super::super::step::{Charge, Span};
    use super::*;

    fn is_linearizable(events: &[Event]) -> bool {
        let shape = WindowShape { length: LENGTH, cell: 1, words: 7 };
        linearized(&Window::new(shape, vec![], events), events) == events.len()
    }

    /// Returns whether these steps are possible in sequence.
    fn is_valid_sequence(steps: Vec<Vec<Step>>) -> bool {
        is_linearizable(&sequential(steps.concat()))
    }

    #[test]
    fn refunds_take_the_oldest() {
        let full = || vec![charge(1, 20, 2), charge(2, 21, 1), charge(3, 22, 0)];
        assert!(is_valid_sequence(vec![full(), refund(22, 2, false), vec![room(at(22), 2, 32)]]));
        assert!(!is_valid_sequence(vec![full(), refund(22, 2, false), vec![room(at(22), 2, 30)]]));
        // A refund may be short only if nothing more was used.
        assert!(is_valid_sequence(vec![full(), refund(30, 2, true)]));
        assert!(!is_valid_sequence(vec![full(), refund(30, 2, false), refund(30, 1, false)]));
        assert!(!is_valid_sequence(vec![full(), refund(30, 1, true)]));
    }

    #[test]
    fn a_settlement_gives_back_exactly_the_unused_units() {
        // One unit is charged at 20, and two are reserved at 21.
        let before = || vec![charge(1, 20, 2), reservation_charge(2, 50, 21, 2, 0)];
        let after = |amount: u64, seen: Step| {
            is_valid_sequence(vec![
                before(),
                give_back_steps(give_back(50, at(22), amount)),
                vec![seen],
            ])
        };
        assert!(after(1, room(at(22), 1, 31)));
        assert!(after(2, room(at(22), 2, 30)));
        assert!(!after(1, room(at(22), 2, 30)), "too much");
        assert!(!after(2, room(at(22), 1, 31)), "too little");
        assert!(!after(2, room(at(22), 2, 31)), "from the other charge");
    }

    #[test]
    fn expired_units_are_not_given_back() {
        let before = || vec![reservation_charge(1, 50, 20, 2, 1), charge(2, 25, 0)];
        let after = |remaining, clear_at| {
            let give_back = give_back_steps(give_back(50, at(30), 2));
            is_valid_sequence(vec![before(), give_back, vec![room(at(30), remaining, clear_at)]])
        };
        assert!(after(2, 35));
        assert!(!after(3, 30));
    }

    #[test]
    fn after_the_first_charge_expires_only_the_last_extension_is_given_back() {
        let stream = || {
            vec![
                reservation_charge(1, 50, 20, 1, 2),
                reservation_charge(2, 50, 25, 1, 1),
                reservation_charge(3, 50, 28, 1, 0),
            ]
        };
        let after = |now, remaining, clear_at| {
            let give_back = give_back_steps(give_back(50, at(now), 3));
            is_valid_sequence(vec![stream(), give_back, vec![room(at(now), remaining, clear_at)]])
        };
        assert!(after(29, 3, 29), "all three units");
        assert!(after(30, 2, 35), "the last extension");
        assert!(!after(30, 3, 30), "more than the last extension");
        assert!(!after(30, 1, 38), "no units");
        assert!(after(38, 3, 38), "nothing was left");
    }

    /// A charge may expire between the invocation and the response of a call.
    #[test]
    fn a_give_back_during_an_expiry_may_take_effect_or_not() {
        let during = Span { now: 29, latest: 30 };
        let after = |remaining, clear_at| {
            let steps = [
                vec![reservation_charge(1, 50, 20, 2, 1), charge(2, 25, 0)],
                give_back_steps(give_back(50, during, 2)),
            ];
            is_valid_sequence(vec![steps.concat(), vec![room(at(29), remaining, clear_at)]])
        };
        assert!(after(2, 35));
        // Whether it was given back before it expired or not at all, it does not count at 30.
        let late = |remaining, clear_at| {
            let before = vec![reservation_charge(1, 50, 20, 2, 1), charge(2, 25, 0)];
            let give_back = give_back_steps(give_back(50, during, 2));
            is_valid_sequence(vec![before, give_back, vec![room(at(30), remaining, clear_at)]])
        };
        assert!(late(2, 35));
        assert!(!late(3, 30));
    }

    /// The charge at 20 shares a bucket with one at 24, so it counts until 34.
    #[test]
    fn a_merged_charge_may_be_given_back_until_its_bucket_expires() {
        let shape = WindowShape { length: LENGTH, cell: 5, words: 7 };
        let linearized = |now, last| {
            let during = Span { now, latest: 31 };
            let before =
                vec![reservation_charge(1, 50, 20, 1, 2), charge(2, 24, 1), charge(3, 31, 0)];
            let give_back = give_back_steps(give_back(50, during, 1));
            let events = sequential([before, give_back, vec![room(at(31), last, 41)]].concat());
            linearized(&Window::new(shape, vec![31], &events), &events) == events.len()
        };
        assert!(linearized(29, 1), "it counted at the call's time");
        assert!(!linearized(31, 1), "it had expired");
        assert!(!linearized(29, 2), "the other charge is kept");
    }

    #[test]
    fn a_tentative_charge_explains_a_denial_only_until_it_is_rolled_back() {
        let tentative = || {
            let charge = unit_charge(3, 22, 0);
            Step::Tentative(Charge { reservation: Some(3), reported: None, ..charge })
        };
        let roll_back = || give_back_steps(give_back(3, at(22), 1));
        let two = || vec![charge(1, 20, 2), charge(2, 21, 1)];
        let denial = || vec![denied(at(22), 30, 32)];
        assert!(is_valid_sequence(vec![two(), vec![tentative()], denial(), roll_back()]));
        assert!(!is_valid_sequence(vec![two(), vec![tentative()], roll_back(), denial()]));
        assert!(!is_valid_sequence(vec![two(), denial()]));
        // Whether it was made or not, nothing stays charged.
        assert!(is_valid_sequence(vec![
            two(),
            vec![tentative()],
            roll_back(),
            vec![room(at(22), 1, 31)]
        ]));
        assert!(!is_valid_sequence(vec![
            two(),
            vec![tentative()],
            roll_back(),
            vec![room(at(22), 0, 32)]
        ]));
    }

    #[test]
    fn a_refund_may_miss_charges_completed_after_its_invocation() {
        // When the refund was called, `completed_before` charges had been completed: none or one.
        let missed = |completed_before| {
            let all = |amount| GiveBack {
                source: Source::All { short: true },
                completed_before,
                ..give_back(9, at(20), amount)
            };
            is_valid_sequence(vec![vec![
                charge(1, 20, 2),
                Step::GiveBackEnd(all(0)),
                room(at(20), 2, 30),
            ]])
        };
        assert_eq!((missed(0), missed(1)), (true, false));
    }

    #[test]
    fn a_reset_forgets_the_charges_completed_before_it() {
        let reset = |called, seen: Step| {
            let mut events = sequential(vec![charge(1, 20, 2), charge(2, 21, 1)]);
            events.push(event(4, 5, seen));
            events.push(event(called, 5, Step::Reset));
            is_linearizable(&split_resets(events))
        };
        assert!(reset(2, room(at(21), 2, 31)), "the second came later");
        assert!(reset(2, room(at(21), 3, 21)), "both are forgotten");
        assert!(reset(2, room(at(21), 1, 31)), "the peek came first");
        assert!(!reset(2, room(at(21), 0, 31)));
    }
}
