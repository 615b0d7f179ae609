//! The fallback of a request: charges what could not be committed, in order, and rolls back if a
//! charge has no room any more.

use crate::charge::PolicyId;
use crate::engine::context::Context;
use crate::engine::item::Item;
use crate::engine::policy_metrics::{Event, Scope};
use crate::engine::resolved_charge::{ResolvedCharge, SlowCharge};
use crate::request::Mode;
use crate::table::ClaimError;

/// The result of the fallback.
pub(super) enum FallbackResult {
    AllCharged,
    /// An item has no room. The items that were charged before it were rolled back.
    Denied,
    /// The table of this policy has no slot for the key. The items that were charged before it were
    /// rolled back.
    TableFull(PolicyId),
}

impl Context<'_> {
    /// Charges the items from index `first` on, in order. Those before it are committed already.
    /// `repeats` is true if two items have the same counter.
    #[inline(never)]
    pub(super) fn charge_from<'g>(
        &'g self,
        first: usize,
        items: &mut [Item<'g>],
        mode: Mode,
        repeats: bool,
    ) -> FallbackResult {
        for index in first..items.len() {
            let (charged, rest) = items.split_at_mut(index);
            let item = &mut rest[0];
            item.prepared = None;
            if mode == Mode::Check && !item.outcome.admitted && item.passes() {
                // The evaluation has found no room, so a dry run charges nothing.
                item.copy_usage_from(charged);
                continue;
            }
            // Schedules: layers with FallbackForced.
            let result = self.charge_item(item, mode);
            if result.is_ok() && item.passes() {
                if repeats {
                    item.copy_usage_to(charged);
                }
                continue;
            }
            self.roll_back_all(charged, repeats);
            if result.is_ok() {
                return FallbackResult::Denied;
            }
            item.charge.policy.count(Event::Refused, Scope::Charge, self.shard);
            return FallbackResult::TableFull(item.charge.policy.id());
        }
        FallbackResult::AllCharged
    }

    /// Charges an item on the slow path. `Err` if the table has no slot for its key.
    pub(super) fn charge_item(&self, item: &mut Item<'_>, mode: Mode) -> Result<(), ClaimError> {
        let SlowCharge { charged, table_full } =
            item.charge.charge_slow(self, mode == Mode::Force)?;
        (item.outcome, item.generation) = (charged.outcome, charged.generation);
        item.table_full = table_full;
        Ok(())
    }

    /// Rolls back these items, the last one first, and updates their usage.
    fn roll_back_all(&self, items: &mut [Item<'_>], repeats: bool) {
        for index in (0..items.len()).rev() {
            let (before, rest) = items.split_at_mut(index);
            let item = &mut rest[0];
            self.roll_back(item);
            if repeats {
                item.copy_usage_to(before);
            }
        }
        // The usage of a counter after the rollback is that of its first item.
        for index in (0..items.len()).filter(|_| repeats) {
            let (item, after) = items[index..].split_at_mut(1);
            item[0].copy_usage_to(after);
        }
    }

    fn roll_back(&self, item: &mut Item<'_>) {
        item.prepared = None;
        if !item.is_charged() {
            return;
        }
        let ResolvedCharge { policy, key, cost, .. } = item.charge;
        // The receipt prevents units of other charges from being given back if this charge has
        // expired. Schedules: late rollback with RollbackOldest.
        let from = Some(item.receipt());
        let returned = policy.give_back(key, self.now, from, cost, &self.guard);
        item.outcome.used = item.outcome.used.saturating_sub(returned.units);
    }
}
