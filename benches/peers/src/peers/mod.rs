//! The limiters, and the controls that show what the machine adds.

mod control;
mod governor;
mod rate_net;
mod tollgate;

pub use self::governor::Governor;
pub use self::rate_net::{RateNetBucket, RateNetCounter};
pub use self::tollgate::{TollgateBuckets, TollgateExact};
pub use control::{EmptyCall, FirstTouch};

use crate::peer::{Peer, Promises, Work};

/// From one list of types: their names, their promises, and the choice by name.
macro_rules! peers {
    ($($peer:ty),+ $(,)?) => {
        /// Every peer in the order of reports, each with what it promises. The first is the one
        /// that the others are compared with.
        pub const ALL: &[(&str, Promises)] =
            &[$((<$peer as Peer>::NAME, <$peer as Peer>::PROMISES)),+];

        /// Does the work on the peer of this name; `None` if there is none.
        pub fn run<W: Work>(name: &str, work: &W) -> Option<W::Report> {
            match name {
                $(<$peer as Peer>::NAME => Some(work.run::<$peer>()),)+
                _ => None,
            }
        }
    };
}

peers![
    TollgateExact,
    TollgateBuckets,
    Governor,
    RateNetBucket,
    RateNetCounter,
    EmptyCall,
    FirstTouch,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Setting;
    use std::time::Duration;

    /// How many of 25 requests a key gets at once, for two keys in turn.
    struct Burst;

    impl Work for Burst {
        type Report = [usize; 2];

        fn run<P: Peer>(&self) -> [usize; 2] {
            let peer =
                P::new(&Setting { limit: 20, window: Duration::from_secs(3600), max_keys: 1000 });
            let mut admitted = [0; 2];
            for _ in 0..25 {
                for key in [0, 1] {
                    admitted[key] += usize::from(peer.check(key as u64));
                }
            }
            admitted
        }
    }

    #[test]
    fn every_limiter_admits_its_limit_at_once_and_no_more() {
        for (name, _) in ALL {
            let limit = if name.starts_with("control") { 25 } else { 20 };
            assert_eq!(run(name, &Burst), Some([limit; 2]), "{name}");
        }
        assert_eq!(run("nobody", &Burst), None);
    }
}
