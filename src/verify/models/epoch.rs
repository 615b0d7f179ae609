//! Epoch-based reclamation: pins, the advance of the epoch, records and retired values.

use super::{assert_caught, assert_caught_in_an_order, assert_holds};
use crate::reclaim::domain::Domain;
use crate::reclaim::limbo::{Node, Retire};
use crate::reclaim::record::OwnRecord;
use crate::sync::{AtomicUsize, Ordering::Relaxed};
use loom::cell::UnsafeCell;
use loom::thread;
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize as Count;

/// The content of a value. Loom reports a read that is not ordered before the value is freed.
struct Content {
    memory: UnsafeCell<()>,
    frees: Count,
}

// SAFETY: loom reports every access that races.
unsafe impl Send for Content {}
// SAFETY: as above.
unsafe impl Sync for Content {}

/// A value that is retired.
struct Value {
    node: Node,
    content: Arc<Content>,
}

// SAFETY: `node` is a node of this type, and has this offset.
unsafe impl Retire for Value {
    const NODE: usize = offset_of!(Self, node);

    fn free_piece(&mut self) -> bool {
        self.content.memory.with_mut(|_| ());
        self.content.frees.fetch_add(1, Relaxed);
        false
    }
}

/// Values, of which the current one can be reached, and the domain that frees the others.
struct World {
    domain: Domain<2>,
    current: AtomicUsize,
    contents: [Arc<Content>; 3],
}

impl World {
    fn new() -> Arc<Self> {
        let content = |_| Content { memory: UnsafeCell::new(()), frees: Count::new(0) };
        let contents = std::array::from_fn(|index| Arc::new(content(index)));
        Arc::new(World { domain: Domain::new(), current: AtomicUsize::new(0), contents })
    }

    fn own(&self) -> OwnRecord<'_> {
        self.domain.acquire_record().expect("a record for each thread")
    }

    /// Reads the current value. The calling thread has pinned.
    fn read(&self) {
        // Relaxed: the epoch alone must keep the value.
        self.contents[self.current.load(Relaxed)].memory.with(|_| ());
    }

    /// Reads the current value under a pin of its own.
    fn pin_and_read(&self, record: OwnRecord<'_>) {
        self.domain.pin(record);
        self.read();
        record.unpin();
    }

    /// Replaces the value with this index by the next one, and retires it.
    fn replace(&self, index: usize) {
        let content = self.contents[index].clone();
        let value = Box::into_raw(Box::new(Value { node: Node::new::<Value>(), content }));
        // Relaxed: as in `read`.
        self.current.store(index + 1, Relaxed);
        // SAFETY: from a box, and retired once. Nobody reaches its content from `current` any more.
        unsafe { self.domain.retire(Value::node(value)) };
    }

    fn advance(&self, times: usize) {
        for _ in 0..times {
            self.domain.advance();
            self.domain.limbo().free_piece();
        }
    }

    /// Frees what is retired, when no other thread is left. Asserts that each of the first
    /// `retired` values was freed once, and no other value was.
    fn assert_freed(&self, retired: usize) {
        self.advance(2 + retired);
        let frees = self.contents.each_ref().map(|content| content.frees.load(Relaxed));
        assert_eq!(frees, std::array::from_fn(|index| usize::from(index < retired)));
    }
}

/// Runs two threads on a world. With `swap`, the first one is the spawned one.
fn run<W: 'static>(
    swap: bool,
    world: &Arc<W>,
    first: impl FnOnce(&W) + 'static,
    second: impl FnOnce(&W) + 'static,
) {
    let (mine, other) = (world.clone(), world.clone());
    if swap {
        let thread = thread::spawn(move || first(&other));
        second(&mine);
        thread.join().unwrap();
    } else {
        let thread = thread::spawn(move || second(&other));
        first(&mine);
        thread.join().unwrap();
    }
}

/// Asserts that the model holds in both orders of its threads, and is caught with each mutant.
fn check<B: Fn() + Send + Sync + 'static>(
    name: &str,
    bound: Option<usize>,
    floor: usize,
    mutants: &[&'static str],
    body: impl Fn(bool) -> B,
) {
    for swap in [false, true] {
        assert_holds(name, bound, floor, body(swap));
    }
    for mutant in mutants {
        assert_caught_in_an_order(name, bound, mutant, &body);
    }
}

