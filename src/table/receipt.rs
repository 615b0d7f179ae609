//! Receipts: they identify a charge for a later give-back.

use crate::counter::Outcome;
use crate::counter::prepared::PreparedCharge;

/// The outcome of a charge, and the number of the generation that it was made in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charged {
    pub(crate) outcome: Outcome,
    pub(crate) generation: u64,
}

/// The outcome that a charge would have, and the prepared charge if it has room and a cost.
pub(crate) type Evaluation<'a> = (Charged, Option<PreparedCharge<'a>>);

/// The identity of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The recorded tick.
    pub(crate) at: u64,
    pub(crate) units: u64,
    /// The number of the generation that it was made in.
    pub(crate) generation: u64,
}

/// The result of a give-back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Returned {
    pub(crate) units: u64,
    /// The charge no longer counts: it has expired, or its key was evicted since.
    pub(crate) is_gone: bool,
}

impl Receipt {
    /// The receipt of no charge.
    pub(crate) const NONE: Receipt = Receipt { at: 0, units: 0, generation: 0 };

    /// Returns whether this charge may still count when `other` no longer does.
    pub(crate) fn may_outlast(&self, other: &Receipt) -> bool {
        self.at > other.at || self.generation > other.generation
    }
}

impl Charged {
    /// The outcome of a charge that wrote nothing.
    pub(crate) fn unwritten(outcome: Outcome) -> Self {
        Charged { outcome, generation: 0 }
    }

    /// The receipt of a charge of this many units.
    #[cfg(all(test, tollgate_model))]
    pub(crate) fn receipt(&self, units: u64) -> Receipt {
        Receipt { at: self.outcome.at, units, generation: self.generation }
    }
}
