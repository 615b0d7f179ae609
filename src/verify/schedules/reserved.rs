//! Reservations: reserved, extended, settled and cancelled while others do the same, charge, look,
//! give back, change the limit and reset, and while the tables move.

use super::Scheduler::{Priorities, Random};
use super::layout::Kind::*;
use super::layout::Layout;
use super::layout::Verb::*;
use super::{catches, holds};
use crate::Overflow;
use crate::verify::mutants::Breakage;

/// One window.
const RESERVED: Layout = Layout {
    name: "reserved",
    policies: &[Window(4)],
    keys: 1,
    spare: 1,
    overflow: Overflow::Deny,
    threads: 3,
    movers: 1,
    verbs: &[Reserve, Extend, Settle, Cancel, Check, Peek, Tick],
    most_cost: 2,
    before: 4,
    turns: false,
};

/// Two threads, and two that renew and move arrays that are full.
const RESERVED_MOVERS: Layout =
    Layout { name: "reserved, movers", keys: 2, spare: 0, threads: 2, movers: 2, ..RESERVED };

/// The ring turns at nearly every charge.
const RESERVED_TURNS: Layout = Layout {
    name: "reserved, turns",
    policies: &[Window(6)],
    verbs: &[Reserve, Extend, Settle, Check],
    movers: 0,
    turns: true,
    ..RESERVED
};

/// Debts and what comes back leave live words in the way of a turn.
const DEBTS: Layout = Layout {
    name: "debts",
    policies: &[Window(7)],
    verbs: &[Check, Settle, Cancel],
    most_cost: 1,
    before: 10,
    ..RESERVED_TURNS
};

/// Many outlive the window.
const STREAMS: Layout = Layout {
    name: "streams",
    verbs: &[Extend, Extend, Settle, Cancel, Check, Tick],
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
    verbs: &[Reserve, Reserve, Extend, Settle, Cancel, Layered, Peek, Tick],
    ..RESERVED
};

/// Windows and a budget.
const RESERVED_MIXED: Layout = Layout {
    name: "reserved, mixed",
    policies: &[Window(4), Hour(5), Window(3)],
    ..RESERVED_LAYERS
};

const RESERVED_REFUNDS: Layout = Layout {
    name: "reserved, refunds",
    policies: &[Window(5)],
    verbs: &[Reserve, Extend, Settle, Check, Refund, Peek, Tick],
    ..RESERVED
};

const BUDGET_REFUNDS: Layout =
    Layout { name: "reserved, budget refunds", policies: &[Hour(5)], ..RESERVED_REFUNDS };

const RESERVED_LIMITS: Layout = Layout {
    name: "reserved, limits",
    policies: &[Window(3), Hour(3)],
    verbs: &[Reserve, Extend, Settle, Check, Layered, SetLimit, Tick],
    ..RESERVED
};

const RESERVED_RESETS: Layout = Layout {
    name: "reserved, resets",
    verbs: &[Reserve, Extend, Settle, Check, Peek, Reset, Tick],
    ..RESERVED
};

const BUDGET_RESETS: Layout =
    Layout { name: "reserved, budget resets", policies: &[Hour(4)], ..RESERVED_RESETS };

#[test]
fn reserved() {
    holds(&RESERVED, 6_000);
    holds(&RESERVED_MOVERS, 6_000);
    holds(&RESERVED_TURNS, 6_000);
    holds(&DEBTS, 6_000);
    holds(&STREAMS, 6_000);
}

#[test]
fn reserved_buckets() {
    holds(&RESERVED_BUCKETS, 6_000);
}

#[test]
fn reserved_budgets() {
    holds(&RESERVED_BUDGETS, 6_000);
    holds(&BUDGET_REFUNDS, 6_000);
    holds(&BUDGET_RESETS, 6_000);
}

#[test]
fn reserved_layers() {
    holds(&RESERVED_LAYERS, 6_000);
    holds(&RESERVED_MIXED, 6_000);
}

#[test]
fn reserved_refunds() {
    holds(&RESERVED_REFUNDS, 6_000);
}

#[test]
fn reserved_limits() {
    holds(&RESERVED_LIMITS, 6_000);
}

#[test]
fn reserved_resets() {
    holds(&RESERVED_RESETS, 6_000);
}

#[test]
fn broken_settlements_are_caught() {
    catches(&RESERVED, Breakage::SettlePresent, Random, 5_000);
    catches(&RESERVED_BUDGETS, Breakage::SettlePresent, Random, 5_000);
    catches(&RESERVED_LAYERS, Breakage::SettleFirstLayer, Random, 5_000);
    catches(&RESERVED_MIXED, Breakage::SettleFirstLayer, Priorities, 5_000);
    catches(&STREAMS, Breakage::LastExtensionStays, Random, 5_000);
    catches(&RESERVED_BUDGETS, Breakage::LastExtensionStays, Random, 5_000);
    catches(&STREAMS, Breakage::LastExtensionUncut, Random, 20_000);
    catches(&RESERVED_BUDGETS, Breakage::LastExtensionUncut, Random, 5_000);
    catches(&RESERVED, Breakage::DebtRefused, Random, 5_000);
    catches(&RESERVED_BUDGETS, Breakage::DebtRefused, Priorities, 5_000);
    catches(&RESERVED, Breakage::DebtForgiven, Random, 5_000);
    catches(&RESERVED_BUDGETS, Breakage::DebtWhole, Random, 5_000);
    catches(&RESERVED_MOVERS, Breakage::CloseTwice, Random, 5_000);
    catches(&RESERVED, Breakage::RefundExpired, Random, 5_000);
    catches(&RESERVED, Breakage::RefundStores, Random, 5_000);
    catches(&RESERVED, Breakage::RefundMoved, Random, 5_000);
    catches(&RESERVED_TURNS, Breakage::RefundUnseals, Priorities, 100_000);
    catches(&DEBTS, Breakage::NoRefundMerged, Random, 20_000);
}

#[test]
fn broken_extensions_are_caught() {
    catches(&RESERVED_LAYERS, Breakage::NoUndo, Random, 5_000);
    catches(&RESERVED_LAYERS, Breakage::UndoOldest, Random, 5_000);
    catches(&RESERVED_MOVERS, Breakage::StopNoted, Random, 5_000);
    catches(&RESERVED, Breakage::LookIsEnough, Random, 5_000);
    catches(&RESERVED_BUDGETS, Breakage::LookIsEnough, Priorities, 5_000);
    catches(&RESERVED_LIMITS, Breakage::OldLimit, Random, 5_000);
    catches(&RESERVED_BUDGETS, Breakage::ChargeStores, Random, 5_000);
    catches(&RESERVED_BUDGETS, Breakage::QuotaReopens, Random, 5_000);
    catches(&RESERVED_BUDGETS, Breakage::DropsLater, Random, 5_000);
    catches(&DEBTS, Breakage::NoMerge, Random, 5_000);
}
