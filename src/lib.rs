//! A rate limiter to embed in a server: *may this request proceed, and if not, when?*
//!
//! [`Limiter::check`] decides a request in nanoseconds. It takes no lock, and allocates no memory
//! for known keys, with rare exceptions (guarantee E). A request can name several policies. It is
//! charged under all of them or under none:
//!
//! ```
//! use std::{net::IpAddr, time::Duration};
//! use tollgate::{Limiter, Period, Policy};
//!
//! let minute = Duration::from_secs(60);
//! let limiter = Limiter::builder()
//!     .policy(Policy::sliding("ip", 100, minute))
//!     .policy(Policy::sliding("user", 20, minute))
//!     .policy(Policy::calendar("tokens", 10_000, Period::Day))
//!     .max_keys(100_000)
//!     .build()?;
//! let [ip, user, tokens] = ["ip", "user", "tokens"].map(|name| limiter.policy(name).unwrap());
//!
//! let address: IpAddr = "192.0.2.1".parse().unwrap();
//! let request = [ip.charge(address, 1), user.charge("alice", 1), tokens.charge("alice", 512)];
//! let decision = limiter.check(&request);
//! if let Some(wait) = decision.retry_after() {
//!     println!("429, Retry-After: {}", tollgate::http::retry_after_seconds(wait));
//! }
//! # assert!(decision.is_allowed());
//! # Ok::<(), tollgate::ConfigError>(())
//! ```
//!
//! A request may proceed only if [`Decision::is_allowed`] returns true. [`Decision::retry_after`]
//! returns the wait after a denial. It returns `None` for an allowed request, and for a refusal if
//! no wait is known after which a retry succeeds: see [`Verdict`].
//!
//! A policy limits each key separately. A key is *live* while it has charges that still count. It is
//! *known* while the policy's table contains it, and *new* otherwise. The slots of a table are in an
//! *array*, which is replaced when the table grows, shrinks, or gets too old (`docs/memory.md`).
//!
//! [`Limiter`] lists its methods in the order in which to learn them.
//!
//! # Guarantees
//!
//! - **A. Never over the limit.** In any interval of the window's length, the cost admitted to a
//!   key and not refunded is at most the limit. This holds for recorded times, at every
//!   interleaving of any number of threads. Only [`force_charge`](Session::force_charge),
//!   [`settle`](Session::settle), and the [`Overflow`] of a full table may exceed the limit. A
//!   [`reset_key`](Session::reset_key) counts as a refund. A charge recorded at `t` counts at `now`
//!   if and only if `now - t < window`, so waiting exactly [`retry_after`](Decision::retry_after)
//!   succeeds if nothing else is charged. (In a bucket, all charges have the time of the newest.) A
//!   recorded time is a clock reading, truncated to the policy's
//!   [`resolution`](Limiter::resolution). If that is above 1 ns, the window is rounded up to whole
//!   units of it, plus one unit, so that no charge expires before its window has passed. A reading
//!   earlier than the key's newest charge is raised at least to the time of that charge.
//! - **B. Exact where promised.** A sliding policy with a limit up to 127 decides exactly as a log
//!   of all admitted charges would, with the same `retry_after`, unless it has fewer
//!   [`buckets`](Policy::buckets) than its limit. (The limit that counts here is
//!   [`max_limit`](Policy::max_limit).) Every other sliding policy counts in buckets: it may deny
//!   a request that the log would admit. Given the same admitted charges, it never admits one that
//!   the log would deny. The charges in a bucket expire together, less than one bucket's span after
//!   the first of them would. After a [`refund`](Session::refund), a settled reservation, a
//!   [`force_charge`](Session::force_charge), or a request over several policies that lost a race,
//!   an exact policy may hold a charge longer than the log would, never shorter.
//! - **C. All or nothing.** A request is charged under all its policies or under none. (A
//!   [dry run](Policy::dry_run) without room is not charged, and denies nothing.) A denial
//!   reports the first policy without room and the longest wait over all policies. While a
//!   [`Reservation`] is open, at least its estimate is charged. Once it is settled, exactly its
//!   actual cost is charged. Both hold until its windows and periods have passed.
//! - **D. Lock-free.** No thread waits for another. A thread that is stopped or killed at any point
//!   leaves nothing to repair.
//! - **E. No allocation per request** for a known key, and no deallocation, whatever other threads
//!   do. New keys make a table grow: occasionally one of them allocates the next array. The keys then
//!   move into it in small chunks, each as part of a later request. For known keys
//!   there is one exception: a sliding policy's array has a *time range*, because its counters record
//!   times in a limited number of bits. After three quarters of that range, the next charge replaces
//!   the array, whether its key is known or new. Some systems need a few more allocations: see below.
//! - **F. Bounded memory.** Memory follows the live keys, up to the bound that
//!   [`Builder::memory_bound`] returns before anything is allocated: by default, 128 MiB for all
//!   policies. [`max_keys`](Builder::max_keys) and [`max_bytes`](Builder::max_bytes) set it. A table
//!   has at most two arrays, plus replaced arrays that a [`Session`] or a thread that is stopped in a
//!   call can still read; nothing bounds those. When keys go idle, memory is returned as new keys
//!   arrive, when an array is replaced because of its age, or by [`Limiter::maintain`]. At the bound,
//!   expired keys make room for new ones. While too few keys
//!   have expired, the policy's [`Overflow`] decides about a new key. Known keys are served as
//!   before, except that [`Overflow::EvictLightest`] may forgive a key a stated allowance. The array
//!   sizes and the schedule in `docs/memory.md` are part of this guarantee.
//! - **G. Calendar budgets.** `used + cost <= limit` holds exactly in each UTC hour, day or month,
//!   with an optional fixed offset. No reset job is needed. A wall clock that steps back into an
//!   earlier period reopens no budget.
//! - **H. Bad input** is a typed [`ConfigError`] when the limiter is built. A cost above the limit
//!   is [`Verdict::Impossible`]. A policy id of another limiter is [`Verdict::Invalid`] or an
//!   [`UnknownPolicy`] error. Nothing on the request path panics, and no count or time
//!   overflows.
//!
//! # What is not guaranteed
//!
//! - **Hash collisions.** Two keys of one policy with equal 64-bit hashes share a counter: see
//!   [`Key`].
//! - **Denials under contention.** A request over several policies can briefly hold a charge that
//!   is then rolled back. Another request may be denied because of it: see [`Session::check`].
//! - **Age of a denial.** A denial is based on a state that was true at some instant of the call.
//!   Other threads may have changed it before the call returns.
//! - **Wrong clocks.** Clock readings are trusted. A reading that is wrongly ahead can make an
//!   array seem mostly idle, or past three quarters of its time range, so that the table replaces
//!   it. A call with such a reading may also replace a full array. In each case, the table from
//!   then on raises each earlier reading to the wrong one. The time range is usually days to years,
//!   and always at least eight windows; for the greatest limits in the shortest windows, that is
//!   milliseconds. If a wall clock was ahead, budgets that were used meanwhile stay in the later
//!   period until that period begins. So do all budgets of a table whose array was replaced
//!   meanwhile.
//! - **Rollback after a refund.** If another thread takes the last room under one of a request's
//!   policies, the request is rolled back charge by charge. If refunds left gaps in the key's
//!   history and other threads have charged the key since, part of a charge may not be found. That
//!   part counts until it expires.
//! - **Out of memory.** If a new array cannot be allocated, the table keeps its old one. When that
//!   is full, new keys are refused with [`Verdict::TableFull`], or pass uncounted under
//!   [`Overflow::Allow`]; after 256 of them, the next one retries the allocation. So does every
//!   charge of a sliding window in the last quarter of the array's time range, at the end of which
//!   all keys are refused.
//! - **Allocations that abort.** The process aborts if allocating the policy names fails in
//!   [`Builder::build`]. The first request of a thread registers a destructor with the C library,
//!   which glibc allocates (less than 100 bytes); it ends the process if that fails.
//! - **Systems without `membarrier`.** On Linux, the memory of replaced arrays is reclaimed with
//!   the system call `membarrier`. On other systems, and where the call is refused,
//!   `crossbeam-epoch` reclaims it. It allocates 2 KiB at a thread's first request (4 KiB for the
//!   first thread), and 2 KiB when the move out of an array ends. The process aborts if such an
//!   allocation fails. Any request may free such a block, and in rare cases allocate one.
//!
//! # Request path
//!
//! [`Limiter`] or [`Session`] -> request (one or several charges) -> engine (the policies) -> table
//! (key to slot) -> counter (sliding window or calendar budget). Each part uses only the parts
//! after it.

