//! Layouts with reservations. Threads reserve, extend, settle and cancel, while other threads do
//! the same, check, peek, refund, change the limit and reset, and while the tables move.

use super::Scheduler::{Priorities, Random};
use super::layout::Layout;
use super::layout::Operation::*;
use super::layout::PolicyKind::*;
use super::{assert_caught, assert_holds};
use crate::Overflow;

/// One key of one window.
const RESERVED: Layout = Layout {
    name: "reserved",
    policies: &[Window(4)],
    keys: 1,
    spare_slots: 1,
    overflow: Overflow::Deny,
    threads: 3,
    movers: 1,
    operations: &[Reserve, Extend, Settle, Cancel, Check, Peek, Tick],
    max_cost: 2,
    max_setup_calls: 4,
    advances_each_call: false,
};

/// Two threads, and two that renew and move full arrays.
const RESERVED_MOVERS: Layout =
    Layout { name: "reserved, movers", keys: 2, spare_slots: 0, threads: 2, movers: 2, ..RESERVED };

/// Nearly every charge opens a new word of the ring.
const RESERVED_ROTATIONS: Layout = Layout {
    name: "reserved, rotations",
    policies: &[Window(6)],
    operations: &[Reserve, Extend, Settle, Check],
    movers: 0,
    advances_each_call: true,
    ..RESERVED
};

/// Excess charges and give-backs leave live words where a new one would be opened.
const EXCESS_CHARGES: Layout = Layout {
    name: "excess charges",
    policies: &[Window(7)],
    operations: &[Check, Settle, Cancel],
    max_cost: 1,
    max_setup_calls: 10,
    ..RESERVED_ROTATIONS
};

/// Many reservations outlive the window.
const STREAMS: Layout = Layout {
    name: "streams",
    operations: &[Extend, Extend, Settle, Cancel, Check, Tick],
    threads: 2,
    ..RESERVED
};

const RESERVED_BUCKETS: Layout =
    Layout { name: "reserved, buckets", policies: &[Buckets(5)], ..RESERVED };

const RESERVED_BUDGETS: Layout =
    Layout { name: "reserved, budgets", policies: &[Hour(4)], ..RESERVED };

const RESERVED_LAYERS: Layout = Layout {
    name: "reserved, layers",
    policies: &[Window(4), Window(2)],
    operations: &[Reserve, Reserve, Extend, Settle, Cancel, CheckAll, Peek, Tick],
    ..RESERVED
};

/// Two windows and a budget.
const RESERVED_MIXED: Layout = Layout {
    name: "reserved, mixed",
    policies: &[Window(4), Hour(5), Window(3)],
    ..RESERVED_LAYERS
};

const RESERVED_REFUNDS: Layout = Layout {
    name: "reserved, refunds",
    policies: &[Window(5)],
    operations: &[Reserve, Extend, Settle, Check, Refund, Peek, Tick],
    ..RESERVED
};

const BUDGET_REFUNDS: Layout =
    Layout { name: "reserved, budgets, refunds", policies: &[Hour(5)], ..RESERVED_REFUNDS };

const RESERVED_LIMITS: Layout = Layout {
    name: "reserved, limits",
    policies: &[Window(3), Hour(3)],
    operations: &[Reserve, Extend, Settle, Check, CheckAll, SetLimit, Tick],
    ..RESERVED
};

const RESERVED_RESETS: Layout = Layout {
    name: "reserved, resets",
    operations: &[Reserve, Extend, Settle, Check, Peek, Reset, Tick],
    ..RESERVED
};

const BUDGET_RESETS: Layout =
    Layout { name: "reserved, budgets, resets", policies: &[Hour(4)], ..RESERVED_RESETS };

#[test]
fn reserved() {
    assert_holds(&RESERVED, 6_000);
    assert_holds(&RESERVED_MOVERS, 6_000);
    assert_holds(&RESERVED_ROTATIONS, 6_000);
    assert_holds(&EXCESS_CHARGES, 6_000);
    assert_holds(&STREAMS, 6_000);
}

