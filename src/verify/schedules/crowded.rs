//! Layouts with fewer slots than keys: new keys are refused, or allowed without being counted.

use super::assert_holds;
use super::layout::Layout;
use super::layout::Operation::*;
use super::layout::PolicyKind::*;
use crate::Overflow;

const REFUSED: Layout = Layout {
    name: "refused",
    policies: &[Window(2)],
    keys: 3,
    spare_slots: -1,
    overflow: Overflow::Deny,
    threads: 3,
    movers: 1,
    operations: &[Check, Check, CheckMany, Force, Peek, Maintain, Tick],
    max_cost: 2,
    max_setup_calls: 6,
    advances_each_call: false,
};

const REFUSED_LAYERS: Layout = Layout {
    name: "refused, layers",
    policies: &[Window(3), Hour(2)],
    operations: &[CheckAll, CheckAll, CheckAll, Check, Force, Peek, Tick],
    ..REFUSED
};

const REFUSED_RESERVED: Layout = Layout {
    name: "refused, reserved",
    policies: &[Window(3), Window(4)],
    operations: &[Reserve, Reserve, Extend, Settle, Cancel, Check, Tick],
    ..REFUSED
};

/// Many new keys, and as many threads that move keys as threads that charge.
const FLOOD: Layout = Layout {
    name: "flood",
    policies: &[Hour(2)],
    keys: 8,
    spare_slots: -6,
    threads: 2,
    movers: 2,
    operations: &[Check, Check, CheckMany],
    ..REFUSED
};

const UNCOUNTED: Layout = Layout { name: "uncounted", overflow: Overflow::Allow, ..REFUSED };

const UNCOUNTED_LAYERS: Layout =
    Layout { name: "uncounted, layers", overflow: Overflow::Allow, ..REFUSED_LAYERS };

const UNCOUNTED_RESERVED: Layout =
    Layout { name: "uncounted, reserved", overflow: Overflow::Allow, ..REFUSED_RESERVED };

#[test]
fn refused() {
    assert_holds(&REFUSED, 4_000);
    assert_holds(&FLOOD, 4_000);
    assert_holds(&REFUSED_LAYERS, 4_000);
    assert_holds(&REFUSED_RESERVED, 4_000);
}

#[test]
fn uncounted() {
    assert_holds(&UNCOUNTED, 4_000);
    assert_holds(&UNCOUNTED_LAYERS, 4_000);
    assert_holds(&UNCOUNTED_RESERVED, 4_000);
}
