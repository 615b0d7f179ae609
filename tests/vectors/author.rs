//! A scene that is written call by call, with the textbook's answers.

use super::format::*;
use super::reference;
use reference::{Answer, Kind, Line, Reserved, Rule, Textbook, conclude};

pub const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;

/// The scene so far, and the textbook of its policies.
pub struct Author {
    pub scene: Scene,
    pub textbook: Textbook,
    /// The greatest limit of each policy.
    greatest: Vec<u64>,
    reserved: Vec<Reserved>,
    /// How far the wall clock is behind the textbook's time: the policies' offset.
    pub behind: i64,
    pub now: u64,
}

impl Author {
    pub fn new(name: &str, limiter: Setup) -> Self {
        let rule = |policy: &Policy| {
            let kind = match policy.period {
                None => Kind::Sliding(policy.window_ns.expect("a window or a period")),
                Some(Period::Hour) => Kind::Fixed(HOUR),
                Some(Period::Day) => Kind::Fixed(24 * HOUR),
                Some(Period::Month) => panic!("the textbook has no calendar"),
            };
            Rule { limit: policy.limit, kind }
        };
        let textbook = Textbook::new(limiter.policies.iter().map(rule).collect());
        let greatest = |policy: &Policy| policy.max_limit.unwrap_or(policy.limit);
        let greatest = limiter.policies.iter().map(greatest).collect();
        let scene = Scene { name: name.into(), limiter, error: None, calls: Vec::new() };
        Author { scene, textbook, greatest, reserved: Vec::new(), behind: 0, now: 0 }
    }

