//! The limiter. A check goes straight to the `request` module; most other operations open a session.

use crate::charge::{Charge, PolicyId};
use crate::clock::{Clock, Now};
use crate::decision::{Decision, PolicyStatus};
use crate::engine::Policies;
use crate::engine::context::Context;
use crate::engine::resolved_charge::ResolvedCharge;
use crate::error::{ConfigError, UnknownPolicy};
use crate::http;
use crate::key::Key;
use crate::policy::Policy;
use crate::reclaim;
use crate::request::reservation::{Reservation, ReservationError};
use crate::request::{self, Mode, OpenContext};
use crate::session::Session;
use crate::stats::{RequestStats, Stats};
use std::time::Duration;

/// A rate limiter, shared between threads by reference.
///
/// Every method takes `&self`. No method blocks. A request allocates only if it is a thread's first
/// or if it replaces a table's array, which is rare. Without `membarrier`, others may as well: see the
/// [crate documentation](crate).
///
/// Learn the methods in this order:
///
/// 1. [`builder`](Self::builder) sets the policies, and [`build`](crate::Builder::build) makes the
///    limiter.
/// 2. [`check`](Self::check) charges a request or denies it.
/// 3. [`retry_after`](Decision::retry_after) is the wait after a denial.
/// 4. [`reserve`](Self::reserve) charges an estimate, and [`settle`](Self::settle) corrects it to
///    the actual cost.
/// 5. [`stats`](Self::stats) reports what a policy has admitted and denied, and its memory;
///    [`request_stats`](Self::request_stats) counts requests by verdict.
///
/// Most operations are also methods of [`Session`] and are documented there. The limiter's method of
/// the same name reads the clock, then does the same at that time.
#[derive(Debug)]
pub struct Limiter {
    policies: Policies,
    clock: Clock,
    /// Whether any policy is a calendar budget, which needs the wall clock.
    has_calendar: bool,
}

/// A call of the limiter.
struct Call<'l> {
    limiter: &'l Limiter,
    /// The caller's time. `None` to read the limiter's clock.
    now: Option<Now>,
}

impl<'l> OpenContext<'l> for Call<'l> {
    type Context = Context<'l>;

    /// Prefetches the slot of a single charge before reading the clock and pinning the epoch. The
    /// processor can then start this cache miss while it still executes the thread's previous
    /// decision.
    #[inline(always)]
    fn open(self, single: Option<&ResolvedCharge<'l>>) -> Context<'l> {
        if let Some(charge) = single {
            charge.policy.prefetch_unpinned(charge.key);
        }
        let now = match self.now {
            Some(now) => now,
            None => self.limiter.now(),
        };
        Context::new(&self.limiter.policies, now)
    }
}

impl Limiter {
    pub(crate) fn new(policies: Policies, clock: Clock) -> Self {
        let has_calendar = policies.policies().any(|policy| policy.period().is_some());
        Limiter { policies, clock, has_calendar }
    }

    /// Reads the limiter's clock.
    ///
    /// [`Clock::precise`] reads the wall clock only if the limiter has a calendar policy. Otherwise
    /// `unix_ns` is 0.
    #[inline(always)]
    pub fn now(&self) -> Now {
        self.clock.now(self.has_calendar)
    }

