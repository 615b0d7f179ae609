//! The fast path under contention, and the operations beside checks and reservations: several
//! requests in one call, forced charges, maintenance, renewal by age, and changed limits and resets
//! beside reservations.

use super::Scheduler::{Priorities, Random};
use super::layout::Kind::*;
use super::layout::Layout;
use super::layout::Verb::*;
use super::{catches, holds};
use crate::Overflow;
use crate::verify::mutants::Breakage;

/// Keys that are known, in arrays that stay: the fast path of one charge.
const KNOWN: Layout = Layout {
    name: "known keys",
    policies: &[Window(4)],
    keys: 1,
    spare: 1,
    overflow: Overflow::Deny,
    threads: 3,
    movers: 0,
    verbs: &[Check, Check, Check, CheckMany, Tick],
    most_cost: 2,
    before: 4,
    turns: false,
};

/// The same of several charges.
const KNOWN_LAYERS: Layout = Layout {
    name: "known keys, layers",
    policies: &[Window(5), Hour(4)],
    verbs: &[Layered, Layered, Layered, Check, Tick],
    ..KNOWN
};

const MANY: Layout = Layout {
    name: "many",
    policies: &[Window(3), Hour(3)],
    keys: 2,
    movers: 1,
    verbs: &[CheckMany, CheckMany, Check, Peek, Tick],
    ..KNOWN
};

const FORCED: Layout =
    Layout { name: "forced", movers: 1, verbs: &[Force, Check, Check, Peek, Tick], ..KNOWN };

const FORCED_LAYERS: Layout = Layout {
    name: "forced, layers",
    policies: &[Window(4), Hour(4)],
    verbs: &[Force, Layered, Layered, Reserve, Settle, Tick],
    ..FORCED
};

const MAINTAINED: Layout = Layout {
    name: "maintained",
    policies: &[Window(2)],
    keys: 2,
    movers: 1,
    verbs: &[Check, Check, Maintain, Maintain, Peek, Tick],
    ..KNOWN
};

/// One key in an array for one, so that nothing but its age renews it.
const AGES: Layout = Layout {
    name: "ages",
    policies: &[Window(3)],
    spare: 0,
    verbs: &[Check, Check, CheckMany, Peek, Maintain, Leap, Tick],
    ..KNOWN
};

const AGES_RESERVED: Layout = Layout {
    name: "ages, reserved",
    policies: &[Buckets(4)],
    verbs: &[Reserve, Extend, Settle, Cancel, Check, Leap, Tick],
    ..AGES
};

/// An array may be outlived while it is still filled.
const AGES_MOVERS: Layout =
    Layout { name: "ages, movers", keys: 2, spare: 1, threads: 2, movers: 2, ..AGES };

/// Limits are changed and keys reset beside reservations and requests of several layers.
const CHANGES: Layout = Layout {
    name: "changes",
    policies: &[Window(4), Hour(4)],
    movers: 1,
    verbs: &[Reserve, Extend, Settle, Layered, SetLimit, Reset, Tick],
    ..KNOWN
};

/// The same of windows alone, where units come back word by word.
const CHANGED_WINDOWS: Layout = Layout {
    name: "changes, windows",
    policies: &[Window(4), Window(3)],
    verbs: &[Reserve, Extend, Cancel, Layered, Check, Force, SetLimit, Reset, Tick],
    ..CHANGES
};

#[test]
fn known_keys() {
    holds(&KNOWN, 4_000);
    holds(&KNOWN_LAYERS, 4_000);
}

#[test]
fn many() {
    holds(&MANY, 4_000);
}

#[test]
fn forced() {
    holds(&FORCED, 4_000);
    holds(&FORCED_LAYERS, 4_000);
}

#[test]
fn maintained() {
    holds(&MAINTAINED, 4_000);
}

#[test]
fn ages() {
    holds(&AGES, 4_000);
    holds(&AGES_RESERVED, 4_000);
    holds(&AGES_MOVERS, 4_000);
}

#[test]
fn changes() {
    holds(&CHANGES, 4_000);
    holds(&CHANGED_WINDOWS, 4_000);
}

#[test]
fn broken_fast_paths_are_caught() {
    catches(&KNOWN, Breakage::LostOneAdmitted, Random, 5_000);
    catches(&KNOWN, Breakage::LostOneAdmitted, Priorities, 5_000);
    catches(&KNOWN_LAYERS, Breakage::LostSeveralAdmitted, Random, 5_000);
    catches(&KNOWN_LAYERS, Breakage::LostSeveralAdmitted, Priorities, 5_000);
    catches(&KNOWN, Breakage::LostLoopAdmitted, Random, 5_000);
    catches(&AGES, Breakage::LostLoopAdmitted, Priorities, 5_000);
}

#[test]
fn broken_cutoffs_are_caught() {
    catches(&MAINTAINED, Breakage::CutoffBack, Priorities, 20_000);
    catches(&AGES_MOVERS, Breakage::CutoffBack, Random, 20_000);
    catches(&AGES_MOVERS, Breakage::NoFinish, Random, 20_000);
}
