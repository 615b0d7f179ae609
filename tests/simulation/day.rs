//! A day of traffic: clients who come and go, in bursts and streams, by day more than by night.

use super::account::Line;
use super::clocks::ThreadClocks;
use super::desk::{Counters, Denial, Stream, later};
use super::make::{
    BUDGET, DAY, HOUR, IP, MINUTE, Make, Op, PACE, POLICIES, Random, SECOND, START, Span, USER,
};
use super::reference::gate::{Desk, Gate};
use std::collections::BTreeMap;

const THREADS: usize = 4;
/// Clients of one time of the day, and how soon the next take their place.
const CLIENTS: u64 = 12;
const SHIFT: u64 = 20 * MINUTE;
/// Requests of a quiet hour come so far apart, those of a busy one four times as close.
const GAP: u64 = 40 * SECOND;

#[derive(Debug)]
enum Event {
    Arrive,
    /// So many more requests of one client.
    Burst(u64, u64),
    Retry(Vec<Line>, Denial),
    /// A stream goes on for so many steps.
    Stream(u64, u64),
    Step(usize),
    Freeze(usize),
    Thaw(usize),
    SetLimit,
    Reset,
    Maintain,
    Midnight,
}

/// What happened, for those who would know whether it was enough.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Told {
    /// Over everything that was answered.
    pub digest: u64,
    pub admitted: u64,
    pub denied: u64,
    pub refused: u64,
    pub streams: u64,
    pub stopped: u64,
    pub retried: u64,
    pub migrations: u64,
    pub midnights: u64,
}

#[derive(Debug)]
pub struct Day<'l> {
    make: &'l Make,
    counters: Counters<'l>,
    random: Random,
    clocks: Vec<ThreadClocks>,
    /// The sessions of threads that stand still.
    held: [Option<Desk<'l>>; THREADS],
    /// By their times, and in the order in which they were planned.
    events: BTreeMap<(u64, u64), Event>,
    planned: u64,
    streams: BTreeMap<u64, (u64, Stream)>,
    told: Told,
}

impl<'l> Day<'l> {
    pub fn new(make: &'l Make, gate: &'l Gate) -> Self {
        let mut random = Random::new(make.seed);
        let clocks = (0..THREADS).map(|_| ThreadClocks::new(make, &mut random)).collect();
        let counters = Counters::new(make, gate, START);
        let (events, streams) = (BTreeMap::new(), BTreeMap::new());
        let held = [const { None }; THREADS];
        let told = Told::default();
        let mut day =
            Day { make, counters, random, clocks, held, events, planned: 0, streams, told };
        day.plan(0, Event::Arrive);
        // The budget's day ends when its offset says.
        let Span::Days(early) = make.rules[BUDGET].span else { unreachable!("a budget has days") };
        day.plan(DAY - (START.unix_ns + early) % DAY - 1, Event::Midnight);
        let now_and_then = [
            (Op::Step, 97 * MINUTE, Event::Step(0)),
            (Op::Freeze, 53 * MINUTE, Event::Freeze(1)),
            (Op::SetLimit, 71 * MINUTE, Event::SetLimit),
            (Op::Reset, 43 * MINUTE, Event::Reset),
            (Op::Maintain, 5 * MINUTE, Event::Maintain),
        ];
        for (op, first, event) in now_and_then {
            if make.has(op) {
                day.plan(first, event);
            }
        }
        day
    }

    fn plan(&mut self, time: u64, event: Event) {
        self.planned += 1;
        self.events.insert((time, self.planned), event);
    }

    /// The whole day, and what was told.
    pub fn run(mut self) -> Told {
        let mut time = 0;
        while let Some(((at, _), event)) = self.events.pop_first() {
            if at >= DAY {
                break;
            }
            time = at;
            self.happen(time, event);
        }
        self.held = [const { None }; THREADS];
        for number in self.streams.keys().copied().collect::<Vec<_>>() {
            self.finish(time, number);
        }
        // Whatever the clocks have shown is over by then.
        self.counters.end(later(START, 4 * DAY));
        for tally in self.counters.account.tallies {
            self.told.admitted += tally.admitted;
            self.told.denied += tally.denied;
            self.told.refused += tally.refused;
        }
        let Counters { digest, midnights, migrations, .. } = self.counters;
        Told { digest, midnights, migrations, ..self.told }
    }

