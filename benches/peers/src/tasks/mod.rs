//! The measurements that run in child processes: see [`Rounds`](crate::Rounds).

mod after_inserts;
mod growth;
mod load;
mod resident;

pub use after_inserts::{AfterInserts, BLOCK, CALLS, DISTURBED_BLOCKS, MEAN_BLOCK, SLOWEST_BLOCK};
pub use growth::{Growth, LIMIT, MAX, MAX_ON_CPU, MEAN, PER_KEY, WINDOW};
pub use load::Load;
pub use resident::Resident;

use crate::figures::Figures;
use crate::keys::KeyKind;
use crate::peers;

/// A measurement in a child process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// [`Growth`].
    Growth,
    /// [`Load`] with known keys in both threads.
    LoadKnown,
    /// [`Load`] with known keys in both threads, maintained.
    LoadKnownMaintained,
    /// [`Load`] with new keys in the other thread.
    LoadGrowing,
    /// [`Resident`].
    Resident,
    /// [`Resident`], maintained.
    ResidentMaintained,
    /// [`AfterInserts`].
    AfterInserts,
}

const JOBS: [(&str, Job); 7] = [
    ("growth", Job::Growth),
    ("load-known", Job::LoadKnown),
    ("load-known-maintained", Job::LoadKnownMaintained),
    ("load-growing", Job::LoadGrowing),
    ("resident", Job::Resident),
    ("resident-maintained", Job::ResidentMaintained),
    ("after-inserts", Job::AfterInserts),
];

impl Job {
    /// The arguments of the child process.
    pub fn arguments<K: KeyKind>(self, keys: u64) -> Vec<String> {
        let name = JOBS.iter().find(|(_, job)| *job == self).map_or("", |(name, _)| name);
        vec![name.into(), K::NAME.into(), keys.to_string()]
    }

    fn run<K: KeyKind>(self, peer: &str, keys: u64) -> Option<Figures> {
        match self {
            Job::Growth => peers::run::<K, _>(peer, &Growth { keys }),
            Job::LoadKnown => Self::load::<K>(peer, keys, false, false),
            Job::LoadKnownMaintained => Self::load::<K>(peer, keys, false, true),
            Job::LoadGrowing => Self::load::<K>(peer, keys, true, false),
            Job::Resident => peers::run::<K, _>(peer, &Resident { keys, maintained: false }),
            Job::ResidentMaintained => {
                peers::run::<K, _>(peer, &Resident { keys, maintained: true })
            }
            Job::AfterInserts => peers::run::<K, _>(peer, &AfterInserts { keys }),
        }
    }

    fn load<K: KeyKind>(peer: &str, keys: u64, growing: bool, maintained: bool) -> Option<Figures> {
        peers::run::<K, _>(peer, &Load { keys, growing, maintained })
    }
}

/// Runs the job of a child process: `words` are the peer's name and then [`Job::arguments`]. Returns `None`
/// if they are malformed.
pub fn child(words: &[&str]) -> Option<Figures> {
    let [peer, job, kind, keys] = words else { return None };
    let (_, job) = JOBS.iter().find(|(name, _)| name == job)?;
    let keys = number(keys)?;
    match *kind {
        <u64 as KeyKind>::NAME => job.run::<u64>(peer, keys),
        <String as KeyKind>::NAME => job.run::<String>(peer, keys),
        _ => None,
    }
}

/// Parses a number above zero, whose digits may be grouped by underscores.
pub fn number(text: &str) -> Option<u64> {
    text.replace('_', "").parse().ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_grouped_and_are_not_zero() {
        assert_eq!(number("10_000_000"), Some(10_000_000));
        assert_eq!(number("0"), None);
        assert_eq!(number("-1"), None);
        assert_eq!(number("1e6"), None);
    }

    #[test]
    fn children_run_the_jobs_of_their_arguments() {
        for (_, job) in JOBS {
            for arguments in [job.arguments::<u64>(1000), job.arguments::<String>(1000)] {
                let mut words = vec!["governor"];
                words.extend(arguments.iter().map(String::as_str));
                assert!(child(&words).is_some(), "{words:?}");
                words[0] = "nobody";
                assert_eq!(child(&words), None);
            }
        }
        assert_eq!(child(&["governor", "growth", "u64", "0"]), None);
    }
}
