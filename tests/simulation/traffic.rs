//! A simulated day of traffic: changing clients, bursts and streams. The middle of the day is the busiest.

use super::checked_limiter::{CheckedLimiter, Denial, Stream, later};
use super::ledger::Item;
use super::oracle::faulty_limiter::{FaultyLimiter, FaultySession};
use super::setup::{
    BUDGET, DAY, Feature, HOUR, IP, MINUTE, PACE, POLICIES, Random, SECOND, START, Setup, Span,
    USER,
};
use super::thread_clocks::ThreadClocks;
use std::collections::BTreeMap;

const THREADS: usize = 4;
/// The number of clients at any time.
const CLIENTS: u64 = 12;
/// The time after which some clients are replaced by new ones.
const SHIFT: u64 = 20 * MINUTE;
/// The mean gap between requests in the first hour. In the busiest hour it is a quarter of that.
const GAP: u64 = 40 * SECOND;

#[derive(Debug)]
enum Event {
    Arrive,
    /// Client, and its remaining requests.
    Burst(u64, u64),
    Retry(Vec<Item>, Denial),
    /// Number of the stream, and its remaining steps.
    Stream(u64, u64),
    Step(usize),
    Freeze(usize),
    Thaw(usize),
    SetLimit,
    Reset,
    Maintain,
    Midnight,
}

/// Counts of what happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// A digest of all answers.
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
pub struct Traffic<'l> {
    setup: &'l Setup,
    limiter: CheckedLimiter<'l>,
    random: Random,
    clocks: Vec<ThreadClocks>,
    /// The open sessions of threads that are frozen.
    held: [Option<FaultySession<'l>>; THREADS],
    /// Planned events by time, and by order of planning.
    events: BTreeMap<(u64, u64), Event>,
    planned: u64,
    streams: BTreeMap<u64, (u64, Stream)>,
    summary: Summary,
}

impl<'l> Traffic<'l> {
    pub fn new(setup: &'l Setup, limiter: &'l FaultyLimiter) -> Self {
        let mut random = Random::new(setup.seed);
        let clocks = (0..THREADS).map(|_| ThreadClocks::new(setup, &mut random)).collect();
        let limiter = CheckedLimiter::new(setup, limiter, START);
        let (events, streams) = (BTreeMap::new(), BTreeMap::new());
        let held = [const { None }; THREADS];
        let summary = Summary::default();
        let mut day =
            Traffic { setup, limiter, random, clocks, held, events, planned: 0, streams, summary };
        day.plan(0, Event::Arrive);
        // The last nanosecond of the budget's day, including its offset.
        let Span::Days(early) = setup.rules[BUDGET].span else { unreachable!("a budget has days") };
        day.plan(DAY - (START.unix_ns + early) % DAY - 1, Event::Midnight);
        let recurring_events = [
            (Feature::Step, 97 * MINUTE, Event::Step(0)),
            (Feature::Freeze, 53 * MINUTE, Event::Freeze(1)),
            (Feature::SetLimit, 71 * MINUTE, Event::SetLimit),
            (Feature::Reset, 43 * MINUTE, Event::Reset),
            (Feature::Maintain, 5 * MINUTE, Event::Maintain),
        ];
        for (feature, first, event) in recurring_events {
            if setup.has(feature) {
                day.plan(first, event);
            }
        }
        day
    }

    fn plan(&mut self, time: u64, event: Event) {
        self.planned += 1;
        self.events.insert((time, self.planned), event);
    }

    /// Runs the whole day. Returns its counts.
    pub fn run(mut self) -> Summary {
        let mut time = 0;
        while let Some(((at, _), event)) = self.events.pop_first() {
            if at >= DAY {
                break;
            }
            time = at;
            self.run_event(time, event);
        }
        self.held = [const { None }; THREADS];
        for number in self.streams.keys().copied().collect::<Vec<_>>() {
            self.settle_stream(time, number);
        }
        // Later than any reading so far, so that everything has expired.
        self.limiter.end(later(START, 4 * DAY));
        for tally in self.limiter.ledger.tallies {
            self.summary.admitted += tally.admitted;
            self.summary.denied += tally.denied;
            self.summary.refused += tally.refused;
        }
        let CheckedLimiter { digest, midnights, migrations, .. } = self.limiter;
        Summary { digest, midnights, migrations, ..self.summary }
    }

