//! Several charges of one request, none of which takes more than one look: looked up, offered what they
//! ask for, and taken one right after the other, or denied. Nothing is kept of them but what the next
//! step needs.

use crate::breakage::{Breakage, broken};
use crate::charge::{Charge, PolicyId};
use crate::counter::Outcome;
use crate::decision::{Decision, Layer};
use crate::meter::Meter;
use crate::meters::Meters;
use crate::request::{Asked, Context};
use crate::table::{Charged, KeyId, Told};
use crate::tally::Event;

/// Looks up as many as have a place, and asks for the memory of all before the first is waited for.
/// The policy that is not of this limiter, or one too many.
#[inline(always)]
pub(crate) fn ask_all<'g, 'a>(
    meters: &'g Meters,
    charges: &[Charge<'_>],
    asked: &'a mut [Option<Asked<'g>>],
) -> Result<&'a [Option<Asked<'g>>], PolicyId> {
    if let Some(beyond) = charges.get(asked.len()) {
        return Err(beyond.policy);
    }
    for (asked, charge) in asked.iter_mut().zip(charges) {
        let found = Asked::by(meters, charge).ok_or(charge.policy)?;
        found.meter.prefetch_unheld(found.key);
        *asked = Some(found);
    }
    Ok(&asked[..charges.len()])
}

/// Whether two of them are of the same counter.
#[inline(always)]
pub(crate) fn repeats<'a, 'g: 'a>(asked: impl Iterator<Item = &'a Asked<'g>> + Clone) -> bool {
    // Most requests have each policy once, and that is seen soon.
    let (mut seen, mut again) = (0_u64, false);
    for asked in asked.clone() {
        let bit = 1 << (asked.meter.id().index() % u64::BITS as usize);
        again |= seen & bit != 0;
        seen |= bit;
    }
    again && compare(asked)
}

#[inline(never)]
fn compare<'a, 'g: 'a>(asked: impl Iterator<Item = &'a Asked<'g>> + Clone) -> bool {
    let before = |place| asked.clone().take(place);
    let mut all = asked.clone().enumerate();
    all.any(|(place, asked)| before(place).any(|other| asked.is_same_counter(other)))
}

impl Context<'_> {
    /// What each would get, where no two are of one counter; whether all have room.
    #[inline(always)]
    pub(crate) fn offer_all<'g>(
        &'g self,
        asked: &[Option<Asked<'g>>],
        told: &mut [Option<Told<'g>>],
    ) -> bool {
        for asked in all(asked) {
            asked.meter.prefetch(asked.key, &self.guard);
        }
        let mut room = true;
        for (told, asked) in told.iter_mut().zip(all(asked)) {
            self.offer_into(told, asked.meter, asked.key, asked.cost, asked.limit);
            let (charged, _) = told.get_or_insert_with(|| self.look_only(asked));
            room &= charged.outcome.admitted;
        }
        room
    }

    /// What a charge would get, or nothing if that takes more than one look.
    // By itself: there all that it works with has a register. Whatever the counter, it writes the answer
    // where it is kept.
    #[inline(never)]
    fn offer_into<'g>(
        &'g self,
        told: &mut Option<Told<'g>>,
        meter: &'g Meter,
        key: KeyId,
        cost: u64,
        limit: u64,
    ) {
        meter.offer_into(told, key, cost, limit, self.now, &self.guard);
    }

    /// What a charge would get, but nothing to make it by.
    #[cold]
    fn look_only<'g>(&'g self, asked: &Asked<'g>) -> Told<'g> {
        let outcome = self.look(asked, asked.cost);
        (Charged { outcome, generation: 0 }, None)
    }

    /// What a charge would get, by whichever way tells.
    pub(crate) fn offer_or_look<'g>(&'g self, asked: &Asked<'g>) -> Told<'g> {
        let mut told = None;
        self.offer_into(&mut told, asked.meter, asked.key, asked.cost, asked.limit);
        told.unwrap_or_else(|| self.look_only(asked))
    }

    /// Counts and tells charges whose offers were all taken.
    #[inline(always)]
    pub(crate) fn tell_taken(
        &self,
        asked: &[Option<Asked<'_>>],
        told: &[Option<Told<'_>>],
        layers: &mut [Layer],
    ) -> Decision {
        all(asked).for_each(|asked| asked.meter.count(Event::Admitted, self.shard));
        self.tell_layers(asked, told, layers);
        self.report_allowed(both(asked, told))
    }

    /// Counts the charges that deny a request, and tells all. It looks what those are left with that had
    /// an offer, if anybody asks.
    #[inline(never)]
    pub(crate) fn tell_denied<'g>(
        &'g self,
        asked: &[Option<Asked<'g>>],
        told: &mut [Option<Told<'g>>],
        layers: &mut [Layer],
    ) -> Decision {
        for (asked, told) in all(asked).zip(told.iter_mut().flatten()) {
            let (charged, offer) = told;
            if offer.is_some() && !layers.is_empty() {
                charged.outcome = self.look(asked, asked.cost);
            }
            if !charged.outcome.admitted {
                asked.meter.count(Event::Denied, self.shard);
            }
        }
        self.tell_layers(asked, told, layers);
        self.report(both(asked, told))
    }

    #[inline(always)]
    fn tell_layers(
        &self,
        asked: &[Option<Asked<'_>>],
        told: &[Option<Told<'_>>],
        layers: &mut [Layer],
    ) {
        for (layer, (asked, outcome)) in layers.iter_mut().zip(both(asked, told)) {
            *layer = asked.layer(outcome, self.now);
        }
    }
}

fn both<'a, 'g: 'a>(
    asked: &'a [Option<Asked<'g>>],
    told: &'a [Option<Told<'g>>],
) -> impl Iterator<Item = (&'a Asked<'g>, &'a Outcome)> + Clone {
    all(asked).zip(all(told).map(|(charged, _)| &charged.outcome))
}

/// Charges by all offers, which are of different counters. The place of the first that is none, or
/// stands no more: those before it are charged.
#[inline(always)]
pub(crate) fn take_all(told: &[Option<Told<'_>>]) -> Option<usize> {
    let takes = |told: &Option<Told<'_>>| {
        told.as_ref()
            .and_then(|(_, offer)| *offer)
            .is_some_and(|offer| offer.take() || broken(Breakage::LostSeveralAdmitted))
    };
    told.iter().position(|told| !takes(told))
}

/// All of them: nothing but `None` follows the first `None`.
#[inline(always)]
pub(crate) fn all<T>(some: &[Option<T>]) -> impl Iterator<Item = &T> + Clone {
    some.iter().map_while(Option::as_ref)
}
