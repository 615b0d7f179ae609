//! The cost of memory: random cache lines in blocks of two sizes, in small and in huge pages. It is
//! a lower bound for a lookup of a key that is not in a cache.

use super::Size;
use crate::contender::{Contender, Expected, Side, Work};
use crate::keys::key;
use crate::scenario::Scenario;
use memmap2::MmapMut;
use std::hint::black_box;

const LINE: usize = 64;

/// The dependency between accesses.
#[derive(Clone, Copy)]
enum Order {
    /// The address of the next line does not depend on this one, as in a batch: misses overlap.
    Independent,
    /// The address of the next line depends on this one: one miss at a time.
    Dependent,
}

pub(super) fn random_accesses(size: Size) -> Scenario {
    let mut contenders = Vec::new();
    for (bytes, name) in [(64 << 20, "64 MiB"), (size.block, super::BLOCK)] {
        for (huge, pages) in [(false, "4 KiB pages"), (true, "huge pages")] {
            for (order, how) in
                [(Order::Independent, "independent"), (Order::Dependent, "dependent")]
            {
                let work = accesses(block(bytes, huge, 1), order);
                let name = format!("cache line, {name}, {pages}, {how}");
                contenders.push(Contender::new(
                    &name,
                    Side::Baseline,
                    Expected::Admitted,
                    vec![work],
                ));
            }
        }
    }
    let title = "one random cache line".into();
    Scenario { name: "cache-lines", title, contenders, targets: Vec::new() }
}

/// Maps a block filled with `byte`, in huge or small pages if the system supports them.
pub(super) fn block(bytes: usize, huge: bool, byte: u8) -> MmapMut {
    let mut block = MmapMut::map_anon(bytes).expect("memory for a block");
    #[cfg(target_os = "linux")]
    {
        use memmap2::Advice;
        // If the system refuses the advice, the figure is that of its default pages.
        let _ = block.advise(if huge { Advice::HugePage } else { Advice::NoHugePage });
    }
    let _ = huge;
    block.fill(byte);
    block
}

fn accesses(block: MmapMut, order: Order) -> Work {
    let lines = (block.len() / LINE) as u128;
    let mut counter = 0;
    Box::new(move |count| {
        let mut seed = 0;
        for _ in 0..count {
            counter += 1;
            let line = (u128::from(key(counter + seed)) * lines) >> 64;
            let byte = black_box(block[line as usize * LINE]);
            if let Order::Dependent = order {
                seed = u64::from(byte);
            }
        }
        count
    })
}
