//! Latency of single decisions while a limiter grows from empty to many live keys.

use crate::figures::Figures;
use crate::keys::KeyKind;
use crate::memory::Memory;
use crate::peer::{Peer, Setting, Task};
use crate::stopwatch::{QUANTILES, Stopwatch};
use std::time::{Duration, Instant};

/// The limit of each key.
pub const LIMIT: u32 = 20;
/// The window of [`LIMIT`].
pub const WINDOW: Duration = Duration::from_secs(60);
/// The minimum `max_keys` of the limiters. For many keys, `max_keys` is 8/5 of their number, because
/// limiters that divide their capacity among shards need a reserve.
const MAX_KEYS: u64 = 16_000_000;

/// The column of the mean.
pub const MEAN: usize = 0;
/// The column of the worst call.
pub const MAX: usize = 1 + QUANTILES.len();
/// The column of the worst call by CPU time.
pub const MAX_ON_CPU: usize = MAX + 1;
/// The column of bytes per key.
pub const PER_KEY: usize = MAX_ON_CPU + 3;

/// Inserts keys into an empty limiter, each once.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    /// The number of keys.
    pub keys: u64,
}

impl Growth {
    /// The names of the figures, in order.
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
        for index in 0..self.keys {
            let key = K::of(index);
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
    fn each_figure_has_a_column() {
        let figures = Task::<u64>::run::<Governor>(&Growth { keys: 1000 });
        let head = Growth::head();
        assert_eq!(figures.0.len(), head.len());
        assert_eq!((head[MEAN], head[MAX], head[MAX_ON_CPU]), ("mean", "max", "max on cpu"));
        assert_eq!(head[PER_KEY], "bytes/key");
    }
}
