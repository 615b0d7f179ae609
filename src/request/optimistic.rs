//! Optimistic path of several charges: evaluate every charge read-only, then commit each with one CAS.
//! Each step keeps only what the next one needs.

use crate::charge::{Charge, PolicyId};
use crate::counter::Outcome;
use crate::decision::{Decision, PolicyStatus};
use crate::engine::Policies;
use crate::engine::metrics::Event;
use crate::engine::policy_state::PolicyState;
use crate::request::{Context, ResolvedCharge};
use crate::table::{Charged, Evaluation, KeyId};
use crate::verify::mutants::is_on;

/// Resolves all charges into `resolved` and prefetches their slots.
///
/// `Err` has a policy that belongs to another limiter or, if there are more charges than fit into
/// `resolved`, the policy of the first one that does not.
#[inline(always)]
pub(crate) fn resolve_all<'g, 'a>(
    policies: &'g Policies,
    charges: &[Charge<'_>],
    resolved: &'a mut [Option<ResolvedCharge<'g>>],
) -> Result<&'a [Option<ResolvedCharge<'g>>], PolicyId> {
    if let Some(beyond) = charges.get(resolved.len()) {
        return Err(beyond.policy);
    }
    for (entry, charge) in resolved.iter_mut().zip(charges) {
        let charge = ResolvedCharge::new(policies, charge).ok_or(charge.policy)?;
        charge.policy.prefetch_unpinned(charge.key);
        *entry = Some(charge);
    }
    Ok(&resolved[..charges.len()])
}

/// Returns whether two of the charges have the same counter.
#[inline(always)]
pub(crate) fn has_repeated_counter<'a, 'g: 'a>(
    resolved: impl Iterator<Item = &'a ResolvedCharge<'g>> + Clone,
) -> bool {
    // In most requests all policies differ, and then all counters do. One pass shows this.
    let (mut seen, mut policy_repeats) = (0_u64, false);
    for charge in resolved.clone() {
        let bit = 1 << (charge.policy.id().index() % u64::BITS as usize);
        policy_repeats |= seen & bit != 0;
        seen |= bit;
    }
    policy_repeats && has_equal_pair(resolved)
}

/// Returns the same as [`has_repeated_counter`], by comparing all pairs of charges.
#[inline(never)]
fn has_equal_pair<'a, 'g: 'a>(
    resolved: impl Iterator<Item = &'a ResolvedCharge<'g>> + Clone,
) -> bool {
    let before = |index| resolved.clone().take(index);
    let mut all = resolved.clone().enumerate();
    all.any(|(index, charge)| before(index).any(|other| charge.is_same_counter(other)))
}

