//! What the limiter may answer: exactly what the textbook says, or between two textbooks.
//!
//! Both hold the charges that the limiter has made. In the *early* one they expire as they should:
//! no policy may count less. In the *late* one they expire as late as a bucket may keep them: no
//! policy may count more. Where a policy is exact the two are one, and the answer is the
//! textbook's.
//!
//! After refunds and forced charges a key of an exact policy can have more times than its ring has
//! words. Then it merges two, and may hold a charge longer than the log until both have passed; how
//! much longer is not promised.

use super::reference::{Kind, Line, Part, Rule, Stand, Textbook};
use super::scene::{Config, Shape, Wrong};
use super::world::saw;
use std::collections::HashMap;

type Counter = (usize, u64);

#[derive(Debug)]
pub struct Books {
    pub early: Textbook,
    late: Textbook,
    shapes: Vec<Shape>,
    /// Until when a key of an exact policy may hold charges longer.
    blurred: HashMap<Counter, u64>,
}

/// What one line may be told.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    early: Stand,
    late: Option<Stand>,
}

fn textbook(config: &Config, late: bool) -> Textbook {
    let short = u64::from(config.wrong == Some(Wrong::Textbook));
    let rule = |shape: &Shape| {
        let longer = if late { shape.slack() } else { 0 };
        let kind = match shape.kind {
            Kind::Sliding(window) => Kind::Sliding(window + longer - short),
            fixed => fixed,
        };
        Rule { limit: shape.limit, kind }
    };
    let mut textbook = Textbook::new(config.shapes.iter().map(rule).collect());
    for (measure, shape) in textbook.measures.iter_mut().zip(&config.shapes) {
        measure.unit = if shape.is_bucketed() { 1 } else { shape.unit };
        measure.grace = if late { 0 } else { shape.slack() };
        // Budgets take any time, windows none before the limiter was built.
        measure.floor = shape.words().map_or(0, |_| config.start);
    }
    textbook
}

impl Books {
    pub fn new(config: &Config) -> Self {
        let (early, late) = (textbook(config, false), textbook(config, true));
        Books { early, late, shapes: config.shapes.clone(), blurred: HashMap::new() }
    }

    /// Whether the answer about a key must be the textbook's.
    pub fn is_sharp(&self, now: u64, (rule, key): Counter) -> bool {
        !self.shapes[rule].is_bucketed() && !self.is_blurred(now, (rule, key))
    }

    fn is_blurred(&self, now: u64, (rule, key): Counter) -> bool {
        let until = self.blurred.get(&(rule, key));
        until.is_some_and(|until| self.early.effective(rule, key, now) < *until)
    }

    /// Whether any key of the rule ever was.
    pub fn was_blurred(&self, rule: usize) -> bool {
        self.blurred.keys().any(|(of, _)| *of == rule)
    }

    pub fn all_sharp(&self, now: u64, lines: &[Line]) -> bool {
        lines.iter().all(|line| self.is_sharp(now, (line.0, line.1)))
    }

    fn both(&self, now: u64, lines: &[Line], early: Vec<Stand>, late: Vec<Stand>) -> Vec<Bounds> {
        let pairs = early.into_iter().zip(late).zip(lines);
        let bounds = |((early, late), line): ((Stand, Stand), &Line)| match () {
            () if self.shapes[line.0].is_bucketed() => Bounds { early, late: Some(late) },
            () if self.is_blurred(now, (line.0, line.1)) => Bounds { early, late: None },
            () => Bounds { early, late: Some(early) },
        };
        pairs.map(bounds).collect()
    }

    /// What the lines may be told before they are charged.
    pub fn before(&self, now: u64, lines: &[Line]) -> Vec<Bounds> {
        self.both(now, lines, self.early.stands(now, lines), self.late.stands(now, lines))
    }

    /// What they may be told when they have been charged.
    pub fn after(&self, now: u64, lines: &[Line]) -> Vec<Bounds> {
        self.both(now, lines, self.early.charged(now, lines), self.late.charged(now, lines))
    }

    /// Keys that have surely, and that have perhaps used something.
    pub fn live(&self, rule: usize, now: u64) -> (usize, usize) {
        let live = |book: &Textbook| {
            book.keys(rule).into_iter().filter(|key| book.used(rule, *key, now) > 0).count()
        };
        let late = if self.shapes[rule].is_bucketed() { &self.late } else { &self.early };
        (live(&self.early), live(late))
    }

    /// Before a charge at a new time: if every word of the ring may be in use, two are merged.
    fn note_times(&mut self, now: u64, (rule, key): Counter) {
        let shape = &self.shapes[rule];
        let Some(words) = shape.words().filter(|_| !shape.is_bucketed()) else {
            return;
        };
        let at = self.early.effective(rule, key, now);
        let is_new = at != self.early.newest(rule, key);
        if is_new && self.early.times(rule, key, now) as u64 >= words {
            saw(|seen| seen.merged += 1);
            self.blur((rule, key), at + shape.kind.length());
        }
    }

