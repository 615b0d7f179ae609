//! The request's way: limiter -> layers -> request -> policy -> table -> counter. Other verbs go through
//! a session, and a check of one charge to the request at once.

use crate::charge::{Charge, PolicyId};
use crate::clock::{Clock, Now};
use crate::decision::{Decision, PolicyStatus};
use crate::engine::Policies;
use crate::error::{ConfigError, UnknownPolicy};
use crate::http;
use crate::key::Key;
use crate::policy::Policy;
use crate::request::fallback;
use crate::request::reservation::{Reservation, ReservationError};
use crate::request::{self, Context, Mode, ResolvedCharge};
use crate::session::Session;
use crate::stats::Stats;
use crate::table::epoch;
use crate::verify::mutants::{Breakage, broken};
use std::time::Duration;

/// Decides which requests may go on.
///
/// Shared between threads by reference: every verb takes `&self`, none blocks, and none allocates
/// but for the amortised renewal of a table.
#[derive(Debug)]
pub struct Limiter {
    policies: Policies,
    clock: Clock,
    /// Whether any policy follows the calendar.
    wants_wall: bool,
}

impl Limiter {
    pub(crate) fn new(policies: Policies, clock: Clock) -> Self {
        let wants_wall = policies.policies().any(|policy| policy.period().is_some());
        Limiter { policies, clock, wants_wall }
    }

    /// The present reading of the limiter's clock. The wall clock is read only if a policy follows
    /// the calendar.
    #[inline]
    pub fn now(&self) -> Now {
        self.clock.now(self.wants_wall)
    }

