//! The steps that may happen to one key. Calls are recorded as steps, and the sequential
//! specifications define their effects.
//!
//! All times are absolute, in the unit of time of the key's policy.

use super::linearizability;

pub(super) type Event = linearizability::Event<Step>;

/// The times at which a call may have been decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// The call's own time.
    pub(super) now: u64,
    /// The latest reading that any thread had taken when the call returned.
    pub(super) latest: u64,
}

/// The numbers that an answer reports about one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    /// The time from which a denied charge has room. `None` if it was admitted, or never has room.
    pub(super) fits_at: Option<u64>,
    /// The time from which nothing is used. The call's own `now` if nothing is used.
    pub(super) clear_at: u64,
}

/// A charge of one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    /// Charges are numbered in the order of their responses.
    pub(super) number: usize,
    pub(super) span: Span,
    pub(super) cost: u64,
    /// The greatest limit that may have been applied. `None` for a forced charge.
    pub(super) limit: Option<u64>,
    /// The numbers in the answer. `None` if a decision over several keys reports another one.
    pub(super) reported: Option<Reported>,
    /// The number of the reservation that it belongs to.
    pub(super) reservation: Option<usize>,
}

/// A give-back: a refund, or the unused units of a reservation.
#[derive(Clone, Copy, Debug)]
pub(super) struct GiveBack {
    /// The number of the reservation. A refund has its own number.
    pub(super) reservation: usize,
    pub(super) source: Source,
    pub(super) amount: u64,
    pub(super) span: Span,
    /// Charges up to this number were completed before the invocation. The give-back may miss
    /// later ones.
    pub(super) completed_before: usize,
}

/// The charges that a give-back takes units from, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// All charges that count. It takes exactly the amount. If `short`, nothing more was used.
    All { short: bool },
    /// Charges since the reservation's first one. It takes up to the amount.
    ///
    /// If the first charge has expired, it takes from charges since the reservation's last one, and
    /// at most as many units as the last one has.
    Reservation,
}

/// One atomic step on one key.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A charge.
    Charge(Charge),
    /// A charge that may or may not have been made. For example, a request that another policy
    /// denied may have charged this key and rolled it back.
    Tentative(Charge),
    /// An answer that reports room. Nothing was charged.
    Room { span: Span, cost: u64, reported: Reported },
    /// A denial. If `shared`, its wait is the longest over several keys.
    Denied { span: Span, cost: u64, reported: Reported, shared: bool },
    /// An answer that reports the usage, whether or not there was room.
    Observed { span: Span, reported: Reported },
    /// The key had no slot because the table was full. None of its earlier charges can still count.
    TableFull { span: Span },
    /// A part of a give-back.
    GiveBackPart(GiveBack),
    /// The last part of a give-back, which may be empty.
    GiveBackEnd(GiveBack),
    /// A reset of the key.
    Reset,
    /// The first part of a reset: from now on, receipts of earlier charges may give back nothing.
    ResetBegins,
    /// The second part of a reset: from now on, receipts of earlier charges give back nothing. Later charges
    /// have later times.
    ResetHead,
    /// The part of a reset that removes this charge, if it is there.
    Forget { number: usize },
}

impl Reported {
    /// Converts the times to coarser units.
    pub(super) fn in_units(self, unit: u64) -> Reported {
        Reported {
            fits_at: self.fits_at.map(|at| at / unit),
            clear_at: self.clear_at / unit,
            ..self
        }
    }
}

impl Span {
    /// Converts the times to coarser units.
    pub(super) fn in_units(self, unit: u64) -> Span {
        Span { now: self.now / unit, latest: self.latest / unit }
    }
}

impl Step {
    /// The numbers that the answer reports.
    pub(super) fn reported(&self) -> Option<Reported> {
        match self {
            Step::Charge(charge) | Step::Tentative(charge) => charge.reported,
            Step::Room { reported, .. }
            | Step::Denied { reported, .. }
            | Step::Observed { reported, .. } => Some(*reported),
            _ => None,
        }
    }
}