    /// Makes `call` with the session of a random thread: its frozen session, or a new one.
    fn with_thread<T>(
        &mut self,
        time: u64,
        call: impl FnOnce(&mut CheckedLimiter<'l>, &FaultySession<'l>) -> T,
    ) -> T {
        let thread = self.random.below(THREADS as u64) as usize;
        match &self.held[thread] {
            Some(session) => call(&mut self.limiter, session),
            None => {
                let session = self.limiter.at(self.clocks[thread].reading(time));
                call(&mut self.limiter, &session)
            }
        }
    }

    fn run_event(&mut self, time: u64, event: Event) {
        match event {
            Event::Arrive => self.arrive(time),
            Event::Burst(client, left) => {
                self.send_request(time, client);
                if left > 1 {
                    let gap = self.random.below(2 * SECOND);
                    self.plan(time + gap, Event::Burst(client, left - 1));
                }
            }
            Event::Retry(items, denial) => {
                let session = self.limiter.at(denial.due);
                self.limiter.retry(&session, &items, &denial);
                self.summary.retried += 1;
            }
            Event::Stream(number, left) => self.continue_stream(time, number, left),
            Event::Step(thread) => {
                self.clocks[thread].step(&mut self.random);
                let next = self.random.below(THREADS as u64) as usize;
                self.plan_about(time, 30 * MINUTE, Event::Step(next));
            }
            Event::Freeze(thread) => {
                let session = self.limiter.at(self.clocks[thread].reading(time));
                self.held[thread] = Some(session);
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
                self.with_thread(time, |_, session| session.inner().maintain(budget));
                self.plan_about(time, 5 * MINUTE, Event::Maintain);
            }
            Event::Midnight => {
                let last = later(START, time);
                self.clients(time).take(6).for_each(|client| self.limiter.midnight(client, last));
            }
        }
    }

    fn set_limit(&mut self, time: u64) {
        let rule = self.random.below(POLICIES as u64) as usize;
        let first = self.setup.rules[rule].limit;
        let limit = self.random.within(first / 2 + 1, self.setup.rules[rule].greatest);
        let limit = if self.random.one_in(3) { first } else { limit };
        self.limiter.set_limit(rule, limit);
        self.plan_about(time, 40 * MINUTE, Event::SetLimit);
    }

    fn plan_about(&mut self, time: u64, about: u64, event: Event) {
        let gap = self.random.within(about / 2, about * 3 / 2);
        self.plan(time + gap, event);
    }

    /// The clients present at a time.
    fn clients(&self, time: u64) -> impl Iterator<Item = u64> + use<> {
        let first = if self.setup.has(Feature::Churn) { time / SHIFT * 5 } else { 0 };
        first..first + CLIENTS
    }

    /// A random client; some are more frequent.
    fn client(&mut self, time: u64) -> u64 {
        let index = self.random.below(CLIENTS).min(self.random.below(CLIENTS));
        self.clients(time).nth(index as usize).unwrap_or_default()
    }

    fn arrive(&mut self, time: u64) {
        let client = self.client(time);
        match self.random.below(20) {
            0 if self.setup.has(Feature::Burst) => {
                let requests = self.random.within(5, 60);
                self.plan(time, Event::Burst(client, requests));
            }
            1..5 if self.setup.has(Feature::Stream) => self.start_stream(time, client),
            5 if self.setup.has(Feature::Refund) => {
                let items = self.items(client);
                self.with_thread(time, |limiter, session| limiter.refund(session, &items));
            }
            _ => self.send_request(time, client),
        }
        // Four times as busy after twelve hours as at the start.
        let hour = (time / HOUR) % 24;
        let load = 4 + hour.min(24 - hour);
        let gap = self.random.below(2 * GAP * 4 / load);
        self.plan(time + gap, Event::Arrive);
    }

