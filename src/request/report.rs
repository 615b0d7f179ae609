//! The decision about a request over several policies, from the outcomes of its charges.

use crate::counter::{NEVER, Outcome};
use crate::decision::{Decision, Verdict};
use crate::request::{Context, ResolvedCharge};

impl Context<'_> {
    /// The decision about a request with these charges and outcomes.
    pub(crate) fn report<'a, 'g: 'a>(
        &self,
        all: impl Iterator<Item = (&'a ResolvedCharge<'g>, &'a Outcome)> + Clone,
    ) -> Decision {
        match all.clone().find(|(_, outcome)| !outcome.admitted) {
            Some(first) => self.report_denied(first, all),
            None => self.report_allowed(all),
        }
    }

    /// Reports the charge with the fewest remaining units. All must have room.
    #[inline(always)]
    pub(crate) fn report_allowed<'a, 'g: 'a>(
        &self,
        all: impl Iterator<Item = (&'a ResolvedCharge<'g>, &'a Outcome)>,
    ) -> Decision {
        let mut least: Option<(u64, &ResolvedCharge<'_>, &Outcome)> = None;
        for (charge, outcome) in all {
            let remaining = charge.remaining(outcome);
            if least.is_none_or(|(least, ..)| remaining < least) {
                least = Some((remaining, charge, outcome));
            }
        }
        least.map_or(Decision::default(), |(_, charge, outcome)| {
            charge.decision(outcome, Verdict::Allowed, None, self.now)
        })
    }

    /// Reports the first charge without room. `retry_after` is the longest wait of all, and absent if
    /// any charge never fits.
    #[inline(always)]
    fn report_denied<'a, 'g: 'a>(
        &self,
        (first, first_outcome): (&ResolvedCharge<'g>, &Outcome),
        all: impl Iterator<Item = (&'a ResolvedCharge<'g>, &'a Outcome)>,
    ) -> Decision {
        let mut longest = Some(0);
        for (charge, outcome) in all.filter(|(_, outcome)| !outcome.admitted) {
            if outcome.fits_at == NEVER {
                return first.decision(first_outcome, Verdict::Impossible, None, self.now);
            }
            let wait = charge.policy.wait_ns(outcome.fits_at, self.now);
            longest = longest.zip(wait).map(|(longest, wait)| wait.max(longest));
        }
        first.decision(first_outcome, Verdict::Denied, longest, self.now)
    }
}
