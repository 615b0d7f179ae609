//! Open reservations as part of a specification's state: when each one was charged first and last,
//! and how many units of it are still to be given back.

/// One open reservation, or one refund in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct OpenReservation {
    number: usize,
    /// `None` for a refund, which has no charges of its own.
    pub(super) charged: Option<ChargeTimes>,
    /// The units that are still to be given back. `None` before the give-back begins.
    pub(super) rest: Option<u64>,
}

/// The times of a reservation's first and last charge, and the units of the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ChargeTimes {
    pub(super) first_at: u64,
    pub(super) last_at: u64,
    pub(super) last_units: u64,
}

/// All open reservations of one key, sorted by number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct OpenReservations(Vec<OpenReservation>);

impl OpenReservation {
    pub(super) fn refund(number: usize) -> Self {
        OpenReservation { number, charged: None, rest: None }
    }

    pub(super) fn with_rest(self, rest: u64) -> Self {
        OpenReservation { rest: Some(rest), ..self }
    }
}

impl OpenReservations {
    pub(super) fn get(&self, number: usize) -> Option<OpenReservation> {
        self.0.iter().find(|reservation| reservation.number == number).copied()
    }

    pub(super) fn put(&mut self, reservation: OpenReservation) {
        match self.0.binary_search_by_key(&reservation.number, |other| other.number) {
            Ok(index) => self.0[index] = reservation,
            Err(index) => self.0.insert(index, reservation),
        }
    }

    pub(super) fn end(&mut self, number: usize) {
        self.0.retain(|reservation| reservation.number != number);
    }

    /// Records one more charge of a reservation.
    pub(super) fn charge(&mut self, number: usize, at: u64, cost: u64) {
        let before = self.get(number).and_then(|reservation| reservation.charged);
        let first_at = before.map_or(at, |charged| charged.first_at);
        let charged = Some(ChargeTimes { first_at, last_at: at, last_units: cost });
        self.put(OpenReservation { number, charged, rest: None });
    }
}
