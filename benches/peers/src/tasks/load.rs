//! How long single decisions about known keys take while another thread asks as well.

use super::growth::WINDOW;
use crate::figures::Figures;
use crate::keys::KeyKind;
use crate::peer::{Peer, Setting, Task};
use crate::stopwatch::Stopwatch;
use crate::tour::{shuffled, uniform};
use std::sync::atomic::{AtomicBool, Ordering};

/// Visits to this many keys, all of them known, by two threads; one of them is timed call by call,
/// clock readings included.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// So many.
    pub keys: u64,
    /// Whether the other thread asks for new keys, so that what is kept about all of them moves to
    /// larger places; else it asks for known ones.
    pub moving: bool,
}

/// More than any key is asked for.
const LIMIT: u32 = 1_000_000;

impl<K: KeyKind> Task<K> for Load {
    type Report = Figures;

    fn run<P: Peer<K>>(&self) -> Figures {
        let keys = usize::try_from(self.keys).expect("keys that fit in memory");
        // Room for as many new ones as the other thread can ask for meanwhile.
        let peer = P::new(&Setting { limit: LIMIT, window: WINDOW, max_keys: keys * 32 });
        for key in shuffled::<K>(keys, 1) {
            peer.check(&key);
        }
        Peer::<K>::settle(&peer);
        let visits = uniform::<K>(keys, keys * 2, 5);
        let over = AtomicBool::new(false);
        let mut watch = Stopwatch::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut counter = 0;
                while !over.load(Ordering::Relaxed) {
                    counter += 1;
                    let known = counter % self.keys;
                    peer.check(&K::of(if self.moving { self.keys + counter } else { known }));
                }
            });
            let admitted = visits.iter().filter(|key| watch.time(|| peer.check(key))).count();
            over.store(true, Ordering::Relaxed);
            assert_eq!(admitted, visits.len(), "{}: every request is admitted", P::NAME);
        });
        Figures(watch.figures())
    }
}
