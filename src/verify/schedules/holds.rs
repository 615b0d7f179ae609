//! What is known of reservations while calls are put in order: when each was charged first and
//! last, and what of it is still on its way back.

/// One reservation, or one refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Hold {
    number: usize,
    /// None for a refund, which holds nothing of its own.
    pub(super) charged: Option<Charged>,
    /// What is still to come back, once that has begun.
    pub(super) rest: Option<u64>,
}

/// When it was charged, and how much the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Charged {
    pub(super) first_at: u64,
    pub(super) last_at: u64,
    pub(super) last: u64,
}

/// All of one key, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Holds(Vec<Hold>);

impl Hold {
    pub(super) fn refund(number: usize) -> Self {
        Hold { number, charged: None, rest: None }
    }

    pub(super) fn owing(self, rest: u64) -> Self {
        Hold { rest: Some(rest), ..self }
    }
}

impl Holds {
    pub(super) fn get(&self, number: usize) -> Option<Hold> {
        self.0.iter().find(|hold| hold.number == number).copied()
    }

    pub(super) fn put(&mut self, hold: Hold) {
        match self.0.binary_search_by_key(&hold.number, |other| other.number) {
            Ok(place) => self.0[place] = hold,
            Err(place) => self.0.insert(place, hold),
        }
    }

    pub(super) fn end(&mut self, number: usize) {
        self.0.retain(|hold| hold.number != number);
    }

    /// Notes one more charge.
    pub(super) fn charge(&mut self, number: usize, at: u64, cost: u64) {
        let before = self.get(number).and_then(|hold| hold.charged);
        let first_at = before.map_or(at, |charged| charged.first_at);
        let charged = Some(Charged { first_at, last_at: at, last: cost });
        self.put(Hold { number, charged, rest: None });
    }
}
