//! Layouts for the fast path under contention, and for operations other than checks and
//! reservations: several requests in one call, forced charges, maintenance, renewal by age, and
//! changes of limits and resets while reservations are open.

use super::Scheduler::{Priorities, Random};
use super::layout::Layout;
use super::layout::Operation::*;
use super::layout::PolicyKind::*;
use super::{assert_caught, assert_holds};
use crate::Overflow;

/// Known keys in arrays that do not move: the fast path of one charge.
const KNOWN: Layout = Layout {
    name: "known keys",
    policies: &[Window(4)],
    keys: 1,
    spare_slots: 1,
    overflow: Overflow::Deny,
    threads: 3,
    movers: 0,
    operations: &[Check, Check, Check, CheckMany, Tick],
    max_cost: 2,
    max_setup_calls: 4,
    advances_each_call: false,
};

/// The fast path of several charges.
const KNOWN_LAYERS: Layout = Layout {
    name: "known keys, layers",
    policies: &[Window(5), Hour(4)],
    operations: &[CheckAll, CheckAll, CheckAll, Check, Tick],
    ..KNOWN
};

const BATCHES: Layout = Layout {
    name: "batches",
    policies: &[Window(3), Hour(3)],
    keys: 2,
    movers: 1,
    operations: &[CheckMany, CheckMany, Check, Peek, Tick],
    ..KNOWN
};

const FORCED: Layout =
    Layout { name: "forced", movers: 1, operations: &[Force, Check, Check, Peek, Tick], ..KNOWN };

const FORCED_LAYERS: Layout = Layout {
    name: "forced, layers",
    policies: &[Window(4), Hour(4)],
    operations: &[Force, CheckAll, CheckAll, Reserve, Settle, Tick],
    ..FORCED
};

const MAINTAINED: Layout = Layout {
    name: "maintained",
    policies: &[Window(2)],
    keys: 2,
    movers: 1,
    operations: &[Check, Check, Maintain, Maintain, Peek, Tick],
    ..KNOWN
};

/// One key in an array with one slot, so that only its age renews the array.
const RENEWAL_BY_AGE: Layout = Layout {
    name: "renewal by age",
    policies: &[Window(3)],
    spare_slots: 0,
    operations: &[Check, Check, CheckMany, Peek, Maintain, Leap, Tick],
    ..KNOWN
};

const RENEWAL_BY_AGE_RESERVED: Layout = Layout {
    name: "renewal by age, reserved",
    policies: &[Buckets(4)],
    operations: &[Reserve, Extend, Settle, Cancel, Check, Leap, Tick],
    ..RENEWAL_BY_AGE
};

/// The time span of an array may end while keys are still being moved to it.
const RENEWAL_BY_AGE_MOVERS: Layout = Layout {
    name: "renewal by age, movers",
    keys: 2,
    spare_slots: 1,
    threads: 2,
    movers: 2,
    ..RENEWAL_BY_AGE
};

/// Limits are changed and keys are reset during reservations and requests of several policies.
const CHANGES: Layout = Layout {
    name: "changes",
    policies: &[Window(4), Hour(4)],
    movers: 1,
    operations: &[Reserve, Extend, Settle, CheckAll, SetLimit, Reset, Tick],
    ..KNOWN
};

/// The same on windows only, where units are given back word by word.
const CHANGED_WINDOWS: Layout = Layout {
    name: "changes, windows",
    policies: &[Window(4), Window(3)],
    operations: &[Reserve, Extend, Cancel, CheckAll, Check, Force, SetLimit, Reset, Tick],
    ..CHANGES
};

#[test]
fn known_keys() {
    assert_holds(&KNOWN, 4_000);
    assert_holds(&KNOWN_LAYERS, 4_000);
}

#[test]
fn batches() {
    assert_holds(&BATCHES, 4_000);
}

#[test]
fn forced() {
    assert_holds(&FORCED, 4_000);
    assert_holds(&FORCED_LAYERS, 4_000);
}

#[test]
fn maintained() {
    assert_holds(&MAINTAINED, 4_000);
}

#[test]
fn renewal_by_age() {
    assert_holds(&RENEWAL_BY_AGE, 4_000);
    assert_holds(&RENEWAL_BY_AGE_RESERVED, 4_000);
    assert_holds(&RENEWAL_BY_AGE_MOVERS, 4_000);
}

#[test]
fn changes() {
    assert_holds(&CHANGES, 4_000);
    assert_holds(&CHANGED_WINDOWS, 4_000);
}

#[test]
fn mutants_of_fast_paths_are_caught() {
    assert_caught(&KNOWN, "LostOneAdmitted", Random, 5_000);
    assert_caught(&KNOWN, "LostOneAdmitted", Priorities, 5_000);
    assert_caught(&KNOWN_LAYERS, "LostSeveralAdmitted", Random, 5_000);
    assert_caught(&KNOWN_LAYERS, "LostSeveralAdmitted", Priorities, 5_000);
    assert_caught(&KNOWN, "LostLoopAdmitted", Random, 5_000);
    assert_caught(&RENEWAL_BY_AGE, "LostLoopAdmitted", Priorities, 5_000);
}

#[test]
fn mutants_of_cutoffs_are_caught() {
    assert_caught(&MAINTAINED, "CutoffBack", Priorities, 20_000);
    assert_caught(&RENEWAL_BY_AGE_MOVERS, "CutoffBack", Random, 20_000);
    assert_caught(&RENEWAL_BY_AGE_MOVERS, "NoFinish", Random, 20_000);
}
