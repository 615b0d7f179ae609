//! Tests of both implementations on real threads.

use super::domain::Domain;
use super::limbo::{Limbo, Node, Retire};
use super::{barrier, crossbeam, global};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};

/// The pieces of a value that were freed, and whether it was dropped.
#[derive(Default)]
struct Freed {
    pieces: AtomicUsize,
    is_dropped: AtomicBool,
}

/// A value with this many pieces.
struct Pieces {
    node: Node,
    left: usize,
    freed: Arc<Freed>,
}

// SAFETY: `node` is a node of this type, and has this offset.
unsafe impl Retire for Pieces {
    const NODE: usize = std::mem::offset_of!(Self, node);

    fn free_piece(&mut self) -> bool {
        self.freed.pieces.fetch_add(1, SeqCst);
        self.left -= 1;
        self.left > 0
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        assert_eq!(self.left, 0, "dropped with pieces left");
        self.freed.is_dropped.store(true, SeqCst);
    }
}

impl Freed {
    /// A value of this many pieces, to be retired.
    fn value(self: &Arc<Self>, left: usize) -> *mut Node {
        let value = Pieces { node: Node::new::<Pieces>(), left, freed: self.clone() };
        Pieces::node(Box::into_raw(Box::new(value)))
    }

    fn pieces(&self) -> usize {
        self.pieces.load(SeqCst)
    }
}

/// Advances a domain, and frees a piece, this many times.
fn collect<const N: usize>(domain: &Domain<N>, times: usize) {
    for _ in 0..times {
        domain.advance();
        domain.limbo().free_piece();
    }
}

/// Whether the tests of [`Domain`] can run. Elsewhere its epoch never advances.
fn has_domain() -> bool {
    barrier::IS_SUPPORTED && barrier::register()
}

/// A retired value is freed piece by piece, and dropped after the last one.
#[test]
fn retired_value_is_freed_in_pieces() {
    if !has_domain() {
        println!("skipped: membarrier");
        return;
    }
    let (domain, freed) = (Domain::<1>::new(), Arc::<Freed>::default());
    // SAFETY: from a box, never shared, retired once.
    unsafe { domain.retire(freed.value(5)) };
    collect(&domain, 1);
    assert_eq!(freed.pieces(), 0, "freed one epoch too early");
    collect(&domain, 1);
    assert_eq!(freed.pieces(), 1);
    // One piece at a time, also with other values.
    let other = Arc::<Freed>::default();
    // SAFETY: as above.
    unsafe { domain.retire(other.value(1)) };
    for round in 1..=5 {
        collect(&domain, 1);
        assert_eq!(freed.pieces() + other.pieces(), 1 + round);
    }
    assert!(freed.is_dropped.load(SeqCst) && other.is_dropped.load(SeqCst));
}

/// While a guard keeps a value, a call that frees memory gives up soon: each attempt is a system call.
#[test]
fn freeing_ends_when_nothing_can_be_freed() {
    if !has_domain() {
        println!("skipped: membarrier");
        return;
    }
    global::start();
    let (guard, freed) = (super::pin(), Arc::<Freed>::default());
    // SAFETY: from a box, never shared, retired once.
    unsafe { global::DOMAIN.retire(freed.value(1)) };
    // Other tests of this process may have retired a few arrays.
    assert!(global::collect(1_000_000) < 10_000);
    assert_eq!(freed.pieces(), 0);
    drop(guard);
}

/// Each kind of pin keeps a value that is retired during it, in whichever order guards are dropped.
#[test]
fn pins_keep_a_value() {
    if !has_domain() {
        println!("skipped: membarrier");
        return;
    }
    let domain = Domain::<1>::new();
    let record = domain.acquire_record().unwrap();
    assert!(domain.acquire_record().is_none(), "one record with two owners");
    type Steps<'a> = (&'a dyn Fn(), &'a dyn Fn(), &'a dyn Fn());
    let parity = AtomicUsize::new(0);
    let pin_shared = || parity.store(domain.pin_shared(), SeqCst);
    let unpin_shared = || domain.unpin_shared(parity.load(SeqCst));
    let pin_twice = || (0..2).for_each(|_| domain.pin(record));
    let unpin = || record.unpin();
    let kinds: [Steps<'_>; 3] = [
        (&|| domain.pin(record), &|| {}, &unpin),
        (&pin_twice, &unpin, &unpin),
        (&pin_shared, &|| {}, &unpin_shared),
    ];
    for (pin, unpin_one, unpin_last) in kinds {
        let freed = Arc::<Freed>::default();
        pin();
        // SAFETY: from a box, never shared, retired once.
        unsafe { domain.retire(freed.value(1)) };
        collect(&domain, 5);
        assert_eq!(freed.pieces(), 0);
        unpin_one();
        collect(&domain, 5);
        assert_eq!(freed.pieces(), 0);
        unpin_last();
        collect(&domain, 2);
        assert_eq!(freed.pieces(), 1);
    }
    // SAFETY: not pinned again.
    unsafe { record.end() };
    assert!(domain.acquire_record().is_some());
}

