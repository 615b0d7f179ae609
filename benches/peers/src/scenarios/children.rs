//! Scenarios that run each peer in a child process.

use super::{Size, many};
use crate::contender::Side;
use crate::keys::KeyKind;
use crate::peer::Peer;
use crate::peers::{
    self, FirstTouch, Governor, GrowingTable, Limitador, MutexLog, RateNetBucket, RateNetCounter,
    RateNetLog, TollgateBuckets, TollgateExact,
};
use crate::result::{ContenderResult, Outcome};
use crate::rounds::Rounds;
use crate::scenario::{Reference, Target};
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
const TABLE: &str = <GrowingTable as Peer>::NAME;

/// Inserts new keys into an empty limiter: the mean and the worst call.
pub(super) fn new_keys<K: KeyKind>(size: Size) -> io::Result<Vec<Outcome>> {
    let names = [OWN, EXACT, GOVERNOR, BUCKET, COUNTER, MUTEX_LOG, TOUCH, TABLE];
    let rounds = Rounds::run(&names, size.rounds, &Job::Growth.arguments::<K>(size.new))?;
    let title = |what| format!("{} into an empty limiter, {what}", many(size.new as usize));
    let mean = Target::time("new_keys_mean", OWN, 0.7).lower_bound(&[TABLE]);
    let worst = Target::time("new_keys_worst_call_on_cpu", OWN, 0.02).lower_bound(&[TOUCH]);
    Ok(vec![
        Outcome::new("new", title("mean"), "ns", results(&rounds, MEAN), &[mean]),
        Outcome::new("worst", title("worst call"), "ns", results(&rounds, MAX_ON_CPU), &[worst]),
    ])
}

/// Measures the memory of live keys.
pub(super) fn bytes<K: KeyKind>(size: Size) -> io::Result<Vec<Outcome>> {
    let names = [OWN, EXACT, GOVERNOR, BUCKET, COUNTER, LOG, MUTEX_LOG, LIMITADOR];
    let keys = size.million as u64;
    let rounds = Rounds::run(&names, 1, &Job::Resident.arguments::<K>(keys))?;
    let at_most =
        |names| Target::time("bytes_per_live_key_7_words", OWN, 1.0).against(Reference::Sum(names));
    let title = format!("{}, memory per key", many(size.million));
    let targets = [at_most(&[GOVERNOR]), at_most(&[BUCKET])];
    Ok(vec![Outcome::new("bytes", title, "bytes", results(&rounds, 0), &targets)])
}

/// One column of the figures, without the peers for which the system did not provide it.
fn results(rounds: &Rounds, column: usize) -> Vec<ContenderResult> {
    let result = |(name, figures): &(&'static str, Vec<crate::figures::Figures>)| {
        let values: Option<Vec<f64>> = figures.iter().map(|figures| figures.0[column]).collect();
        Some(ContenderResult::new(name, side(name), values?))
    };
    rounds.peers.iter().filter_map(result).collect()
}

fn side(name: &str) -> Side {
    let guarantees = peers::ALL.iter().find(|(other, _)| *other == name);
    match guarantees {
        _ if name.starts_with("tollgate") => Side::Own,
        _ if name.starts_with("control") => Side::Baseline,
        Some((_, guarantees)) if guarantees.per_key => Side::Rival,
        _ => Side::Sketch,
    }
}
