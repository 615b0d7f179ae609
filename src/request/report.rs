//! What a request over several policies is evaluations: the decision that its charges add up to.

use crate::counter::{NEVER, Outcome};
use crate::decision::{Decision, Verdict};
use crate::request::{Context, ResolvedCharge};

impl Context<'_> {
    /// Of charges, and what each was evaluations.
    pub(crate) fn report<'a, 'g: 'a>(
        &self,
        all: impl Iterator<Item = (&'a ResolvedCharge<'g>, &'a Outcome)> + Clone,
    ) -> Decision {
        match all.clone().find(|(_, outcome)| !outcome.admitted) {
            Some(first) => self.report_denied(first, all),
            None => self.report_allowed(all),
        }
    }

    /// Where all have room: that of the charge with the least remaining.
    #[inline(always)]
    pub(crate) fn report_allowed<'a, 'g: 'a>(
        &self,
        all: impl Iterator<Item = (&'a ResolvedCharge<'g>, &'a Outcome)>,
    ) -> Decision {
        let mut least: Option<(u64, &ResolvedCharge<'_>, &Outcome)> = None;
        for (resolved, outcome) in all {
            let remaining = resolved.remaining(outcome);
            if least.is_none_or(|(least, ..)| remaining < least) {
                least = Some((remaining, resolved, outcome));
            }
        }
        least.map_or(Decision::default(), |(_, resolved, outcome)| {
            resolved.decision(outcome, Verdict::Allowed, None, self.now)
        })
    }

    /// Where this is the first that has no room: it waits for the one that lacks it longest.
    #[inline(always)]
    fn report_denied<'a, 'g: 'a>(
        &self,
        (first, evaluations): (&ResolvedCharge<'g>, &Outcome),
        all: impl Iterator<Item = (&'a ResolvedCharge<'g>, &'a Outcome)>,
    ) -> Decision {
        let mut longest = Some(0);
        for (resolved, outcome) in all.filter(|(_, outcome)| !outcome.admitted) {
            if outcome.fits_at == NEVER {
                return first.decision(evaluations, Verdict::Impossible, None, self.now);
            }
            let wait = resolved.policy.wait_ns(outcome.fits_at, self.now);
            longest = longest.zip(wait).map(|(longest, wait)| wait.max(longest));
        }
        first.decision(evaluations, Verdict::Denied, longest, self.now)
    }
}
