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

/// A target for the ratio of two contenders.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of the row.
    pub name: &'static str,
    /// The contender of this project.
    pub own: &'static str,
    /// The reference it is compared with.
    pub reference: Reference,
    /// The bound on the ratio.
    pub goal: Goal,
    /// A measured lower bound, shown next to the target.
    pub lower_bound: Option<LowerBound>,
}

/// Contenders that do little more than the required memory accesses.
#[derive(Clone, Copy, Debug)]
pub struct LowerBound {
    /// Their names; the fastest is the lower bound.
    pub names: &'static [&'static str],
    /// The reference of the lower bound, if it is not that of the target.
    pub reference: Option<Reference>,
}

/// The contenders that an own contender is compared with.
#[derive(Clone, Copy, Debug)]
pub enum Reference {
    /// The fastest contender of a group.
    Fastest(Side),
    /// The sum of these contenders.
    Sum(&'static [&'static str]),
}

/// A bound on a ratio.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// The ratio of times is at most this.
    Time(f64),
    /// The ratio of decisions per second is at least this.
    Throughput(f64),
}

impl Target {
    /// A target with this goal.
    pub(crate) const fn new(
        name: &'static str,
        own: &'static str,
        reference: Reference,
        goal: Goal,
    ) -> Target {
        Target { name, own, reference, goal, lower_bound: None }
    }

    /// A target of at most `ratio` times the time of the fastest rival.
    pub(crate) const fn time(name: &'static str, own: &'static str, ratio: f64) -> Target {
        Target::new(name, own, Reference::Fastest(Side::Rival), Goal::Time(ratio))
    }

    /// A target of at least `ratio` times the decisions per second of the fastest rival.
    pub(crate) const fn throughput(name: &'static str, own: &'static str, ratio: f64) -> Target {
        Target::new(name, own, Reference::Fastest(Side::Rival), Goal::Throughput(ratio))
    }

    /// Replaces the reference.
    pub(crate) const fn against(self, reference: Reference) -> Target {
        Target { reference, ..self }
    }

    /// Adds a lower bound: the fastest of these contenders, compared with the target's reference.
    pub(crate) const fn lower_bound(self, names: &'static [&'static str]) -> Target {
        Target { lower_bound: Some(LowerBound { names, reference: None }), ..self }
    }

    /// Adds a lower bound with a reference of its own.
    pub(crate) const fn lower_bound_against(
        self,
        names: &'static [&'static str],
        reference: Reference,
    ) -> Target {
        Target { lower_bound: Some(LowerBound { names, reference: Some(reference) }), ..self }
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

/// Creates contenders with the same workload: every limiter has the same setting and is filled with
/// the same keys.
#[derive(Debug)]
pub(crate) struct Setup<K> {
    pub(crate) setting: Setting,
    /// Keys that are checked before the measurement, in this order, `times` times.
    pub(crate) fill: Vec<K>,
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

    /// Adds a second thread with the same sequence, starting in its middle.
    pub(crate) fn two_threads(&mut self) {
        let other = self.sequences[0].from_share(0.5);
        self.sequences.push(other);
    }

    /// Adds a peer, with one call for each request.
    pub(crate) fn peer<P: Peer<K>>(&mut self) {
        let side = if P::GUARANTEES.per_key { Side::Rival } else { Side::Sketch };
        self.peer_as::<P>(side);
    }

    /// Adds the rivals that support a clock refreshed by a background thread.
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

    /// Adds the fastest rivals, which also use the least memory.
    pub(crate) fn fastest_rivals(&mut self) {
        self.peer::<Governor<K>>();
        self.peer::<RateNetBucket>();
        self.peer::<Pingora>();
    }

    /// Creates a filled limiter of this project, to be used through several
    /// [`entry_point`](Self::entry_point)s.
    pub(crate) fn own_limiter(&self, words: Option<u32>, clock: Clock) -> Arc<OwnLimiter> {
        let own = OwnLimiter::with_clock(&self.setting, words, clock);
        self.fill(|key| own.check(key));
        own.compact();
        Arc::new(own)
    }

    /// Adds a contender that uses a limiter of this project through an entry point.
    pub(crate) fn entry_point(&mut self, name: &str, own: &Arc<OwnLimiter>, entry: EntryPoint) {
        self.add(name, Side::Own, |sequence| own.work(entry, sequence));
    }
}
