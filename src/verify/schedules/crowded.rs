//! Fewer places than keys: new keys are refused, or pass uncounted.

use super::holds;
use super::layout::Kind::*;
use super::layout::Layout;
use super::layout::Verb::*;
use crate::Overflow;

const REFUSED: Layout = Layout {
    name: "refused",
    policies: &[Window(2)],
    keys: 3,
    spare: -1,
    overflow: Overflow::Deny,
    threads: 3,
    movers: 1,
    verbs: &[Check, Check, CheckMany, Force, Peek, Maintain, Tick],
    most_cost: 2,
    before: 6,
    turns: false,
};

const REFUSED_LAYERS: Layout = Layout {
    name: "refused, layers",
    policies: &[Window(3), Hour(2)],
    verbs: &[Layered, Layered, Layered, Check, Force, Peek, Tick],
    ..REFUSED
};

const REFUSED_RESERVED: Layout = Layout {
    name: "refused, reserved",
    policies: &[Window(3), Window(4)],
    verbs: &[Reserve, Reserve, Extend, Settle, Cancel, Check, Tick],
    ..REFUSED
};

/// Many new keys, and as many threads that move as those that charge.
const FLOOD: Layout = Layout {
    name: "flood",
    policies: &[Hour(2)],
    keys: 8,
    spare: -6,
    threads: 2,
    movers: 2,
    verbs: &[Check, Check, CheckMany],
    ..REFUSED
};

const UNCOUNTED: Layout = Layout { name: "uncounted", overflow: Overflow::Allow, ..REFUSED };

const UNCOUNTED_LAYERS: Layout =
    Layout { name: "uncounted, layers", overflow: Overflow::Allow, ..REFUSED_LAYERS };

const UNCOUNTED_RESERVED: Layout =
    Layout { name: "uncounted, reserved", overflow: Overflow::Allow, ..REFUSED_RESERVED };

#[test]
fn refused() {
    holds(&REFUSED, 4_000);
    holds(&FLOOD, 4_000);
    holds(&REFUSED_LAYERS, 4_000);
    holds(&REFUSED_RESERVED, 4_000);
}

#[test]
fn uncounted() {
    holds(&UNCOUNTED, 4_000);
    holds(&UNCOUNTED_LAYERS, 4_000);
    holds(&UNCOUNTED_RESERVED, 4_000);
}
