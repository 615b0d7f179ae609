//! The first calls about known keys straight after the inserts. A table that is still moving its keys to
//! a larger array moves some of them in some of these calls.

use super::{Size, children};
use crate::figures::{Figures, median};
use crate::keys::KeyKind;
use crate::peer::Peer;
use crate::peers::{Governor, RateNetBucket, TollgateBuckets};
use crate::result::{ContenderResult, Outcome, TargetResult};
use crate::rounds::Rounds;
use crate::scenario::{Goal, Target};
use crate::table::Table;
use crate::tasks::{BLOCK, CALLS, DISTURBED_BLOCKS, Job, MEAN_BLOCK, SLOWEST_BLOCK};
use std::io;

const OWN: &str = <TollgateBuckets as Peer>::NAME;
const PEERS: [&str; 3] = [OWN, <Governor as Peer>::NAME, <RateNetBucket as Peer>::NAME];

/// The results for one population: for one number of keys.
struct Population {
    keys: usize,
    rounds: Rounds,
}

impl Population {
    /// For each peer, the median of one column over the rounds. A missing figure is an error.
    fn results(&self, column: usize) -> io::Result<Vec<ContenderResult>> {
        let result = |(name, medians): (&'static str, Figures)| {
            let median = medians.0.get(column).copied().flatten()?;
            Some(ContenderResult::new(name, children::side(name), vec![median]))
        };
        let results: Option<Vec<_>> = self.rounds.medians().map(result).collect();
        results.ok_or_else(|| io::Error::other("no figures"))
    }

    /// The share of disturbed blocks, over all peers and rounds.
    fn disturbed(&self) -> Option<f64> {
        let peers = self.rounds.peers.iter();
        let shares = peers.flat_map(|(_, rounds)| rounds).map(|round| round.0[DISTURBED_BLOCKS]);
        let shares = shares.collect::<Option<Vec<f64>>>()?;
        Some(mean(&shares))
    }
}

pub(super) fn first_calls<K: KeyKind>(size: Size) -> io::Result<Vec<Outcome>> {
    let mut populations = Vec::new();
    for keys in size.populations {
        let rounds = Rounds::run(&PEERS, size.rounds, &Job::AfterInserts.arguments::<K>(*keys))?;
        populations.push(Population { keys: *keys as usize, rounds });
    }
    let number = |count: usize| Table::number(Some(count as f64), 0);
    let what = "about known keys straight after the inserts";
    let slowest = format!("the slowest block of {} calls {what}", number(BLOCK));
    let mean = format!("the mean of the first {} calls {what}", number(CALLS));
    Ok(vec![
        outcome::<K>("after-slowest", &slowest, &populations, SLOWEST_BLOCK, highest)?,
        outcome::<K>("after-mean", &mean, &populations, MEAN_BLOCK, median)?,
    ])
}

/// The outcome of one column of figures. It has a row for each population. For the last row, `combine`
/// combines each peer's results of all populations into one.
fn outcome<K: KeyKind>(
    name: &'static str,
    what: &str,
    populations: &[Population],
    column: usize,
    combine: fn(Vec<f64>) -> Option<f64>,
) -> io::Result<Outcome> {
    let row = |keys: String| Target::new(format!("{keys}, {what}"), OWN, Goal::Unbounded);
    let mut targets = Vec::new();
    // For each peer, its result in each population.
    let mut all: Vec<(String, Vec<f64>)> = Vec::new();
    for population in populations {
        let results = population.results(column)?;
        targets.push(TargetResult::new(&row(K::many(population.keys)), &results));
        for result in results {
            match all.iter_mut().find(|(name, _)| *name == result.name) {
                Some((_, of_peer)) => of_peer.push(result.ns),
                None => all.push((result.name, vec![result.ns])),
            }
        }
    }
    let combined = |(name, of_peer): (String, Vec<f64>)| {
        let ns = combine(of_peer.clone()).unwrap_or(f64::NAN);
        ContenderResult { ns, ..ContenderResult::new(&name, children::side(&name), of_peer) }
    };
    let results = all.into_iter().map(combined).collect();
    let (first, last) = populations.first().zip(populations.last()).expect("a population");
    let (count, fewest) = (populations.len(), Table::number(Some(first.keys as f64), 0));
    let title = format!("{count} populations from {fewest} to {}", K::many(last.keys));
    let last_row = row(title.clone());
    let mut outcome = Outcome::new(name, format!("{title}, {what}"), "ns", results, &[last_row]);
    outcome.targets.splice(0..0, targets);
    let shares = populations.iter().map(Population::disturbed).collect::<Option<Vec<f64>>>();
    outcome.disturbed = shares.map(|shares| mean(&shares));
    Ok(outcome)
}

fn highest(values: Vec<f64>) -> Option<f64> {
    values.into_iter().max_by(f64::total_cmp)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
