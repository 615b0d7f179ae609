//! Reservations in the textbook: what was charged for each, and what goes back.

use super::log::Kind;
use super::textbook::{Answer, Line, Textbook};

/// One reservation.
#[derive(Clone, Debug)]
pub struct Reserved {
    pub parts: Vec<Part>,
    pub open: bool,
}

/// One of its layers.
#[derive(Clone, Debug)]
pub struct Part {
    pub rule: usize,
    pub key: u64,
    limit: Option<u64>,
    /// Every charge that was made for it, in their order.
    charges: Vec<Charge>,
}

#[derive(Clone, Copy, Debug)]
struct Charge {
    at: u64,
    cost: u64,
    /// How often the key had been forgotten.
    life: u32,
}

impl Part {
    pub fn new(line: &Line) -> Self {
        Part { rule: line.0, key: line.1, limit: line.3, charges: Vec::new() }
    }

    /// The line that charges it so much.
    pub fn line(&self, cost: u64) -> Line {
        (self.rule, self.key, cost, self.limit)
    }

    pub fn charged(&self) -> u64 {
        self.charges.iter().map(|charge| charge.cost).sum()
    }

    /// What is to be charged on top, for so much in the end.
    pub fn excess(&self, actual: u64) -> u64 {
        actual.saturating_sub(self.charged())
    }
}

impl Reserved {
    /// One that nothing was charged for yet.
    pub fn new(lines: &[Line]) -> Self {
        Reserved { parts: lines.iter().map(Part::new).collect(), open: true }
    }

    /// The layers of one rule and key, each with its amount.
    pub fn of(&mut self, counter: (usize, u64), amounts: &[u64]) -> Vec<(&mut Part, u64)> {
        let parts = self.parts.iter_mut().zip(amounts.iter().copied());
        parts.filter(|(part, _)| (part.rule, part.key) == counter).collect()
    }

    /// The lines that charge each layer so much.
    pub fn lines(&self, costs: &[u64]) -> Vec<Line> {
        self.parts.iter().zip(costs).map(|(part, cost)| part.line(*cost)).collect()
    }
}

impl Textbook {
    /// Charges one layer without asking.
    pub fn charge_part(&mut self, now: u64, part: &mut Part, cost: u64) {
        if cost > 0 {
            self.charge(now, &part.line(cost));
            let (at, life) = (self.newest(part.rule, part.key), self.lives(part.rule, part.key));
            part.charges.push(Charge { at, cost, life });
        }
    }

    /// Gives back of what one layer was charged. As long as its first charge counts so do all; then
    /// no more than the last is given back. While the first may count or not, both are.
    pub fn give_back(&mut self, now: u64, part: &Part, amount: u64) {
        let (Some(first), Some(last)) = (part.charges.first(), part.charges.last()) else { return };
        let expires = self.kind(part.rule).expiry(first.at);
        let counts = !self.is_forgotten(part, first) && expires > self.instant(now, part);
        self.give_back_from(now, part, first, amount.min(part.charged()));
        if !counts {
            self.give_back_from(now, part, last, amount.min(last.cost));
        }
    }

    /// Whether the key was dropped since, and this charge with it.
    fn is_forgotten(&self, part: &Part, charge: &Charge) -> bool {
        charge.life != self.lives(part.rule, part.key)
    }

    fn give_back_from(&mut self, now: u64, part: &Part, from: &Charge, amount: u64) {
        let (at, grace) = (self.instant(now, part), self.measures[part.rule].grace);
        let may_count = self.kind(part.rule).expiry(from.at) + grace > at;
        if may_count && !self.is_forgotten(part, from) {
            self.take_back((part.rule, part.key), at, from.at, amount);
        }
    }

    fn instant(&self, now: u64, part: &Part) -> u64 {
        match self.kind(part.rule) {
            Kind::Sliding(_) => self.effective(part.rule, part.key, now),
            // A period that the key was charged for last is open to those whose clocks are late.
            Kind::Fixed(_) => self.newest(part.rule, part.key),
        }
    }

    /// Closes a reservation with what each layer has cost.
    pub fn settle(&mut self, now: u64, reserved: &mut Reserved, actual: &[u64]) -> Answer {
        reserved.open = false;
        for (part, actual) in reserved.parts.iter_mut().zip(actual) {
            self.give_back(now, part, part.charged().saturating_sub(*actual));
            self.charge_part(now, part, part.excess(*actual));
        }
        self.least(now, &reserved.lines(actual))
    }
}
