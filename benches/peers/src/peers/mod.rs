//! The peers: the measured limiters, and the controls, which contain no limiter.

mod control;
mod governor;
mod limitador;
mod mutex_log;
mod pingora;
mod rate_net;
mod tollgate;

pub use self::governor::{Governor, GovernorUpkeep};
pub use self::limitador::Limitador;
pub use self::rate_net::{RateNetBucket, RateNetCoarse, RateNetCounter, RateNetLog};
pub use self::tollgate::{TollgateBuckets, TollgateExact};
pub use control::{EmptyCall, FirstTouch};
pub use mutex_log::MutexLog;
pub use pingora::Pingora;

use crate::keys::KeyKind;
use crate::peer::{Guarantees, Peer, Task};

/// The peers that the program `growth` measures, including the controls.
pub const GROWING: [&str; 7] = [
    <TollgateExact as Peer>::NAME,
    <TollgateBuckets as Peer>::NAME,
    <Governor as Peer>::NAME,
    <RateNetBucket as Peer>::NAME,
    <RateNetCounter as Peer>::NAME,
    <EmptyCall as Peer>::NAME,
    <FirstTouch as Peer>::NAME,
];

/// Generates the names, the guarantees and the selection by name from one list of types.
macro_rules! peers {
    ($($peer:ty),+ $(,)?) => {
        /// The name and the guarantees of every peer, in the order of reports.
        pub const ALL: &[(&str, Guarantees)] = {
            // The names and the guarantees are the same for every kind of keys.
            type K = u64;
            &[$((<$peer as Peer<K>>::NAME, <$peer as Peer<K>>::GUARANTEES)),+]
        };

        /// Runs the task on the peer of this name, for keys of the kind `K`; `None` if there is no
        /// such peer.
        pub fn run<K: KeyKind, T: Task<K>>(name: &str, task: &T) -> Option<T::Report> {
            $(if name == <$peer as Peer<K>>::NAME {
                return Some(task.run::<$peer>());
            })+
            None
        }
    };
}

peers![
    TollgateExact,
    TollgateBuckets,
    Governor<K>,
    GovernorUpkeep<K>,
    RateNetBucket,
    RateNetCoarse,
    RateNetCounter,
    RateNetLog,
    Pingora,
    Limitador,
    MutexLog<K>,
    EmptyCall,
    FirstTouch,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Setting;
    use std::time::Duration;

    /// Makes 25 requests for each of two keys, alternating between the keys. Counts the admitted requests
    /// of each key.
    struct Burst;

    impl<K: KeyKind> Task<K> for Burst {
        type Report = [usize; 2];

        fn run<P: Peer<K>>(&self) -> [usize; 2] {
            let peer =
                P::new(&Setting { limit: 20, window: Duration::from_secs(3600), max_keys: 1000 });
            let mut admitted = [0; 2];
            for _ in 0..25 {
                for key in [0, 1] {
                    admitted[key] += usize::from(peer.check(&K::of(key as u64)));
                }
            }
            admitted
        }
    }

    #[test]
    fn every_limiter_admits_its_limit_at_once_and_no_more() {
        for (name, _) in ALL {
            let limit = if name.starts_with("control") { 25 } else { 20 };
            assert_eq!(run::<u64, _>(name, &Burst), Some([limit; 2]), "{name}");
            assert_eq!(run::<String, _>(name, &Burst), Some([limit; 2]), "{name}");
        }
        assert_eq!(run::<u64, _>("nobody", &Burst), None);
    }
}