    /// A thread at random, as its clock shows it: in the session that it holds, or in a new one.
    fn with_thread<T>(
        &mut self,
        time: u64,
        what: impl FnOnce(&mut Counters<'l>, &Desk<'l>) -> T,
    ) -> T {
        let thread = self.random.below(THREADS as u64) as usize;
        match &self.held[thread] {
            Some(desk) => what(&mut self.counters, desk),
            None => {
                let desk = self.counters.at(self.clocks[thread].reading(time));
                what(&mut self.counters, &desk)
            }
        }
    }

    fn happen(&mut self, time: u64, event: Event) {
        match event {
            Event::Arrive => self.arrive(time),
            Event::Burst(client, left) => {
                self.ask(time, client);
                if left > 1 {
                    let gap = self.random.below(2 * SECOND);
                    self.plan(time + gap, Event::Burst(client, left - 1));
                }
            }
            Event::Retry(lines, denial) => {
                let desk = self.counters.at(denial.due);
                self.counters.retry(&desk, &lines, &denial);
                self.told.retried += 1;
            }
            Event::Stream(number, left) => self.go_on(time, number, left),
            Event::Step(thread) => {
                self.clocks[thread].step(&mut self.random);
                let next = self.random.below(THREADS as u64) as usize;
                self.plan_about(time, 30 * MINUTE, Event::Step(next));
            }
            Event::Freeze(thread) => {
                let desk = self.counters.at(self.clocks[thread].reading(time));
                self.held[thread] = Some(desk);
                self.plan_about(time, 3 * MINUTE, Event::Thaw(thread));
            }
            Event::Thaw(thread) => {
                self.held[thread] = None;
                let next = self.random.below(THREADS as u64) as usize;
                self.plan_about(time, 20 * MINUTE, Event::Freeze(next));
            }
            Event::SetLimit => self.set_limit(time),
            Event::Reset => self.reset(time),
            Event::Maintain => {
                let budget = self.random.below(300) as usize;
                self.with_thread(time, |_, desk| desk.session().maintain(budget));
                self.plan_about(time, 5 * MINUTE, Event::Maintain);
            }
            Event::Midnight => {
                let last = later(START, time);
                self.clients(time).take(6).for_each(|client| self.counters.midnight(client, last));
            }
        }
    }

    fn set_limit(&mut self, time: u64) {
        let rule = self.random.below(POLICIES as u64) as usize;
        let first = self.make.rules[rule].limit;
        let limit = self.random.within(first / 2 + 1, self.make.rules[rule].greatest);
        let limit = if self.random.one_in(3) { first } else { limit };
        self.counters.set_limit(rule, limit);
        self.plan_about(time, 40 * MINUTE, Event::SetLimit);
    }

    fn plan_about(&mut self, time: u64, about: u64, event: Event) {
        let gap = self.random.within(about / 2, about * 3 / 2);
        self.plan(time + gap, event);
    }

    /// Those who are there at a time.
    fn clients(&self, time: u64) -> impl Iterator<Item = u64> + use<> {
        let first = if self.make.has(Op::Churn) { time / SHIFT * 5 } else { 0 };
        first..first + CLIENTS
    }

    /// The next client: some come more often.
    fn client(&mut self, time: u64) -> u64 {
        let place = self.random.below(CLIENTS).min(self.random.below(CLIENTS));
        self.clients(time).nth(place as usize).unwrap_or_default()
    }

    fn arrive(&mut self, time: u64) {
        let client = self.client(time);
        match self.random.below(20) {
            0 if self.make.has(Op::Burst) => {
                let requests = self.random.within(5, 60);
                self.plan(time, Event::Burst(client, requests));
            }
            1..5 if self.make.has(Op::Stream) => self.begin(time, client),
            5 if self.make.has(Op::Refund) => {
                let lines = self.lines(client);
                self.with_thread(time, |counters, desk| counters.refund(desk, &lines));
            }
            _ => self.ask(time, client),
        }
        // Busiest at noon of this day, four times as quiet at midnight.
        let hour = (time / HOUR) % 24;
        let load = 4 + hour.min(24 - hour);
        let gap = self.random.below(2 * GAP * 4 / load);
        self.plan(time + gap, Event::Arrive);
    }

