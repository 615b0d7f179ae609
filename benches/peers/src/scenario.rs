//! Scenarios: contenders that are measured together, and the targets for their ratios.

use crate::contender::{Contender, Expected, Side, Work};
use crate::entry_points::{EntryPoint, OwnLimiter, one_by_one};
use crate::key_sequence::KeySequence;
use crate::keys::KeyKind;
use crate::peer::{Peer, Setting};
use crate::peers::{
    Governor, GovernorUpkeep, Limitador, MutexLog, Pingora, RateNetBucket, RateNetCoarse,
    RateNetCounter, RateNetLog,
};
use std::sync::Arc;
use tollgate::Clock;

/// A ratio of two contenders: a row of the report.
#[derive(Clone, Debug)]
pub struct Target {
    /// The name of the row: the kind and the number of keys, and the measured work.
    pub name: String,
    /// The contender of this project.
    pub own: &'static str,
    /// The contender that `own` is compared with.
    pub reference: Reference,
    /// The kind of the ratio, and the bound on it.
    pub goal: Goal,
}

/// The contender that an own contender is compared with.
#[derive(Clone, Copy, Debug)]
pub enum Reference {
    /// The fastest contender of a group.
    Fastest(Side),
    /// The contender of this name.
    Named(&'static str),
}

/// The kind of a ratio of an own contender to its reference, and the bound on it.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// The ratio of figures (times, or bytes per key) is at most this.
    Time(f64),
    /// The ratio of decisions per second is at least this.
    Throughput(f64),
    /// The ratio of figures is reported without a bound.
    Unbounded,
}

impl Target {
    /// A ratio to the fastest rival, with this bound.
    pub(crate) fn new(name: impl Into<String>, own: &'static str, goal: Goal) -> Target {
        Target { name: name.into(), own, reference: Reference::Fastest(Side::Rival), goal }
    }

    /// A target: at most `ratio` of the fastest rival's time.
    pub(crate) fn time(name: impl Into<String>, own: &'static str, ratio: f64) -> Target {
        Target::new(name, own, Goal::Time(ratio))
    }

    /// A target: at least `ratio` times the fastest rival's decisions per second.
    pub(crate) fn throughput(name: impl Into<String>, own: &'static str, ratio: f64) -> Target {
        Target::new(name, own, Goal::Throughput(ratio))
    }

    /// The same target with another reference.
    pub(crate) fn against(self, reference: Reference) -> Target {
        Target { reference, ..self }
    }
}

/// Contenders that are measured together.
#[derive(Debug)]
pub struct Scenario {
    /// The name on the command line.
    pub name: &'static str,
    /// A description for reports.
    pub title: String,
    /// The contenders.
    pub contenders: Vec<Contender>,
    /// The targets.
    pub targets: Vec<Target>,
}

/// Creates contenders with the same workload: every limiter has the same [`Setting`] and is filled with
/// the same keys.
#[derive(Debug)]
pub(crate) struct Setup<K> {
    pub(crate) setting: Setting,
    /// Keys that are checked before the measurement, in this order.
    pub(crate) fill: Vec<K>,
    /// The number of passes over `fill`.
    pub(crate) times: usize,
    /// One key sequence for each thread.
    pub(crate) sequences: Vec<KeySequence<K>>,
    pub(crate) expected: Expected,
    pub(crate) contenders: Vec<Contender>,
}

impl<K: KeyKind> Setup<K> {
    /// A setup for one thread, with every key checked once before the measurement.
    pub(crate) fn new(
        setting: Setting,
        fill: Vec<K>,
        sequence: KeySequence<K>,
        expected: Expected,
    ) -> Self {
        Setup {
            setting,
            fill,
            times: 1,
            sequences: vec![sequence],
            expected,
            contenders: Vec::new(),
        }
    }

    fn fill(&self, check: impl Fn(&K) -> bool) {
        for _ in 0..self.times {
            for key in &self.fill {
                check(key);
            }
        }
    }

    fn add(&mut self, name: &str, side: Side, work: impl Fn(KeySequence<K>) -> Work) {
        let threads = self.sequences.iter().cloned().map(work).collect();
        self.contenders.push(Contender::new(name, side, self.expected, threads));
    }

    /// Gives all contenders that are added later a second thread, which starts in the middle of the
    /// sequence.
    pub(crate) fn two_threads(&mut self) {
        let other = self.sequences[0].from_share(0.5);
        self.sequences.push(other);
    }

    /// Adds a peer, with one call for each request.
    pub(crate) fn peer<P: Peer<K>>(&mut self) {
        let side = if P::GUARANTEES.per_key { Side::Rival } else { Side::Sketch };
        self.peer_as::<P>(side);
    }

    /// Adds the rivals on clocks that a background thread refreshes.
    pub(crate) fn coarse_rivals(&mut self) {
        self.peer_as::<GovernorUpkeep<K>>(Side::CoarseRival);
        self.peer_as::<RateNetCoarse>(Side::CoarseRival);
    }

    fn peer_as<P: Peer<K>>(&mut self, side: Side) {
        let peer = Arc::new(P::new(&self.setting));
        self.fill(|key| peer.check(key));
        self.add(P::NAME, side, |sequence| one_by_one(peer.clone(), sequence));
    }

    /// Adds all rivals on their default clocks.
    pub(crate) fn rivals(&mut self) {
        self.fastest_rivals();
        self.peer::<RateNetCounter>();
        self.peer::<RateNetLog>();
        self.peer::<Limitador>();
        self.peer::<MutexLog<K>>();
    }

    /// Adds the rivals that are the fastest in most scenarios.
    pub(crate) fn fastest_rivals(&mut self) {
        self.peer::<Governor<K>>();
        self.peer::<RateNetBucket>();
        self.peer::<Pingora>();
    }

    /// Creates a filled limiter of this project, to be used through one or more
    /// [`entry_point`](Self::entry_point)s. Nothing calls `maintain`.
    pub(crate) fn own_limiter(&self, words: Option<u32>, clock: Clock) -> Arc<OwnLimiter> {
        let own = OwnLimiter::with_clock(&self.setting, words, clock);
        self.fill(|key| own.check(key));
        Arc::new(own)
    }

    /// Creates a filled limiter of this project, and calls `maintain` until it is done. The names of
    /// its contenders contain `maintained`.
    pub(crate) fn maintained_limiter(&self, words: Option<u32>, clock: Clock) -> Arc<OwnLimiter> {
        let own = self.own_limiter(words, clock);
        own.maintain();
        own
    }

    /// Adds a contender that uses a limiter of this project through an entry point.
    pub(crate) fn entry_point(&mut self, name: &str, own: &Arc<OwnLimiter>, entry: EntryPoint) {
        self.add(name, Side::Own, |sequence| own.work(entry, sequence));
    }
}
