//! A scene: contenders that take turns, and what is to be shown by them.

use crate::contender::{Answers, Contender, Side, Work};
use crate::keys::KeyKind;
use crate::peer::{Peer, Setting};
use crate::peers::{
    Governor, GovernorUpkeep, Limitador, Pingora, RateNetBucket, RateNetCoarse, RateNetCounter,
    RateNetLog, Textbook,
};
use crate::tour::Tour;
use crate::ways::{Own, Way, one_by_one};
use std::sync::Arc;
use tollgate::Clock;

/// What is compared in the end.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    /// The work, in words.
    pub work: &'static str,
    /// The contender that is to be quick.
    pub own: &'static str,
    /// What it is compared with.
    pub beside: Beside,
    /// What is wanted.
    pub goal: Goal,
    /// What shows how far the machine is from it.
    pub least: Option<Least>,
}

/// Contenders that do little else than the work itself.
#[derive(Clone, Copy, Debug)]
pub struct Least {
    /// Their names: the quickest of them is it.
    pub names: &'static [&'static str],
    /// What it is compared with, if not with the same as the own contender.
    pub beside: Option<Beside>,
}

/// What an own contender is compared with.
#[derive(Clone, Copy, Debug)]
pub enum Beside {
    /// The fastest of this side.
    Fastest(Side),
    /// These contenders together.
    Sum(&'static [&'static str]),
}

/// A ratio that is wanted.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// Of times: at most this.
    Time(f64),
    /// Of decisions per second: at least this.
    Throughput(f64),
}

impl Aim {
    /// This goal.
    pub(crate) const fn new(
        work: &'static str,
        own: &'static str,
        beside: Beside,
        goal: Goal,
    ) -> Aim {
        Aim { work, own, beside, goal, least: None }
    }

    /// At most so much of the time of the fastest rival.
    pub(crate) const fn time(work: &'static str, own: &'static str, ratio: f64) -> Aim {
        Aim::new(work, own, Beside::Fastest(Side::Rival), Goal::Time(ratio))
    }

    /// At least so many times the decisions of the fastest rival.
    pub(crate) const fn throughput(work: &'static str, own: &'static str, ratio: f64) -> Aim {
        Aim::new(work, own, Beside::Fastest(Side::Rival), Goal::Throughput(ratio))
    }

    /// The same goal beside others.
    pub(crate) const fn beside(self, beside: Beside) -> Aim {
        Aim { beside, ..self }
    }

    /// Shown with what the quickest of these contenders takes beside the same.
    pub(crate) const fn least(self, names: &'static [&'static str]) -> Aim {
        Aim { least: Some(Least { names, beside: None }), ..self }
    }

    /// Shown with what this contender takes beside its own kind.
    pub(crate) const fn least_beside(self, names: &'static [&'static str], beside: Beside) -> Aim {
        Aim { least: Some(Least { names, beside: Some(beside) }), ..self }
    }
}

/// What takes turns, and why.
#[derive(Debug)]
pub struct Scene {
    /// How it is called on the command line.
    pub name: &'static str,
    /// The same in words.
    pub title: String,
    /// Who takes part.
    pub contenders: Vec<Contender>,
    /// What is to be shown.
    pub aims: Vec<Aim>,
}

/// Puts contenders on stage that do the same work: each limiter is made by one setting and asked
/// for the same keys before.
#[derive(Debug)]
pub(crate) struct Stage<K> {
    pub(crate) setting: Setting,
    /// Asked for at first, in this order, `times` times each.
    pub(crate) fill: Vec<K>,
    pub(crate) times: usize,
    /// A tour for each thread.
    pub(crate) tours: Vec<Tour<K>>,
    pub(crate) answers: Answers,
    pub(crate) contenders: Vec<Contender>,
}

impl<K: KeyKind> Stage<K> {
    /// One thread; every key is asked for once before.
    pub(crate) fn new(setting: Setting, fill: Vec<K>, tour: Tour<K>, answers: Answers) -> Self {
        Stage { setting, fill, times: 1, tours: vec![tour], answers, contenders: Vec::new() }
    }

    fn fill(&self, check: impl Fn(&K) -> bool) {
        for _ in 0..self.times {
            for key in &self.fill {
                check(key);
            }
        }
    }

    fn add(&mut self, name: &str, side: Side, work: impl Fn(Tour<K>) -> Work) {
        let threads = self.tours.iter().cloned().map(work).collect();
        self.contenders.push(Contender::new(name, side, self.answers, threads));
    }

    /// The same tour for another thread as well, begun elsewhere.
    pub(crate) fn two_threads(&mut self) {
        let other = self.tours[0].from_share(0.5);
        self.tours.push(other);
    }

    /// A peer by itself, each request by one call.
    pub(crate) fn peer<P: Peer<K>>(&mut self) {
        let side = if P::PROMISES.per_key { Side::Rival } else { Side::Sketch };
        self.peer_as::<P>(side);
    }

    /// The rivals that can have a clock which another thread refreshes.
    pub(crate) fn coarse_rivals(&mut self) {
        self.peer_as::<GovernorUpkeep<K>>(Side::CoarseRival);
        self.peer_as::<RateNetCoarse>(Side::CoarseRival);
    }

    fn peer_as<P: Peer<K>>(&mut self, side: Side) {
        let peer = Arc::new(P::new(&self.setting));
        self.fill(|key| peer.check(key));
        self.add(P::NAME, side, |tour| one_by_one(peer.clone(), tour));
    }

    /// All rivals on their default clocks.
    pub(crate) fn rivals(&mut self) {
        self.quick_rivals();
        self.peer::<RateNetCounter>();
        self.peer::<RateNetLog>();
        self.peer::<Limitador>();
        self.peer::<Textbook<K>>();
    }

    /// Those that have been the fastest, and take the least memory.
    pub(crate) fn quick_rivals(&mut self) {
        self.peer::<Governor<K>>();
        self.peer::<RateNetBucket>();
        self.peer::<Pingora>();
    }

    /// This project's limiter, filled, to be asked in several [`way`](Self::way)s.
    pub(crate) fn own(&self, words: Option<u32>, clock: Clock) -> Arc<Own> {
        let own = Own::with_clock(&self.setting, words, clock);
        self.fill(|key| own.check(key));
        own.settle();
        Arc::new(own)
    }

    pub(crate) fn way(&mut self, name: &str, own: &Arc<Own>, way: Way) {
        self.add(name, Side::Own, |tour| own.work(way, tour));
    }
}
