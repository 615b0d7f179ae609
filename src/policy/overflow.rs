//! What happens to a new key when there are `max_keys` already.

/// What happens to a new key where `max_keys` keys are live.
///
/// Keys that have a counter keep their exact decisions under [`Deny`](Self::Deny) and
/// [`Allow`](Self::Allow) whatever new ones come; under
/// [`EvictLightest`](Self::EvictLightest) those do that have used more than the allowance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The request is refused: [`Verdict::TableFull`](crate::Verdict::TableFull).
    #[default]
    Deny,
    /// The policy lets the request pass without counting it;
    /// [`Decision::table_full`](crate::Decision::table_full) tells. Clients who send ever new keys
    /// are then not limited.
    Allow,
    /// The keys that have used least make room: they are dropped, an eighth of all at a time or
    /// more, and start anew if they come back.
    ///
    /// That forgives no key more than `allowance` units in any window or period: what is admitted
    /// to it there is at most the limit plus the allowance. Once that much has been forgiven, or
    /// keys have been evicted eight times in one window, new keys are refused until the window has
    /// passed; and as long as fewer than an eighth of the keys have used so little. A key that has
    /// used more than the allowance is never evicted, and its open reservations keep what they hold.
    ///
    /// It takes two more bytes for each key.
    EvictLightest {
        /// From 1 to the policy's greatest limit, in units of cost.
        allowance: u64,
    },
}

impl Overflow {
    pub(crate) fn allowance(self) -> u64 {
        match self {
            Overflow::EvictLightest { allowance } => allowance,
            Overflow::Deny | Overflow::Allow => 0,
        }
    }
}
