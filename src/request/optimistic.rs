//! Several charges of one request, none of which takes more than one look: looked up, offered what they
//! ask for, and taken one right after the other, or denied. Nothing is kept of them but what the next
//! step needs.

use crate::charge::{Charge, PolicyId};
use crate::counter::Outcome;
use crate::decision::{Decision, PolicyStatus};
use crate::engine::Policies;
use crate::engine::metrics::Event;
use crate::engine::policy_state::PolicyState;
use crate::request::{Context, ResolvedCharge};
use crate::table::{Charged, Evaluation, KeyId};
use crate::verify::mutants::{Breakage, broken};

/// Looks up as many as have a place, and asks for the memory of all before the first is waited for.
/// The policy that is not of this limiter, or one too many.
#[inline(always)]
pub(crate) fn resolve_all<'g, 'a>(
    policies: &'g Policies,
    charges: &[Charge<'_>],
    resolved: &'a mut [Option<ResolvedCharge<'g>>],
) -> Result<&'a [Option<ResolvedCharge<'g>>], PolicyId> {
    if let Some(beyond) = charges.get(resolved.len()) {
        return Err(beyond.policy);
    }
    for (resolved, charge) in resolved.iter_mut().zip(charges) {
        let found = ResolvedCharge::by(policies, charge).ok_or(charge.policy)?;
        found.policy.prefetch_unpinned(found.key);
        *resolved = Some(found);
    }
    Ok(&resolved[..charges.len()])
}

/// Whether two of them are of the same counter.
#[inline(always)]
pub(crate) fn repeats<'a, 'g: 'a>(
    resolved: impl Iterator<Item = &'a ResolvedCharge<'g>> + Clone,
) -> bool {
    // Most requests have each policy once, and that is seen soon.
    let (mut seen, mut again) = (0_u64, false);
    for resolved in resolved.clone() {
        let bit = 1 << (resolved.policy.id().index() % u64::BITS as usize);
        again |= seen & bit != 0;
        seen |= bit;
    }
    again && compare(resolved)
}

#[inline(never)]
fn compare<'a, 'g: 'a>(resolved: impl Iterator<Item = &'a ResolvedCharge<'g>> + Clone) -> bool {
    let before = |place| resolved.clone().take(place);
    let mut all = resolved.clone().enumerate();
    all.any(|(place, resolved)| before(place).any(|other| resolved.is_same_counter(other)))
}

impl Context<'_> {
    /// What each would get, where no two are of one counter; whether all have room.
    #[inline(always)]
    pub(crate) fn evaluate_all<'g>(
        &'g self,
        resolved: &[Option<ResolvedCharge<'g>>],
        evaluations: &mut [Option<Evaluation<'g>>],
    ) -> bool {
        for resolved in all(resolved) {
            resolved.policy.prefetch(resolved.key, &self.guard);
        }
        let mut room = true;
        for (evaluations, resolved) in evaluations.iter_mut().zip(all(resolved)) {
            self.evaluate_into(
                evaluations,
                resolved.policy,
                resolved.key,
                resolved.cost,
                resolved.limit,
            );
            let (charged, _) = evaluations.get_or_insert_with(|| self.evaluate_read_only(resolved));
            room &= charged.outcome.admitted;
        }
        room
    }

    /// What a charge would get, or nothing if that takes more than one look.
    // By itself: there all that it works with has a register. Whatever the counter, it writes the answer
    // where it is kept.
    #[inline(never)]
    fn evaluate_into<'g>(
        &'g self,
        evaluations: &mut Option<Evaluation<'g>>,
        policy: &'g PolicyState,
        key: KeyId,
        cost: u64,
        limit: u64,
    ) {
        policy.evaluate_into(evaluations, key, cost, limit, self.now, &self.guard);
    }

    /// What a charge would get, but nothing to make it by.
    #[cold]
    fn evaluate_read_only<'g>(&'g self, resolved: &ResolvedCharge<'g>) -> Evaluation<'g> {
        let outcome = self.peek(resolved, resolved.cost);
        (Charged { outcome, generation: 0 }, None)
    }

    /// What a charge would get, by whichever way tells.
    pub(crate) fn evaluate_one<'g>(&'g self, resolved: &ResolvedCharge<'g>) -> Evaluation<'g> {
        let mut evaluations = None;
        self.evaluate_into(
            &mut evaluations,
            resolved.policy,
            resolved.key,
            resolved.cost,
            resolved.limit,
        );
        evaluations.unwrap_or_else(|| self.evaluate_read_only(resolved))
    }

    /// Counts and tells charges whose offers were all taken.
    #[inline(always)]
    pub(crate) fn finish_admitted(
        &self,
        resolved: &[Option<ResolvedCharge<'_>>],
        evaluations: &[Option<Evaluation<'_>>],
        layers: &mut [PolicyStatus],
    ) -> Decision {
        all(resolved).for_each(|resolved| resolved.policy.count(Event::Admitted, self.shard));
        self.write_statuses(resolved, evaluations, layers);
        self.report_allowed(both(resolved, evaluations))
    }

    /// Counts the charges that deny a request, and tells all. It looks what those are left with that had
    /// an prepared, if anybody asks.
    #[inline(never)]
    pub(crate) fn finish_denied<'g>(
        &'g self,
        resolved: &[Option<ResolvedCharge<'g>>],
        evaluations: &mut [Option<Evaluation<'g>>],
        layers: &mut [PolicyStatus],
    ) -> Decision {
        for (resolved, evaluations) in all(resolved).zip(evaluations.iter_mut().flatten()) {
            let (charged, prepared) = evaluations;
            if prepared.is_some() && !layers.is_empty() {
                charged.outcome = self.peek(resolved, resolved.cost);
            }
            if !charged.outcome.admitted {
                resolved.policy.count(Event::Denied, self.shard);
            }
        }
        self.write_statuses(resolved, evaluations, layers);
        self.report(both(resolved, evaluations))
    }

    #[inline(always)]
    fn write_statuses(
        &self,
        resolved: &[Option<ResolvedCharge<'_>>],
        evaluations: &[Option<Evaluation<'_>>],
        layers: &mut [PolicyStatus],
    ) {
        for (layer, (resolved, outcome)) in layers.iter_mut().zip(both(resolved, evaluations)) {
            *layer = resolved.layer(outcome, self.now);
        }
    }
}

fn both<'a, 'g: 'a>(
    resolved: &'a [Option<ResolvedCharge<'g>>],
    evaluations: &'a [Option<Evaluation<'g>>],
) -> impl Iterator<Item = (&'a ResolvedCharge<'g>, &'a Outcome)> + Clone {
    all(resolved).zip(all(evaluations).map(|(charged, _)| &charged.outcome))
}

/// Charges by all offers, which are of different counters. The place of the first that is none, or
/// stands no more: those before it are charged.
#[inline(always)]
pub(crate) fn commit_all(evaluations: &[Option<Evaluation<'_>>]) -> Option<usize> {
    let takes = |evaluations: &Option<Evaluation<'_>>| {
        evaluations
            .as_ref()
            .and_then(|(_, prepared)| *prepared)
            .is_some_and(|prepared| prepared.commit() || broken(Breakage::LostSeveralAdmitted))
    };
    evaluations.iter().position(|evaluations| !takes(evaluations))
}

/// All of them: nothing but `None` follows the first `None`.
#[inline(always)]
pub(crate) fn all<T>(some: &[Option<T>]) -> impl Iterator<Item = &T> + Clone {
    some.iter().map_while(Option::as_ref)
}
