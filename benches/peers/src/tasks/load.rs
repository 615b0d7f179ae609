//! Latency of single decisions about known keys while another thread uses the limiter.

use super::growth::WINDOW;
use crate::figures::Figures;
use crate::key_sequence::{shuffled, uniform};
use crate::keys::KeyKind;
use crate::peer::{Peer, Setting, Task};
use crate::stopwatch::Stopwatch;
use std::sync::atomic::{AtomicBool, Ordering};

/// Decisions of one thread about known keys, each timed alone, while another thread uses the same
/// limiter.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The number of known keys.
    pub keys: u64,
    /// Whether the other thread inserts new keys, so that tables grow. Otherwise it uses known keys.
    pub growing: bool,
    /// Whether the limiter's maintenance, if it has any, is done between the inserts and the measurement.
    pub maintained: bool,
}

/// A limit above the number of requests of any key.
const LIMIT: u32 = 1_000_000;

impl<K: KeyKind> Task<K> for Load {
    type Report = Figures;

    fn run<P: Peer<K>>(&self) -> Figures {
        let keys = usize::try_from(self.keys).expect("keys that fit in memory");
        // `max_keys` leaves room for the new keys of the other thread.
        let peer = P::new(&Setting { limit: LIMIT, window: WINDOW, max_keys: keys * 32 });
        for key in shuffled::<K>(keys, 1) {
            peer.check(&key);
        }
        if self.maintained {
            Peer::<K>::maintain(&peer);
        }
        let sequence = uniform::<K>(keys, keys * 2, 5);
        let over = AtomicBool::new(false);
        let mut watch = Stopwatch::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut index = 0;
                while !over.load(Ordering::Relaxed) {
                    index += 1;
                    let known = index % self.keys;
                    peer.check(&K::of(if self.growing { self.keys + index } else { known }));
                }
            });
            let admitted = sequence.iter().filter(|key| watch.time(|| peer.check(key))).count();
            over.store(true, Ordering::Relaxed);
            assert_eq!(admitted, sequence.len(), "{}: every request is admitted", P::NAME);
        });
        Figures(watch.figures())
    }
}