#[test]
fn reserved_buckets() {
    assert_holds(&RESERVED_BUCKETS, 6_000);
}

#[test]
fn reserved_budgets() {
    assert_holds(&RESERVED_BUDGETS, 6_000);
    assert_holds(&BUDGET_REFUNDS, 6_000);
    assert_holds(&BUDGET_RESETS, 6_000);
}

#[test]
fn reserved_layers() {
    assert_holds(&RESERVED_LAYERS, 6_000);
    assert_holds(&RESERVED_MIXED, 6_000);
}

#[test]
fn reserved_refunds() {
    assert_holds(&RESERVED_REFUNDS, 6_000);
}

#[test]
fn reserved_limits() {
    assert_holds(&RESERVED_LIMITS, 6_000);
}

#[test]
fn reserved_resets() {
    assert_holds(&RESERVED_RESETS, 6_000);
}

#[test]
fn mutants_of_settlements_are_caught() {
    assert_caught(&RESERVED, "SettlePresent", Random, 5_000);
    assert_caught(&RESERVED_BUDGETS, "SettlePresent", Random, 5_000);
    assert_caught(&RESERVED_LAYERS, "SettleFirstLayer", Random, 5_000);
    assert_caught(&RESERVED_MIXED, "SettleFirstLayer", Priorities, 5_000);
    assert_caught(&STREAMS, "LastExtensionStays", Random, 5_000);
    assert_caught(&RESERVED_BUDGETS, "LastExtensionStays", Random, 5_000);
    assert_caught(&STREAMS, "LastExtensionUncut", Random, 20_000);
    assert_caught(&RESERVED_BUDGETS, "LastExtensionUncut", Random, 5_000);
    assert_caught(&RESERVED, "ExcessRefused", Random, 5_000);
    assert_caught(&RESERVED_BUDGETS, "ExcessRefused", Priorities, 5_000);
    assert_caught(&RESERVED, "ExcessForgiven", Random, 5_000);
    assert_caught(&RESERVED_BUDGETS, "ExcessWhole", Random, 5_000);
    assert_caught(&RESERVED_MOVERS, "CloseTwice", Random, 5_000);
    assert_caught(&RESERVED, "RefundExpired", Random, 5_000);
    assert_caught(&RESERVED, "RefundStores", Random, 5_000);
    assert_caught(&RESERVED, "RefundMoved", Random, 5_000);
    assert_caught(&RESERVED_ROTATIONS, "RefundUnseals", Priorities, 100_000);
    assert_caught(&EXCESS_CHARGES, "NoRefundMerged", Random, 20_000);
}

#[test]
fn mutants_of_resets_are_caught() {
    assert_caught(&BUDGET_RESETS, "ResetKeepsStamp", Random, 20_000);
}

#[test]
fn mutants_of_extensions_are_caught() {
    assert_caught(&RESERVED_LAYERS, "NoRollback", Random, 5_000);
    assert_caught(&RESERVED_LAYERS, "RollbackOldest", Random, 5_000);
    assert_caught(&RESERVED_MOVERS, "StopNoted", Random, 5_000);
    assert_caught(&RESERVED, "FallbackForced", Random, 5_000);
    assert_caught(&RESERVED, "LostSeveralAdmitted", Random, 20_000);
    assert_caught(&RESERVED_LAYERS, "LostSeveralAdmitted", Priorities, 20_000);
    assert_caught(&RESERVED_BUDGETS, "FallbackForced", Priorities, 5_000);
    assert_caught(&RESERVED_LIMITS, "OldLimit", Random, 5_000);
    assert_caught(&RESERVED_BUDGETS, "ChargeStores", Random, 5_000);
    assert_caught(&RESERVED_BUDGETS, "QuotaReopens", Random, 5_000);
    assert_caught(&RESERVED_BUDGETS, "DropsLater", Random, 5_000);
    assert_caught(&EXCESS_CHARGES, "NoMerge", Random, 5_000);
}
