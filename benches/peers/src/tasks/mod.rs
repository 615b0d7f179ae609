//! What each peer does in a process of its own: see [`Rounds`](crate::Rounds).

mod growth;
mod load;
mod resident;

pub use growth::{Growth, LIMIT, MAX, MAX_ON_CPU, MEAN, PER_KEY, WINDOW};
pub use load::Load;
pub use resident::Resident;

use crate::figures::Figures;
use crate::keys::KeyKind;
use crate::peers;

/// What is done, and with how many keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// [`Growth`].
    Growth,
    /// [`Load`] while nothing moves.
    LoadStill,
    /// [`Load`] while another thread makes the table grow.
    LoadMoving,
    /// [`Resident`].
    Resident,
}

const JOBS: [(&str, Job); 4] = [
    ("growth", Job::Growth),
    ("still", Job::LoadStill),
    ("moving", Job::LoadMoving),
    ("resident", Job::Resident),
];

impl Job {
    /// How a parent process asks a child for it.
    pub fn arguments<K: KeyKind>(self, keys: u64) -> Vec<String> {
        let name = JOBS.iter().find(|(_, job)| *job == self).map_or("", |(name, _)| name);
        vec![name.into(), K::NAME.into(), keys.to_string()]
    }

    fn run<K: KeyKind>(self, peer: &str, keys: u64) -> Option<Figures> {
        match self {
            Job::Growth => peers::run::<K, _>(peer, &Growth { keys }),
            Job::LoadStill => peers::run::<K, _>(peer, &Load { keys, moving: false }),
            Job::LoadMoving => peers::run::<K, _>(peer, &Load { keys, moving: true }),
            Job::Resident => peers::run::<K, _>(peer, &Resident { keys }),
        }
    }
}

/// Does what a parent process asks for: the peer's name, then [`Job::arguments`].
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

/// A number above zero, in which digits may be grouped by underscores.
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
    fn children_do_what_their_parents_ask_for() {
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