/// Overlapping pins in the shared record do not stop reclamation.
#[test]
fn shared_pins_of_different_epochs_do_not_stop_reclamation() {
    if !has_domain() {
        println!("skipped: membarrier");
        return;
    }
    let (domain, freed) = (Domain::<1>::new(), Arc::<Freed>::default());
    // SAFETY: from a box, never shared, retired once.
    unsafe { domain.retire(freed.value(1)) };
    // There is a pin at every time, but none for long.
    let mut held = domain.pin_shared();
    for _ in 0..4 {
        collect(&domain, 3);
        let next = domain.pin_shared();
        domain.unpin_shared(held);
        held = next;
    }
    domain.unpin_shared(held);
    assert_eq!(freed.pieces(), 1);
}

/// `crossbeam-epoch` hands over a value when no guard holds it any more. It is then freed in pieces.
#[test]
fn crossbeam_hands_over_what_no_guard_holds() {
    static LIMBO: Limbo = Limbo::new();
    let freed = Arc::<Freed>::default();
    let held = crossbeam::pin();
    // SAFETY: from a box, never shared, retired once.
    unsafe { crossbeam::retire(&crossbeam::pin(), freed.value(3), &LIMBO) };
    for _ in 0..1_000 {
        crossbeam::advance();
        assert!(LIMBO.due.is_empty(), "handed over while a guard holds it");
    }
    drop(held);
    // Repeated: pins of other tests in this process may delay it.
    let start = std::time::Instant::now();
    while LIMBO.due.is_empty() {
        assert!(start.elapsed().as_secs() < 20, "never handed over");
        crossbeam::advance();
        std::thread::yield_now();
    }
    assert_eq!(freed.pieces(), 0);
    (0..3).for_each(|_| LIMBO.free_piece());
    assert_eq!(freed.pieces(), 3);
    assert!(freed.is_dropped.load(SeqCst));
}

/// Guarantee F: of a thread with a light fence and one with a heavy fence, at least one sees what the
/// other one stored before its fence. This is the assumption about `membarrier`, on this machine.
/// Mutant: NoMembarrier.
#[test]
fn light_and_heavy_fences_order_a_store_before_a_load() {
    const ROUNDS: usize = 20_000;
    if !has_domain() {
        println!("skipped: membarrier");
        return;
    }
    /// On a line of its own, so that a store waits in the store buffer.
    #[derive(Default)]
    #[repr(align(128))]
    struct Word(AtomicUsize);
    let [light, heavy, seen, turn] = &[const { Word(AtomicUsize::new(0)) }; 4];
    let wait = |word: &Word, round| {
        for spins in 1.. {
            if word.0.load(Acquire) >= round {
                break;
            }
            // The other thread may need this processor.
            if spins % 1_000 == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    };
    let pause = |turns: usize| (0..turns).for_each(|turn| _ = std::hint::black_box(turn));
    // The number of rounds in which a store was not seen: the store before the light fence, the
    // store before the heavy fence, and both.
    let mut misses = [0; 3];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=ROUNDS {
                wait(turn, round);
                pause(round % 7);
                light.0.store(round, Relaxed);
                barrier::light();
                let loaded = heavy.0.load(Relaxed);
                seen.0.store(2 * round + usize::from(loaded == round), Release);
            }
        });
        for round in 1..=ROUNDS {
            turn.0.store(round, Release);
            // Pauses of different lengths, so that in some rounds both threads store at the same
            // time.
            pause(round % 64);
            heavy.0.store(round, Relaxed);
            assert!(barrier::heavy());
            let is_light_seen = light.0.load(Relaxed) == round;
            wait(seen, 2 * round);
            let is_heavy_seen = seen.0.load(Acquire) == 2 * round + 1;
            misses[0] += usize::from(!is_light_seen);
            misses[1] += usize::from(!is_heavy_seen);
            misses[2] += usize::from(!is_light_seen && !is_heavy_seen);
        }
    });
    println!("{ROUNDS} rounds: {misses:?} stores not seen");
    assert_eq!(misses[2], 0, "neither thread saw the other's store");
}