// Some hooks serve only the loom models and are unused under shuttle.
#![cfg_attr(tollgate_shuttle, allow(dead_code))]

mod builder;
mod charge;
mod clock;
mod counter;
mod decision;
mod engine;
mod error;
pub mod http;
mod key;
mod limiter;
mod policy;
mod reclaim;
mod request;
mod session;
mod stats;
mod sync;
mod table;
mod verify;

pub use builder::Builder;
pub use charge::{Charge, MAX_CHARGES, PolicyId};
pub use clock::{Clock, CoarseClock, ManualClock, Now};
pub use decision::{Decision, PolicyStatus, Verdict};
pub use error::{ConfigError, MAX_LIMIT, UnknownPolicy};
pub use key::Key;
pub use limiter::Limiter;
pub use policy::calendar::Period;
pub use policy::overflow::Overflow;
pub use policy::token_price::TokenPrice;
pub use policy::{MAX_WINDOW, MIN_WINDOW, Policy};
pub use request::reservation::{MAX_RESERVED, Reservation, ReservationError};
pub use session::Session;
pub use stats::{RequestStats, Stats};
#[cfg(all(debug_assertions, not(all(test, tollgate_model))))]
#[doc(hidden)]
pub use sync::failed_exchanges;

/// Compiles and runs the programs in the documentation.
#[cfg(doctest)]
mod documentation {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/guide.md")]
    struct Guide;
    #[doc = include_str!("../docs/reservations.md")]
    struct Reservations;
}
