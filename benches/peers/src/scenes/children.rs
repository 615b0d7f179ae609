//! What is measured in a process of its own for each peer.

use super::{Size, many};
use crate::contender::Side;
use crate::keys::KeyKind;
use crate::peer::Peer;
use crate::peers::{
    self, FirstTouch, Governor, GrowingTable, Limitador, RateNetBucket, RateNetCounter, RateNetLog,
    Textbook, TollgateBuckets, TollgateExact,
};
use crate::result::{Line, Outcome};
use crate::rounds::Rounds;
use crate::scene::{Aim, Beside};
use crate::tasks::{Job, MAX_ON_CPU, MEAN};
use std::io;

const OWN: &str = <TollgateBuckets as Peer>::NAME;
const EXACT: &str = <TollgateExact as Peer>::NAME;
const GOVERNOR: &str = <Governor as Peer>::NAME;
const BUCKET: &str = <RateNetBucket as Peer>::NAME;
const COUNTER: &str = <RateNetCounter as Peer>::NAME;
const LOG: &str = <RateNetLog as Peer>::NAME;
const TEXTBOOK: &str = <Textbook as Peer>::NAME;
const LIMITADOR: &str = <Limitador as Peer>::NAME;
const TOUCH: &str = <FirstTouch as Peer>::NAME;
const TABLE: &str = <GrowingTable as Peer>::NAME;

/// New keys into an empty limiter: the mean, and the worst call.
pub(super) fn new_keys<K: KeyKind>(size: Size) -> io::Result<Vec<Outcome>> {
    let names = [OWN, EXACT, GOVERNOR, BUCKET, COUNTER, TEXTBOOK, TOUCH, TABLE];
    let rounds = Rounds::run(&names, size.rounds, &Job::Growth.arguments::<K>(size.new))?;
    let title = |what| format!("{what} of {} into an empty limiter", many(size.new as usize));
    let mean = Aim::time("new keys: mean", OWN, 0.7).least(&[TABLE]);
    let worst = Aim::time("new keys: worst call, on CPU", OWN, 0.02).least(&[TOUCH]);
    Ok(vec![
        Outcome::new("new", title("the mean"), "ns", lines(&rounds, MEAN), &[mean]),
        Outcome::new("worst", title("the worst call"), "ns", lines(&rounds, MAX_ON_CPU), &[worst]),
    ])
}

/// Memory for live keys.
pub(super) fn bytes<K: KeyKind>(size: Size) -> io::Result<Vec<Outcome>> {
    let names = [OWN, EXACT, GOVERNOR, BUCKET, COUNTER, LOG, TEXTBOOK, LIMITADOR];
    let keys = size.million as u64;
    let rounds = Rounds::run(&names, 1, &Job::Resident.arguments::<K>(keys))?;
    let less =
        |names| Aim::time("bytes per live key, 7 words", OWN, 1.0).beside(Beside::Sum(names));
    let title = format!("memory per key of {}", many(size.million));
    let aims = [less(&[GOVERNOR]), less(&[BUCKET])];
    Ok(vec![Outcome::new("bytes", title, "bytes", lines(&rounds, 0), &aims)])
}

/// One column of the figures; without the peers that the system did not tell it of.
fn lines(rounds: &Rounds, column: usize) -> Vec<Line> {
    let line = |(name, figures): &(&'static str, Vec<crate::figures::Figures>)| {
        let values: Option<Vec<f64>> = figures.iter().map(|figures| figures.0[column]).collect();
        Some(Line::new(name, side(name), values?))
    };
    rounds.peers.iter().filter_map(line).collect()
}

fn side(name: &str) -> Side {
    let promises = peers::ALL.iter().find(|(other, _)| *other == name);
    match promises {
        _ if name.starts_with("tollgate") => Side::Own,
        _ if name.starts_with("control") => Side::Floor,
        Some((_, promises)) if promises.per_key => Side::Rival,
        _ => Side::Sketch,
    }
}
