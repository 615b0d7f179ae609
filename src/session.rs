//! The verbs, at one instant.

use crate::charge::{Charge, PolicyId};
use crate::clock::Now;
use crate::decision::{Decision, PolicyStatus};
use crate::engine::Policies;
use crate::engine::policy_state::PolicyState;
use crate::error::UnknownPolicy;
use crate::key::Key;
use crate::request::batch;
use crate::request::fallback;
use crate::request::reservation::{self, Reservation, ReservationError};
use crate::request::{Context, Mode};
use crate::stats::Stats;

/// A limiter at one instant.
///
/// Short-lived: while it exists, memory of tables that were replaced is not freed. It belongs to
/// one thread.
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
        evaluations: &mut [PolicyStatus],
    ) -> Decision {
        fallback::decide(self.context.policies, charges, mode, evaluations, || &self.context)
    }

    /// The instant of this session.
    pub fn now(&self) -> Now {
        self.context.now
    }

    /// Charges a request under all its policies, or under none.
    ///
    /// If any policy has no room, nothing is charged, and the decision names the first such policy
    /// in the order of the charges and the longest wait over all of them. Two charges of one
    /// request to one key add up. No charges at all are allowed.
    ///
    /// While another thread's request is being decided, a layer may look charged that is given
    /// back in the next moment because a later layer had no room. So this may deny a request that
    /// would have had room an instant later, and never admits one too many.
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
    /// // The denial has cost nothing.
    /// assert_eq!(limiter.peek(&[ip.charge(address, 1)]).remaining, 98);
    /// # Ok::<(), tollgate::ConfigError>(())
    /// ```
    #[inline]
    pub fn check(&self, charges: &[Charge<'_>]) -> Decision {
        self.decide(charges, Mode::Check, &mut [])
    }

    /// As [`check`](Self::check), and tells how each policy stands after it: `layers[i]` is that of
    /// `charges[i]`, as far as both go.
    pub fn check_with_status(
        &self,
        charges: &[Charge<'_>],
        layers: &mut [PolicyStatus],
    ) -> Decision {
        self.decide(charges, Mode::Check, layers)
    }

    /// Checks many requests of one charge each: `decisions[i]` is that of `charges[i]`, as far as
    /// both go. Returns how many were allowed.
    ///
    /// The same as [`check`](Self::check) for each of them in order, but the memory that they need
    /// is resolved for ahead, so that keys which are in no cache wait together and not one by one.
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

    /// What [`check`](Self::check) would decide; charges nothing. `remaining` is what is left
    /// without the request. Other threads may spend it in the next moment. A new key is evaluations what
    /// it would get if it found a place.
    pub fn peek(&self, charges: &[Charge<'_>]) -> Decision {
        self.decide(charges, Mode::Peek, &mut [])
    }

    /// As [`peek`](Self::peek), and tells how each policy stands.
    pub fn peek_with_status(
        &self,
        charges: &[Charge<'_>],
        layers: &mut [PolicyStatus],
    ) -> Decision {
        self.decide(charges, Mode::Peek, layers)
    }

    /// Charges whatever the usage is, for costs that are known only afterwards. Usage may then
    /// exceed the limit, and later requests are denied until it has passed. A bucket remembers up
    /// to 32 times the greatest limit, a calendar period up to 2⁴² units.
    ///
    /// The verdict is [`Verdict::Allowed`](crate::Verdict::Allowed) unless a key found no place
    /// ([`Verdict::TableFull`](crate::Verdict::TableFull)) or a charge is
    /// [`Verdict::Invalid`](crate::Verdict::Invalid); then nothing was charged, but
    /// for a debt beyond what its bucket remembers, which cannot be evaluations from more and stays.
    pub fn force_charge(&self, charges: &[Charge<'_>]) -> Decision {
        self.decide(charges, Mode::Force, &mut [])
    }

    /// Gives up to the cost of `charge` back to its key, and returns how much that was.
    ///
    /// Units are taken from the oldest charges that still count, so that what is left expires no
    /// earlier than if the right one had been taken. So give back only what still counts: units of
    /// a charge that has expired would be taken from others.
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn refund(&self, charge: &Charge<'_>) -> Result<u64, UnknownPolicy> {
        let Context { policies, now, guard, .. } = &self.context;
        let policy = policies.known(charge.policy)?;
        let key = policies.key_id(charge.key);
        Ok(policy.give_back(key, *now, None, charge.cost, guard).units)
    }

    /// Charges a request whose cost is known only afterwards: see [`Reservation`].
    ///
    /// # Errors
    /// The decision, if the request is not allowed; then nothing was charged.
    pub fn reserve(&self, charges: &[Charge<'_>]) -> Result<Reservation, Decision> {
        reservation::reserve(&self.context, charges, &mut [])
    }

    /// As [`reserve`](Self::reserve), and tells how each policy stands after it, allowed or denied:
    /// `layers[i]` is that of `charges[i]`, as far as both go.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub fn reserve_with_status(
        &self,
        charges: &[Charge<'_>],
        layers: &mut [PolicyStatus],
    ) -> Result<Reservation, Decision> {
        reservation::reserve(&self.context, charges, layers)
    }

    /// Charges so much more to each layer of a reservation, or to none: see [`Reservation`].
    ///
    /// # Errors
    /// If the reservation is closed or of another limiter, or there is not one amount a layer.
    pub fn extend(
        &self,
        reservation: &mut Reservation,
        more: &[u64],
    ) -> Result<Decision, ReservationError> {
        reservation::extend(&self.context, reservation, more)
    }

    /// Closes a reservation with what each layer has really cost: see [`Reservation`].
    ///
    /// # Errors
    /// As [`extend`](Self::extend).
    pub fn settle(
        &self,
        reservation: &mut Reservation,
        actual: &[u64],
    ) -> Result<Decision, ReservationError> {
        reservation::settle(&self.context, reservation, actual)
    }

    /// Closes a reservation that has cost nothing: see [`Reservation`].
    ///
    /// # Errors
    /// If the reservation is closed or of another limiter.
    pub fn cancel(&self, reservation: &mut Reservation) -> Result<Decision, ReservationError> {
        reservation::cancel(&self.context, reservation)
    }

    /// Forgets everything that a key has used under a policy. Charges of other threads that are
    /// made meanwhile may be forgotten or kept. Close the key's open reservations first: what they
    /// give back afterwards may be units that were charged since.
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn reset_key<'k>(
        &self,
        policy: PolicyId,
        key: impl Into<Key<'k>>,
    ) -> Result<(), UnknownPolicy> {
        let Context { policies, now, guard, .. } = &self.context;
        policies.known(policy)?.reset(policies.key_id(key.into()), *now, guard);
        Ok(())
    }

    /// Housekeeping ahead of need: see [`Limiter::maintain`](crate::Limiter::maintain).
    pub fn maintain(&self, slots: usize) -> bool {
        let done =
            |policy: &PolicyState| policy.maintain(slots, self.context.now, &self.context.guard);
        self.context.policies.all().fold(true, |all, policy| all & done(policy))
    }

    /// How a policy stands: see [`Limiter::stats`](crate::Limiter::stats).
    ///
    /// # Errors
    /// [`UnknownPolicy`] for a policy of another limiter.
    pub fn stats(&self, policy: PolicyId) -> Result<Stats, UnknownPolicy> {
        let policy = self.context.policies.known(policy)?;
        Ok(policy.stats(self.context.now, &self.context.guard))
    }
}
