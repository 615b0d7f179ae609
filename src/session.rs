//! The operations of a limiter at one instant.

use crate::charge::{Charge, PolicyId};
use crate::clock::Now;
use crate::decision::{Decision, PolicyStatus};
use crate::engine::Policies;
use crate::engine::context::Context;
use crate::engine::policy_state::PolicyState;
use crate::error::UnknownPolicy;
use crate::key::Key;
use crate::request::reservation::{self, Reservation, ReservationError};
use crate::request::{self, Mode, batch};
use crate::stats::{RequestStats, Stats};

/// The operations of a [`Limiter`](crate::Limiter) at one instant.
///
/// [`Limiter::session`](crate::Limiter::session) opens one at the current time. All its operations
/// use that time.
///
/// Keep a session only briefly. Arrays that tables replace while it exists cannot be freed before it
/// is dropped. A session cannot move to another thread.
#[derive(Debug)]
pub struct Session<'l> {
    context: Context<'l>,
}

impl<'l> Session<'l> {
    #[inline]
    pub(crate) fn new(policies: &'l Policies, now: Now) -> Self {
        Session { context: Context::new(policies, now) }
    }

    #[inline(always)]
    fn decide(
        &self,
        charges: &[Charge<'_>],
        mode: Mode,
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        request::decide(self.context.policies, charges, mode, statuses, &self.context)
    }

    /// Returns the time of this session.
    pub fn now(&self) -> Now {
        self.context.now
    }

    /// Charges a request under all its policies or under none.
    ///
    /// If any policy has no room, nothing is charged. The decision then names the first such
    /// policy, in the order of `charges`, and the longest wait over all policies. Several charges
    /// of one request to the same key under the same policy add up. A request without charges is
    /// allowed.
    ///
    /// While another thread's request is being decided, it can hold a charge that is rolled back
    /// because a later policy has no room. Meanwhile this method may deny a request that would have
    /// room an instant later. It never admits one too many.
    ///
    /// ```
    /// use std::{net::IpAddr, time::Duration};
    /// use tollgate::{Limiter, Period, Policy};
    ///
    /// let minute = Duration::from_secs(60);
    /// let limiter = Limiter::builder()
    ///     .policy(Policy::sliding("ip", 100, minute))
    ///     .policy(Policy::sliding("user", 2, minute))
    ///     .policy(Policy::calendar("tokens", 10_000, Period::Day))
    ///     .build()?;
    /// let [ip, user, tokens] = ["ip", "user", "tokens"].map(|name| limiter.policy(name).unwrap());
    /// let address: IpAddr = "192.0.2.1".parse().unwrap();
    ///
    /// let request = [ip.charge(address, 1), user.charge("alice", 1), tokens.charge("alice", 512)];
    /// assert!(limiter.check(&request).is_allowed());
    /// assert!(limiter.check(&request).is_allowed());
    /// let decision = limiter.check(&request);
    /// assert!(!decision.is_allowed());
    /// assert_eq!(decision.policy, user);
    /// assert!(decision.retry_after().unwrap() <= minute);
    /// // The denied request charged nothing.
    /// assert_eq!(limiter.peek(&[ip.charge(address, 1)]).remaining, 98);
    /// # Ok::<(), tollgate::ConfigError>(())
    /// ```
    #[inline]
    pub fn check(&self, charges: &[Charge<'_>]) -> Decision {
        self.decide(charges, Mode::Check, &mut [])
    }

    /// [`check`](Self::check) with the status of each policy.
    ///
    /// Writes the status after the decision for `charges[i]` to `statuses[i]`, up to the length of
    /// the shorter slice. Writes nothing if the verdict is
    /// [`TableFull`](crate::Verdict::TableFull) or [`Invalid`](crate::Verdict::Invalid).
    pub fn check_with_status(
        &self,
        charges: &[Charge<'_>],
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        self.decide(charges, Mode::Check, statuses)
    }

    /// Checks many requests of one charge each, and returns how many were allowed.
    ///
    /// Writes the decision for `charges[i]` to `decisions[i]`, and stops at the end of the shorter
    /// slice. The decisions are those of one [`check`](Self::check) for each charge, in order. This
    /// is faster than such checks if the keys are not in a CPU cache, because the cache misses of
    /// several keys overlap.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Decision, Limiter, Policy};
    ///
    /// let user = Policy::sliding("user", 2, Duration::from_secs(60));
    /// let limiter = Limiter::builder().policy(user).build()?;
    /// let user = limiter.policy("user").unwrap();
    ///
    /// let charges = ["alice", "bob", "alice", "alice"].map(|name| user.charge(name, 1));
    /// let mut decisions = [Decision::default(); 4];
    /// assert_eq!(limiter.session().check_many(&charges, &mut decisions), 3);
    /// assert_eq!(decisions.map(|decision| decision.is_allowed()), [true, true, true, false]);
    /// # Ok::<(), tollgate::ConfigError>(())
    /// ```
    pub fn check_many(&self, charges: &[Charge<'_>], decisions: &mut [Decision]) -> usize {
        batch::decide_many(&self.context, charges, decisions)
    }

    /// Returns the decision of a [`check`](Self::check) without charging.
    ///
    /// `remaining` is what is left without this request. Other threads may use it before a later
    /// check. For a new key, the decision assumes that the table has room.
    pub fn peek(&self, charges: &[Charge<'_>]) -> Decision {
        self.decide(charges, Mode::Peek, &mut [])
    }

    /// [`peek`](Self::peek) with the status of each policy, as in
    /// [`check_with_status`](Self::check_with_status).
    pub fn peek_with_status(
        &self,
        charges: &[Charge<'_>],
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        self.decide(charges, Mode::Peek, statuses)
    }

    /// Charges a request even over the limit, for costs that are known only afterwards.
    ///
    /// Later requests are denied until the excess has expired. Units above 32 times the policy's
    /// [`max_limit`](crate::Policy::max_limit) in one bucket (32 units if it is 0), or above twice
    /// the `max_limit` in one calendar period, may not be counted.
    ///
    /// The verdict is [`Allowed`](crate::Verdict::Allowed),
    /// [`TableFull`](crate::Verdict::TableFull) or [`Invalid`](crate::Verdict::Invalid). On the last
    /// two, nothing is charged, with one exception: on `TableFull`, another charge of the request
    /// stays if it has filled its bucket or period to the maximum count, because such a count is not
    /// lowered before it expires.
    pub fn force_charge(&self, charges: &[Charge<'_>]) -> Decision {
        self.decide(charges, Mode::Force, &mut [])
    }

    /// Refunds up to the cost of `charge` to its key, and returns the number of units refunded.
    ///
    /// Units are taken from the oldest charges that still count, so that the remaining ones never
    /// expire too early. Refund only units that still count: a refund of an expired charge takes
    /// units of other charges. The limit of `charge` is ignored.
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn refund(&self, charge: &Charge<'_>) -> Result<u64, UnknownPolicy> {
        let Context { policies, now, guard, shard } = &self.context;
        let policy = policies.get_or_error(charge.policy)?;
        let key = policies.key_id(charge.key);
        let units = policy.give_back(key, *now, None, charge.cost, guard).units;
        policy.count_refunded(units, *shard);
        Ok(units)
    }

    /// Charges the estimated cost of a request under all its policies or under none.
    ///
    /// Use it if the actual cost is known only when the request finishes: see [`Reservation`].
    /// `charges` has at most [`MAX_RESERVED`](crate::MAX_RESERVED) elements.
    ///
    /// # Errors
    /// The decision, if the request is not allowed. Nothing is charged then.
    pub fn reserve(&self, charges: &[Charge<'_>]) -> Result<Reservation, Decision> {
        reservation::reserve(&self.context, charges, &mut [])
    }

    /// [`reserve`](Self::reserve) with the status of each policy. They are written as in
    /// [`check_with_status`](Self::check_with_status), also for a denied request.
    ///
    /// # Errors
    /// The same as for [`reserve`](Self::reserve).
    pub fn reserve_with_status(
        &self,
        charges: &[Charge<'_>],
        statuses: &mut [PolicyStatus],
    ) -> Result<Reservation, Decision> {
        reservation::reserve(&self.context, charges, statuses)
    }

    /// Adds to all charges of a reservation or to none.
    ///
    /// `more` has one amount for each charge, in order, in the units of its policy. If the decision
    /// is not allowed, nothing is added and the reservation stays open: stop the work, then
    /// [`settle`](Self::settle). See [`Reservation`] for an example.
    ///
    /// # Errors
    /// [`ReservationError`] if the reservation is closed or belongs to another limiter, or if
    /// `more` does not have one amount for each charge.
    pub fn extend(
        &self,
        reservation: &mut Reservation,
        more: &[u64],
    ) -> Result<Decision, ReservationError> {
        reservation::extend(&self.context, reservation, more)
    }

    /// Closes a reservation with its actual costs.
    ///
    /// `actual` has one amount for each charge, in order, in the units of its policy. An
    /// overestimate is refunded to the window or period that was charged, unless that has passed.
    /// An underestimate is charged even over the limit, and the excess blocks later requests until
    /// it has expired. See [`Reservation`] for an example.
    ///
    /// The verdict is [`Allowed`](crate::Verdict::Allowed), or
    /// [`TableFull`](crate::Verdict::TableFull) if a table had no room for an excess. The other
    /// layers are settled all the same.
    ///
    /// # Errors
    /// The same as for [`extend`](Self::extend).
    pub fn settle(
        &self,
        reservation: &mut Reservation,
        actual: &[u64],
    ) -> Result<Decision, ReservationError> {
        reservation::settle(&self.context, reservation, actual)
    }

    /// Closes a reservation with a cost of 0.
    ///
    /// This is [`settle`](Self::settle) with 0 for each charge.
    ///
    /// # Errors
    /// [`ReservationError`] if the reservation is closed or belongs to another limiter.
    pub fn cancel(&self, reservation: &mut Reservation) -> Result<Decision, ReservationError> {
        reservation::cancel(&self.context, reservation)
    }

    /// Clears the usage of a key under a policy.
    ///
    /// A charge that another thread makes meanwhile may be cleared or kept. The key's open reservations
    /// then hold nothing: settling one gives back at most its last extension, if that was made after the
    /// reset. Two things follow from how this is recorded:
    ///
    /// - In a sliding policy, a charge whose time is not later than the newest charge before the reset is
    ///   recorded one unit of the [`resolution`](crate::Limiter::resolution) after it.
    /// - A table records 256 resets, four in each of 64 groups of keys. When a group is full, its oldest
    ///   record is dropped, and reservations of any key that were charged up to the time of that record give
    ///   back nothing. A few dozen keys that are reset while reservations are open are almost always
    ///   recorded exactly. A budget counts its resets: receipts give back nothing after 2¹⁸ - 1 resets of
    ///   the key in one hour under a limit of 10,000, after 255 under 10⁹, and after a single one under 2⁴⁰.
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn reset_key<'k>(
        &self,
        policy: PolicyId,
        key: impl Into<Key<'k>>,
    ) -> Result<(), UnknownPolicy> {
        let Context { policies, guard, .. } = &self.context;
        policies.get_or_error(policy)?.reset(policies.key_id(key.into()), guard);
        Ok(())
    }

    /// Does maintenance that can wait for an idle moment, and returns whether no table has work left.
    ///
    /// You never need to call it: requests do the same work in small chunks, and the system makes
    /// huge pages by itself later. Calling it takes that work off the requests. For the table of each
    /// policy, it does this, up to about `slots` slots per call:
    ///
    /// - It moves keys to the next array.
    /// - It makes a new array if the table is mostly idle, or if three quarters of the array's time
    ///   range have passed.
    /// - On Linux, it puts a large array into huge pages, so that lookups of random keys are faster.
    ///   Making a huge page of 2 MiB takes the system some milliseconds. A thread that touches the
    ///   page meanwhile may wait that long.
    ///
    /// See `docs/memory.md` for sizes and thresholds.
    pub fn maintain(&self, slots: usize) -> bool {
        let done =
            |policy: &PolicyState| policy.maintain(slots, self.context.now, &self.context.guard);
        self.context.policies.all().fold(true, |all, policy| all & done(policy))
    }

    /// Returns the statistics of a policy.
    ///
    /// The call takes microseconds, because it samples up to 1,024 slots.
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
        let policy = self.context.policies.get_or_error(policy)?;
        Ok(policy.stats(self.context.now, &self.context.guard))
    }

    /// Returns the numbers of requests by verdict, and of open reservations, over all policies.
    ///
    /// The call takes microseconds.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Limiter, Policy};
    ///
    /// let minute = Duration::from_secs(60);
    /// let mut builder = Limiter::builder();
    /// let ip = builder.add(Policy::sliding("ip", 100, minute));
    /// let user = builder.add(Policy::sliding("user", 1, minute));
    /// let limiter = builder.build()?;
    /// for _ in 0..3 {
    ///     limiter.check(&[ip.charge("192.0.2.1", 1), user.charge("alice", 1)]);
    /// }
    /// let reservation = limiter.reserve(&[ip.charge("192.0.2.1", 10)]);
    /// let requests = limiter.request_stats();
    /// assert_eq!((requests.allowed, requests.denied, requests.open_reservations), (2, 2, 1));
    /// # drop(reservation);
    /// # Ok::<(), tollgate::ConfigError>(())
    /// ```
    pub fn request_stats(&self) -> RequestStats {
        self.context.policies.request_stats()
    }
}
