//! Memory of live keys.

use super::growth::{LIMIT, WINDOW};
use crate::figures::Figures;
use crate::keys::KeyKind;
use crate::memory::Memory;
use crate::peer::{Peer, Setting, Task};

/// Inserts keys, each once. The only figure is the resident memory in bytes per key.
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    /// The number of keys.
    pub keys: u64,
    /// Whether the limiter's maintenance, if it has any, is done between the inserts and the reading of
    /// the memory.
    pub maintained: bool,
}

impl<K: KeyKind> Task<K> for Resident {
    type Report = Figures;

    fn run<P: Peer<K>>(&self) -> Figures {
        let max_keys = usize::try_from(self.keys * 8 / 5).expect("keys that fit in memory");
        let before = Memory::now();
        let peer = P::new(&Setting { limit: LIMIT, window: WINDOW, max_keys });
        let admitted = (0..self.keys).filter(|index| peer.check(&K::of(*index))).count();
        assert_eq!(admitted as u64, self.keys, "{}: every first request is admitted", P::NAME);
        if self.maintained {
            Peer::<K>::maintain(&peer);
        }
        Figures(vec![Memory::per_key(before, Memory::now(), self.keys)])
    }
}