    /// What the key's number in the textbook is called in the scene; some have two names.
    fn key(number: u64, second: bool) -> Key {
        let network = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1];
        let host = [0, 0, 0, 0, 0, 0, 0, 1 + u8::from(second)];
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1];
        match number {
            0 => Key::Text("alice".into()),
            1 => Key::Number(42),
            2 if second => Key::Ip(mapped.into(), 64),
            2 => Key::Ip(vec![192, 0, 2, 1], 64),
            3 => Key::Ip([network, host].concat(), 64),
            4 => Key::Ip([network, host].concat(), 32),
            5 => Key::Shared,
            6 => Key::Text(String::new()),
            7 => Key::Text("42".into()),
            8 => Key::Text(
                "a key of sixty-five bytes is as good as any other: ten times six.".into(),
            ),
            other => Key::Number(other),
        }
    }

    fn charge(&self, line: &Line) -> Charge {
        let (policy, number, cost, limit) = *line;
        let second = self.scene.calls.len() % 2 == 1;
        Charge { policy, key: Self::key(number, second), cost, limit }
    }

    pub fn charges(&self, lines: &[Line]) -> Vec<Charge> {
        lines.iter().map(|line| self.charge(line)).collect()
    }

    /// Limits of their own, cut as the limiter cuts them.
    fn cut(&self, lines: &[Line]) -> Vec<Line> {
        let cut =
            |line: &Line| (line.0, line.1, line.2, line.3.map(|l| l.min(self.greatest[line.0])));
        lines.iter().map(cut).collect()
    }

    pub fn push(&mut self, verb: Verb, expect: Expect) {
        let unix_ns = self.now.checked_add_signed(-self.behind).expect("a time after 1970");
        self.scene.calls.push(Call { monotonic_ns: self.now, unix_ns, verb, expect });
    }

    /// The answer that these lines' stands add up to, with or without the layers.
    fn told(lines: &[Line], stands: &[reference::Stand], layers: bool) -> Decision {
        let of = |(line, stand): (&Line, &reference::Stand)| Stand {
            policy: line.0,
            limit: stand.limit,
            remaining: stand.left,
            retry_after_ns: stand.retry,
            reset_after_ns: stand.reset,
            violated: stand.violated,
            table_full: false,
        };
        let all: Vec<Stand> = lines.iter().zip(stands).map(of).collect();
        let first = all.iter().find(|stand| stand.violated).copied();
        let first = first.map(|stand| Stand { violated: false, retry_after_ns: None, ..stand });
        let (status, stand) = match (conclude(lines, stands), first) {
            (Answer::Allowed(policy, limit, remaining, reset_after_ns), None) => {
                let stand = Stand {
                    policy,
                    limit,
                    remaining,
                    reset_after_ns,
                    ..of((&lines[0], &stands[0]))
                };
                (0, Stand { retry_after_ns: None, ..stand })
            }
            (Answer::Denied(.., wait), Some(first)) => {
                (1, Stand { retry_after_ns: Some(wait), ..first })
            }
            (Answer::Impossible(_), Some(first)) => (2, first),
            (answer, first) => panic!("{answer:?} of {first:?}"),
        };
        Decision { status, stand, layers: if layers { all } else { Vec::new() } }
    }

    /// Charges if all have room; the decision and whether they had.
    fn decide(&mut self, lines: &[Line], layers: bool) -> Decision {
        let stands = self.textbook.stands(self.now, lines);
        if stands.iter().any(|stand| stand.violated) {
            return Self::told(lines, &stands, layers);
        }
        lines.iter().for_each(|line| self.textbook.charge(self.now, line));
        Self::told(lines, &self.textbook.charged(self.now, lines), layers)
    }

    pub fn check(&mut self, lines: &[Line], layers: bool) {
        let decision = self.decide(&self.cut(lines), layers);
        let charges = self.charges(lines);
        let verb = if layers { Verb::CheckWithStatus(charges) } else { Verb::Check(charges) };
        self.push(verb, Expect::Decision(decision));
    }

    pub fn peek(&mut self, lines: &[Line], layers: bool) {
        let cut = self.cut(lines);
        let decision = Self::told(&cut, &self.textbook.stands(self.now, &cut), layers);
        let charges = self.charges(lines);
        let verb = if layers { Verb::PeekWithStatus(charges) } else { Verb::Peek(charges) };
        self.push(verb, Expect::Decision(decision));
    }

    pub fn check_many(&mut self, lines: &[Line]) {
        let cut = self.cut(lines);
        let decisions = cut.iter().map(|line| self.decide(&[*line], false)).collect();
        self.push(Verb::CheckMany(self.charges(lines)), Expect::Decisions(decisions));
    }

    pub fn force(&mut self, lines: &[Line]) {
        let cut = self.cut(lines);
        cut.iter().for_each(|line| self.textbook.charge(self.now, line));
        let decision = Self::told(&cut, &self.textbook.charged(self.now, &cut), false);
        self.push(Verb::Charge(self.charges(lines)), Expect::Decision(decision));
    }

    pub fn refund(&mut self, line: &Line) {
        let units = self.textbook.refund(self.now, line.0, line.1, line.2);
        self.push(Verb::Refund(self.charge(line)), Expect::Units(units));
    }

    pub fn reset_key(&mut self, line: &Line) {
        self.textbook.reset(line.0, line.1);
        self.push(Verb::ResetKey(self.charge(line)), Expect::Status(0));
    }

    pub fn set_limit(&mut self, policy: usize, limit: u64) {
        let status = match limit {
            0 => -23,
            _ if limit > self.greatest[policy] => -24,
            _ => {
                self.textbook.set_limit(policy, limit);
                0
            }
        };
        self.push(Verb::SetLimit(policy, limit), Expect::Status(status));
    }

    /// Reserves, and returns the reservation's number if it was allowed.
    pub fn reserve(&mut self, lines: &[Line]) -> Option<usize> {
        let (cut, number) = (self.cut(lines), self.reserved.len());
        let mut reserved = Reserved::new(&cut);
        let costs: Vec<u64> = cut.iter().map(|line| line.2).collect();
        let decision = self.decide_parts(&mut reserved, &costs, true);
        let allowed = decision.status == 0;
        self.push(Verb::Reserve(number, self.charges(lines)), Expect::Decision(decision));
        if allowed {
            self.reserved.push(reserved);
        }
        allowed.then_some(number)
    }

    /// As `decide`, and keeps what was charged to each layer.
    fn decide_parts(&mut self, reserved: &mut Reserved, costs: &[u64], layers: bool) -> Decision {
        let lines = reserved.lines(costs);
        let stands = self.textbook.stands(self.now, &lines);
        if stands.iter().any(|stand| stand.violated) {
            return Self::told(&lines, &stands, layers);
        }
        for (part, cost) in reserved.parts.iter_mut().zip(costs) {
            self.textbook.charge_part(self.now, part, *cost);
        }
        Self::told(&lines, &self.textbook.charged(self.now, &lines), layers)
    }

    /// Why a reservation cannot be changed by these amounts.
    fn mistake(&self, number: usize, amounts: usize) -> Option<Expect> {
        let Reserved { parts, open } = &self.reserved[number];
        match open {
            _ if parts.len() != amounts => Some(Expect::Status(-8)),
            false => Some(Expect::Status(-6)),
            true => None,
        }
    }

    pub fn extend(&mut self, number: usize, more: &[u64]) {
        let expect = self.mistake(number, more.len()).unwrap_or_else(|| {
            let mut reserved = self.reserved[number].clone();
            let decision = self.decide_parts(&mut reserved, more, false);
            self.reserved[number] = reserved;
            Expect::Decision(decision)
        });
        self.push(Verb::Extend(number, more.into()), expect);
    }

    pub fn settle(&mut self, number: usize, actual: &[u64]) {
        let expect = self.close(number, actual);
        self.push(Verb::Settle(number, actual.into()), expect);
    }

    pub fn cancel(&mut self, number: usize) {
        let nothing = vec![0; self.layers(number)];
        let expect = self.close(number, &nothing);
        self.push(Verb::Cancel(number), expect);
    }

    fn close(&mut self, number: usize, actual: &[u64]) -> Expect {
        if let Some(mistake) = self.mistake(number, actual.len()) {
            return mistake;
        }
        let mut reserved = self.reserved[number].clone();
        self.textbook.settle(self.now, &mut reserved, actual);
        let lines = reserved.lines(actual);
        self.reserved[number] = reserved;
        let stands = self.textbook.charged(self.now, &lines);
        Expect::Decision(Self::told(&lines, &stands, false))
    }

    /// How many reservations were made.
    pub fn reservations(&self) -> usize {
        self.reserved.len()
    }

    /// How many layers a reservation has.
    pub fn layers(&self, number: usize) -> usize {
        self.reserved[number].parts.len()
    }
}
