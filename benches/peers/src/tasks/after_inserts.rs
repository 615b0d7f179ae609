//! The first calls about known keys after the inserts.

use crate::cpu;
use crate::figures::Figures;
use crate::key_sequence::{shuffled, uniform};
use crate::keys::KeyKind;
use crate::peer::{Peer, Task};
use crate::scenarios::cold;
use crate::turns::IDLE;
use std::time::Instant;

/// The number of calls that are timed together.
pub const BLOCK: usize = 2000;
/// The number of measured calls.
pub const CALLS: usize = 100_000;

/// The column of the slowest block: nanoseconds of CPU time per call, or of wall time where the system
/// has no CPU time of a thread.
pub const SLOWEST_BLOCK: usize = 0;
/// The column of the mean of all blocks, in the same unit.
pub const MEAN_BLOCK: usize = 1;
/// The column of the share of disturbed blocks. In a disturbed block, the thread was descheduled for more
/// than 2 % of the block's time.
pub const DISTURBED_BLOCKS: usize = 2;

/// Inserts keys, each once. Directly afterwards, times blocks of calls about random keys among them.
#[derive(Clone, Copy, Debug)]
pub struct AfterInserts {
    /// The number of keys.
    pub keys: u64,
}

impl<K: KeyKind> Task<K> for AfterInserts {
    type Report = Figures;

    fn run<P: Peer<K>>(&self) -> Figures {
        let keys = usize::try_from(self.keys).expect("keys that fit in memory");
        let (fill, calls) = (shuffled::<K>(keys, 1), uniform::<K>(keys, CALLS, 7));
        let peer = P::new(&cold::setting(keys));
        let mut admitted = fill.iter().filter(|key| peer.check(key)).count();
        let (mut slowest, mut sum, mut disturbed) = (0.0_f64, 0.0, 0);
        for block in calls.chunks(BLOCK) {
            let (ran, start) = (cpu::thread_time(), Instant::now());
            admitted += block.iter().filter(|key| peer.check(key)).count();
            let wall = start.elapsed().as_secs_f64();
            let ran = cpu::thread_time().zip(ran).map(|(after, before)| after - before);
            // CPU time is read outside the two readings of wall time. It therefore includes more of the cost
            // of reading the clocks, and may exceed the wall time.
            let on_cpu = ran.map_or(wall, |ran| ran.as_secs_f64().min(wall));
            slowest = slowest.max(on_cpu * 1e9 / block.len() as f64);
            sum += on_cpu * 1e9;
            disturbed += usize::from(wall - on_cpu > wall * IDLE);
        }
        assert_eq!(admitted, fill.len() + CALLS, "{}: every request is admitted", P::NAME);
        let blocks = calls.chunks(BLOCK).len();
        Figures(vec![
            Some(slowest),
            Some(sum / CALLS as f64),
            Some(disturbed as f64 / blocks as f64),
        ])
    }
}