/// Guarantees D and F: a value is not freed while a thread that has pinned before can read it.
#[test]
fn pin_against_free() {
    let body = |swap| {
        move || {
            let world = World::new();
            let read = |world: &World| world.pin_and_read(world.own());
            let free = |world: &World| {
                world.replace(0);
                world.advance(3);
            };
            run(swap, &world, read, free);
            world.assert_freed(1);
        }
    };
    let mutants = [
        "NoLightFence",
        "NoHeavyFence",
        "UnpinRelaxed",
        "ScanRelaxed",
        "FreedEarly",
        "HeldIgnored",
        "LastRecordSkipped",
    ];
    check("pin_against_free", Some(2), 300, &mutants, body);
}

/// Guarantees D and F: the reads of a pin come before the value is freed, also if the record is
/// pinned again when a scan sees it.
#[test]
fn pin_again() {
    let body = |swap| {
        move || {
            let world = World::new();
            let read = |world: &World| {
                let record = world.own();
                world.pin_and_read(record);
                world.domain.pin(record);
                record.unpin();
            };
            let free = |world: &World| {
                world.replace(0);
                world.advance(3);
            };
            run(swap, &world, read, free);
            world.assert_freed(1);
        }
    };
    check("pin_again", Some(2), 770, &["PinHeldRelaxed"], body);
}

/// Guarantees D and F: a pin lasts until the last guard of its thread is dropped, in any order.
#[test]
fn nested_pins() {
    let body = |swap| {
        move || {
            let world = World::new();
            let read = |world: &World| {
                let record = world.own();
                world.domain.pin(record);
                world.domain.pin(record);
                record.unpin();
                world.read();
                record.unpin();
            };
            let free = |world: &World| {
                world.replace(0);
                world.advance(3);
            };
            run(swap, &world, read, free);
            world.assert_freed(1);
        }
    };
    check("nested_pins", Some(2), 300, &["NestedUnpins"], body);
}

/// Guarantees D and F: a thread that pins a later epoch than that of a retired value does not reach
/// it. One thread retires while another one advances.
#[test]
fn pin_after_retire() {
    let body = |swap| {
        move || {
            let world = World::new();
            let retiring = {
                let world = world.clone();
                thread::spawn(move || world.replace(0))
            };
            let read = |world: &World| world.pin_and_read(world.own());
            let free = |world: &World| world.advance(3);
            run(swap, &world, read, free);
            retiring.join().unwrap();
            world.assert_freed(1);
        }
    };
    let mutants = ["PinEpochRelaxed", "StampRelaxed"];
    check("pin_after_retire", Some(2), 9_500, &mutants, body);
}

/// Guarantees D and F: a thread that pins a later epoch in the shared record does not reach the
/// value either.
#[test]
fn shared_pin_after_retire() {
    let body = |swap| {
        move || {
            let world = World::new();
            let retiring = {
                let world = world.clone();
                thread::spawn(move || world.replace(0))
            };
            run(swap, &world, pin_shared_and_read, |world| world.advance(3));
            retiring.join().unwrap();
            world.assert_freed(1);
        }
    };
    check("shared_pin_after_retire", Some(2), 6_600, &["SharedPinEpochRelaxed"], body);
}

/// Guarantees D and F: a thread that advances past a retired value has seen that it was unlinked,
/// even if another thread has retired it during the advance before.
#[test]
fn advance_after_retire() {
    let body = || {
        let world = World::new();
        let spawn = |work: fn(&World)| {
            let world = world.clone();
            thread::spawn(move || work(&world))
        };
        let others = [
            spawn(|world| world.replace(0)),
            spawn(|world| world.pin_and_read(world.own())),
            spawn(|world| world.advance(1)),
        ];
        world.advance(1);
        others.into_iter().for_each(|other| other.join().unwrap());
        world.assert_freed(1);
    };
    assert_holds("advance_after_retire", Some(2), 54_000, body);
    assert_caught("advance_after_retire", Some(2), "EpochLoadRelaxed", body);
}

/// Guarantees D and F: a thread frees only after the reads of pins that another thread has found
/// ended.
#[test]
fn free_by_another_thread() {
    let body = |swap| {
        move || {
            let world = World::new();
            let reading = {
                let world = world.clone();
                thread::spawn(move || world.pin_and_read(world.own()))
            };
            let free = |world: &World| {
                world.replace(0);
                world.domain.advance();
                world.domain.advance();
            };
            run(swap, &world, free, |world| world.advance(1));
            reading.join().unwrap();
            world.assert_freed(1);
        }
    };
    let mutants = ["AdvanceRelaxed", "EpochDueRelaxed"];
    check("free_by_another_thread", Some(2), 9_200, &mutants, body);
}

