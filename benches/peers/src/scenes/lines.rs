//! What memory costs by itself: lines at random in blocks of two sizes, under small pages and huge
//! ones. No table of keys can be quicker to find a key that is in no cache.

use super::Size;
use crate::contender::{Answers, Contender, Side, Work};
use crate::keys::key;
use crate::scene::Scene;
use memmap2::MmapMut;
use std::hint::black_box;

const LINE: usize = 64;

/// How lines follow each other.
#[derive(Clone, Copy)]
enum Order {
    /// The next is known before this one has come, as in a batch.
    Overlapped,
    /// The next is known only when this one has come: a decision between other work.
    Alone,
}

pub(super) fn touches(size: Size) -> Scene {
    let mut contenders = Vec::new();
    for (bytes, name) in [(64 << 20, "64 MiB"), (size.block, super::BLOCK)] {
        for (huge, pages) in [(false, "4 KiB pages"), (true, "huge pages")] {
            for (order, how) in [(Order::Overlapped, "overlapped"), (Order::Alone, "alone")] {
                let work = touch(block(bytes, huge, 1), order);
                let name = format!("line of {name}, {pages}, {how}");
                contenders.push(Contender::new(&name, Side::Floor, Answers::Admitted, vec![work]));
            }
        }
    }
    let title = "a cache line at random".into();
    Scene { name: "lines", title, contenders, aims: Vec::new() }
}

/// A block of such bytes that is all there, in pages of this kind as far as the system gives them.
pub(super) fn block(bytes: usize, huge: bool, byte: u8) -> MmapMut {
    let mut block = MmapMut::map_anon(bytes).expect("memory for a block");
    #[cfg(target_os = "linux")]
    {
        use memmap2::Advice;
        // Without it the figure is that of the other pages.
        let _ = block.advise(if huge { Advice::HugePage } else { Advice::NoHugePage });
    }
    let _ = huge;
    block.fill(byte);
    block
}

fn touch(block: MmapMut, order: Order) -> Work {
    let lines = (block.len() / LINE) as u128;
    let mut counter = 0;
    Box::new(move |count| {
        let mut seed = 0;
        for _ in 0..count {
            counter += 1;
            let line = (u128::from(key(counter + seed)) * lines) >> 64;
            let byte = black_box(block[line as usize * LINE]);
            if let Order::Alone = order {
                seed = u64::from(byte);
            }
        }
        count
    })
}