    fn lines(&mut self, client: u64) -> Vec<Line> {
        let cost = self.random.within(1, 700);
        // Three clients behind one address.
        let all =
            [(IP, client / 3, 1), (USER, client, 1), (PACE, client, cost), (BUDGET, client, cost)];
        let layers = self.random.within(2, all.len() as u64) as usize;
        all[..layers].to_vec()
    }

    fn ask(&mut self, time: u64, client: u64) {
        let lines = self.lines(client);
        let (_, denial) = self.with_thread(time, |counters, desk| counters.check(desk, &lines));
        if let Some(denial) = denial
            && self.make.has(Op::Retry)
        {
            self.plan(time + denial.wait, Event::Retry(lines, denial));
        }
    }

    /// A stream begins: an estimate is reserved.
    fn begin(&mut self, time: u64, client: u64) {
        let guess = self.random.within(50, 900);
        let lines = [(USER, client, 1), (PACE, client, guess), (BUDGET, client, guess)];
        let stream = self.with_thread(time, |counters, desk| counters.reserve(desk, &lines));
        if let Some(stream) = stream {
            self.told.streams += 1;
            let number = self.told.streams;
            self.streams.insert(number, (client, stream));
            let steps = self.random.below(8);
            self.plan_about(time, 15 * SECOND, Event::Stream(number, steps));
        }
    }

    /// It goes on for a while, is stopped where there is no room, ends, or is never heard of again.
    fn go_on(&mut self, time: u64, number: u64, left: u64) {
        if self.random.one_in(60) {
            // Not settled: what was charged stays until it has passed.
            self.streams.remove(&number);
            return;
        }
        let Some((client, mut stream)) = self.streams.remove(&number) else { return };
        let more = self.random.within(16, 256);
        let may_go_on = left > 0
            && self.with_thread(time, |counters, desk| {
                counters.extend(desk, &mut stream, &[0, more, more])
            });
        self.streams.insert(number, (client, stream));
        if may_go_on {
            self.plan_about(time, 20 * SECOND, Event::Stream(number, left - 1));
        } else {
            self.told.stopped += u64::from(left > 0);
            self.finish(time, number);
        }
    }

    fn finish(&mut self, time: u64, number: u64) {
        let Some((_, stream)) = self.streams.remove(&number) else { return };
        let charged = stream.charged();
        let actual = match self.random.below(10) {
            0 => vec![0; charged.len()],
            1..3 => charged,
            3..5 => {
                let excess = self.random.within(1, 300);
                vec![charged[0], charged[1] + excess, charged[2] + excess]
            }
            _ => {
                let share = self.random.below(100);
                vec![charged[0], charged[1] * share / 100, charged[2] * share / 100]
            }
        };
        self.with_thread(time, |counters, desk| counters.settle(desk, stream, &actual));
    }

    /// A client starts anew, unless something of it is still open.
    fn reset(&mut self, time: u64) {
        let client = self.client(time);
        if self.streams.values().all(|(of, _)| *of != client) {
            let rule = self.random.of(&[USER, PACE, BUDGET]);
            self.with_thread(time, |counters, desk| counters.reset(desk, rule, client));
        }
        self.plan_about(time, 30 * MINUTE, Event::Reset);
    }
}

impl Told {
    pub fn add(&mut self, day: &Told) {
        self.admitted += day.admitted;
        self.denied += day.denied;
        self.refused += day.refused;
        self.streams += day.streams;
        self.stopped += day.stopped;
        self.retried += day.retried;
        self.migrations += day.migrations;
        self.midnights += day.midnights;
    }

    /// So many days meet what they are made for, or they would show nothing.
    pub fn assert_enough(&self, days: u64) {
        assert!(self.admitted > 1_000 * days && self.denied > 300 * days, "{self:?}");
        assert!(self.streams > 100 * days && self.stopped > days, "{self:?}");
        assert!(self.refused > days && self.retried > 50 * days, "{self:?}");
        // Where no clock was ahead at midnight.
        assert!(self.migrations > days && 4 * self.midnights > days, "{self:?}");
    }
}