    fn items(&mut self, client: u64) -> Vec<Item> {
        let cost = self.random.within(1, 700);
        // Three clients share an address.
        let all =
            [(IP, client / 3, 1), (USER, client, 1), (PACE, client, cost), (BUDGET, client, cost)];
        let count = self.random.within(2, all.len() as u64) as usize;
        all[..count].to_vec()
    }

    fn send_request(&mut self, time: u64, client: u64) {
        let items = self.items(client);
        let (_, denial) = self.with_thread(time, |limiter, session| limiter.check(session, &items));
        if let Some(denial) = denial
            && self.setup.has(Feature::Retry)
        {
            self.plan(time + denial.wait, Event::Retry(items, denial));
        }
    }

    /// Starts a stream: reserves an estimate.
    fn start_stream(&mut self, time: u64, client: u64) {
        let guess = self.random.within(50, 900);
        let items = [(USER, client, 1), (PACE, client, guess), (BUDGET, client, guess)];
        let stream = self.with_thread(time, |limiter, session| limiter.reserve(session, &items));
        if let Some(stream) = stream {
            self.summary.streams += 1;
            let number = self.summary.streams;
            self.streams.insert(number, (client, stream));
            let steps = self.random.below(8);
            self.plan_about(time, 15 * SECOND, Event::Stream(number, steps));
        }
    }

    /// Continues a stream: extends it, settles it, or abandons it.
    fn continue_stream(&mut self, time: u64, number: u64, left: u64) {
        if self.random.one_in(60) {
            // An abandoned reservation stays charged until it expires.
            self.streams.remove(&number);
            return;
        }
        let Some((client, mut stream)) = self.streams.remove(&number) else { return };
        let more = self.random.within(16, 256);
        let may_continue = left > 0
            && self.with_thread(time, |limiter, session| {
                limiter.extend(session, &mut stream, &[0, more, more])
            });
        self.streams.insert(number, (client, stream));
        if may_continue {
            self.plan_about(time, 20 * SECOND, Event::Stream(number, left - 1));
        } else {
            self.summary.stopped += u64::from(left > 0);
            self.settle_stream(time, number);
        }
    }

    fn settle_stream(&mut self, time: u64, number: u64) {
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
        self.with_thread(time, |limiter, session| limiter.settle(session, stream, &actual));
    }

    /// Resets a client's key, unless the client has an open stream.
    fn reset(&mut self, time: u64) {
        let client = self.client(time);
        if self.streams.values().all(|(streaming, _)| *streaming != client) {
            let rule = self.random.one_of(&[USER, PACE, BUDGET]);
            self.with_thread(time, |limiter, session| limiter.reset(session, rule, client));
        }
        self.plan_about(time, 30 * MINUTE, Event::Reset);
    }
}

impl Summary {
    pub fn add(&mut self, day: &Summary) {
        self.admitted += day.admitted;
        self.denied += day.denied;
        self.refused += day.refused;
        self.streams += day.streams;
        self.stopped += day.stopped;
        self.retried += day.retried;
        self.migrations += day.migrations;
        self.midnights += day.midnights;
    }

    /// Panics unless the runs covered each kind of event.
    pub fn assert_enough(&self, days: u64) {
        assert!(self.admitted > 1_000 * days && self.denied > 300 * days, "{self:?}");
        assert!(self.streams > 100 * days && self.stopped > days, "{self:?}");
        assert!(self.refused > days && self.retried > 50 * days, "{self:?}");
        // A midnight is not counted if another clock was ahead.
        assert!(self.migrations > days && 4 * self.midnights > days, "{self:?}");
    }
}