    /// Verbs at the clock's present instant. A server that decides many requests in a turn of its
    /// event loop makes one session for all of them.
    #[inline]
    pub fn session(&self) -> Session<'_> {
        self.session_at(self.now())
    }

    /// Verbs at an instant that the caller has read already.
    ///
    /// Windows take no monotonic reading that lies before the one of the limiter's own clock at
    /// which it was built; [`Clock::precise`] begins at zero.
    #[inline]
    pub fn session_at(&self, now: Now) -> Session<'_> {
        Session::new(&self.policies, now)
    }

    /// Charges a request under all its policies, or under none.
    /// See [`Session::check`].
    #[inline]
    pub fn check(&self, charges: &[Charge<'_>]) -> Decision {
        self.check_with_status(charges, &mut [])
    }

    /// As [`check`](Self::check), and tells how each policy stands. See [`Session::check_with_status`].
    #[inline]
    pub fn check_with_status(
        &self,
        charges: &[Charge<'_>],
        layers: &mut [PolicyStatus],
    ) -> Decision {
        self.decide(charges, layers, || self.now())
    }

    /// As [`check`](Self::check) at an instant that the caller has read already, of which the same
    /// holds as for [`session_at`](Self::session_at). For one request it is quicker than a session,
    /// which cannot ask for the key's memory before it is made.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Limiter, ManualClock, Policy};
    ///
    /// let clock = ManualClock::new();
    /// let user = Policy::sliding("user", 1, Duration::from_secs(60));
    /// let limiter = Limiter::builder().policy(user).clock(clock.clone()).build()?;
    /// let user = limiter.policy("user").unwrap();
    /// // The host's own reading, say of the turn of its event loop.
    /// let now = clock.now();
    /// assert!(limiter.check_at(now, &[user.charge("alice", 1)]).is_allowed());
    /// assert!(!limiter.check_at(now, &[user.charge("alice", 1)]).is_allowed());
    /// # Ok::<(), tollgate::ConfigError>(())
    /// ```
    #[inline]
    pub fn check_at(&self, now: Now, charges: &[Charge<'_>]) -> Decision {
        self.check_at_with_status(now, charges, &mut [])
    }

    /// As [`check_at`](Self::check_at), and tells how each policy stands.
    #[inline]
    pub fn check_at_with_status(
        &self,
        now: Now,
        charges: &[Charge<'_>],
        layers: &mut [PolicyStatus],
    ) -> Decision {
        self.decide(charges, layers, || now)
    }

    /// Asks for the memory of all charges first of all: behind a reading of the clock and a pin it
    /// comes too late for the decision before to hide it.
    #[inline(always)]
    fn decide(
        &self,
        charges: &[Charge<'_>],
        layers: &mut [PolicyStatus],
        now: impl FnOnce() -> Now,
    ) -> Decision {
        let (policies, context) = (&self.policies, || Context::new(&self.policies, now()));
        let [charge] = charges else {
            return fallback::decide(policies, charges, Mode::Check, layers, context);
        };
        let Some(resolved) = ResolvedCharge::new(policies, charge) else {
            return request::invalid(charge.policy);
        };
        resolved.policy.prefetch_unpinned(resolved.key);
        context().decide_one(resolved, Mode::Check, layers)
    }

    /// Checks many requests of one charge each, at one instant. See [`Session::check_many`].
    pub fn check_many(&self, charges: &[Charge<'_>], decisions: &mut [Decision]) -> usize {
        self.session().check_many(charges, decisions)
    }

    /// What [`check`](Self::check) would decide now. See [`Session::peek`].
    pub fn peek(&self, charges: &[Charge<'_>]) -> Decision {
        self.session().peek(charges)
    }

    /// As [`peek`](Self::peek), and tells how each policy stands. See [`Session::peek_with_status`].
    pub fn peek_with_status(
        &self,
        charges: &[Charge<'_>],
        layers: &mut [PolicyStatus],
    ) -> Decision {
        self.session().peek_with_status(charges, layers)
    }

    /// Charges whatever the usage is. See [`Session::force_charge`].
    pub fn force_charge(&self, charges: &[Charge<'_>]) -> Decision {
        self.session().force_charge(charges)
    }

    /// Gives units back. See [`Session::refund`].
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn refund(&self, charge: &Charge<'_>) -> Result<u64, UnknownPolicy> {
        self.session().refund(charge)
    }

    /// Charges a request whose cost is known only afterwards. See [`Reservation`].
    ///
    /// # Errors
    /// The decision, if the request is not allowed; then nothing was charged.
    pub fn reserve(&self, charges: &[Charge<'_>]) -> Result<Reservation, Decision> {
        self.session().reserve(charges)
    }

    /// As [`reserve`](Self::reserve), and tells how each policy stands. See
    /// [`Session::reserve_with_status`].
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub fn reserve_with_status(
        &self,
        charges: &[Charge<'_>],
        layers: &mut [PolicyStatus],
    ) -> Result<Reservation, Decision> {
        self.session().reserve_with_status(charges, layers)
    }

    /// Charges so much more to each layer of a reservation, or to none. See [`Reservation`].
    ///
    /// # Errors
    /// If the reservation is closed or of another limiter, or there is not one amount a layer.
    pub fn extend(
        &self,
        reservation: &mut Reservation,
        more: &[u64],
    ) -> Result<Decision, ReservationError> {
        self.session().extend(reservation, more)
    }

    /// Closes a reservation with what each layer has really cost. See [`Reservation`].
    ///
    /// # Errors
    /// As [`extend`](Self::extend).
    pub fn settle(
        &self,
        reservation: &mut Reservation,
        actual: &[u64],
    ) -> Result<Decision, ReservationError> {
        self.session().settle(reservation, actual)
    }

    /// Closes a reservation that has cost nothing. See [`Reservation`].
    ///
    /// # Errors
    /// If the reservation is closed or of another limiter.
    pub fn cancel(&self, reservation: &mut Reservation) -> Result<Decision, ReservationError> {
        self.session().cancel(reservation)
    }

    /// Forgets what a key has used. See [`Session::reset_key`].
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn reset_key<'k>(
        &self,
        policy: PolicyId,
        key: impl Into<Key<'k>>,
    ) -> Result<(), UnknownPolicy> {
        self.session().reset_key(policy, key)
    }

    /// Housekeeping ahead of need, for hosts that have idle moments: moves up to `slots` slots of
    /// each table that is being moved, begins to shrink those that are mostly idle, and gives
    /// memory back that nobody reads any more, some pieces. True when no table has anything left to
    /// move; memory may still be on its way back, and further calls hasten it.
    ///
    /// On Linux it also lays tables that stay, from 8 MiB on, in huge pages (`MADV_COLLAPSE`), those
    /// of about `slots` slots at a time, whatever the system-wide setting is: random keys are then
    /// found faster. A page of 2 MiB takes the system some milliseconds, and a thread that touches
    /// it meanwhile may wait as long.
    ///
    /// Never needed: requests with new keys do the same, a small chunk each, and the system makes
    /// huge pages by itself, later.
    pub fn maintain(&self, slots: usize) -> bool {
        let done = self.session().maintain(slots);
        if !broken(Breakage::MaintainCollectsNothing) {
            epoch::collect((slots / 256).clamp(4, 64));
        }
        done
    }

    /// The statistics of a policy. Takes microseconds: up to 1,024 slots are sampled.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Limiter, Policy};
    ///
    /// let user = Policy::sliding("user", 1, Duration::from_secs(60));
    /// let limiter = Limiter::builder().policy(user).build()?;
    /// let user = limiter.policy("user").unwrap();
    /// for name in ["alice", "bob", "alice"] {
    ///     limiter.check(&[user.charge(name, 1)]);
    /// }
    /// let stats = limiter.stats(user).unwrap();
    /// assert_eq!((stats.admitted, stats.denied, stats.live_keys), (2, 1, 2));
    /// assert!(stats.bytes < 50_000);
    /// # Ok::<(), tollgate::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn stats(&self, policy: PolicyId) -> Result<Stats, UnknownPolicy> {
        self.session().stats(policy)
    }

    /// Changes a policy's limit for all coming requests; what has been used stays used.
    ///
    /// # Errors
    /// [`ConfigError::Limit`] for 0, [`ConfigError::MaxLimit`] above the policy's greatest limit,
    /// [`ConfigError::UnknownPolicy`] for a policy of another limiter.
    pub fn set_limit(&self, policy: PolicyId, limit: u64) -> Result<(), ConfigError> {
        self.policies.known(policy)?.set_limit(limit)
    }

    /// The limit that applies now to requests without one of their own.
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn limit(&self, policy: PolicyId) -> Result<u64, UnknownPolicy> {
        self.policies.known(policy).map(|policy| policy.limit(None))
    }

    /// The policy of this name.
    pub fn policy(&self, name: &str) -> Option<PolicyId> {
        self.policies.find(name)
    }

    /// All policies, in their order.
    pub fn policies(&self) -> impl ExactSizeIterator<Item = &Policy> {
        self.policies.policies()
    }

    /// To what fraction of a second a policy records time: clock readings are cut to it. One
    /// nanosecond for exact policies with windows up to days.
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn resolution(&self, policy: PolicyId) -> Result<Duration, UnknownPolicy> {
        self.policies.known(policy).map(|policy| policy.resolution())
    }

    /// What the [`http`] fields need to know of these layers, in their order. Allocates nothing.
    pub fn http_items<'a>(
        &'a self,
        layers: &'a [PolicyStatus],
    ) -> impl Iterator<Item = http::Item<'a>> + Clone {
        layers.iter().filter_map(move |layer| {
            let policy = self.policies.get(layer.policy)?.policy();
            let window =
                policy.window().or_else(|| policy.period().map(|period| period.longest()))?;
            let item = http::Item::new(policy.name(), window, *layer);
            Some(match policy.unit_name() {
                Some(unit) => item.with_unit(unit),
                None => item,
            })
        })
    }
}

/// What the schedules do by hand and a table does by itself.
#[cfg(all(test, tollgate_model))]
impl Limiter {
    /// Starts a renewal of a policy's table, unless one is under way.
    pub(crate) fn start_renewal(&self, policy: PolicyId, now: Now) {
        self.policies.get(policy).expect("a policy of this limiter").start_renewal(now);
    }

    /// Moves one chunk of a policy's table; true when nothing is left to move.
    pub(crate) fn help_once(&self, policy: PolicyId, now: Now) -> bool {
        self.policies.get(policy).expect("a policy of this limiter").help_once(now)
    }

    /// The number of arrays in a policy's table: one, or two while keys move.
    #[cfg(tollgate_shuttle)]
    pub(crate) fn arrays(&self, policy: PolicyId) -> usize {
        self.policies.get(policy).expect("a policy of this limiter").arrays()
    }
}

/// Shared by reference between threads; a session stays on its own.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Limiter>();
};
