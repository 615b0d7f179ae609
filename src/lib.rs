//! A rate limiter to embed in a server: *may this request proceed, and if not, when?*
//!
//! [`Limiter::check`] decides a request in nanoseconds. It takes no lock, and allocates memory only
//! for keys that the policy has not seen lately. A request can name several policies. It is charged
//! under all of them or under none:
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
//! A request may proceed only if [`Decision::is_allowed`] returns true. [`Decision::retry_after`] is
//! `None` for a request that is allowed, and for one that no wait is known to help: see [`Verdict`].
//!
//! A policy limits each key separately. A key is *live* while it has charges that still count. It is
//! *known* while the policy's table contains it, and *new* otherwise.
//!
//! [`Limiter`] lists its methods in the order in which to learn them.
//!
//! # Guarantees
//!
//! - **A. Never over the limit.** In any interval of the window's length, the cost admitted to a
//!   key is at most the limit. This holds on recorded times, at every interleaving of any number
//!   of threads. A charge recorded at `t` counts at `now` if and only if `now - t < window`, so
//!   waiting exactly [`retry_after`](Decision::retry_after) succeeds. A recorded time is a clock
//!   reading, truncated to the policy's [`resolution`](Limiter::resolution). With a resolution
//!   above 1 ns, the window is rounded up to whole units of it, and one unit longer. So no charge
//!   expires before its window has passed. A reading earlier than the key's newest charge is
//!   recorded as that charge's time.
//! - **B. Exact where promised.** A sliding policy with a limit up to 127 decides exactly as a log
//!   of all admitted charges would, with the same `retry_after`, unless it has fewer
//!   [`buckets`](Policy::buckets) than its limit. (The limit that counts here is
//!   [`max_limit`](Policy::max_limit).) Every other sliding policy counts in buckets: it may deny
//!   a request that the log would admit, and never admits one that the log would deny. The charges
//!   in a bucket expire together, less than one bucket's span after the first of them would. After
//!   a [`refund`](Session::refund), a [`force_charge`](Session::force_charge), or a request over
//!   several policies that lost a race, an exact policy may hold a charge longer than the log
//!   would, never shorter.
//! - **C. All or nothing.** A request is charged under all its policies or under none. A denial
//!   reports the first policy without room and the longest wait over all policies. Until a
//!   [`Reservation`] is settled, it is never charged less than the reserved cost. From then on it
//!   is charged exactly its actual cost, as far as its windows and periods have not passed.
//! - **D. Lock-free.** No thread waits for another. A thread that is stopped or killed at any point
//!   leaves nothing to repair.
//! - **E. No allocation per request** for a known key, and no deallocation, whatever other threads
//!   do. New keys make a table grow: occasionally one of them allocates the next array. The keys then
//!   move into it in small chunks, each as part of a later request. An array that reaches three
//!   quarters of its time range is replaced by any charge. Some systems need
//!   a few allocations more: see below.
//! - **F. Bounded memory.** Memory follows the live keys, up to [`max_keys`](Builder::max_keys) per
//!   policy. A table has at most two arrays, plus retired arrays still pinned by a [`Session`] or a
//!   stalled thread, or not yet returned to the operating system. When keys go idle, memory is
//!   returned as new keys arrive, when an array is renewed, or by [`Limiter::maintain`]. At
//!   `max_keys`, expired keys make room for new ones; until then new keys meet the policy's
//!   [`Overflow`]. Known keys are served as before, except that [`Overflow::EvictLightest`] may
//!   forgive a key a stated allowance. The array sizes and the schedule in `docs/memory.md` are
//!   part of this guarantee.
//! - **G. Calendar budgets.** `used + cost <= limit` holds exactly in each UTC hour, day or month,
//!   with an optional fixed offset. No reset job is needed. A wall clock that steps back over
//!   midnight reopens no budget.
//! - **H. Bad input** is a typed [`ConfigError`] when the limiter is built. A cost above the limit
//!   is [`Verdict::Impossible`]. Nothing on the request path panics, and no arithmetic wraps.
//!
//! # What is not guaranteed
//!
//! - **Hash collisions.** Two keys of one policy with equal 64-bit hashes share a counter: see
//!   [`Key`].
//! - **Denials under contention.** A request over several policies can briefly hold a charge that
//!   is then rolled back. Another request may be denied because of it: see [`Session::check`].
//! - **Age of a denial.** A denial is based on a state that was true at some instant of the call.
//!   Other threads may have changed it before the call returns.
//! - **Wrong clocks.** Clock readings are trusted. A reading that is wrongly ahead may replace a
//!   table's array: when the table is full, or past three quarters of the array's time range. That
//!   range is usually days to years, and always at least eight windows: milliseconds for the
//!   greatest limits in the shortest windows. From then on, the table treats an earlier reading as that wrong one.
//!   If a wall clock was ahead, budgets that were used meanwhile stay in the later period until it
//!   begins. So do all budgets of a table whose array was replaced meanwhile.
//! - **Rollback after a refund.** A request that loses a race is rolled back charge by charge. If
//!   refunds left gaps in the key's history and other threads have charged the key since, part of a
//!   charge may not be found. That part counts until it expires.
//! - **Out of memory.** If a new array cannot be allocated, the table keeps its old one. It then
//!   refuses new keys when it is full, and all keys at the end of its time range, with
//!   [`Verdict::TableFull`]. Every 256th new key retries the allocation.
//! - **Allocations that abort.** The process aborts if allocating the policy names fails in
//!   [`Builder::build`]. The first request of a thread registers a destructor with the C library,
//!   which glibc allocates (less than 100 bytes); it ends the process if that fails.
//! - **Systems without `membarrier`.** On Linux, the memory of replaced arrays is reclaimed with the
//!   system call `membarrier`. On other systems, and where the call is refused, `crossbeam-epoch`
//!   reclaims it. That aborts the process if one of its own allocations fails: a record at a
//!   thread's first session (2 KiB, and 2 KiB more once per process), and a bag when an array is
//!   retired (2 KiB). It frees such bags, and seldom allocates one, also within requests about known
//!   keys.
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
pub use stats::Stats;
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
