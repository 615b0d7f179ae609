//! The table of a policy's counters, for each type of counter.

use crate::clock::Now;
use crate::counter::Counter;
use crate::counter::calendar::{Budget, Quota};
use crate::counter::sliding::Ring;
use crate::counter::sliding::time_scale::TimeScale;
use crate::policy::Plan;
use crate::policy::calendar::Calendar;
use crate::table::{Bounds, OutOfMemory, Table};

/// A counter type that a policy can have.
pub(super) trait PolicyCounter: Counter {
    /// The table. Its counters must be of this type.
    fn table(table: &CounterTable) -> &Table<Self>;
}

/// Declares a variant for each type of counter, so that code is compiled for each type.
macro_rules! counter_tables {
    ($($variant:ident($counter:ty)),*) => {
        /// The table of a policy's counters.
        #[derive(Debug)]
        pub(super) enum CounterTable {
            $($variant(Table<$counter>)),*
        }

        $(impl PolicyCounter for $counter {
            #[inline(always)]
            fn table(table: &CounterTable) -> &Table<Self> {
                match table {
                    CounterTable::$variant(table) => table,
                    // Not an `Option`: the caller would test it again.
                    _ => unreachable!("the caller chose the type by the variant"),
                }
            }
        })*
    };
}

counter_tables!(
    Ring7(Ring<7>),
    Ring15(Ring<15>),
    Ring23(Ring<23>),
    Ring31(Ring<31>),
    Ring47(Ring<47>),
    Ring63(Ring<63>),
    Ring95(Ring<95>),
    Ring127(Ring<127>),
    Quota(Quota)
);

/// Runs an operation on the table, compiled once for each type of counter.
macro_rules! with_table {
    ($counter_table:expr, $table:ident => $operation:expr) => {
        match $counter_table {
            CounterTable::Ring7($table) => $operation,
            CounterTable::Ring15($table) => $operation,
            CounterTable::Ring23($table) => $operation,
            CounterTable::Ring31($table) => $operation,
            CounterTable::Ring47($table) => $operation,
            CounterTable::Ring63($table) => $operation,
            CounterTable::Ring95($table) => $operation,
            CounterTable::Ring127($table) => $operation,
            CounterTable::Quota($table) => $operation,
        }
    };
}
pub(super) use with_table;

impl CounterTable {
    /// The most bytes that the arrays of a table with this counter and these bounds can take.
    pub(super) fn memory_bound(plan: Plan, bounds: Bounds) -> usize {
        match plan {
            Plan::Ring { words: 7, .. } => Table::<Ring<7>>::memory_bound_of(bounds),
            Plan::Ring { words: 15, .. } => Table::<Ring<15>>::memory_bound_of(bounds),
            Plan::Ring { words: 23, .. } => Table::<Ring<23>>::memory_bound_of(bounds),
            Plan::Ring { words: 31, .. } => Table::<Ring<31>>::memory_bound_of(bounds),
            Plan::Ring { words: 47, .. } => Table::<Ring<47>>::memory_bound_of(bounds),
            Plan::Ring { words: 63, .. } => Table::<Ring<63>>::memory_bound_of(bounds),
            Plan::Ring { words: 95, .. } => Table::<Ring<95>>::memory_bound_of(bounds),
            Plan::Ring { .. } => Table::<Ring<127>>::memory_bound_of(bounds),
            Plan::Quota { .. } => Table::<Quota>::memory_bound_of(bounds),
        }
    }

    /// Creates the table for a plan. It is in use from `now` on.
    pub(super) fn new(
        plan: Plan,
        max_limit: u64,
        bounds: Bounds,
        now: Now,
    ) -> Result<Self, OutOfMemory> {
        match plan {
            Plan::Ring { window_ns, words } => {
                let scale = TimeScale::new(window_ns, max_limit, u64::from(words));
                let first = scale.tick(now.monotonic_ns);
                Ok(match words {
                    7 => CounterTable::Ring7(Table::new(scale, bounds, first)?),
                    15 => CounterTable::Ring15(Table::new(scale, bounds, first)?),
                    23 => CounterTable::Ring23(Table::new(scale, bounds, first)?),
                    31 => CounterTable::Ring31(Table::new(scale, bounds, first)?),
                    47 => CounterTable::Ring47(Table::new(scale, bounds, first)?),
                    63 => CounterTable::Ring63(Table::new(scale, bounds, first)?),
                    95 => CounterTable::Ring95(Table::new(scale, bounds, first)?),
                    _ => CounterTable::Ring127(Table::new(scale, bounds, first)?),
                })
            }
            Plan::Quota { period, offset_s } => {
                // The cutoff is period 0, the first one: nothing was dropped yet, so any period may
                // be charged.
                let budget = Budget::new(Calendar::new(period, offset_s), max_limit);
                Table::new(budget, bounds, 0).map(CounterTable::Quota)
            }
        }
    }
}