    fn blur(&mut self, counter: Counter, until: u64) {
        let blurred = self.blurred.entry(counter).or_default();
        *blurred = until.max(*blurred);
    }

    /// What is given back while charges are held longer may leave any of them.
    fn note_give_back(&mut self, now: u64, (rule, key): Counter) {
        if self.is_blurred(now, (rule, key)) {
            let newest = self.early.newest(rule, key);
            self.blur((rule, key), newest + self.shapes[rule].kind.length());
        }
    }

    pub fn charge(&mut self, now: u64, line: &Line) {
        if line.2 > 0 {
            self.note_times(now, (line.0, line.1));
            self.early.charge(now, line);
            self.late.charge(now, line);
        }
    }

    /// A charge that was undone at once.
    pub fn touch(&mut self, now: u64, line: &Line) {
        if line.2 > 0 {
            self.note_times(now, (line.0, line.1));
            self.early.touch(now, line);
            self.late.touch(now, line);
        }
    }

    pub fn charge_part(&mut self, now: u64, part: &mut Part, cost: u64) {
        if cost > 0 {
            self.note_times(now, (part.rule, part.key));
            self.late.charge(now, &part.line(cost));
            self.early.charge_part(now, part, cost);
        }
    }

    /// `given` is what the limiter gave back; returns what the textbook would have.
    pub fn refund(&mut self, now: u64, (rule, key): Counter, given: u64) -> u64 {
        self.note_give_back(now, (rule, key));
        self.late.refund(now, rule, key, given);
        self.early.refund(now, rule, key, given)
    }

    /// Gives back of a reservation's layer.
    pub fn give_back(&mut self, now: u64, part: &Part, amount: u64) {
        self.note_give_back(now, (part.rule, part.key));
        self.early.give_back(now, part, amount);
    }

    /// What the limiter gave back of a reservation. Whichever units these were, no more is left
    /// than without the oldest.
    pub fn gave_back(&mut self, now: u64, (rule, key): Counter, given: u64) {
        self.late.refund(now, rule, key, given);
    }

    pub fn reset(&mut self, rule: usize, key: u64) {
        self.early.reset(rule, key);
        self.late.reset(rule, key);
    }

    /// Whether the key has seen a later time than the cutoff of its array, which keeps it from being
    /// dropped.
    pub fn is_ahead(&self, rule: usize, key: u64) -> bool {
        let unit = self.shapes[rule].unit;
        self.early.newest(rule, key) / unit > self.early.measures[rule].floor / unit
    }

    /// The key was dropped: it starts anew, and nothing of it is given back later.
    pub fn forget(&mut self, rule: usize, key: u64) {
        self.early.forget(rule, key);
        self.late.forget(rule, key);
    }

    pub fn set_limit(&mut self, rule: usize, limit: u64) {
        self.early.set_limit(rule, limit);
        self.late.set_limit(rule, limit);
    }

    pub fn raise_floor(&mut self, rule: usize, at: u64) {
        self.early.raise_floor(rule, at);
        self.late.raise_floor(rule, at);
    }
}

impl Bounds {
    pub fn has_room(&self) -> bool {
        !self.early.violated
    }

    /// The least and the most that may be left.
    pub fn left(&self) -> (u64, u64) {
        (self.late.map_or(0, |late| late.left), self.early.left)
    }

    /// Panics unless a layer of the answer lies within the bounds.
    pub fn assert_hold(&self, told: &Stand) {
        let Bounds { early, late } = self;
        if *late == Some(*early) {
            assert_eq!(told, early, "not what the textbook says");
        }
        assert_eq!(told.limit, early.limit);
        assert!(told.left <= early.left, "too much is left: {told:?}, {self:?}");
        assert!(
            told.violated || !early.violated,
            "no room was found to be some: {told:?}, {self:?}"
        );
        assert!(told.reset >= early.reset, "all is free too early: {told:?}, {self:?}");
        let in_time = told.retry.zip(early.retry).is_none_or(|(told, early)| told >= early);
        assert!(in_time, "the wait is too short: {told:?}, {self:?}");
        let never = told.violated && told.retry.is_none();
        assert_eq!(never, early.violated && early.retry.is_none(), "{told:?}, {self:?}");
        if let Some(late) = late {
            assert!(told.left >= late.left, "too little is left: {told:?}, {self:?}");
            assert!(!told.violated || late.violated, "room was not found: {told:?}, {self:?}");
            assert!(told.reset <= late.reset, "all is free too late: {told:?}, {self:?}");
            let in_time = told.retry.zip(late.retry).is_none_or(|(told, late)| told <= late);
            assert!(in_time, "the wait is too long: {told:?}, {self:?}");
        }
    }
}
