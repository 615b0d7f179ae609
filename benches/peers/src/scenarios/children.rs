//! Scenarios that run each peer in a child process.

use super::Size;
use crate::contender::Side;
use crate::keys::KeyKind;
use crate::peer::Peer;
use crate::peers::{
    self, FirstTouch, Governor, Limitador, MutexLog, RateNetBucket, RateNetCounter, RateNetLog,
    TollgateBuckets, TollgateExact,
};
use crate::result::{ContenderResult, Outcome};
use crate::rounds::Rounds;
use crate::scenario::{Goal, Reference, Target};
use crate::tasks::{Job, MAX_ON_CPU, MEAN};
use std::io;

const OWN: &str = <TollgateBuckets as Peer>::NAME;
const EXACT: &str = <TollgateExact as Peer>::NAME;
const GOVERNOR: &str = <Governor as Peer>::NAME;
const BUCKET: &str = <RateNetBucket as Peer>::NAME;
const COUNTER: &str = <RateNetCounter as Peer>::NAME;
const LOG: &str = <RateNetLog as Peer>::NAME;
const MUTEX_LOG: &str = <MutexLog as Peer>::NAME;
const LIMITADOR: &str = <Limitador as Peer>::NAME;
const TOUCH: &str = <FirstTouch as Peer>::NAME;

/// Inserts new keys into an empty limiter. Measures the mean time of a call for a million keys, and the
/// mean time and the worst call for ten million.
pub(super) fn new_keys<K: KeyKind>(size: Size) -> io::Result<Vec<Outcome>> {
    let names = [OWN, EXACT, GOVERNOR, BUCKET, COUNTER, MUTEX_LOG, TOUCH];
    let run = |keys: u64| Rounds::run(&names, size.rounds, &Job::Growth.arguments::<K>(keys));
    let title = |keys, what| format!("{} into an empty limiter, {what}", K::many(keys));
    let mean = |name, keys, rounds: &Rounds, goal| {
        let title = title(keys, "mean");
        let target = Target::new(title.clone(), OWN, goal);
        Outcome::new(name, title, "ns", results(rounds, MEAN), &[target])
    };
    let million = run(size.million as u64)?;
    let (rounds, keys) = (run(size.new)?, size.new as usize);
    let worst = title(keys, "worst call by CPU time");
    let target = Target::time(worst.clone(), OWN, 0.02);
    Ok(vec![
        mean("new", size.million, &million, Goal::Unbounded),
        mean("new-large", keys, &rounds, Goal::Time(0.7)),
        Outcome::new("worst", worst, "ns", results(&rounds, MAX_ON_CPU), &[target]),
    ])
}

/// Measures the memory of live keys, after the inserts and after maintenance.
pub(super) fn bytes<K: KeyKind>(size: Size) -> io::Result<Vec<Outcome>> {
    let names = [OWN, EXACT, GOVERNOR, BUCKET, COUNTER, LOG, MUTEX_LOG, LIMITADOR];
    let outcome = |name, job: Job, title: String, goal| -> io::Result<Outcome> {
        let rounds = Rounds::run(&names, 1, &job.arguments::<K>(size.million as u64))?;
        let versus = |rival| {
            let name = format!("{title}, vs {rival}");
            Target::new(name, OWN, goal).against(Reference::Named(rival))
        };
        let targets = [versus(GOVERNOR), versus(BUCKET)];
        Ok(Outcome::new(name, title, "bytes", results(&rounds, 0), &targets))
    };
    let keys = K::many(size.million);
    Ok(vec![
        outcome("bytes", Job::Resident, format!("{keys}, bytes per key"), Goal::Unbounded)?,
        outcome(
            "bytes-maintained",
            Job::ResidentMaintained,
            format!("{keys}, maintained, bytes per key"),
            Goal::Time(1.0),
        )?,
    ])
}

/// The results in one column of figures. A peer is left out if the figure is missing in any round.
fn results(rounds: &Rounds, column: usize) -> Vec<ContenderResult> {
    let result = |(name, figures): &(&'static str, Vec<crate::figures::Figures>)| {
        let values: Option<Vec<f64>> = figures.iter().map(|figures| figures.0[column]).collect();
        Some(ContenderResult::new(name, side(name), values?))
    };
    rounds.peers.iter().filter_map(result).collect()
}

pub(super) fn side(name: &str) -> Side {
    let guarantees = peers::ALL.iter().find(|(other, _)| *other == name);
    match guarantees {
        _ if name.starts_with("tollgate") => Side::Own,
        _ if name.starts_with("control") => Side::Baseline,
        Some((_, guarantees)) if guarantees.per_key => Side::Rival,
        _ => Side::Sketch,
    }
}