/// Reads the current value under a pin in the shared record.
fn pin_shared_and_read(world: &World) {
    let parity = world.domain.pin_shared();
    world.read();
    world.domain.unpin_shared(parity);
}

/// Guarantees D and F: a pin in the shared record keeps a value as well.
#[test]
fn shared_pin() {
    let body = |swap| {
        move || {
            let world = World::new();
            let free = |world: &World| {
                world.replace(0);
                world.advance(3);
            };
            run(swap, &world, pin_shared_and_read, free);
            world.assert_freed(1);
        }
    };
    let mutants =
        ["NoSharedLightFence", "SharedUnpinRelaxed", "SharedScanRelaxed", "SharedIgnored"];
    check("shared_pin", Some(2), 150, &mutants, body);
    let late = |swap| {
        move || {
            let world = World::new();
            let retiring = {
                let world = world.clone();
                thread::spawn(move || world.replace(0))
            };
            run(swap, &world, pin_shared_and_read, |world| world.advance(4));
            retiring.join().unwrap();
            world.assert_freed(1);
        }
    };
    check("shared_pin, late", Some(2), 15_000, &["SharedPinUnchecked"], late);
}

/// Guarantees D and F: a record has one owner at a time, who sees all accesses of the one before.
#[test]
fn record_reuse() {
    let body = || {
        let domain = Arc::new(Domain::<1>::new());
        let work = |domain: &Domain<1>| {
            if let Some(record) = domain.acquire_record() {
                assert!(!record.is_pinned());
                domain.pin(record);
                record.unpin();
                // SAFETY: not pinned again.
                unsafe { record.end() };
            }
        };
        let other = domain.clone();
        let thread = thread::spawn(move || work(&other));
        work(&domain);
        thread.join().unwrap();
        assert!(domain.acquire_record().is_some(), "a record was lost");
    };
    assert_holds("record_reuse", None, 13, body);
    for mutant in ["RecordOwnRelaxed", "RecordEndRelaxed", "OwnedTwice"] {
        assert_caught("record_reuse", None, mutant, body);
    }
}

/// Guarantees D and F: the record of a thread that has ended with a guard is reused only after that
/// guard was dropped.
#[test]
fn record_of_ended_thread() {
    let end_first = |domain: &Domain<1>| {
        if let Some(record) = domain.acquire_record() {
            assert!(!record.is_pinned());
            domain.pin(record);
            // SAFETY: not pinned again.
            unsafe { record.end() };
            record.unpin();
        }
    };
    let unpin_first = |domain: &Domain<1>| {
        if let Some(record) = domain.acquire_record() {
            assert!(!record.is_pinned());
            // SAFETY: not pinned again.
            unsafe { record.end() };
        }
    };
    let body = |swap| {
        move || {
            let domain = Arc::new(Domain::<1>::new());
            run(swap, &domain, end_first, unpin_first);
            assert!(domain.acquire_record().is_some(), "a record was lost");
        }
    };
    check("record_of_ended_thread", None, 13, &["EndedCheckRelaxed", "EndedReused"], body);
    let three = |swap| {
        move || {
            let domain = Arc::new(Domain::<1>::new());
            let other = domain.clone();
            let ending = thread::spawn(move || end_first(&other));
            run(swap, &domain, end_first, unpin_first);
            ending.join().unwrap();
            assert!(domain.acquire_record().is_some(), "a record was lost");
        }
    };
    let mutants = ["EndedUnowned", "EndedReturnRelaxed"];
    check("record_of_ended_thread, three", Some(2), 450, &mutants, three);
}

/// Guarantees D and F: two threads retire and free at the same time. Each value is freed once.
#[test]
fn free_once() {
    let body = |swap| {
        move || {
            let world = World::new();
            let first = |world: &World| {
                world.replace(0);
                world.advance(1);
            };
            let second = |world: &World| {
                world.replace(1);
                world.advance(2);
            };
            run(swap, &world, first, second);
            world.assert_freed(2);
        }
    };
    check("free_once", Some(2), 2_400, &["LimboPushRelaxed", "LimboTakeRelaxed"], body);
}
