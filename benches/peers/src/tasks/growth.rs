//! From empty to many live keys: how long single decisions take meanwhile.

use crate::figures::Figures;
use crate::keys::KeyKind;
use crate::memory::Memory;
use crate::peer::{Peer, Setting, Task};
use crate::stopwatch::{QUANTILES, Stopwatch};
use std::time::{Duration, Instant};

/// The limit of each key.
pub const LIMIT: u32 = 20;
/// The window of that limit.
pub const WINDOW: Duration = Duration::from_secs(60);
/// What limiters are given room for, or 8/5 of the keys if those are more: limiters that divide
/// their room among shards need some to spare.
const MAX_KEYS: u64 = 16_000_000;

/// Where some columns are.
pub const MEAN: usize = 0;
/// The worst call.
pub const MAX: usize = 1 + QUANTILES.len();
/// The worst call without the time for which its thread was set aside.
pub const MAX_ON_CPU: usize = MAX + 1;
/// Bytes a key.
pub const PER_KEY: usize = MAX_ON_CPU + 3;

/// This many keys, each once.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    /// So many.
    pub keys: u64,
}

impl Growth {
    /// What its figures are called.
    pub fn head() -> Vec<&'static str> {
        let mut head = vec!["mean"];
        head.extend(QUANTILES.map(|(name, _)| name));
        head.extend(["max", "max on cpu", "resident MiB", "peak MiB", "bytes/key"]);
        head
    }
}

impl<K: KeyKind> Task<K> for Growth {
    type Report = Figures;

    fn run<P: Peer<K>>(&self) -> Figures {
        let max_keys = MAX_KEYS.max(self.keys.saturating_mul(8) / 5);
        let max_keys = usize::try_from(max_keys).expect("keys that fit in memory");
        let mut watch = Stopwatch::new();
        let before = Memory::now();
        let peer = P::new(&Setting { limit: LIMIT, window: WINDOW, max_keys });
        let start = Instant::now();
        let mut admitted = 0;
        for counter in 0..self.keys {
            let key = K::of(counter);
            admitted += u64::from(watch.time(|| peer.check(&key)));
        }
        let elapsed = start.elapsed();
        let after = Memory::now();
        assert_eq!(admitted, self.keys, "{}: every first request is admitted", P::NAME);
        assert!(elapsed < WINDOW, "{}: after {elapsed:?} keys are no longer live", P::NAME);

        const MIB: f64 = (1 << 20) as f64;
        let mut figures = watch.figures();
        figures.push(after.map(|memory| memory.resident as f64 / MIB));
        figures.push(after.map(|memory| memory.peak as f64 / MIB));
        figures.push(Memory::per_key(before, after, self.keys));
        Figures(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::Governor;

    #[test]
    fn every_figure_has_its_column() {
        let figures = Task::<u64>::run::<Governor>(&Growth { keys: 1000 });
        let head = Growth::head();
        assert_eq!(figures.0.len(), head.len());
        assert_eq!((head[MEAN], head[MAX], head[MAX_ON_CPU]), ("mean", "max", "max on cpu"));
        assert_eq!(head[PER_KEY], "bytes/key");
    }
}
