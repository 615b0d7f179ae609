//! What tells a charge again when it is given back.

use crate::counter::Outcome;
use crate::counter::prepared::PreparedCharge;

/// How a charge went, and in which generation of its table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charged {
    pub(crate) outcome: Outcome,
    pub(crate) generation: u64,
}

/// What a charge would get, and what makes it if there is room and anything to charge.
pub(crate) type Evaluation<'a> = (Charged, Option<PreparedCharge<'a>>);

/// One charge that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The tick that was recorded.
    pub(crate) at: u64,
    pub(crate) units: u64,
    /// The number of the generation that it was charged in.
    pub(crate) generation: u64,
}

/// What came back of a charge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Returned {
    pub(crate) units: u64,
    /// The charge no longer counts: it has expired, or its key was evicted since.
    pub(crate) is_gone: bool,
}

impl Receipt {
    /// Of nothing.
    pub(crate) const NONE: Receipt = Receipt { at: 0, units: 0, generation: 0 };

    /// Whether this charge may still count where the other no longer does.
    pub(crate) fn is_after(&self, other: &Receipt) -> bool {
        self.at > other.at || self.generation > other.generation
    }
}

impl Charged {
    /// For so many units.
    #[cfg(all(test, tollgate_model))]
    pub(crate) fn receipt(&self, units: u64) -> Receipt {
        Receipt { at: self.outcome.at, units, generation: self.generation }
    }
}