impl Context<'_> {
    /// Evaluates all charges, which have different counters. Returns whether all have room.
    #[inline(always)]
    pub(crate) fn evaluate_all<'g>(
        &'g self,
        resolved: &[Option<ResolvedCharge<'g>>],
        evaluations: &mut [Option<Evaluation<'g>>],
    ) -> bool {
        for charge in all(resolved) {
            charge.policy.prefetch(charge.key, &self.guard);
        }
        let mut room = true;
        for (evaluation, charge) in evaluations.iter_mut().zip(all(resolved)) {
            self.evaluate_into(evaluation, charge.policy, charge.key, charge.cost, charge.limit);
            let (charged, _) = evaluation.get_or_insert_with(|| self.evaluate_read_only(charge));
            room &= charged.outcome.admitted;
        }
        room
    }

    /// Evaluates a charge into `evaluation`. Leaves `None` if the charge must take the slow path.
    // Not inlined: a separate function needs no more than the registers. It writes the evaluation in
    // place, since a returned one would be copied.
    #[inline(never)]
    fn evaluate_into<'g>(
        &'g self,
        evaluation: &mut Option<Evaluation<'g>>,
        policy: &'g PolicyState,
        key: KeyId,
        cost: u64,
        limit: u64,
    ) {
        policy.evaluate_into(evaluation, key, cost, limit, self.now, &self.guard);
    }

    /// Evaluates a charge on the slow path, without preparing its write.
    #[cold]
    fn evaluate_read_only<'g>(&'g self, charge: &ResolvedCharge<'g>) -> Evaluation<'g> {
        let outcome = self.peek(charge, charge.cost);
        (Charged { outcome, generation: 0 }, None)
    }

    /// Evaluates a charge, on the slow path if necessary.
    pub(crate) fn evaluate_one<'g>(&'g self, charge: &ResolvedCharge<'g>) -> Evaluation<'g> {
        let ResolvedCharge { policy, key, cost, limit } = *charge;
        let mut evaluation = None;
        self.evaluate_into(&mut evaluation, policy, key, cost, limit);
        evaluation.unwrap_or_else(|| self.evaluate_read_only(charge))
    }

    /// Counts committed charges and returns the decision.
    #[inline(always)]
    pub(crate) fn finish_admitted(
        &self,
        resolved: &[Option<ResolvedCharge<'_>>],
        evaluations: &[Option<Evaluation<'_>>],
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        all(resolved).for_each(|charge| charge.policy.count(Event::Admitted, self.shard));
        self.write_statuses(resolved, evaluations, statuses);
        self.report_allowed(with_outcomes(resolved, evaluations))
    }

    /// Counts the charges without room and returns the decision.
    ///
    /// If statuses are reported, it peeks again at the charges that had room: their evaluations
    /// include their own cost, which was not charged.
    #[inline(never)]
    pub(crate) fn finish_denied<'g>(
        &'g self,
        resolved: &[Option<ResolvedCharge<'g>>],
        evaluations: &mut [Option<Evaluation<'g>>],
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        for (charge, evaluation) in all(resolved).zip(evaluations.iter_mut().flatten()) {
            let (charged, prepared) = evaluation;
            if prepared.is_some() && !statuses.is_empty() {
                charged.outcome = self.peek(charge, charge.cost);
            }
            if !charged.outcome.admitted {
                charge.policy.count(Event::Denied, self.shard);
            }
        }
        self.write_statuses(resolved, evaluations, statuses);
        self.report(with_outcomes(resolved, evaluations))
    }

    #[inline(always)]
    fn write_statuses(
        &self,
        resolved: &[Option<ResolvedCharge<'_>>],
        evaluations: &[Option<Evaluation<'_>>],
        statuses: &mut [PolicyStatus],
    ) {
        let charges = with_outcomes(resolved, evaluations);
        for (status, (charge, outcome)) in statuses.iter_mut().zip(charges) {
            *status = charge.status(outcome, self.now);
        }
    }
}

/// The charges, each with its outcome.
fn with_outcomes<'a, 'g: 'a>(
    resolved: &'a [Option<ResolvedCharge<'g>>],
    evaluations: &'a [Option<Evaluation<'g>>],
) -> impl Iterator<Item = (&'a ResolvedCharge<'g>, &'a Outcome)> + Clone {
    all(resolved).zip(all(evaluations).map(|(charged, _)| &charged.outcome))
}

/// Commits all prepared charges, which have different counters. Returns the index of the first one that
/// was not prepared or whose CAS failed. Those before it are charged.
#[inline(always)]
pub(crate) fn commit_all(evaluations: &[Option<Evaluation<'_>>]) -> Option<usize> {
    let commits = |evaluation: &Option<Evaluation<'_>>| {
        evaluation
            .as_ref()
            .and_then(|(_, prepared)| *prepared)
            .is_some_and(|prepared| prepared.commit() || is_on("LostSeveralAdmitted"))
    };
    evaluations.iter().position(|evaluation| !commits(evaluation))
}

/// The values of a list that has `None` only at its end.
#[inline(always)]
pub(crate) fn all<T>(some: &[Option<T>]) -> impl Iterator<Item = &T> + Clone {
    some.iter().map_while(Option::as_ref)
}
