//! What may happen to one key: the words that the calls are recorded in, and that the
//! specifications explain.
//!
//! All times are absolute, in the units that the key's policy counts in.

use super::linear;

pub(super) type Event = linear::Event<Step>;

/// The instants that a call may have been decided at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) now: u64,
    /// The latest reading that any thread had taken when the call returned.
    pub(super) latest: u64,
}

/// What an answer tells of one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    /// From when on the charge would have room, for a denial that a wait would help.
    pub(super) fits_at: Option<u64>,
    /// From when on nothing is used; the call's own `now` if nothing is.
    pub(super) clear_at: u64,
}

/// Units that are charged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    /// Charges are numbered in the order in which their calls return.
    pub(super) number: usize,
    pub(super) span: Span,
    pub(super) cost: u64,
    /// The greatest limit that it may have been held to; none for what is charged whatever the
    /// usage is.
    pub(super) limit: Option<u64>,
    /// A decision over several keys tells of one of them.
    pub(super) told: Option<Told>,
    /// The reservation that holds it.
    pub(super) hold: Option<usize>,
}

/// Units that come back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Back {
    /// Its number.
    pub(super) hold: usize,
    pub(super) from: From,
    pub(super) amount: u64,
    pub(super) span: Span,
    /// How many charges had been completed at the call. Those that were made since may be missed.
    pub(super) known: usize,
}

/// What units are taken from, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// All that counts: exactly the amount and, if `short`, that was all there was.
    All { short: bool },
    /// What was charged since the hold's first charge: the amount, as far as that counts. Once the
    /// first has passed, what was charged since the last one, and no more than that was.
    Hold,
}

/// One thing that happened to one key, at once.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Charge(Charge),
    /// A request that was refused by another layer may have charged this one for an instant.
    Lend(Charge),
    /// Room was found, but nothing was charged.
    Room {
        span: Span,
        cost: u64,
        told: Told,
    },
    /// There was no room. A wait that is `shared` is the longest over several keys.
    Denied {
        span: Span,
        cost: u64,
        told: Told,
        shared: bool,
    },
    /// What was used, whether that is too much or not.
    Seen {
        span: Span,
        told: Told,
    },
    /// The key found no place: nothing that it had used can still have counted.
    Full {
        span: Span,
    },
    /// Some of what comes back.
    Take(Back),
    /// The last of it, if anything is still to come.
    End(Back),
    /// All is forgotten.
    Reset,
    /// The charge of this number is forgotten, if it is there.
    Forget {
        number: usize,
    },
}

impl Told {
    /// The same in coarser units.
    pub(super) fn in_units(self, unit: u64) -> Told {
        Told { fits_at: self.fits_at.map(|at| at / unit), clear_at: self.clear_at / unit, ..self }
    }
}

impl Span {
    pub(super) fn in_units(self, unit: u64) -> Span {
        Span { now: self.now / unit, latest: self.latest / unit }
    }
}

impl Step {
    /// The answer that it explains.
    pub(super) fn told(&self) -> Option<Told> {
        match self {
            Step::Charge(charge) | Step::Lend(charge) => charge.told,
            Step::Room { told, .. } | Step::Denied { told, .. } | Step::Seen { told, .. } => {
                Some(*told)
            }
            _ => None,
        }
    }

    /// Whether units may come back by it.
    pub(super) fn gives(&self) -> bool {
        matches!(self, Step::Take(_) | Step::End(_) | Step::Reset | Step::Forget { .. })
    }
}