    /// Opens a session at the current time.
    ///
    /// A server that decides many requests in one turn of its event loop opens one session for all
    /// of them.
    #[inline]
    pub fn session(&self) -> Session<'_> {
        self.session_at(self.now())
    }

    /// Opens a session at a time that the caller has already read.
    ///
    /// `now.monotonic_ns` must count from the same instant as the limiter's own clock.
    /// [`Clock::precise`] counts from the creation of the clock. A time before the creation of the
    /// limiter is raised to the time of that creation.
    #[inline]
    pub fn session_at(&self, now: Now) -> Session<'_> {
        Session::new(&self.policies, now)
    }

    /// Charges a request under all its policies or under none. See [`Session::check`].
    #[inline]
    pub fn check(&self, charges: &[Charge<'_>]) -> Decision {
        self.check_with_status(charges, &mut [])
    }

    /// [`check`](Self::check) with the status of each policy. See [`Session::check_with_status`].
    #[inline]
    pub fn check_with_status(
        &self,
        charges: &[Charge<'_>],
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        self.decide(charges, statuses, None)
    }

    /// [`check`](Self::check) at a time that the caller has already read.
    ///
    /// `now` must meet the conditions of [`session_at`](Self::session_at). For a single request
    /// this is faster than a session, because the prefetch of the key's memory starts earlier.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Limiter, ManualClock, Policy};
    ///
    /// let clock = ManualClock::new();
    /// let user = Policy::sliding("user", 1, Duration::from_secs(60));
    /// let limiter = Limiter::builder().policy(user).clock(clock.clone()).build()?;
    /// let user = limiter.policy("user").unwrap();
    /// // The server's own reading, for example one for each turn of its event loop.
    /// let now = clock.now();
    /// assert!(limiter.check_at(now, &[user.charge("alice", 1)]).is_allowed());
    /// assert!(!limiter.check_at(now, &[user.charge("alice", 1)]).is_allowed());
    /// # Ok::<(), tollgate::ConfigError>(())
    /// ```
    #[inline]
    pub fn check_at(&self, now: Now, charges: &[Charge<'_>]) -> Decision {
        self.check_at_with_status(now, charges, &mut [])
    }

    /// [`check_at`](Self::check_at) with the status of each policy, as in
    /// [`Session::check_with_status`].
    #[inline]
    pub fn check_at_with_status(
        &self,
        now: Now,
        charges: &[Charge<'_>],
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        self.decide(charges, statuses, Some(now))
    }

    #[inline(always)]
    fn decide(
        &self,
        charges: &[Charge<'_>],
        statuses: &mut [PolicyStatus],
        now: Option<Now>,
    ) -> Decision {
        let call = Call { limiter: self, now };
        request::decide(&self.policies, charges, Mode::Check, statuses, call)
    }

    /// Checks many requests of one charge each. See [`Session::check_many`].
    pub fn check_many(&self, charges: &[Charge<'_>], decisions: &mut [Decision]) -> usize {
        self.session().check_many(charges, decisions)
    }

    /// Returns the decision of a [`check`](Self::check) without charging. See [`Session::peek`].
    pub fn peek(&self, charges: &[Charge<'_>]) -> Decision {
        self.session().peek(charges)
    }

    /// [`peek`](Self::peek) with the status of each policy. See [`Session::peek_with_status`].
    pub fn peek_with_status(
        &self,
        charges: &[Charge<'_>],
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        self.session().peek_with_status(charges, statuses)
    }

    /// Charges a request even over the limit. See [`Session::force_charge`].
    pub fn force_charge(&self, charges: &[Charge<'_>]) -> Decision {
        self.session().force_charge(charges)
    }

    /// Refunds units to a key and returns how many. See [`Session::refund`].
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn refund(&self, charge: &Charge<'_>) -> Result<u64, UnknownPolicy> {
        self.session().refund(charge)
    }

    /// Charges the estimated cost of a request. See [`Session::reserve`].
    ///
    /// # Errors
    /// The decision, if the request is not allowed. Nothing is charged then.
    pub fn reserve(&self, charges: &[Charge<'_>]) -> Result<Reservation, Decision> {
        self.session().reserve(charges)
    }

    /// [`reserve`](Self::reserve) with the status of each policy. See
    /// [`Session::reserve_with_status`].
    ///
    /// # Errors
    /// The same as for [`reserve`](Self::reserve).
    pub fn reserve_with_status(
        &self,
        charges: &[Charge<'_>],
        statuses: &mut [PolicyStatus],
    ) -> Result<Reservation, Decision> {
        self.session().reserve_with_status(charges, statuses)
    }

    /// Adds to all charges of a reservation or to none. See [`Session::extend`].
    ///
    /// # Errors
    /// [`ReservationError`] if the reservation is closed or belongs to another limiter, or if
    /// `more` does not have one amount for each charge.
    pub fn extend(
        &self,
        reservation: &mut Reservation,
        more: &[u64],
    ) -> Result<Decision, ReservationError> {
        self.session().extend(reservation, more)
    }

    /// Closes a reservation with its actual costs. See [`Session::settle`].
    ///
    /// # Errors
    /// The same as for [`extend`](Self::extend).
    pub fn settle(
        &self,
        reservation: &mut Reservation,
        actual: &[u64],
    ) -> Result<Decision, ReservationError> {
        self.session().settle(reservation, actual)
    }

    /// Closes a reservation with a cost of 0. See [`Session::cancel`].
    ///
    /// # Errors
    /// [`ReservationError`] if the reservation is closed or belongs to another limiter.
    pub fn cancel(&self, reservation: &mut Reservation) -> Result<Decision, ReservationError> {
        self.session().cancel(reservation)
    }

    /// Clears the usage of a key. See [`Session::reset_key`].
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

    /// Does maintenance that can wait for an idle moment, and returns whether no table has work left.
    /// See [`Session::maintain`].
    ///
    /// Unlike the session's method, each call also frees some memory of replaced arrays. Some may be
    /// left when it returns true.
    pub fn maintain(&self, slots: usize) -> bool {
        let done = self.session().maintain(slots);
        reclaim::collect((slots / 256).clamp(4, 64));
        done
    }

    /// Returns the statistics of a policy. See [`Session::stats`].
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn stats(&self, policy: PolicyId) -> Result<Stats, UnknownPolicy> {
        self.session().stats(policy)
    }

    /// Returns the numbers of requests by verdict, and of open reservations. See
    /// [`Session::request_stats`].
    pub fn request_stats(&self) -> RequestStats {
        self.session().request_stats()
    }

    /// Changes a policy's limit, in units of cost, for all later requests.
    ///
    /// Usage so far stays counted. Charges with a [limit of their own](Charge::limit) keep it. A limit
    /// of 0 refuses every cost above 0, with [`Verdict::Impossible`](crate::Verdict::Impossible).
    ///
    /// # Errors
    /// - [`ConfigError::LimitAboveMax`] for a limit above the policy's
    ///   [`max_limit`](Policy::max_limit).
    /// - [`ConfigError::UnknownPolicy`] for a policy of another limiter.
    pub fn set_limit(&self, policy: PolicyId, limit: u64) -> Result<(), ConfigError> {
        self.policies.get_or_error(policy)?.set_limit(limit)
    }

    /// Returns a policy's current limit, in units of cost.
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn limit(&self, policy: PolicyId) -> Result<u64, UnknownPolicy> {
        self.policies.get_or_error(policy).map(|policy| policy.limit(None))
    }

    /// Returns the most keys that a policy's table can have.
    ///
    /// This is the least number that the bounds on keys and on bytes permit: see
    /// [`Builder::max_keys`](crate::Builder::max_keys) and
    /// [`Builder::max_bytes`](crate::Builder::max_bytes).
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn max_keys(&self, policy: PolicyId) -> Result<usize, UnknownPolicy> {
        let state = self.policies.get_or_error(policy)?;
        Ok(state.policy().effective_max_keys())
    }

    /// Returns the most memory that a policy can take, in bytes.
    ///
    /// [`Builder::max_bytes`](crate::Builder::max_bytes) says what it does not include.
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn memory_bound(&self, policy: PolicyId) -> Result<usize, UnknownPolicy> {
        self.policies.get_or_error(policy).map(|policy| policy.memory_bound())
    }

    /// Returns the id of the policy with this name.
    pub fn policy(&self, name: &str) -> Option<PolicyId> {
        self.policies.find(name)
    }

    /// Iterates over all policies, in the order in which they were added.
    pub fn policies(&self) -> impl ExactSizeIterator<Item = &Policy> {
        self.policies.policies()
    }

    /// Returns the resolution of a policy's recorded times.
    ///
    /// Clock readings are truncated to it. For a sliding policy it is a power of two of nanoseconds.
    /// It is 1 ns for exact policies with windows up to 39 hours, and with longer ones if the limit
    /// is small. If it is above 1 ns, the window is rounded up to whole units of it, plus one unit.
    /// For a calendar policy it is 1 ns.
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn resolution(&self, policy: PolicyId) -> Result<Duration, UnknownPolicy> {
        self.policies.get_or_error(policy).map(|policy| policy.resolution())
    }

    /// Iterates over the items for the [`http`] fields, one for each status, in their order.
    ///
    /// It allocates nothing. A status of another limiter's policy is skipped, and so is that of a
    /// [dry run](Policy::dry_run), since clients are not limited by it.
    pub fn http_items<'a>(
        &'a self,
        statuses: &'a [PolicyStatus],
    ) -> impl Iterator<Item = http::Item<'a>> + Clone {
        statuses.iter().filter(|status| !status.dry_run).filter_map(move |status| {
            let policy = self.policies.get(status.policy)?.policy();
            let window =
                policy.window().or_else(|| policy.period().map(|period| period.longest()))?;
            let item = http::Item::new(policy.name(), window, *status);
            Some(match policy.unit_name() {
                Some(unit) => item.with_unit(unit),
                None => item,
            })
        })
    }
}

/// Steps of a table that the model tests run one at a time.
#[cfg(all(test, tollgate_model))]
impl Limiter {
    /// Starts a resize of a policy's table, unless one is in progress.
    pub(crate) fn start_renewal(&self, policy: PolicyId, now: Now) {
        self.policies.get(policy).expect("a policy of this limiter").start_renewal(now);
    }

    /// Moves one chunk of a policy's table. Returns whether nothing is left to move.
    pub(crate) fn help_once(&self, policy: PolicyId, now: Now) -> bool {
        self.policies.get(policy).expect("a policy of this limiter").help_once(now)
    }

    /// Returns the number of arrays in a policy's table: one, or two while keys move.
    #[cfg(tollgate_shuttle)]
    pub(crate) fn arrays(&self, policy: PolicyId) -> usize {
        self.policies.get(policy).expect("a policy of this limiter").arrays()
    }
}

/// Asserts that threads can share a limiter.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Limiter>();
};
